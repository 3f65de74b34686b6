import CIngestKernel
import Glibc
import RingCore
import Testing

@testable import ZeroCopy

extension MemoryTests {
  /// What is refused, and what the user is told to do.
  @Suite struct AreaRefusalTests {
    private static func refusal(
      _ kind: AreaMemoryKind, bytes: Int = 1 << 20, node: Int? = nil
    ) throws -> RingError? {
      let layout = try #require(AreaLayout(bufferSize: 65536, bufferCount: bytes / 65536))
      do throws(RingError) {
        _ = try AreaBacking(layout, kind: kind, numaNode: node)
        return nil
      } catch {
        return error
      }
    }

    @Test func aNodeThatIsNotThereIsNamed() throws {
      let error = try #require(try Self.refusal(.pages, node: 1000))
      #expect(error.errno == EINVAL)
      #expect(error.step == "take memory from NUMA node 1000")
      #expect(error.remedy?.contains("cat /sys/devices/system/node/online") == true)
    }

    /// More than the pool has, whatever it has, unless that is more than an area can be.
    @Test func hugePagesThatLackAreCounted() throws {
      let pool = HugePagePool(pageSize: 2 << 20, node: nil)
      let counts = try #require(pool.counts, "every x86 and arm64 kernel has 2 MiB pages")
      let bytes = (counts.free + 8) * (2 << 20)
      guard bytes <= AreaLayout.limit else {
        try Test.cancel("needs less than 4 GiB of huge pages")
      }
      let error = try #require(try Self.refusal(.huge2m, bytes: bytes))
      #expect(error.errno == ENOMEM)
      #expect(error.step.hasPrefix("map an area of "))
      let remedy = try #require(error.remedy)
      #expect(remedy.contains("\(counts.free + 8) pages of 2 MiB are needed"))
      #expect(remedy.contains("> /proc/sys/vm/nr_hugepages`"))
    }

    @Test func theRemedyCountsWhatIsThere() {
      let counts = HugePagePool.Counts(total: 32, free: 10, promised: 7)
      let anywhere = HugePagePool(pageSize: 2 << 20, node: nil, counts: counts, isDefault: true)
      #expect(
        anywhere.remedy(needed: 32)
          == "32 pages of 2 MiB are needed and 3 free: as root, "
          + "`echo 61 > /proc/sys/vm/nr_hugepages`, then `cat` it: the kernel sets aside as many "
          + "as it finds")
      // Where 1 GiB is the default, vm.nr_hugepages counts those.
      let other = HugePagePool(pageSize: 2 << 20, node: nil, counts: counts, isDefault: false)
      #expect(
        other.control == "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
      let there = HugePagePool(pageSize: 1 << 30, node: 1, counts: counts, isDefault: false)
      let text = there.remedy(needed: 4)
      #expect(text.hasPrefix("4 pages of 1 GiB are needed on node 1 and 3 free"))
      #expect(
        text.contains(
          "echo 33 > /sys/devices/system/node/node1/hugepages/hugepages-1048576kB/nr_hugepages"))
      #expect(text.contains("hugepagesz=1G hugepages=33"))
      #expect(anywhere.remedy(needed: 3).contains("another process was faster"))
      let none = HugePagePool(pageSize: 1 << 30, node: nil, counts: nil, isDefault: false)
      #expect(none.remedy(needed: 1).contains("ls /sys/kernel/mm/hugepages"))
    }

    @Test func aUdmabufLimitIsMetBeforeTheDriverIsAsked() {
      let error = #expect(throws: RingError.self) {
        try DMABufDevices.checkUdmabufLimit((65 << 20) + 4096, limit: 64)
      }
      #expect(error?.errno == EINVAL)
      #expect(
        error?.remedy
          == "the limit is 64 MiB; as root, `echo 66 > "
          + "/sys/module/udmabuf/parameters/size_limit_mb` raises it")
      #expect(throws: Never.self) {
        try DMABufDevices.checkUdmabufLimit(64 << 20, limit: 64)
        try DMABufDevices.checkUdmabufLimit(1 << 30, limit: nil)
      }
    }

    @Test func devicesThatLackSayHowToGetThem() throws {
      #expect(DMABufDevices.udmabufRemedy(ENOENT).contains("modprobe udmabuf"))
      #expect(DMABufDevices.udmabufRemedy(EACCES).contains("setfacl -m u:USER:rw /dev/udmabuf"))
      #expect(DMABufDevices.udmabufRefusal(EBADFD, hugePages: true).contains("huge pages"))
      #expect(DMABufDevices.udmabufRefusal(EINVAL, hugePages: false).contains("size_limit_mb"))
      #expect(
        DMABufDevices.heapRemedy("gold", ENOENT, heaps: ["default_cma_region", "system"])
          .contains("the heaps here are default_cma_region, system"))
      #expect(
        DMABufDevices.heapRemedy("system", ENOENT, heaps: []).contains("CONFIG_DMABUF_HEAPS_SYSTEM")
      )
      let error = try #require(try Self.refusal(.dmaHeap("no-such-heap")))
      #expect(error.errno == ENOENT)
      #expect(error.step == "open /dev/dma_heap/no-such-heap")
      if unsafe access("/dev/udmabuf", F_OK) != 0 {
        let error = try #require(try Self.refusal(.udmabuf(hugePages: false)))
        #expect(error.errno == ENOENT)
        #expect(error.description.contains("could not open /dev/udmabuf"))
      }
    }

    @Test func transparentPagesThatLackHaveAReason() {
      func remark(_ setting: String) -> String {
        TransparentPages.remark(huge: 2 << 20, of: 8 << 20, setting: setting)
      }
      #expect(remark("always madvise [never]").contains("echo madvise >"))
      #expect(remark("always [madvise] never").contains("compact_memory"))
      #expect(remark("") == "only 2 MiB of 8 MiB are transparent huge pages: this kernel has none")
      #expect(TransparentPages.remark(huge: 8 << 20, of: 8 << 20) == nil)
    }

    @Test func smapsAreReadWithinTheirRange() {
      let text = """
        10000-20000 rw-p 00000000 00:00 0
        Rss:                  64 kB
        AnonHugePages:      2048 kB
        20000-40000 rw-p 00000000 00:00 0 [anon: name]
        AnonHugePages:      4096 kB
        40000-50000 rw-p 00000000 00:00 0
        AnonHugePages:      8192 kB
        """
      #expect(TransparentPages.bytes(in: 0x20000..<0x40000, smaps: text) == 4 << 20)
      #expect(TransparentPages.bytes(in: 0x10000..<0x40000, smaps: text) == 6 << 20)
      #expect(TransparentPages.bytes(in: 0x30000..<0x50000, smaps: text) == 8 << 20)
      #expect(TransparentPages.bytes(in: 0..<1, smaps: "") == 0)
    }

    @Test func aDescriptorThatIsNoDMABufIsRefused() throws {
      let file = unsafe open("/proc/self/exe", O_RDONLY | O_CLOEXEC)
      defer { close(file) }
      let other = try #require(try Self.refusal(.dmabuf(file)))
      #expect(other.errno == ENOTTY)
      #expect(other.remedy?.contains("/fd/\(file)`") == true)
      let closed = try #require(try Self.refusal(.dmabuf(999_999)))
      #expect(closed.errno == EBADF)
      #expect(closed.remedy?.contains("close-on-exec") == true)
    }
  }
}
