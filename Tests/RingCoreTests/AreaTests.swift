import IngestTestSupport
import RingCore
import Testing

@Suite struct AreaTests {
  @Test func onlyLayoutsThatWorkAreMade() {
    #expect(AreaLayout(bufferSize: 4096, bufferCount: 1) != nil)
    #expect(AreaLayout(bufferSize: 2048, bufferCount: 8) == nil)
    #expect(AreaLayout(bufferSize: 4097, bufferCount: 8) == nil)
    #expect(AreaLayout(bufferSize: 12288, bufferCount: 8) == nil)
    #expect(AreaLayout(bufferSize: 4096, bufferCount: 0) == nil)
    #expect(AreaLayout(bufferSize: -4096, bufferCount: 1) == nil)
    #expect(AreaLayout(bufferSize: 4096, bufferCount: 1 << 20) != nil)
    #expect(AreaLayout(bufferSize: 4096, bufferCount: 1 << 20 + 1) == nil)
    #expect(AreaLayout(bufferSize: 1 << 30, bufferCount: 4)?.byteCount == AreaLayout.limit)
    #expect(AreaLayout(bufferSize: 1 << 31, bufferCount: 1) == nil)
  }

  @Test func everyByteOfABufferLeadsToIt() {
    withEvery("shift", in: [12, 13, 16, 21, 30]) { shift in
      let layout = try #require(AreaLayout(bufferSize: 1 << shift, bufferCount: 3))
      for buffer in UInt32(0)..<3 {
        let start = layout.offset(of: buffer)
        try #require(layout.buffer(at: start) == buffer)
        try #require(layout.buffer(at: start + UInt64(layout.bufferSize) - 1) == buffer)
        try #require(layout.buffer(at: start | 7 << 48) == buffer)
      }
    }
  }

  @Test func aLeaseShowsItsBytesAndNoMore() throws {
    let area = FakeArea(layout: try #require(AreaLayout(bufferSize: 4096, bufferCount: 2)))
    area.write([1, 2, 3, 4, 5][...], at: 5000)
    let lease = Lease(offset: 5000 | 1 << 48, length: 5, connection: 0)
    let (count, sum) = area.memory.withBytes(of: lease) { bytes in
      (bytes.byteCount, (0..<5).reduce(0) { $0 + Int(bytes.byte($1)) })
    }
    #expect(count == 5)
    #expect(sum == 15)
    _ = lease.done().take()
  }

  @Test func readingBeyondALeaseEndsTheProcess() async {
    await #expect(processExitsWith: .failure) {
      guard let layout = AreaLayout(bufferSize: 4096, bufferCount: 2) else { return }
      let area = FakeArea(layout: layout)
      let lease = Lease(offset: 0, length: 5, connection: 0)
      _ = area.memory.withBytes(of: lease) {
        unsafe $0.unsafeLoad(fromByteOffset: 5, as: UInt8.self)
      }
      _ = lease.done().take()
    }
  }
}

extension RawSpan {
  /// One byte, bounds checked.
  fileprivate func byte(_ index: Int) -> UInt8 {
    unsafe unsafeLoad(fromByteOffset: index, as: UInt8.self)
  }
}
