/// What kind of memory is received into, as it is spelled on the command line and in files.
public enum MemoryKind: Equatable, Sendable {
  /// 4 KiB pages.
  case pages
  /// Transparent huge pages, as many as the kernel has.
  case thp
  /// Huge pages that were set aside: 2 MiB, 1 GiB.
  case huge2m, huge1g
  /// A memfd exported by /dev/udmabuf, on huge pages of 2 MiB where asked for.
  case udmabuf(hugePages: Bool)
  /// A dmabuf from the heap of this name in /dev/dma_heap.
  case dmaHeap(String)
  /// A dmabuf that the process was started with, by its descriptor.
  case dmabuf(Int32)

  /// The spellings, for a sentence.
  public static let spellings =
    "\"pages\", \"thp\", \"huge2m\", \"huge1g\", \"udmabuf\", \"udmabuf:huge2m\", \"dma-heap\", "
    + "\"dma-heap:NAME\", \"dmabuf-fd:N\""
}

extension MemoryKind: RawRepresentable, Codable {
  public init?(rawValue text: String) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let argument = parts.count > 1 ? String(parts[1]) : nil
    switch (String(parts[0]), argument) {
    case ("pages", nil): self = .pages
    case ("thp", nil): self = .thp
    case ("huge2m", nil): self = .huge2m
    case ("huge1g", nil): self = .huge1g
    case ("udmabuf", nil): self = .udmabuf(hugePages: false)
    case ("udmabuf", "huge2m"): self = .udmabuf(hugePages: true)
    case ("dma-heap", nil): self = .dmaHeap("system")
    case ("dma-heap", let name?) where !name.isEmpty && !name.contains("/"): self = .dmaHeap(name)
    case ("dmabuf-fd", let number?):
      guard number.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), let descriptor = Int32(number)
      else { return nil }
      self = .dmabuf(descriptor)
    default: return nil
    }
  }

  public var rawValue: String {
    switch self {
    case .pages: "pages"
    case .thp: "thp"
    case .huge2m: "huge2m"
    case .huge1g: "huge1g"
    case .udmabuf(let huge): huge ? "udmabuf:huge2m" : "udmabuf"
    case .dmaHeap(let name): name == "system" ? "dma-heap" : "dma-heap:\(name)"
    case .dmabuf(let descriptor): "dmabuf-fd:\(descriptor)"
    }
  }
}
