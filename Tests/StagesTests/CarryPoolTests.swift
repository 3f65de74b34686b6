import Stages
import Testing

/// How many connections what is gathered for each leaves room for.
@Suite struct CarryPoolTests {
  /// Bytes for each, bytes in all, connections.
  private static let cases: [(Int, Int, Int)] = [
    (1_048_576, 1_073_741_824, 1008), (67_108_864, 1_073_741_824, 15),
    (1_048_576, 67_108_864, 60), (1_048_576, 2_097_152, 1), (1_048_576, 1_048_576, 1),
    (4097, 1_048_576, 120), (1, 1_048_576, 240),
  ]

  @Test(arguments: cases)
  func aSixteenthStaysSpare(bound: Int, budget: Int, connections: Int) {
    #expect(CarryPool.mostConnections(bound: bound, budget: budget) == connections)
  }
}
