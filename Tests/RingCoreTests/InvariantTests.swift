import RingCore
import Testing

@Suite struct InvariantTests {
  @Test func aBrokenInvariantSaysWhichOne() async throws {
    let result = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) {
      invariant(true, "this one holds")
      invariant(false, "water flows uphill")
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(text.contains("invariant violated: water flows uphill"))
  }
}
