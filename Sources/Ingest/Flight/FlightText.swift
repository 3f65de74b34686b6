import FoundationEssentials
import Glibc

/// The JSON of a recording: what was run, and on what kernel.
struct FlightText: Codable {
  var kernel: String
  var architecture: String
  var configuration: ReceiveConfiguration

  init(_ configuration: ReceiveConfiguration) {
    var names = utsname()
    unsafe uname(&names)
    kernel = unsafe withUnsafeBytes(of: &names.release) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    architecture = unsafe withUnsafeBytes(of: &names.machine) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    self.configuration = configuration
  }

  /// Empty where it cannot be spelled, which a configuration that was validated can.
  var encoded: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
  }

  init(decoding text: String) throws {
    self = try JSONDecoder().decode(FlightText.self, from: Data(text.utf8))
  }
}
