import Glibc

/// A network namespace of the test's own, in which it may do what it likes.
enum TestNamespace {
  static let isAvailable = geteuid() == 0

  struct Failure: Error, CustomStringConvertible { var description: String }

  /// Takes the calling thread to a new network namespace with nothing but lo for as long as `body`
  /// runs; it must not change threads. The namespace goes with the sockets opened in it.
  static func run(_ body: () throws -> Void) throws {
    let home = unsafe open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
    guard home >= 0 else { throw Failure(description: "no network namespaces: errno \(errno)") }
    defer { close(home) }
    guard try call("unshare", newNetwork) == 0 else {
      throw Failure(description: "unshare: errno \(errno)")
    }
    let result = Result { try body() }
    // Other tests use this thread next.
    guard try call("setns", home, newNetwork) == 0 else {
      fatalError("the thread cannot go back to its network namespace: errno \(errno)")
    }
    try result.get()
  }

  /// Runs a command in the calling thread's namespace; returns what it prints.
  @discardableResult
  static func shell(_ command: String) throws -> String {
    guard let pipe = unsafe popen("PATH=$PATH:/usr/sbin:/sbin; " + command, "r") else {
      throw Failure(description: "popen: errno \(errno)")
    }
    var bytes: [UInt8] = []
    while case let byte = unsafe getc(pipe), byte != EOF { bytes.append(UInt8(byte)) }
    let status = unsafe pclose(pipe)
    let text = String(decoding: bytes, as: UTF8.self)
    guard status == 0 else { throw Failure(description: "\(command): status \(status): \(text)") }
    return text
  }

  private static let newNetwork: Int32 = 0x4000_0000  // CLONE_NEWNET

  /// unshare(2) and setns(2), which Swift's Glibc module does not show.
  private static func call(_ name: String, _ first: Int32, _ second: Int32 = 0) throws -> Int32 {
    guard let symbol = unsafe dlsym(nil, name) else {
      throw Failure(description: "the C library has no \(name)")
    }
    // In the C calling convention an argument too many does no harm (unshare takes one).
    typealias Function = @convention(c) (Int32, Int32) -> Int32
    return unsafe unsafeBitCast(symbol, to: Function.self)(first, second)
  }
}
