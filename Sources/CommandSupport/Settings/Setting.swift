import Ingest
package import JSON5
import Stages

/// One key of a configuration: how a file or a flag sets it, and what it must be.
///
/// The same description serves the file, the flag and the printed configuration, so that the three
/// cannot disagree.
package struct Setting<Root>: Sendable {
  package let key: String
  /// What a right value is, to stand after "expected".
  package let expected: String
  /// The value now, as `--show-config` prints it.
  package let read: @Sendable (Root) -> JSONValue
  /// Takes a value; false where it is not what is expected.
  package let write: @Sendable (inout Root, JSONValue) -> Bool
  /// What is wrong with a value that was refused, as the end of a sentence about it.
  package let refusal: @Sendable (JSONValue) -> String
  /// What the text of a flag means as a value of a file.
  package let lift: @Sendable (String) -> JSONValue

  private init(
    _ key: String, _ expected: String,
    read: @escaping @Sendable (Root) -> JSONValue,
    write: @escaping @Sendable (inout Root, JSONValue) -> Bool,
    lift: @escaping @Sendable (String) -> JSONValue = { .string($0) },
    refusal: (@Sendable (JSONValue) -> String)? = nil
  ) {
    self.key = key
    self.expected = expected
    self.read = read
    self.write = write
    self.lift = lift
    self.refusal = refusal ?? { "expected \(expected), found \($0.shown)" }
  }
}

extension Setting {
  package typealias Path<Value> = WritableKeyPath<Root, Value> & Sendable

  package static func text(_ key: String, _ path: any Path<String>, _ expected: String) -> Setting {
    Setting(
      key, expected, read: { .string($0[keyPath: path]) },
      write: { root, value in
        guard case .string(let text) = value, !text.isEmpty else { return false }
        root[keyPath: path] = text
        return true
      })
  }

  /// A stage's spelling; `read` throws what is wrong with one.
  static func stage<Specification>(
    _ key: String, _ path: any Path<String>,
    _ read: @escaping @Sendable (String) throws(SpecificationError) -> Specification
  ) -> Setting {
    let expected = "a stage such as those that `ingest stages` lists"
    return Setting(
      key, expected, read: { .string($0[keyPath: path]) },
      write: { root, value in
        guard case .string(let text) = value, (try? read(text)) != nil else { return false }
        root[keyPath: path] = text
        return true
      },
      refusal: { value in
        guard case .string(let text) = value else {
          return "expected \(expected), found \(value.shown)"
        }
        do throws(SpecificationError) {
          _ = try read(text)
          return "expected \(expected)"
        } catch {
          return "\(value.shown): \(error.problem); \(error.remedy)"
        }
      })
  }

  /// A list of stages; of a flag, one on each line.
  static func stages<Specification>(
    _ key: String, _ path: any Path<[String]>,
    _ read: @escaping @Sendable ([String]) throws(SpecificationError) -> Specification
  ) -> Setting {
    let expected = "a list of stages such as [\"./libwords.so?drop=DEBUG\"]"
    return Setting(
      key, expected, read: { .array($0[keyPath: path].map { .string($0) }) },
      write: { root, value in
        guard let texts = value.texts, (try? read(texts)) != nil else { return false }
        root[keyPath: path] = texts
        return true
      },
      lift: { .array($0.split(separator: "\n").map { .string(String($0)) }) },
      refusal: { value in
        guard let texts = value.texts else { return "expected \(expected), found \(value.shown)" }
        do throws(SpecificationError) {
          _ = try read(texts)
          return "expected \(expected)"
        } catch {
          return "\(error.text): \(error.problem); \(error.remedy)"
        }
      })
  }

