import RingCore
import Testing

@Suite struct OperationTagTests {
  @Test func partsComeOutAsTheyWentIn() {
    for kind: OperationTag.Kind in [.receive, .accept, .cancel, .close, .wake, .stage, .send] {
      for generation: UInt32 in [0, 1, 0xff_ffff] {
        for index: UInt32 in [0, 1, .max] {
          let tag = OperationTag(kind, generation: generation, index: index)
          #expect(tag.kindByte == kind.rawValue)
          #expect(tag.generation == generation)
          #expect(tag.index == index)
          #expect(OperationTag(rawValue: tag.rawValue) == tag)
        }
      }
    }
  }

  @Test func aGenerationBeyondItsBitsDoesNotReachTheKind() {
    let tag = OperationTag(.receive, generation: .max, index: 0)
    #expect(tag.kindByte == OperationTag.Kind.receive.rawValue)
    #expect(tag.generation == 0xff_ffff)
  }
}
