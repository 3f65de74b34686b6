import Glibc
import Testing

@testable import NICControl

@Suite("who may have a queue")
struct QueueOwnerTests {
  /// A directory like /proc, with processes of the test's choice.
  private final class FakeProc {
    let path: String

    init() throws {
      var name = Array("/tmp/ingest-test-XXXXXX".utf8CString)
      try #require(unsafe mkdtemp(&name) != nil)
      path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { _ = try? TestNamespace.shell("rm -r '\(path)'") }

    func add(_ process: Int, _ command: String, pinned: Int?, descriptors: [String]) throws {
      let directory = "\(path)/\(process)"
      try #require(unsafe mkdir(directory, 0o755) == 0 && mkdir(directory + "/fd", 0o755) == 0)
      for (number, target) in descriptors.enumerated() {
        try #require(unsafe symlink(target, "\(directory)/fd/\(number)") == 0)
      }
      let file = try unsafe #require(fopen(directory + "/status", "w"))
      let line = pinned.map { "VmPin:\t  \($0) kB\n" } ?? ""
      let text = "Name:\t\(command)\nUmask:\t0022\n\(line)Threads:\t1\n"
      unsafe fputs(text, file)
      unsafe fclose(file)
    }
  }

  @Test("exported queues first, then rings by how much they have pinned")
  func order() throws {
    let proc = try FakeProc()
    try proc.add(10, "shell", pinned: 0, descriptors: ["/dev/null", "socket:[4]"])
    try proc.add(11, "idle ring", pinned: nil, descriptors: ["anon_inode:[io_uring]"])
    try proc.add(
      12, "receiver", pinned: 65_536, descriptors: ["pipe:[1]", "anon_inode:[io_uring]"])
    try proc.add(
      13, "holder", pinned: 0, descriptors: ["anon_inode:[zcrx]", "anon_inode:[io_uring]"])
    try proc.add(14, "own", pinned: 1 << 30, descriptors: ["anon_inode:[io_uring]"])
    let owners = QueueOwner.candidates(besides: 14, root: proc.path)
    #expect(owners.map(\.process) == [13, 12, 11])
    #expect(owners.map(\.command) == ["holder", "receiver", "idle ring"])
    #expect(owners.map(\.evidence) == [.exportedQueue, .ring, .ring])
    #expect(owners.map(\.pinnedKiB) == [0, 65_536, 0])
  }

  @Test("what is not there or not readable is nobody's")
  func nothing() throws {
    let proc = try FakeProc()
    #expect(QueueOwner.candidates(besides: 0, root: proc.path).isEmpty)
    #expect(QueueOwner.candidates(besides: 0, root: proc.path + "/none").isEmpty)
    // A process that ended while it was looked at.
    try #require(unsafe mkdir(proc.path + "/99", 0o755) == 0)
    #expect(QueueOwner.candidates(besides: 0, root: proc.path).isEmpty)
  }
}
