import CIngestKernel
import Glibc
import RingCore

/// Where a connection's file goes.
struct FileTemplate: Sendable {
  private let parts: [Part]
  private let thread: Int

  private enum Part: Sendable, Equatable {
    case text(String)
    case serial, address, port, thread, sequence, start
  }

  /// When this process first made a template (UTC, to the second): what is started again, by hand
  /// or by a supervisor, numbers its connections from 1 again.
  private static let start: String = {
    var now = time(nil)
    var parts = unsafe tm()
    unsafe gmtime_r(&now, &parts)
    return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 32) { buffer in
      unsafe strftime(buffer.baseAddress!, buffer.count, "%Y%m%dT%H%M%SZ", &parts)
      return unsafe String(cString: buffer.baseAddress!)
    }
  }()

  /// Checks a path against what is there: control plane, before the first connection.
  ///
  /// `thread` is the number of the receiving thread, nil when there is only one.
  init(_ options: FileSinkOptions, thread: Int?) throws(SinkError) {
    var parts: [Part]
    if options.layout == .each, FileTemplate.kind(of: options.path) == S_IFDIR {
      parts = [.text(options.path + "/connection-")]
      if thread != nil { parts += [.thread, .text("-")] }
      parts.append(.serial)
      if options.rotates { parts += [.text("-"), .sequence] }
    } else {
      parts = try FileTemplate.parse(options.path)
      try FileTemplate.check(parts, options)
    }
    guard thread == nil || parts.contains(.thread) else {
      throw SinkError(
        .usage, "several threads would write the same files of \(options.path)",
        remedy: "put %t (the thread's number) into PATH, or use --threads 1")
    }
    guard !options.rotates || parts.contains(.sequence) else {
      throw SinkError(
        .usage, "rotation would write one file after the other to \(options.path)",
        remedy: "put %n (the file's number) into PATH")
    }
    try FileTemplate.checkDirectory(parts)
    self.parts = parts
    self.thread = thread ?? 0
  }

  /// `sequence` counts the files of a connection, or of all with `one`, from 1.
  func path(for connection: Connection, sequence: UInt32 = 1) -> String {
    var path = ""
    for part in parts {
      switch part {
      case .text(let text): path += text
      case .serial: path += String(connection.serial)
      case .address: path += FileTemplate.text(of: connection.peer)
      case .port: path += String(connection.peer.raw.port)
      case .thread: path += String(thread)
      case .start: path += FileTemplate.start
      case .sequence:
        // Six digits, so that names sort as the files follow each other.
        let digits = String(sequence)
        path += String(repeating: "0", count: max(0, 6 - digits.count)) + digits
      }
    }
    return path
  }

  private static func parse(_ path: String) throws(SinkError) -> [Part] {
    var parts: [Part] = []
    var text = ""
    var escaped = false
    for character in path {
      if !escaped {
        if character == "%" { escaped = true } else { text.append(character) }
        continue
      }
      escaped = false
      let part: Part
      switch character {
      case "%":
        text.append("%")
        continue
      case "c": part = .serial
      case "a": part = .address
      case "p": part = .port
      case "t": part = .thread
      case "n": part = .sequence
      case "s": part = .start
      default:
        throw SinkError(
          .usage, "%\(character) in \(path) means nothing",
          remedy: "use %c (connection), %a (peer address), %p (peer port), %t (thread), "
            + "%n (file), %s (start of the run) or %%")
      }
      if !text.isEmpty { parts.append(.text(text)) }
      text = ""
      parts.append(part)
    }
    guard !escaped else {
      throw SinkError(.usage, "\(path) ends in a single %", remedy: "write %% for a percent sign")
    }
    if !text.isEmpty { parts.append(.text(text)) }
    guard !parts.isEmpty else {
      throw SinkError(.usage, "the file sink needs a path", remedy: "use --sink file:PATH")
    }
    return parts
  }

  private static func check(_ parts: [Part], _ options: FileSinkOptions) throws(SinkError) {
    let perConnection = parts.contains(.serial) || parts.contains(.port)
    switch options.layout {
    case .one:
      guard !perConnection, !parts.contains(.address) else {
        throw SinkError(
          .usage, "layout=one writes a single file, \(options.path) names one per connection",
          remedy: "use layout=each, or a PATH without %c, %a and %p")
      }
    case .each where perConnection:
      return
    case .each:
      switch kind(of: options.path) {
      case nil:
        throw SinkError(
          .failed, "there is no directory \(options.path)",
          remedy: "make it with `mkdir -p \(options.path)`, or add layout=one to write one file")
      case S_IFREG:
        throw SinkError(
          .usage, "\(options.path) is a file, and each connection gets a file of its own",
          remedy: "give a directory or a name with %c in it, or add layout=one")
      default:
        throw SinkError(
          .usage, "\(options.path) is neither a directory nor a file",
          remedy: "for pipes and terminals use --sink stdout")
      }
    }
  }

  /// The directory part must exist where it is the same for every connection.
  private static func checkDirectory(_ parts: [Part]) throws(SinkError) {
    guard case .text(let text) = parts[0], let slash = text.lastIndex(of: "/") else { return }
    let directory = slash == text.startIndex ? "/" : String(text[..<slash])
    guard kind(of: directory) != S_IFDIR else { return }
    throw SinkError(
      .failed, "there is no directory \(directory)", remedy: "make it with `mkdir -p \(directory)`")
  }

  /// The file type bits of a path, nil when there is nothing.
  static func kind(of path: String) -> mode_t? {
    var info = stat()
    return unsafe stat(path, &info) == 0 ? info.st_mode & S_IFMT : nil
  }

  private static func text(of peer: Endpoint) -> String {
    var address = peer.raw.address
    return unsafe withUnsafeTemporaryAllocation(
      of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)
    ) { buffer in
      let text = unsafe inet_ntop(
        Int32(peer.raw.family), &address, buffer.baseAddress!, socklen_t(buffer.count))
      guard let text = unsafe text else { return "unknown" }
      let address = unsafe String(cString: text)
      // As people write the address of an IPv4 peer, whichever family the listener has.
      let mapped = "::ffff:"
      return address.hasPrefix(mapped) && address.contains(".")
        ? String(address.dropFirst(mapped.count)) : address
    }
  }
}

