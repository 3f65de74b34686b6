import CIngestKernel
import Glibc
import IngestTestSupport
import RingCore
import Testing

@testable import ZeroCopy

extension MemoryTests {
  /// Every engine that the machine has, on every kind of memory that it takes.
  @Suite struct EngineMemoryTests {
    @Test func pages() throws { try Self.check(.pages) }
    @Test func transparentHugePages() throws { try Self.check(.thp) }
    @Test func hugePagesOf2M() throws { try Self.check(.huge2m) }
    @Test func udmabuf() throws { try Self.check(.udmabuf(hugePages: false)) }
    @Test func udmabufOfHugePages() throws { try Self.check(.udmabuf(hugePages: true)) }
    @Test func dmaHeap() throws { try Self.check(.dmaHeap("system")) }

    @Test func sharedPages() throws { try Self.check(.pages, isShared: true) }
    @Test func sharedTransparentHugePages() throws { try Self.check(.thp, isShared: true) }
    @Test func sharedHugePagesOf2M() throws { try Self.check(.huge2m, isShared: true) }

    private static func check(_ kind: AreaMemoryKind, isShared: Bool = false) throws {
      for engine in EngineSetup.Kind.each {
        // What comes over loopback is copied, and the kernel copies into no dmabuf; without a
        // device there is nobody to map one for.
        if engine.isZeroCopy && kind.isDMABuf { continue }
        try check(kind, engine, isShared: isShared)
      }
    }

    private static func check(
      _ kind: AreaMemoryKind, _ engine: EngineSetup.Kind, isShared: Bool
    ) throws {
      var setup = EngineSetup(engine)
      setup.isShared = isShared
      setup.memory = kind
      try MemoryHere.require(kind, bytes: setup.bufferSize * setup.buffers)
      let run = try EngineRun(setup, connections: 1)
      do {
        let client = LoopbackClient(to: run.endpoint)
        #expect(client.send(pattern(0..<200_000)))
      }
      let result = try run.finish()
      #expect(result.stage.bytes == 200_000)
      #expect(result.stage.mismatches == 0)
      #expect(result.home)
    }

    @Test func memoryThatTheCPUCannotWriteIsRefused() throws {
      let layout = try #require(AreaLayout(bufferSize: 65536, bufferCount: 16))
      var options = CopyEngineOptions(layout: layout)
      let given = try GivenDMABufTests.dmabuf(O_RDONLY)
      defer { close(given) }
      options.memory = .dmabuf(given)
      do throws(RingError) {
        _ = try CopyEngine(
          options: options, listener: -1, control: EngineControl(),
          shared: SharedCounters(EngineCounters()))
        Issue.record("an engine was made that cannot copy")
      } catch {
        #expect(error.errno == EOPNOTSUPP)
        #expect(error.step == "copy into 1 MiB in the dmabuf of descriptor \(given)")
        #expect(error.remedy?.contains("another kind of memory") == true)
      }
    }
  }
}
