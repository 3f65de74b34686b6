import CIngestKernel
import Glibc

/// What must be known of the machine to read a result later, or to compare it.
package struct Machine: Encodable, Sendable {
  package var host: String
  package var kernel: String
  package var architecture: String
  package var cpu: String
  /// CPUs that this process may run on.
  package var cpus: Int
  package var memoryBytes: UInt64
  /// The system's TCP congestion control, for sockets that do not choose.
  package var congestionDefault: String
  package var congestionAvailable: [String]

  /// Reads the machine's description from uname(2), /proc and sysctl files.
  package init() {
    var names = utsname()
    unsafe uname(&names)
    host = fieldText(of: names.nodename)
    kernel = fieldText(of: names.release)
    architecture = fieldText(of: names.machine)
    cpu = procField("/proc/cpuinfo", "model name") ?? architecture
    cpus = allowedCPUs().count
    let memory = procField("/proc/meminfo", "MemTotal")?.split(separator: " ").first
    memoryBytes = (memory.flatMap { UInt64($0) } ?? 0) << 10
    congestionDefault = words(of: "/proc/sys/net/ipv4/tcp_congestion_control").first ?? ""
    congestionAvailable = words(of: "/proc/sys/net/ipv4/tcp_available_congestion_control")
  }

  /// A congestion control that suits loopback and may be used here: cubic, or reno, which every
  /// kernel has. (bbr paces, which costs much and gains nothing where there is no queue.)
  package static func loopbackCongestion() -> String {
    let allowed = words(of: "/proc/sys/net/ipv4/tcp_allowed_congestion_control")
    let available = words(of: "/proc/sys/net/ipv4/tcp_available_congestion_control")
    let mayUse = geteuid() == 0 ? allowed + available : allowed
    return mayUse.contains("cubic") ? "cubic" : "reno"
  }
}

/// The CPUs this process may run on, lowest first.
package func allowedCPUs() -> [Int] {
  var cpus = [Int32](repeating: 0, count: 1024)
  let count = unsafe cpus.withUnsafeMutableBufferPointer { buffer in
    // The buffer is never empty, so that it has an address.
    unsafe ik_allowed_cpus(buffer.baseAddress!, Int32(buffer.count))
  }
  return cpus.prefix(Int(count)).map { Int($0) }
}

/// A C character array as text, up to its zero.
private func fieldText<Field>(of field: Field) -> String {
  var field = field
  return unsafe withUnsafeBytes(of: &field) { bytes in
    unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
  }
}

private func words(of path: String) -> [String] {
  let text = (try? readText(path)) ?? ""
  return text.split { $0 == " " || $0 == "\n" || $0 == "\t" }.map(String.init)
}

private func procField(_ path: String, _ name: String) -> String? {
  guard let text = try? readText(path) else { return nil }
  for line in text.split(separator: "\n") where line.hasPrefix(name) {
    guard let colon = line.firstIndex(of: ":") else { continue }
    let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
    return String(value)
  }
  return nil
}
