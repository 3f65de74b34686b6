import Testing

@testable import Ingest

/// What the copy engine takes where nothing is said.
@Suite struct CopySizesTests {
  @Test func leasesThatAreHeldHaveTwiceTheArea() throws {
    var configuration = ReceiveConfiguration()
    configuration.engine = .copy
    func area() throws -> Int {
      try EnginePlan(configuration).area(configuration, bufferLength: configuration.copyBuffer)
    }
    #expect(try area() == 4 << 20)
    #expect(try EnginePlan(configuration).bufferLengths == [32 << 10])
    configuration.place = "sink=cpu0"
    #expect(try area() == 8 << 20)
    configuration.place = ""
    configuration.sink = "file:/tmp"
    #expect(try area() == 8 << 20)
    configuration.area = 1 << 20
    configuration.buffer = 4096
    #expect(try area() == 1 << 20)
    #expect(try EnginePlan(configuration).bufferLengths == [4096])
  }
}
