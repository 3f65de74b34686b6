import Glibc

/// Small files of /proc and /sys, and their directories.
enum SystemFiles {
  /// The text of a file; nil where it cannot be read.
  static func text(_ path: String) -> String? {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let got = unsafe chunk.withUnsafeMutableBytes { buffer in
        unsafe read(descriptor, buffer.baseAddress, buffer.count)
      }
      guard got >= 0 else { return nil }
      guard got > 0 else { return String(decoding: bytes, as: UTF8.self) }
      bytes += chunk[..<got]
    }
  }

  /// The names in a directory but "." and ".."; none where it cannot be read.
  static func names(in path: String) -> [String] {
    guard let directory = unsafe opendir(path) else { return [] }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    while let entry = unsafe readdir(directory) {
      // d_name ends with a zero inside the entry (readdir(3)).
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }

  /// What a symbolic link points to; nil where it cannot be read.
  static func target(of path: String) -> String? {
    var buffer = [UInt8](repeating: 0, count: 256)
    let count = unsafe buffer.withUnsafeMutableBytes { bytes in
      unsafe readlink(path, bytes.baseAddress!, bytes.count)
    }
    return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
  }

  /// The value of a "Name:   value" line of a /proc file.
  static func field(_ name: String, in text: String) -> Substring? {
    for line in text.split(separator: "\n") where line.hasPrefix(name + ":") {
      return line.dropFirst(name.utf8.count + 1).drop { $0 == " " || $0 == "\t" }
    }
    return nil
  }

  /// The memory node next to a device; nil where it has none, or the machine has one node.
  ///
  /// It is read by the device, because /sys/class/net shows the network namespace in which sysfs
  /// was mounted. The device of a virtio NIC has no node of its own; that it stands on has.
  static func numaNode(of device: Link.ParentDevice) -> UInt32? {
    let path = "/sys/bus/\(device.bus)/devices/\(device.name)"
    let node = text(path + "/numa_node") ?? text(path + "/../numa_node")
    return node.flatMap { UInt32($0.prefix { $0 != "\n" }) }
  }
}
