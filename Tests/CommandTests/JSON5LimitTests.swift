import JSON5
import Testing

/// Texts that are no files of settings, of kinds that cost stack, memory or more than an error.
@Suite struct JSON5LimitTests {
  private func refusal(_ text: String) -> String {
    do throws(JSON5Error) {
      _ = try JSON5File(text: text, name: "file")
      return ""
    } catch {
      return error.what
    }
  }

  /// What follows a text in memory is not looked at, whatever it is.
  @Test func aNumberMayEndTheText() {
    for count in [1, 20, 90, 100, 200, 310, 1000, 1023, 5000] {
      for number in ["", "-", "0.", "1e", "1e-", "0x"].map({ $0 + digits(count) }) {
        for _ in 0..<20 { #expect(refusal(number).hasPrefix("file:"), "\(number.prefix(9))") }
      }
    }
    #expect((try? JSONValue(json5: "12")) == .whole(12))
  }

  /// The decoder traps on some of the refused ones.
  @Test(arguments: [
    "0x0xB5", "0x", "0x-1", "0xg", "-0x", "+", "-", "--1", "+-1", "01", "-01", "00", ".", "-.",
    "1..2", ".e1", "1e", "1e+", "1e1e1", "1e1.5", "1e0x1", "Infinity1", "NaNs", "-Infinit", "1x",
    "1_000", "0b1",
  ])
  func whatIsNoNumberIsRefused(word: String) {
    #expect(refusal("{\na: \(word)}") == "file:2: expected a value, found \(word)")
    #expect(refusal("{a: [1, \(word), 2]}") == "file:1: expected a value, found \(word)")
    #expect(refusal("{a: 1 // b\r, c: \(word)}") == "file:1: expected a value, found \(word)")
  }

  @Test(arguments: [
    ("0", 0), ("-0", 0), ("+7", 7), ("1.", 1), (".5", 0.5), ("-.5e1", -5), ("1.5E-1", 0.15),
    ("0e0", 0), ("5.e3", 5000), ("0x10", 16), ("-0xFf", -255), ("+0X1", 1), ("0.1", 0.1),
    ("Infinity", .infinity), ("-Infinity", -.infinity), ("18446744073709551616", 0x1p64),
  ])
  func numbersAreRead(word: String, value: Double) throws {
    let read = try JSON5File(text: "{a:\u{b}\u{c}\(word)}", name: "file").values["a"]
    switch read {
    case .whole(let whole): #expect(Double(whole) == value, "\(word)")
    case .number(let number): #expect(number == value, "\(word)")
    default: Issue.record("\(word) is \(String(describing: read))")
    }
  }

  @Test(arguments: ["1e999", "-1e999", "0xffffffffffffffffffff"])
  func numbersTooLargeToHoldAreRefused(word: String) {
    #expect(refusal("{a: \(word)}") == "file: some value is malformed")
  }

  @Test(arguments: [#"\u12"#, #"\u123\""#, #"\u"#, #"\x1"#, #"\xg1"#, #"\u00g0"#])
  func anEscapeHasItsDigits(text: String) {
    let refused = refusal("{a: \"\(text)\"}")
    #expect(refused.hasSuffix("hexadecimal digits after the \\ in a text"), "\(text): \(refused)")
  }

  @Test func aByteOrderMarkIsNoMistake() throws {
    let file = try JSON5File(text: "\u{feff}// x\n{a: 1}", name: "file")
    #expect(file.values == ["a": .whole(1)])
    #expect(file.line("a") == 2)
    #expect(refusal("{\u{feff}a: 1}") != "")
  }

  @Test func escapesAreRead() throws {
    let file = try JSON5File(text: #"{a: "\u0041\x42\"\n\\", 'b': '\'"'}"#, name: "file")
    #expect(file.values == ["a": .string("AB\"\n\\"), "b": .string("'\"")])
  }

  private func digits(_ count: Int) -> String { String(repeating: "9", count: count) }

  private func nested(_ count: Int, _ open: String, _ close: String) -> String {
    String(repeating: open, count: count) + "1" + String(repeating: close, count: count)
  }

  @Test func nestingHasALimit() {
    #expect((try? JSON5File(text: nested(64, "{a:", "}"), name: "file")) != nil)
    let deep = "more than 64 objects and lists inside one another"
    #expect(refusal("{\na: " + nested(64, "[", "]") + "}") == "file:2: \(deep)")
    #expect(refusal(nested(65, "{a:", "}")) == "file:1: \(deep)")
    // As deep as a file can be: this took the stack.
    #expect(refusal(String(repeating: "[", count: 1 << 20)) == "file:1: \(deep)")
    #expect(refusal(String(repeating: "{a:", count: 300_000)) == "file:1: \(deep)")
  }

  /// A path is kept for each value.
  @Test func pathsHaveALimit() {
    let key = String(repeating: "k", count: 200)
    #expect((try? JSON5File(text: "{\(key): {a: 1}}", name: "file")) != nil)
    let long = "a value under keys of more than 256 bytes"
    #expect(refusal("{\(key): {\n\(key): 1}}") == "file:2: \(long)")
    let list = String(repeating: "0,", count: 200_000)
    #expect(refusal("{\(key)\(key): [\(list)]}") == "file:1: \(long)")
  }
}