  /// A list of networks; of a flag, one on each line. `check` throws what is wrong with one.
  static func networks(
    _ key: String, _ path: any Path<[String]>,
    _ check: @escaping @Sendable ([String]) throws(IngestError) -> Void
  ) -> Setting {
    let expected = "a list of networks such as [\"10.0.0.0/8\", \"2001:db8::1\"]"
    return Setting(
      key, expected, read: { .array($0[keyPath: path].map { .string($0) }) },
      write: { root, value in
        guard let texts = value.texts, (try? check(texts)) != nil else { return false }
        root[keyPath: path] = texts
        return true
      },
      lift: { .array($0.split(separator: "\n").map { .string(String($0)) }) },
      refusal: { value in
        guard let texts = value.texts else { return "expected \(expected), found \(value.shown)" }
        do throws(IngestError) {
          try check(texts)
          return "expected \(expected)"
        } catch {
          return error.what + (error.remedy.map { "; \($0)" } ?? "")
        }
      })
  }

  /// A text that may be missing: null, or an empty flag, unsets it.
  package static func optionalText(
    _ key: String, _ path: any Path<String?>, _ expected: String
  ) -> Setting {
    Setting(
      key, expected + ", or null",
      read: { root in root[keyPath: path].map { .string($0) } ?? .null },
      write: { root, value in
        switch value {
        case .null: root[keyPath: path] = nil
        case .string(let text): root[keyPath: path] = text.isEmpty ? nil : text
        default: return false
        }
        return true
      })
  }

  /// One of a few words.
  package static func choice<Value: RawRepresentable & CaseIterable & SendableMetatype>(
    _ key: String, _ path: any Path<Value>
  ) -> Setting where Value.RawValue == String {
    let words = Value.allCases.map { "\"\($0.rawValue)\"" }
    return spelled(
      key, path, words.count == 1 ? words[0] : "one of " + words.joined(separator: ", "))
  }

  /// A value with a spelling of its own; `expected` says which there are.
  package static func spelled<Value: RawRepresentable & SendableMetatype>(
    _ key: String, _ path: any Path<Value>, _ expected: String
  ) -> Setting where Value.RawValue == String {
    Setting(
      key, expected, read: { .string($0[keyPath: path].rawValue) },
      write: { root, value in
        guard case .string(let text) = value, let spelled = Value(rawValue: text) else {
          return false
        }
        root[keyPath: path] = spelled
        return true
      })
  }

  package static func flag(_ key: String, _ path: any Path<Bool>) -> Setting {
    Setting(
      key, "true or false", read: { .bool($0[keyPath: path]) },
      write: { root, value in
        guard case .bool(let flag) = value else { return false }
        root[keyPath: path] = flag
        return true
      },
      lift: { $0 == "true" ? .bool(true) : $0 == "false" ? .bool(false) : .string($0) })
  }

  /// A whole number in a range.
  package static func count<Value: FixedWidthInteger & Sendable>(
    _ key: String, _ path: any Path<Value>, in range: ClosedRange<UInt64>
  ) -> Setting {
    let expected =
      range.upperBound == .max
      ? "a whole number, \(range.lowerBound) or more"
      : "a whole number from \(range.lowerBound) to \(range.upperBound)"
    return Setting(
      key, expected, read: { .whole(UInt64($0[keyPath: path])) },
      write: { root, value in
        guard case .whole(let whole) = value, range.contains(whole),
          let fits = Value(exactly: whole)
        else { return false }
        root[keyPath: path] = fits
        return true
      },
      lift: { text in UInt64(text).map { .whole($0) } ?? .string(text) })
  }

  /// Bytes: a whole number, or a text with a suffix in powers of 1024.
  package static func size<Value: FixedWidthInteger & Sendable>(
    _ key: String, _ path: any Path<Value>, in range: ClosedRange<UInt64>, powerOfTwo: Bool = false
  ) -> Setting {
    let kind = powerOfTwo ? "a power of two" : "a size in bytes"
    let bounds =
      range.upperBound == .max
      ? "" : " from \(Units.exactSize(range.lowerBound)) to \(Units.exactSize(range.upperBound))"
    return Setting(
      key, "\(kind)\(bounds), such as 65536 or \"64K\"",
      read: { .whole(UInt64($0[keyPath: path])) },
      write: { root, value in
        guard let bytes = value.quantity(Units.bytes), range.contains(bytes),
          !powerOfTwo || bytes & (bytes &- 1) == 0, let fits = Value(exactly: bytes)
        else { return false }
        root[keyPath: path] = fits
        return true
      })
  }

