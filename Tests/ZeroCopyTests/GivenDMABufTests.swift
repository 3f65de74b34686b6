import CIngestKernel
import Glibc
import RingCore
import Testing

@testable import ZeroCopy

extension MemoryTests {
  /// Areas of dmabufs that something else exported, which here is a DMA heap.
  @Suite struct GivenDMABufTests {
    private static let bytes = 1 << 20

    private static func layout() throws -> AreaLayout {
      try #require(AreaLayout(bufferSize: 65536, bufferCount: bytes / 65536))
    }

    /// A dmabuf of ``bytes`` whose descriptor allows `access` only.
    static func dmabuf(_ access: Int32) throws -> Int32 {
      try MemoryHere.require(.dmaHeap("system"), bytes: bytes)
      let heap = unsafe open("/dev/dma_heap/system", O_RDONLY | O_CLOEXEC)
      try #require(heap >= 0)
      defer { close(heap) }
      let descriptor = ik_heap_allocate(heap, bytes, access, -1)
      try #require(descriptor >= 0)
      return descriptor
    }

    @Test func theDescriptorStaysTheCallers() throws {
      let given = try Self.dmabuf(O_RDWR)
      do {
        let area = try AreaBacking(try Self.layout(), kind: .dmabuf(given))
        let facts = AreaFacts(area)
        #expect(facts.isReadable && facts.isWritable)
        #expect(facts.dmabuf != given)
        unsafe area.memory.address(of: 4096).storeBytes(of: 42, as: UInt32.self)
      }
      // The area has gone, its memory has not.
      let again = try AreaBacking(try Self.layout(), kind: .dmabuf(given))
      let facts = AreaFacts(again)
      close(given)
      // And now the area has the last descriptor.
      let value = try again.withDeviceView {
        unsafe $0.unsafeLoad(fromByteOffset: 4096, as: UInt32.self)
      }
      #expect(value == 42)
      #expect(facts.description == "1 MiB in the dmabuf of descriptor \(given)")
    }

    @Test func whatCannotBeWrittenIsRead() throws {
      let given = try Self.dmabuf(O_RDONLY)
      defer { close(given) }
      let area = try AreaBacking(try Self.layout(), kind: .dmabuf(given), numaNode: 0)
      let facts = AreaFacts(area)
      #expect(facts.isReadable && !facts.isWritable)
      #expect(facts.numaNode == nil)
      let first = unsafe area.memory.address(of: 0).load(as: UInt8.self)
      #expect(first == 0)
    }

    @Test func whatCannotBeMappedIsStillAnArea() throws {
      let given = try Self.dmabuf(O_WRONLY)
      defer { close(given) }
      let area = try AreaBacking(try Self.layout(), kind: .dmabuf(given))
      let facts = AreaFacts(area)
      #expect(!facts.isReadable && !facts.isWritable)
      #expect(facts.description.hasSuffix(", which the CPU cannot read"))
      let there = try #require(try MappingFacts.containing(facts.start))
      #expect(there.access.hasPrefix("---"))
      #expect(there.range.upperBound >= facts.start + UInt(Self.bytes))
      do throws(RingError) {
        _ = try area.withDeviceView { $0.byteCount }
        Issue.record("what cannot be mapped was read")
      } catch {
        #expect(error.step == "map the area's dmabuf")
      }
    }

    @Test func theLayoutCoversTheWholeDMABuf() throws {
      let given = try Self.dmabuf(O_RDWR)
      defer { close(given) }
      for count in [15, 17] {
        let layout = try #require(AreaLayout(bufferSize: 65536, bufferCount: count))
        let error = #expect(throws: RingError.self) {
          _ = try AreaBacking(layout, kind: .dmabuf(given))
        }
        #expect(error?.errno == EINVAL)
        #expect(error?.step == "make an area of \(count * 65536) bytes of a dmabuf of 1048576")
      }
    }
  }
}