/// Opens a file to write, never one that is not regular. Returns the descriptor or a failure.
///
/// open(2) with O_EXCL refuses what exists; O_NONBLOCK keeps a FIFO without a reader from
/// blocking the thread, and truncating comes only after the check.
func openTarget(_ name: String, _ options: FileSinkOptions) -> Result<Int32, SinkFailure> {
  let overwrite = options.overwrite
  var path = name
  if options.sync == .rename {
    if !overwrite, FileTemplate.kind(of: name) != nil {
      return .failure(SinkFailure(target: name, step: .open, errno: EEXIST, safeBytes: 0))
    }
    path += FileSink.partSuffix
  }
  func failure(_ code: Int32) -> Result<Int32, SinkFailure> {
    .failure(SinkFailure(target: path, step: .open, errno: code, safeBytes: 0))
  }
  let flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (overwrite ? 0 : O_EXCL)
  let descriptor = unsafe open(path, flags, 0o644)
  guard descriptor >= 0 else {
    let code = errno
    // ENXIO: a FIFO without a reader, or a socket.
    if code == EEXIST || code == ENXIO, let kind = FileTemplate.kind(of: path), kind != S_IFREG {
      return failure(EINVAL)
    }
    return failure(code)
  }
  var info = stat()
  var code: Int32 = 0
  if unsafe fstat(descriptor, &info) != 0 {
    code = errno
  } else if info.st_mode & S_IFMT != S_IFREG {
    code = EINVAL
  } else if overwrite, info.st_size > 0, ftruncate(descriptor, 0) != 0 {
    code = errno
  } else if fcntl(descriptor, F_SETFL, 0) != 0 {
    // io_uring would answer EAGAIN instead of waiting for a descriptor left non-blocking.
    code = errno
  }
  guard code == 0 else {
    close(descriptor)
    return failure(code)
  }
  return .success(descriptor)
}
