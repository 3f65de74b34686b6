import Glibc
import RingCore
import Testing

@testable import ZeroCopy

@Suite("whether an area can be had, without taking it")
struct AreaShortageTests {
  private static func pool(free: Int, promised: Int = 0, node: Int? = nil) -> HugePagePool {
    let counts = HugePagePool.Counts(total: 8, free: free, promised: promised)
    return HugePagePool(pageSize: 2 << 20, node: node, counts: counts, isDefault: true)
  }

  private static func shortage(
    _ pages: Int, _ machine: HugePagePool, _ near: HugePagePool? = nil
  ) -> RingError? {
    AreaMemoryKind.shortage(pages * (2 << 20), machine: machine, near: near ?? machine)
  }

  @Test("pages that nobody has and nobody was promised")
  func pages() throws {
    #expect(AreaShortageTests.shortage(4, AreaShortageTests.pool(free: 4)) == nil)
    let lack = try #require(AreaShortageTests.shortage(5, AreaShortageTests.pool(free: 4)))
    #expect(lack.step == "map an area of 10 MiB in pages of 2 MiB" && lack.errno == ENOMEM)
    #expect(lack.remedy?.contains("`echo 9 > /proc/sys/vm/nr_hugepages`") == true, "\(lack)")
    let promised = AreaShortageTests.pool(free: 4, promised: 1)
    #expect(AreaShortageTests.shortage(4, promised) != nil)
    #expect(AreaShortageTests.shortage(3, promised) == nil)
  }

  /// Mapping promises pages of the whole machine; only taking them fails.
  @Test("the pages of a node")
  func node() throws {
    let near = AreaShortageTests.pool(free: 2, node: 1)
    let machine = AreaShortageTests.pool(free: 8)
    #expect(AreaShortageTests.shortage(2, machine, near) == nil)
    let lack = try #require(AreaShortageTests.shortage(3, machine, near))
    #expect(lack.step == "fault in an area of 6 MiB in pages of 2 MiB")
    #expect(lack.remedy?.contains("on node 1") == true)
  }

  @Test("no such pages at all")
  func none() {
    let none = HugePagePool(pageSize: 1 << 30, node: nil, counts: nil, isDefault: false)
    let lack = AreaMemoryKind.shortage(1 << 30, machine: none, near: none)
    #expect(lack?.remedy?.contains("there is no pool of 1 GiB pages") == true)
  }

  @Test("what is foretold is what an attempt says", arguments: [AreaMemoryKind.huge2m, .huge1g])
  func attempt(kind: AreaMemoryKind) throws {
    // More than any machine that runs tests sets aside.
    let layout = try #require(AreaLayout(bufferSize: 1 << 20, bufferCount: 4096))
    let foretold = try #require(kind.shortage(bytes: layout.byteCount, node: nil))
    do throws(RingError) {
      let backing = try AreaBacking(layout, kind: kind)
      Issue.record("4 GiB of \(backing.description)")
    } catch {
      #expect(error.step == foretold.step && error.errno == foretold.errno)
      #expect(error.remedy == foretold.remedy)
    }
  }

  @Test("heaps and devices that are not there")
  func devices() {
    let lack = AreaMemoryKind.dmaHeap("no-such-heap").shortage(bytes: 1 << 20, node: nil)
    #expect(lack?.step == "open /dev/dma_heap/no-such-heap" && lack?.remedy != nil)
    #expect(AreaMemoryKind.pages.shortage(bytes: 1 << 40, node: nil) == nil)
  }
}
