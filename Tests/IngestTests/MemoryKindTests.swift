import Glibc
import Testing

@testable import Ingest

@Suite struct MemoryKindTests {
  /// Each spelling is read as one kind, and that kind is spelled so again.
  @Test(
    arguments: [
      ("pages", MemoryKind.pages), ("thp", .thp), ("huge2m", .huge2m), ("huge1g", .huge1g),
      ("udmabuf", .udmabuf(hugePages: false)), ("udmabuf:huge2m", .udmabuf(hugePages: true)),
      ("dma-heap", .dmaHeap("system")), ("dma-heap:reserved", .dmaHeap("reserved")),
      ("dmabuf-fd:0", .dmabuf(0)), ("dmabuf-fd:2147483647", .dmabuf(.max)),
    ])
  func isSpelledOneWay(text: String, kind: MemoryKind) {
    #expect(MemoryKind(rawValue: text) == kind)
    #expect(kind.rawValue == text)
  }

  @Test(
    arguments: [
      "", "gold", "pages:4k", "thp:", "udmabuf:", "udmabuf:huge1g", "dma-heap:", "dma-heap:../x",
      "dmabuf-fd", "dmabuf-fd:", "dmabuf-fd:-1", "dmabuf-fd:+1", "dmabuf-fd:2147483648",
      "dmabuf-fd:1 ",
    ])
  func anythingElseIsNone(text: String) { #expect(MemoryKind(rawValue: text) == nil) }

  /// The sentence that a wrong spelling is answered with names each kind.
  @Test func theSentenceNamesEveryKind() {
    for word in MemoryKind.spellings.split(separator: ",") {
      let text = word.split(separator: "\"")[word.hasPrefix(" ") ? 1 : 0]
        .replacing("NAME", with: "x").replacing(":N", with: ":1")
      #expect(MemoryKind(rawValue: String(text)) != nil, "\(text)")
    }
  }

  @Test func aDMABufIsOneArea() {
    var configuration = ReceiveConfiguration()
    configuration.memory = .dmabuf(0)
    configuration.threads = 2
    let error = #expect(throws: IngestError.self) {
      try configuration.checkMemory(EnginePlan(configuration))
    }
    #expect(error?.kind == .usage)
    #expect(error?.what == "--memory dmabuf-fd:0: 2 areas cannot be one dmabuf")
    configuration.threads = 1
    #expect(throws: Never.self) { try configuration.checkMemory(EnginePlan(configuration)) }
  }

  /// The kernel copies into no dmabuf, and without a device everything is copied.
  @Test func withoutADeviceThereIsNoDMABuf() {
    var configuration = ReceiveConfiguration()
    configuration.engine = .nodev
    for memory in [MemoryKind.udmabuf(hugePages: false), .dmaHeap("system"), .dmabuf(0)] {
      configuration.memory = memory
      let error = #expect(throws: IngestError.self) {
        try configuration.checkMemory(EnginePlan(configuration))
      }
      #expect(error?.kind == .usage)
      #expect(error?.remedy?.contains("--engine nodev take pages") == true)
    }
    configuration.memory = .huge2m
    #expect(throws: Never.self) { try configuration.checkMemory(EnginePlan(configuration)) }
  }

  @Test func whatIsNoDMABufIsRefusedBeforeAnythingStarts() {
    let file = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
    defer { close(file) }
    var configuration = ReceiveConfiguration()
    configuration.memory = .dmabuf(file)
    let error = #expect(throws: IngestError.self) { try configuration.withGivenArea() }
    #expect(error?.kind == .usage)
    #expect(
      error?.what == "--memory dmabuf-fd:\(file): could not use descriptor \(file) as a dmabuf")
    #expect(error?.remedy?.contains("ls -l") == true)
  }

  /// Whether payload is read is the stage's to say, whether it can be the area's.
  @Test func aReaderNeedsMemoryThatCanBeRead() {
    var configuration = ReceiveConfiguration()
    configuration.memory = .dmabuf(5)
    configuration.parse = "lines"
    #expect(throws: Never.self) {
      try configuration.checkReadable(true, stageReads: true)
      try configuration.checkReadable(true, stageReads: false)
      try configuration.checkReadable(false, stageReads: false)
    }
    let error = #expect(throws: IngestError.self) {
      try configuration.checkReadable(false, stageReads: true)
    }
    #expect(error?.kind == .usage)
    #expect(error?.what.contains("--memory dmabuf-fd:5 cannot be read by the CPU") == true)
    #expect(error?.what.contains("--parse lines") == true)
    #expect(error?.remedy?.contains("--parse raw") == true)
  }
}
