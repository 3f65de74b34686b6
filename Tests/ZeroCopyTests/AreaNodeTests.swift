import Glibc
import RingCore
import Testing

@testable import ZeroCopy

extension MemoryTests {
  /// Which NUMA node an area's memory comes from, as the kernel tells it. With one node there is
  /// only that a binding is accepted and noted.
  @Suite struct AreaNodeTests {
    @Test func pages() throws { try Self.check(.pages) }
    @Test func transparentHugePages() throws { try Self.check(.thp) }
    @Test func hugePagesOf2M() throws { try Self.check(.huge2m) }
    @Test func hugePagesOf1G() throws { try Self.check(.huge1g) }
    @Test func udmabuf() throws { try Self.check(.udmabuf(hugePages: false)) }
    @Test func udmabufOfHugePages() throws { try Self.check(.udmabuf(hugePages: true)) }

    private static func check(_ kind: AreaMemoryKind) throws {
      for node in MemoryHere.nodes { try check(kind, node) }
    }

    private static func check(_ kind: AreaMemoryKind, _ node: Int) throws {
      let layout = try AreaBackingTests.layout()
      try MemoryHere.require(kind, bytes: layout.byteCount, node: node)
      let area = try AreaBacking(layout, kind: kind, numaNode: node)
      let facts = AreaFacts(area)
      #expect(facts.numaNode == node)
      #expect(facts.description.hasSuffix(" on node \(node)"))
      let fields = try MappingFacts.numa(facts.start)
      #expect(fields[1] == "bind:\(node)", "\(fields)")
      // Pages by node, in the mapping's own page size; a transparent huge page counts as its parts.
      let mapping = try #require(try MappingFacts.containing(facts.start))
      let pages = mapping.range.count / (mapping.fields["KernelPageSize"] ?? 4096)
      #expect(fields.contains("N\(node)=\(pages)"), "\(fields)")
      for other in MemoryHere.nodes where other != node {
        #expect(!fields.contains { $0.hasPrefix("N\(other)=") }, "\(fields)")
      }
    }

    /// A heap's pages are no part of the process's; only the node shows that they were taken.
    @Test func dmaHeap() throws {
      let bytes = 128 << 20
      let kind = AreaMemoryKind.dmaHeap("system")
      try MemoryHere.require(kind, bytes: bytes)
      for node in MemoryHere.nodes {
        let before = try #require(MemoryHere.freeBytes(node: node))
        let area = try AreaBacking(try AreaBackingTests.layout(bytes), kind: kind, numaNode: node)
        let after = try #require(MemoryHere.freeBytes(node: node))
        let facts = AreaFacts(area)
        #expect(facts.description == "128 MiB from the DMA heap system on node \(node)")
        #expect(before - after > bytes * 3 / 4)
      }
    }

    /// The thread that asked a heap for memory of one node keeps its own policy.
    @Test func askingAHeapLeavesTheThreadsPolicyAlone() throws {
      let kind = AreaMemoryKind.dmaHeap("system")
      let layout = try AreaBackingTests.layout(1 << 20)
      try MemoryHere.require(kind, bytes: layout.byteCount)
      _ = try AreaBacking(layout, kind: kind, numaNode: 0)
      let area = try AreaBacking(layout, kind: .pages)
      let fields = try MappingFacts.numa(AreaFacts(area).start)
      #expect(fields[1] == "default", "\(fields)")
    }

    /// The pool as a whole has enough, the node has not: an error, where a touch would be SIGBUS.
    @Test func hugePagesThatLackOnTheNodeAreCountedThere() throws {
      let size = 2 << 20
      let all = try #require(HugePagePool(pageSize: size, node: nil).counts).free
      let pools = MemoryHere.nodes.map { HugePagePool(pageSize: size, node: $0) }
      guard let pool = pools.first(where: { ($0.counts?.free ?? all) + 1 <= all }),
        let free = pool.counts?.free, let node = pool.node
      else { try Test.cancel("needs free huge pages on several NUMA nodes") }
      let layout = try AreaBackingTests.layout((free + 1) * size)
      do throws(RingError) {
        _ = try AreaBacking(layout, kind: .huge2m, numaNode: node)
        Issue.record("more pages were had than the node has")
      } catch {
        #expect(error.errno == EFAULT)
        #expect(error.step.hasPrefix("fault in an area of"))
        let remedy = try #require(error.remedy)
        #expect(remedy.hasPrefix("\(free + 1) pages of 2 MiB are needed on node \(node)"))
        #expect(
          remedy.contains("/node\(node)/hugepages/hugepages-2048kB/nr_hugepages`"))
      }
      // What was taken on the way is back.
      #expect(HugePagePool(pageSize: size, node: nil).counts?.free == all)
    }

    /// sysfs says -1 of a device on a machine without NUMA.
    @Test func noNodeIsAnyNode() throws {
      let area = try AreaBacking(try AreaBackingTests.layout(65536), kind: .pages, numaNode: -1)
      let facts = AreaFacts(area)
      #expect(facts.numaNode == nil)
      let fields = try MappingFacts.numa(facts.start)
      #expect(fields[1] == "default", "\(fields)")
    }
  }
}
