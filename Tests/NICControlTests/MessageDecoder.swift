@testable import NICControl

/// A decoder of bytes that come from the kernel, and what must hold for whatever it is given: it
/// reads or refuses them, by what they say alone, and makes no more of them than there is.
struct MessageDecoder: Sendable, CustomStringConvertible {
  let name: String
  /// Bytes that it reads.
  let samples: [[UInt8]]
  /// Whether any bytes at all are read; some structures have no wrong bytes.
  let readsAll: Bool
  private let examine: @Sendable (ArraySlice<UInt8>, ArraySlice<UInt8>) -> Outcome

  enum Outcome: Equatable {
    case read
    case refused
    case wrong(String)
  }

  var description: String { name }

  /// - Parameters:
  ///   - weight: bytes of input that the value must have taken at least.
  ///   - rewrite: the value written and read again, which must be the same; nil for a value that
  ///     cannot be written.
  init<Value: Equatable & SendableMetatype>(
    _ name: String, samples: [[UInt8]], readsAll: Bool = false,
    weight: @escaping @Sendable (Value) -> Int = { _ in 0 },
    rewrite: @escaping @Sendable (Value) throws(MalformedMessage) -> Value? = { _ in nil },
    decode: @escaping @Sendable (ArraySlice<UInt8>) throws(MalformedMessage) -> Value
  ) {
    self.name = name
    self.samples = samples
    self.readsAll = readsAll
    examine = { bytes, again in
      do throws(MalformedMessage) {
        let value = try decode(bytes)
        guard let same = try? decode(again), same == value else {
          return .wrong("other bytes around them make another value than \(value)")
        }
        if let other = try rewrite(value), other != value {
          return .wrong("written and read again, \(value) is \(other)")
        }
        let taken = weight(value)
        return taken <= bytes.count
          ? .read : .wrong("\(bytes.count) bytes gave \(taken) bytes: \(value)")
      } catch {
        return (try? decode(again)) == nil
          ? .refused : .wrong("refused (\(error.what)), but not with other bytes around them")
      }
    }
  }

  func outcome(_ bytes: [UInt8]) -> Outcome {
    let around: [UInt8] = [0xff, 1, 0xfe, 2, 0x7f, 3, 0x80, 4]
    let inside = around + bytes + around
    let first = bytes + [0, 0, 0, 0]
    return examine(first[..<bytes.count], inside[around.count..<around.count + bytes.count])
  }
}

extension MessageDecoder {
  /// A decoder of attributes.
  static func of<Value: AttributeDecodable & Equatable & SendableMetatype>(
    _ type: Value.Type, _ samples: [[UInt8]],
    weight: @escaping @Sendable (Value) -> Int = { _ in 0 }
  ) -> MessageDecoder {
    MessageDecoder("\(type)", samples: samples, weight: weight) {
      bytes throws(MalformedMessage) in try Value(Attributes(bytes))
    }
  }

  /// Characters of a text; each takes a byte of input at least.
  static func weight(_ text: String?) -> Int { text?.unicodeScalars.count ?? 0 }

  /// A bit takes the header of its nest; one without a name is named by its number.
  static func weight(_ bits: Set<String>) -> Int {
    bits.reduce(0) { $0 + 4 + ($1.hasPrefix("bit-") ? 0 : weight($1)) }
  }
}
