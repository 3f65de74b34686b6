/// Reading and writing quantities as iperf3's users do: sizes in powers of 1024, rates in powers
/// of 1000, durations with their unit.
package enum Units {
  /// `64K`, `1.5G`, `8MiB`, `4096`: bytes, in powers of 1024. Nil for anything else.
  package static func bytes(_ text: String) -> UInt64? {
    scaled(text, base: 1024, endings: ["", "b", "ib"])
  }

  /// `10G`, `500M`, `9600`, `1Gbit`: bits per second, in powers of 1000.
  package static func bitrate(_ text: String) -> UInt64? {
    scaled(text, base: 1000, endings: ["", "bit", "bps", "bit/s"])
  }

  /// `5`, `5s`, `2m`, `1h`, `250ms`, `200us`: seconds.
  package static func seconds(_ text: String) -> Double? {
    guard let (number, unit) = split(text) else { return nil }
    // Divided, not multiplied by 1e-6, so that 200us is the number that 0.0002 is.
    switch unit {
    case "", "s", "sec": return number
    case "us", "µs": return number / 1e6
    case "ms": return number / 1e3
    case "m", "min": return number * 60
    case "h": return number * 3600
    default: return nil
    }
  }

  private static func scaled(_ text: String, base: Double, endings: [String]) -> UInt64? {
    guard let (number, unit) = split(text) else { return nil }
    var factor = 1.0
    var rest = Substring(unit)
    if let power = rest.first.flatMap({ "kmgt".firstIndex(of: $0) }) {
      for _ in 0..."kmgt".distance(from: "kmgt".startIndex, to: power) { factor *= base }
      rest = rest.dropFirst()
    }
    guard endings.contains(String(rest)) else { return nil }
    let value = (number * factor).rounded()
    // Whole numbers beyond 2^53 are exact only without a suffix.
    if factor == 1, let exact = UInt64(text) { return exact }
    return value < 0x1p63 ? UInt64(value) : nil
  }

  /// The number at the start of a text, and what follows it in lower case.
  private static func split(_ text: String) -> (number: Double, unit: String)? {
    let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == "." || $0 == "_") }
    let plain = String(digits.filter { $0 != "_" })
    guard let number = Double(plain), number.isFinite, number >= 0 else { return nil }
    return (number, text.dropFirst(digits.count).lowercased())
  }

  // MARK: Writing

  /// A number with so many digits after the point.
  package static func fixed(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "-" }
    var factor = 1.0
    for _ in 0..<digits { factor *= 10 }
    let scaled = UInt64((abs(value) * factor).rounded())
    let sign = value < 0 && scaled > 0 ? "-" : ""
    guard digits > 0 else { return sign + String(scaled) }
    let text = String(scaled)
    let padded = String(repeating: "0", count: max(0, digits + 1 - text.count)) + text
    return sign + padded.dropLast(digits) + "." + padded.suffix(digits)
  }

  /// `0%`, `99.9%`, `100%` of a share from 0 to 1: all and nothing are said only where they are.
  package static func percent(_ share: Double) -> String {
    if share >= 1 { return "100%" }
    if share < 0.001 { return share > 0 ? "<0.1%" : "0%" }
    return fixed((share * 1000).rounded(.down) / 10, 1) + "%"
  }

  /// Three significant digits, as iperf3 prints them.
  package static func short(_ value: Double) -> String {
    fixed(value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0)
  }

  /// `1.10 GBytes`: powers of 1024.
  package static func transfer(_ bytes: UInt64) -> String {
    let (value, prefix) = reduced(Double(bytes), base: 1024)
    return "\(left(short(value), 4)) \(prefix)Bytes"
  }

  /// `9.41 Gbits/sec`: powers of 1000 (bits), or of 1024 (bytes) where `format` is a capital.
  package static func rate(_ bitsPerSecond: Double, _ format: RateFormat = .adaptive) -> String {
    let base = format.inBytes ? 1024.0 : 1000.0
    var value = format.inBytes ? bitsPerSecond / 8 : bitsPerSecond
    var prefix = ""
    if let fixedPrefix = format.prefix {
      for step in ["K", "M", "G", "T"] {
        value /= base
        prefix = step
        if step == fixedPrefix { break }
      }
    } else {
      (value, prefix) = reduced(value, base: base)
    }
    return "\(left(short(value), 4)) \(prefix)\(format.inBytes ? "Bytes" : "bits")/sec"
  }

  /// `144k`, `1.50M`: a count in powers of 1000.
  package static func count(_ value: Double) -> String {
    if value < 1000 { return fixed(value, value < 10 && value != value.rounded() ? 1 : 0) }
    let (reducedValue, prefix) = reduced(value, base: 1000)
    return short(reducedValue) + (prefix == "K" ? "k" : prefix)
  }

  /// `16 MiB`, `64 KiB`, `4097 bytes`: exact.
  package static func exactSize(_ bytes: UInt64) -> String {
    for (shift, name) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] as [(UInt64, String)]
    where bytes >= 1 << shift && bytes & (1 << shift - 1) == 0 {
      return "\(bytes >> shift) \(name)"
    }
    return "\(bytes) byte\(bytes == 1 ? "" : "s")"
  }

  /// `3 s`, `2 min 05 s`, `1 h 02 min`: time left.
  package static func coarse(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 360_000 else { return "a long time" }
    let whole = Int(seconds.rounded(.up))
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : String(value) }
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return "\(whole / 60) min \(two(whole % 60)) s" }
    return "\(whole / 3600) h \(two(whole / 60 % 60)) min"
  }

  private static func reduced(_ value: Double, base: Double) -> (Double, String) {
    var value = value
    var prefix = ""
    for step in ["K", "M", "G", "T"] where value >= base {
      value /= base
      prefix = step
    }
    return (value, prefix)
  }

  /// `text` right-aligned in `width` columns.
  package static func left(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }

  /// `text` left-aligned in `width` columns.
  package static func right(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }
}

/// iperf3's `-f`: small letters are bits, capitals bytes.
package enum RateFormat: String, CaseIterable, Sendable {
  case adaptive = "a"
  case kilobits = "k"
  case megabits = "m"
  case gigabits = "g"
  case terabits = "t"
  case kilobytes = "K"
  case megabytes = "M"
  case gigabytes = "G"
  case terabytes = "T"

  var inBytes: Bool { "KMGT".contains(rawValue) }
  var prefix: String? { self == .adaptive ? nil : rawValue.uppercased() }
}
