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
