import Glibc
import Privilege
import Testing

@testable import Ingest

/// What a chain may still do, before any of it is dropped.
@Suite struct PrivilegeNeedsTests {
  private func needs(_ sink: String, stages: [String] = []) throws -> PrivilegeNeeds {
    var configuration = ReceiveConfiguration()
    configuration.sink = sink
    configuration.stages = stages
    configuration.recordEvents = 0
    return try PrivilegeNeeds(configuration, nil)
  }

  @Test(arguments: [
    ("/data/%c", "/data"), ("/data/%a/%c.log", "/data"), ("/%c", "/"), ("out-%c", "."),
    ("/data/day-%n/x", "/data"), ("here/one", "here"),
  ])
  func whatIsTheSameForAllFilesIsTheFolder(path: String, folder: String) {
    #expect(PrivilegeNeeds.folder(of: path) == folder)
  }

  @Test func theSimplestChainNeedsNothing() throws {
    let permissions = try needs("null").permissions
    #expect(permissions.writable.isEmpty && permissions.readable.isEmpty)
    #expect(permissions.ports.isEmpty && permissions.calls.isEmpty && permissions.capabilities == 0)
  }

  @Test func eachSinkNeedsItsOwn() throws {
    let file = try needs("file:/tmp").permissions
    #expect(file.writable == ["/tmp"] && file.calls == .files)
    #expect(try needs("file:/tmp/%c.log").permissions.writable == ["/tmp"])
    let forward = try needs("forward:192.0.2.1:5301").permissions
    #expect(forward.ports == [5301] && forward.calls == .connections && forward.writable.isEmpty)
    #expect(try needs("shm:/tmp/sock").permissions.calls == [.consumers, .memory])
    #expect(try needs("unix:/tmp/sock").permissions.calls.isEmpty)
    #expect(try needs("unix:/tmp/sock,mode=fd").permissions.calls == .memory)
    let both = try needs("tee:file:/tmp|forward:192.0.2.1:80").permissions
    #expect(both.writable == ["/tmp"] && both.ports == [80])
    #expect(both.calls == [.files, .connections])
  }

  @Test func whatIsRecordedIsLeftInTheTemporaryFolder() throws {
    var configuration = ReceiveConfiguration()
    let permissions = try PrivilegeNeeds(configuration, nil).permissions
    #expect(permissions.writable == [FlightFolder.directory] && permissions.calls == .files)
    // A file that is open already needs nothing.
    configuration.record = "/tmp/recording"
    #expect(try PrivilegeNeeds(configuration, nil).permissions.calls.isEmpty)
  }

  @Test func stagesMayStartThreads() throws {
    #expect(try needs("null", stages: ["./a.so"]).permissions.calls == .threads)
    #expect(
      try needs("null", stages: ["isolated:./a.so"]).permissions.calls == [.threads, .children])
  }

  @Test func usersHaveNamesOrNumbers() throws {
    #expect(try User(named: "0") == User(identifier: 0, group: 0))
    #expect(try User(named: "root:7") == User(identifier: 0, group: 7))
    #expect(try User(named: "4000000:5") == User(identifier: 4_000_000, group: 5))
    for text in ["", ":", "nosuchuser", "0:nosuchgroup", "0:", "4294967295"] {
      #expect(throws: PrivilegeError.self) { try User(named: text) }
    }
  }

  @Test func aFolderIsReachedThroughThoseAboveIt() throws {
    var template = Array("/tmp/ingest-privileges-XXXXXX".utf8CString)
    let made = unsafe template.withUnsafeMutableBufferPointer { unsafe mkdtemp($0.baseAddress!) }
    let top = unsafe String(cString: try #require(unsafe made))
    defer {
      _ = unsafe rmdir("\(top)/in")
      _ = unsafe rmdir(top)
    }
    #expect(unsafe mkdir("\(top)/in", 0o777) == 0 && chmod("\(top)/in", 0o777) == 0)
    let stranger = User(identifier: 4_000_000, group: 4_000_000)
    #expect(unsafe chmod(top, 0o700) == 0)
    #expect(!stranger.mayWrite(in: "\(top)/in"))
    #expect(User.current.mayWrite(in: "\(top)/in"))
    #expect(unsafe chmod(top, 0o711) == 0)
    #expect(stranger.mayWrite(in: "\(top)/in") && !stranger.mayWrite(in: top))
    #expect(unsafe chmod("\(top)/in", 0o775) == 0)
    #expect(!stranger.mayWrite(in: "\(top)/in") && !stranger.mayWrite(in: "\(top)/none"))
  }
}
