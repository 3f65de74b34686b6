import RingCore
import Stages
import Testing

/// Bounds near the end of the number range, where the arithmetic around them would turn over.
@Suite struct FramerBoundTests {
  @Test func aBoundWithoutRoomForFramingIsRefused() async {
    await #expect(processExitsWith: .failure) { _ = LinesFramer(max: .max) }
    await #expect(processExitsWith: .failure) { _ = LengthFramer(bytes: 8, max: .max) }
  }

  @Test func theLargestBoundsFrame() {
    let bytes: [UInt8] = [97, 98, 10, 255, 255, 255, 255, 255, 255, 255]
    let lines = LinesFramer(max: 1 << 62)
    var line = lines.start()
    let found = unsafe lines.next(&line, bytes.span.bytes, at: 0)
    #expect(found == .piece(Piece(payload: 2, trail: 1, first: true, last: true)))

    let prefixed: [UInt8] = [64, 0, 0, 0, 0, 0, 0, 0, 1]
    let lengths = LengthFramer(bytes: 8, max: 1 << 62)
    var record = lengths.start()
    let step = unsafe lengths.next(&record, prefixed.span.bytes, at: 0)
    #expect(step == .piece(Piece(lead: 8, payload: 1, first: true, last: false)))
    #expect(lengths.end(record) == .truncated(expected: (1 << 62) + 8, found: 9))
  }
}
