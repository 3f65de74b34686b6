import CIngestKernel
import Glibc
import IngestTestSupport
import RingCore
import Testing

@testable import ZeroCopy

extension MemoryTests {
  /// Areas that another process maps: it sees every byte, and can change none.
  @Suite struct AreaSharedTests {
    @Test func pages() throws { try Self.check(.pages) }
    @Test func transparentHugePages() throws { try Self.check(.thp) }
    @Test func hugePagesOf2M() throws { try Self.check(.huge2m) }
    @Test func hugePagesOf1G() throws { try Self.check(.huge1g) }

    private static func check(_ kind: AreaMemoryKind) throws {
      let layout = try AreaBackingTests.layout()
      try MemoryHere.require(kind, bytes: layout.byteCount)
      let area = try AreaBacking(layout, kind: kind, shared: true)
      let descriptor = area.sharedDescriptor
      let shared = try #require(descriptor)
      for offset in stride(from: 0, to: layout.byteCount, by: 4096) {
        unsafe area.memory.address(of: UInt64(offset)).storeBytes(of: offset, as: Int.self)
      }
      readsThrough(shared, layout)
      refusesWriters(shared, layout)
      // What the area's own mapping may do stays: this is what the kernel receives through.
      let last = UInt64(layout.byteCount - 8)
      unsafe area.memory.address(of: last).storeBytes(of: 77, as: Int.self)
      #expect(unsafe area.memory.address(of: last).load(as: Int.self) == 77)
    }

    private static func readsThrough(_ shared: Int32, _ layout: AreaLayout) {
      var status = stat()
      #expect(unsafe fstat(shared, &status) == 0 && status.st_size >= layout.byteCount)
      let size = Int(status.st_size)
      guard let view = unsafe mmap(nil, size, PROT_READ, MAP_SHARED, shared, 0),
        unsafe view != MAP_FAILED
      else {
        Issue.record("the area cannot be mapped")
        return
      }
      defer { unsafe munmap(view, size) }
      for offset in stride(from: 0, to: layout.byteCount, by: 4096) {
        #expect(unsafe view.load(fromByteOffset: offset, as: Int.self) == offset)
      }
    }

    /// Neither the descriptor nor another one of the same memory, opened for writing, does it.
    private static func refusesWriters(_ shared: Int32, _ layout: AreaLayout) {
      let reopened = unsafe open("/proc/self/fd/\(shared)", O_RDWR | O_CLOEXEC)
      defer { close(reopened) }
      for descriptor in [shared, reopened] {
        let view = unsafe mmap(
          nil, layout.byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        #expect(unsafe view == MAP_FAILED, "a consumer maps the area for writing")
        #expect(unsafe write(descriptor, "x", 1) < 0, "a consumer writes into the area")
        #expect(ftruncate(descriptor, 0) != 0, "a consumer takes the area's memory away")
      }
      // Mapped for reading, it cannot be made writable.
      let view = unsafe mmap(nil, 4096, PROT_READ, MAP_SHARED, reopened, 0)
      if let view = unsafe view, unsafe view != MAP_FAILED {
        #expect(unsafe mprotect(view, 4096, PROT_READ | PROT_WRITE) != 0)
        unsafe munmap(view, 4096)
      }
    }

    @Test func nothingIsSharedUnasked() throws {
      let area = try AreaBacking(AreaBackingTests.layout())
      let descriptor = area.sharedDescriptor
      #expect(descriptor == nil)
    }

    @Test func aDMABufIsNotShared() throws {
      let error = #expect(throws: RingError.self) {
        _ = try AreaBacking(
          AreaBackingTests.layout(), kind: .udmabuf(hugePages: false), shared: true)
      }
      #expect(error?.errno == EINVAL)
      #expect(error?.remedy?.contains("pages, thp") == true)
    }
  }
}
