import CIngestKernel
import Glibc
import Privilege
import Stages

/// What a chain still needs once its threads are set up, and who it can be then.
struct PrivilegeNeeds {
  private(set) var permissions = Permissions()
  /// Why it is less than asked for, as sentences.
  private(set) var remarks: [String] = []
  /// Folders in which something is made before the user changes, and renamed or removed after that.
  private var early: Set<String> = []

  init(_ configuration: ReceiveConfiguration, _ nic: NICSetup?) throws(PrivilegeError) {
    // Spellings were refused before.
    for sink in (try? SinkSpecification(configuration.sink))?.branches ?? [] { add(sink) }
    if !configuration.stages.isEmpty { permissions.calls.insert(.threads) }
    if configuration.stages.contains(where: { $0.hasPrefix(PluginSpecification.isolated) }) {
      permissions.calls.insert(.children)
    }
    if configuration.recordEvents > 0, configuration.record == nil {
      permissions.calls.insert(.files)
      permissions.writable.append(FlightFolder.directory)
    }
    if configuration.ifname != nil { permissions.calls.insert(.devices) }
    if let nic {
      permissions.calls.formUnion([.reads, .children])
      permissions.readable += nic.readable
    }
    try chooseUser(configuration.user)
  }

  private mutating func add(_ sink: SinkSpecification) {
    switch sink {
    case .null, .stdout, .tee: break
    case .unix(let options): if options.mode == .fd { permissions.calls.insert(.memory) }
    case .file(let options):
      permissions.calls.insert(.files)
      // A directory, or a template whose directory is what stands before the first variable part.
      let isDirectory = PrivilegeNeeds.isDirectory(options.path)
      let folder = isDirectory ? options.path : PrivilegeNeeds.folder(of: options.path)
      addFolder(folder)
      if options.layout == .one { early.insert(folder) }
    case .shared(let options):
      permissions.calls.formUnion([.consumers, .memory])
      addFolder(PrivilegeNeeds.folder(of: options.path))
      early.insert(PrivilegeNeeds.folder(of: options.path))
    case .forward(let options):
      permissions.calls.insert(.connections)
      permissions.ports.append(options.port)
    }
  }

  private mutating func addFolder(_ path: String) {
    if !permissions.writable.contains(path) { permissions.writable.append(path) }
  }

  /// The directory of a path, as far as it is the same for all files.
  static func folder(of path: String) -> String {
    let fixed = path.prefix { $0 != "%" }
    guard let slash = fixed.lastIndex(of: "/") else { return "." }
    return slash == fixed.startIndex ? "/" : String(fixed[..<slash])
  }

  /// Whether a directory lets only their owners, and its own, rename and remove files.
  private func isSticky(_ folder: String, _ user: User) -> Bool {
    guard let status = PrivilegeNeeds.status(folder) else { return false }
    return status.st_mode & S_ISVTX != 0 && status.st_uid != user.identifier
  }

  private static func isDirectory(_ path: String) -> Bool {
    status(path).map { $0.st_mode & S_IFMT == S_IFDIR } ?? false
  }

  private static func status(_ path: String) -> stat? {
    var status = stat()
    return unsafe stat(path, &status) == 0 ? status : nil
  }

  /// Root becomes somebody else: who was named, else nobody, else the owner of the folder.
  private mutating func chooseUser(_ name: String?) throws(PrivilegeError) {
    if let name {
      let user = try User(named: name)
      guard user != .current else { return }
      if let obstacle = user.obstacle { throw User.refusal(name, obstacle) }
      return permissions.user = user
    }
    guard geteuid() == 0 else { return }
    let folders = permissions.writable
    let owners = folders.compactMap { PrivilegeNeeds.status($0) }.filter { $0.st_uid != 0 }
      .map { User(owner: $0.st_uid, group: $0.st_gid) }
    let wanted = ([.nobody] + owners).first { user in
      folders.allSatisfy { user.mayWrite(in: $0) && !(early.contains($0) && isSticky($0, user)) }
    }
    guard let wanted else {
      let names = folders.joined(separator: " ")
      return remarks.append(
        "only root can do all that files in \(names) need, so the process stays user 0, without "
          + "capabilities: `chown USER \(names)` and --user USER give it a user of its own")
    }
    if let obstacle = wanted.obstacle {
      return remarks.append("the process stays user 0, without capabilities: \(obstacle)")
    }
    permissions.user = wanted
  }
}
