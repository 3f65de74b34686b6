import CIngestKernel
import Glibc

/// What this process may do (capabilities(7), getrlimit(2)).
enum Privileges {
  static let netAdmin = 12
  static let ipcLock = 14

  static func hasEffective(_ capability: Int) -> Bool {
    ik_effective_capabilities() & (1 << UInt64(capability)) != 0
  }

  /// The initial user namespace maps every id to itself: one line, "0 0 4294967295".
  static var inInitialUserNamespace: Bool {
    let descriptor = unsafe open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC)
    // Without /proc there is nothing to go by; binding will tell.
    guard descriptor >= 0 else { return true }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = unsafe read(descriptor, &bytes, bytes.count)
    let text = String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
    return text.split(whereSeparator: \.isWhitespace).map(String.init) == ["0", "0", "4294967295"]
  }

  /// RLIMIT_MEMLOCK in bytes; `.max` is no limit.
  static var lockedMemoryLimit: UInt64 {
    var limit = rlimit()
    guard unsafe getrlimit(__rlimit_resource_t(__RLIMIT_MEMLOCK.rawValue), &limit) == 0 else {
      return .max
    }
    return limit.rlim_cur == rlim_t.max ? .max : UInt64(limit.rlim_cur)
  }
}
