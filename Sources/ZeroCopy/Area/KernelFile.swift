import Glibc

/// The small texts that the kernel keeps under /proc and /sys.
enum KernelFile {
  /// The text of a file, nil where it cannot be read.
  static func text(_ path: String) -> String? {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let got = unsafe read(descriptor, &chunk, chunk.count)
      if got < 0 && errno == EINTR { continue }
      guard got >= 0 else { return nil }
      if got == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += chunk[..<got]
    }
  }

  /// The whole number that a file holds.
  static func number(_ path: String) -> Int? {
    text(path).flatMap { text in
      Int(text.split { $0 == "\n" || $0 == " " }.first ?? "")
    }
  }

  /// The names in a directory, sorted; empty where there is none.
  static func names(in directory: String) -> [String] {
    guard let stream = unsafe opendir(directory) else { return [] }
    defer { unsafe closedir(stream) }
    var names: [String] = []
    while let entry = unsafe readdir(stream) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted()
  }
}

/// `64 MiB`, `4 KiB`, `5000 bytes`: exact, in the largest unit that leaves no rest.
func sizeText(_ bytes: Int) -> String {
  for (shift, name) in [(30, "GiB"), (20, "MiB"), (10, "KiB")]
  where bytes > 0 && bytes & (1 << shift - 1) == 0 {
    return "\(bytes >> shift) \(name)"
  }
  return "\(bytes) bytes"
}
