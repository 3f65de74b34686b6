/// The least memory that the cgroup of this process, or one above it, allows.
public struct MemoryLimit: Equatable, Sendable {
  public let bytes: UInt64
  /// The file that says so, which whoever may can write another number to.
  public let file: String

  /// Nil where nothing is limited, or nobody says what.
  ///
  /// - Cost: a read of /proc, and one for each cgroup from this process's up to the root.
  public static func current() -> MemoryLimit? { current(SystemFiles.text) }

  static func current(_ read: (String) -> String?) -> MemoryLimit? {
    var least: MemoryLimit?
    for line in (read("/proc/self/cgroup") ?? "").split(separator: "\n") {
      // 0::/a/b of version 2, 4:memory:/a/b of version 1.
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      let places: [String]
      let name: String
      if fields[0] == "0" && fields[1].isEmpty {
        places = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        name = "memory.max"
      } else if fields[1].split(separator: ",").contains("memory") {
        places = ["/sys/fs/cgroup/memory"]
        name = "memory.limit_in_bytes"
      } else {
        continue
      }
      // In a container the path may be the host's, and the root is all there is.
      var path = fields[2][...]
      while true {
        for place in places {
          let file = "\(place)\(path == "/" ? "" : path)/\(name)"
          guard let text = read(file), let bytes = UInt64(text.prefix { $0 != "\n" }),
            bytes < 1 << 62, bytes < least?.bytes ?? .max
          else { continue }
          least = MemoryLimit(bytes: bytes, file: file)
        }
        guard let slash = path.lastIndex(of: "/"), path.count > 1 else { break }
        path = slash == path.startIndex ? "/" : path[..<slash]
      }
    }
    return least
  }
}
