import CIngestKernel
import Glibc
import Testing
import Trust

/// A folder of one's own in /tmp, with `below/file` in it; gone afterwards.
private final class Place {
  let root: String
  var folder: String { root + "/below" }
  var file: String { folder + "/file" }

  init() throws {
    var name = Array("/tmp/ingest-trust-XXXXXX".utf8CString)
    try #require(unsafe mkdtemp(&name) != nil)
    root = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    try #require(unsafe mkdir(folder, 0o755) == 0)
    let made = unsafe open(file, O_WRONLY | O_CREAT | O_EXCL, 0o644)
    try #require(made >= 0)
    close(made)
  }

  deinit {
    for name in [file, folder + "/other", root + "/link"] { unsafe unlink(name) }
    unsafe rmdir(folder)
    unsafe rmdir(root)
  }

  func path(_ which: String) -> String { which == "file" ? file : which == "below" ? folder : root }
}

private func check(_ path: String) throws(TrustError) -> String? {
  let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
  #expect(descriptor >= 0, "\(path)")
  defer { close(descriptor) }
  return try TrustedFile.check(descriptor, given: path)
}

@Suite struct TrustedFileTests {
  @Test func onesOwnIsTrusted() throws {
    let place = try Place()
    #expect(try check(place.file) == place.file)
    unsafe chmod(place.root, 0o1777)
    unsafe chmod(place.file, 0o600)
    #expect(try check(place.file) == place.file)
  }

  @Test func linksAreFollowedToWhatIsChecked() throws {
    let place = try Place()
    try #require(unsafe symlink(place.file, place.root + "/link") == 0)
    #expect(try check(place.root + "/link") == place.file)
    unsafe chmod(place.folder, 0o777)
    #expect(throws: TrustError.self) { try check(place.root + "/link") }
  }

  /// Wherever on the path, and only where the folder is not sticky.
  @Test(
    arguments: [
      ("file", 0o646, "every user", "chmod o-w"), ("file", 0o666, "every user", "chmod go-w"),
      ("file", 0o1666, "every user", "chmod go-w"),
      ("below", 0o777, "every user", "chmod go-w"), ("root", 0o707, "every user", "chmod o-w"),
      ("below", 0o1777, nil, nil), ("root", 0o1777, nil, nil),
    ] as [(String, mode_t, String?, String?)])
  func writersAreNamed(which: String, mode: mode_t, who: String?, line: String?) throws {
    let place = try Place()
    unsafe chmod(place.path(which), mode)
    guard let who, let line else {
      #expect(try check(place.file) == place.file)
      return
    }
    let error = #expect(throws: TrustError.self) { try check(place.file) }
    let text = String(mode, radix: 8)
    #expect(error?.what == "\(place.path(which)) can be written by \(who) (mode \(text))")
    #expect(error?.remedy == "`\(line) \(place.path(which))`")
  }

  @Test(.enabled(if: geteuid() == 0, "only root gives files away"), arguments: ["file", "below"])
  func strangersAreNamed(which: String) throws {
    let place = try Place()
    unsafe chown(place.path(which), 54321, 0)
    let error = #expect(throws: TrustError.self) { try check(place.file) }
    #expect(error?.what == "\(place.path(which)) belongs to user 54321, who could change it")
    #expect(error?.remedy.hasPrefix("`chown root \(place.path(which))`") == true)
    // A sticky folder is its owner's to rename in.
    unsafe chmod(place.folder, 0o1755)
    #expect(throws: TrustError.self) { try check(place.file) }
  }

  /// Root's group may write, another's may not, also where it is sticky and somebody else's file.
  @Test(.enabled(if: geteuid() == 0, "only root gives files away"))
  func groupsAreNamed() throws {
    let place = try Place()
    unsafe chmod(place.file, 0o664)
    unsafe chown(place.file, 0, 0)
    #expect(try check(place.file) == place.file)
    unsafe chown(place.file, 0, 54321)
    let error = #expect(throws: TrustError.self) { try check(place.file) }
    #expect(error?.what == "\(place.file) can be written by group 54321 (mode 664)")
    #expect(error?.remedy == "`chmod g-w \(place.file)`")
  }

  @Test func ownGroups() {
    #expect(ik_is_own_group(getegid() &+ 12345) == 0)
    if geteuid() == 0 && getegid() == 0 { #expect(ik_is_own_group(0) == 1) }
  }

  /// Nobody else has a name for them.
  @Test func pipesAndRemovedFilesAreTheirOwners() throws {
    var ends: [Int32] = [0, 0]
    try #require(unsafe pipe(&ends) == 0)
    defer { ends.forEach { close($0) } }
    #expect(try TrustedFile.check(ends[0], given: "/dev/fd/\(ends[0])") == nil)
    let place = try Place()
    let descriptor = unsafe open(place.file, O_RDONLY)
    defer { close(descriptor) }
    unsafe unlink(place.file)
    unsafe chmod(place.folder, 0o777)
    #expect(try TrustedFile.check(descriptor, given: place.file) == nil)
    #expect(try check("/dev/null") == "/dev/null")
  }

  /// What is checked is what was opened, whatever its name was then.
  @Test func aRenamedFileIsFollowed() throws {
    let place = try Place()
    let descriptor = unsafe open(place.file, O_RDONLY)
    defer { close(descriptor) }
    #expect(unsafe rename(place.file, place.folder + "/other") == 0)
    // Under its new name it is still the same.
    #expect(try TrustedFile.check(descriptor, given: place.file) == place.folder + "/other")
  }
}