  /// Bits per second: a whole number, or a text with a suffix in powers of 1000.
  package static func bitrate(_ key: String, _ path: any Path<UInt64>) -> Setting {
    Setting(
      key, "bits per second, such as 500000000 or \"500M\"",
      read: { .whole($0[keyPath: path]) },
      write: { root, value in
        guard let rate = value.quantity(Units.bitrate) else { return false }
        root[keyPath: path] = rate
        return true
      })
  }

  /// Seconds: a number, or a text with a unit.
  package static func seconds(_ key: String, _ path: any Path<Double>) -> Setting {
    Setting(
      key, "seconds, such as 10, 0.5 or \"2m\"", read: { .number($0[keyPath: path]) },
      write: { root, value in
        guard let seconds = value.duration, seconds <= 1e9 else { return false }
        root[keyPath: path] = seconds
        return true
      })
  }

  /// Microseconds: a whole number, or a text with a unit.
  package static func microseconds(
    _ key: String, _ path: any Path<Int>, upTo limit: UInt64
  ) -> Setting {
    Setting(
      key, "microseconds from 0 to \(limit), such as 200 or \"200us\"",
      read: { .whole(UInt64($0[keyPath: path])) },
      write: { root, value in
        switch value {
        case .whole(let whole) where whole <= limit:
          root[keyPath: path] = Int(whole)
        case .string(let text):
          guard let seconds = Units.seconds(text), seconds * 1e6 <= Double(limit) else {
            return false
          }
          root[keyPath: path] = Int((seconds * 1e6).rounded())
        default: return false
        }
        return true
      },
      lift: { text in UInt64(text).map { .whole($0) } ?? .string(text) })
  }

  /// Numbers of CPUs or queues: a list, or as a flag `1,3-5`.
  package static func numbers(_ key: String, _ path: any Path<[Int]>, of what: String) -> Setting {
    Setting(
      key, "a list of \(what) numbers such as [1, 3]",
      read: { .array($0[keyPath: path].map { .whole(UInt64($0)) }) },
      write: { root, value in
        guard case .array(let items) = value else { return false }
        var numbers: [Int] = []
        for item in items {
          guard case .whole(let number) = item, number < 8192 else { return false }
          numbers.append(Int(number))
        }
        root[keyPath: path] = numbers
        return true
      },
      lift: { numberList($0) ?? .string($0) })
  }

  /// `1,3-5` as numbers; nil where it is not such a list.
  private static func numberList(_ text: String) -> JSONValue? {
    var numbers: [JSONValue] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { UInt64($0) }
      guard ends.count <= 2, let first = ends[0], let last = ends[ends.count - 1],
        first <= last, last < 8192
      else { return nil }
      numbers += (first...last).map { .whole($0) }
    }
    return .array(numbers)
  }
}

extension JSONValue {
  /// A list of texts; nil where it is something else.
  fileprivate var texts: [String]? {
    guard case .array(let items) = self else { return nil }
    var texts: [String] = []
    for item in items {
      guard case .string(let text) = item, !text.isEmpty else { return nil }
      texts.append(text)
    }
    return texts
  }

  fileprivate func quantity(_ parse: (String) -> UInt64?) -> UInt64? {
    switch self {
    case .whole(let value): value
    case .string(let text): parse(text)
    default: nil
    }
  }

  fileprivate var duration: Double? {
    switch self {
    case .whole(let value): Double(value)
    case .number(let value): value >= 0 ? value : nil
    case .string(let text): Units.seconds(text)
    default: nil
    }
  }
}
