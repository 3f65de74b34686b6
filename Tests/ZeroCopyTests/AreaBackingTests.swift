import CIngestKernel
import Glibc
import RingCore
import Testing

@testable import ZeroCopy

extension MemoryTests {
  /// Areas on every kind of memory that this machine has.
  @Suite struct AreaBackingTests {
    /// Not a multiple of a huge page, so that rounding shows.
    static func layout(_ bytes: Int = (4 << 20) + 65536) throws -> AreaLayout {
      try #require(AreaLayout(bufferSize: 65536, bufferCount: bytes / 65536))
    }

    private static func word(_ offset: Int) -> UInt64 { UInt64(offset) &* 0x9E37_79B9_7F4A_7C15 }

    /// Writes a word into every page, and the last one of the area.
    private static func fill(_ area: borrowing AreaBacking) {
      for offset in stride(from: 0, to: area.byteCount, by: 4096) {
        unsafe area.memory.address(of: UInt64(offset)).storeBytes(of: word(offset), as: UInt64.self)
      }
      let last = area.byteCount - 8
      unsafe area.memory.address(of: UInt64(last)).storeBytes(of: word(last), as: UInt64.self)
    }

    private static func mismatches(_ span: RawSpan) -> Int {
      var wrong = 0
      let last = span.byteCount - 8
      for offset in Array(stride(from: 0, to: span.byteCount, by: 4096)) + [last]
      where unsafe span.unsafeLoad(fromByteOffset: offset, as: UInt64.self) != word(offset) {
        wrong += 1
      }
      return wrong
    }

    @Test func pages() throws { try Self.check(.pages) }
    @Test func transparentHugePages() throws { try Self.check(.thp) }
    @Test func hugePagesOf2M() throws { try Self.check(.huge2m) }
    @Test func hugePagesOf1G() throws { try Self.check(.huge1g) }
    @Test func udmabuf() throws { try Self.check(.udmabuf(hugePages: false)) }
    @Test func udmabufOfHugePages() throws { try Self.check(.udmabuf(hugePages: true)) }
    @Test func dmaHeap() throws { try Self.check(.dmaHeap("system")) }

    private static func check(_ kind: AreaMemoryKind) throws {
      let layout = try Self.layout()
      try MemoryHere.require(kind, bytes: layout.byteCount)
      let open = MemoryHere.openDMABufs
      var start: UInt = 0
      do {
        let area = try AreaBacking(layout, kind: kind)
        start = AreaFacts(area).start
        try checkBytes(area)
        try checkMapping(area)
      }
      // Released: neither mapped nor open. No other memory of this process has these flags there.
      let there = try MappingFacts.containing(start)
      #expect(there.map { $0.range.lowerBound != start || !$0.flags.contains("dd") } ?? true)
      #expect(MemoryHere.openDMABufs == open)
    }

    /// Every byte is there, for the CPU and for a device.
    private static func checkBytes(_ area: borrowing AreaBacking) throws {
      let facts = AreaFacts(area)
      #expect(facts.isReadable && facts.isWritable)
      fill(area)
      let inPlace = unsafe RawSpan(
        _unsafeStart: area.memory.address(of: 0), byteCount: facts.byteCount)
      #expect(mismatches(inPlace) == 0)
      let wrong = try area.withDeviceView { span in
        span.byteCount == facts.byteCount ? mismatches(span) : -1
      }
      #expect(wrong == 0)
      switch facts.kind {
      case .udmabuf, .dmaHeap:
        let descriptor = try #require(facts.dmabuf)
        let size = try AreaBacking.byteCount(ofDMABuf: descriptor)
        #expect(size == facts.byteCount)
      default: #expect(facts.dmabuf == nil)
      }
    }

    /// Resident before anything is received, private to this process, and alone between its guards.
    private static func checkMapping(_ area: borrowing AreaBacking) throws {
      let facts = AreaFacts(area)
      let maps = try MappingFacts.all()
      let index = try #require(maps.firstIndex { $0.range.lowerBound == facts.start })
      let own = maps[index]
      #expect(own.range.count >= facts.byteCount)
      #expect(own.access.hasPrefix("rw-"))
      #expect(own.flags.contains("dc"), "inherited by fork: \(own.flags)")
      #expect(own.flags.contains("dd"), "in core dumps: \(own.flags)")
      for neighbour in [maps[index - 1], maps[index + 1]] {
        #expect(neighbour.access.hasPrefix("---"))
      }
      #expect(maps[index - 1].range.upperBound == own.range.lowerBound)
      #expect(maps[index + 1].range.lowerBound == own.range.upperBound)
      switch facts.kind {
      case .huge2m, .huge1g, .udmabuf(hugePages: true):
        #expect(own.flags.contains("ht"))
        #expect(facts.hugeBytes == facts.byteCount)
        let resident = (own.fields["Private_Hugetlb"] ?? 0) + (own.fields["Shared_Hugetlb"] ?? 0)
        #expect(resident == own.range.count)
        #expect(own.fields["KernelPageSize"] == (facts.kind == .huge1g ? 1 << 30 : 2 << 20))
      case .dmaHeap:
        // Page frames that are nobody's resident pages.
        #expect(own.flags.contains("pf"))
      default:
        #expect(own.fields["Rss"] == own.range.count)
        #expect(own.fields["KernelPageSize"] == MappedMemory.pageSize)
      }
    }

    @Test func basePagesStayBasePages() throws {
      let area = try AreaBacking(try Self.layout(8 << 20), kind: .pages)
      let facts = AreaFacts(area)
      let own = try #require(try MappingFacts.containing(facts.start))
      #expect(own.flags.contains("nh"))
      #expect(own.fields["AnonHugePages"] == 0)
      #expect(facts.hugeBytes == 0)
      #expect(facts.contiguousBytes == MappedMemory.pageSize)
      #expect(facts.description == "8 MiB of \(sizeText(MappedMemory.pageSize)) pages")
      #expect(facts.remark == nil)
    }

    /// What it says of itself is what the kernel says, and why where that is not everything.
    @Test func transparentHugePagesAreCounted() throws {
      let layout = try Self.layout(16 << 20)
      let area = try AreaBacking(layout, kind: .thp)
      let facts = AreaFacts(area)
      let own = try #require(try MappingFacts.containing(facts.start))
      #expect(own.flags.contains("hg"))
      #expect(facts.start % UInt(TransparentPages.size) == 0)
      let huge = try #require(own.fields["AnonHugePages"])
      #expect(facts.hugeBytes == huge)
      let isWhole = huge == layout.byteCount
      #expect((facts.remark == nil) == isWhole)
      #expect(facts.contiguousBytes == (isWhole ? TransparentPages.size : MappedMemory.pageSize))
      #expect(facts.description.hasPrefix("16 MiB of transparent huge pages"))
      #expect(facts.description.hasSuffix("of them huge") == !isWhole)
    }

    @Test func pagesOf2MAllowBuffersAsLong() throws { try Self.checkLength(.huge2m, 2 << 20) }
    @Test func pagesOf1GAllowBuffersAsLong() throws { try Self.checkLength(.huge1g, 1 << 30) }

    private static func checkLength(_ kind: AreaMemoryKind, _ size: Int) throws {
      let layout = try Self.layout()
      try MemoryHere.require(kind, bytes: layout.byteCount)
      let area = try AreaBacking(layout, kind: kind)
      let facts = AreaFacts(area)
      #expect(facts.contiguousBytes == size)
      #expect(facts.description == "4160 KiB of \(sizeText(size)) huge pages")
      #expect(facts.start % UInt(size) == 0)
    }
  }
}
