import Glibc
import RingCore
import Testing

@testable import ZeroCopy

/// What is about the memory behind areas. One after the other: the tests share pools, and look at
/// what is mapped and open.
@Suite(.serialized) struct MemoryTests {}

/// What an area says of itself, in a copy that expectations can take.
struct AreaFacts {
  let kind: AreaMemoryKind
  let byteCount: Int
  let isReadable: Bool
  let isWritable: Bool
  let numaNode: Int?
  let contiguousBytes: Int
  let hugeBytes: Int
  let remark: String?
  let dmabuf: Int32?
  let description: String
  /// The address of its first byte.
  let start: UInt

  init(_ area: borrowing AreaBacking) {
    kind = area.kind
    byteCount = area.byteCount
    isReadable = area.isReadable
    isWritable = area.isWritable
    numaNode = area.numaNode
    contiguousBytes = area.contiguousBytes
    hugeBytes = area.hugeBytes
    remark = area.remark
    dmabuf = area.dmabufDescriptor
    description = area.description
    start = unsafe UInt(bitPattern: area.memory.address(of: 0))
  }
}

/// What the kernel says of this process's memory, read apart from the code under test.
struct MappingFacts {
  var range: Range<UInt>
  var access: String
  var fields: [String: Int] = [:]
  var flags: Set<String> = []

  /// Every mapping of this process, in order.
  static func all() throws -> [MappingFacts] {
    var list: [MappingFacts] = []
    for line in try #require(KernelFile.text("/proc/self/smaps")).split(separator: "\n") {
      let words = line.split(separator: " ")
      let ends = words[0].split(separator: "-")
      if ends.count == 2, let low = UInt(ends[0], radix: 16), let high = UInt(ends[1], radix: 16) {
        list.append(MappingFacts(range: low..<high, access: String(words[1])))
      } else if words[0] == "VmFlags:" {
        list[list.count - 1].flags = Set(words.dropFirst().map(String.init))
      } else if words.count == 3 {
        list[list.count - 1].fields[String(words[0].dropLast())] = Int(words[1]).map { $0 << 10 }
      }
    }
    return list
  }

  /// The one that an address lies in.
  static func containing(_ address: UInt) throws -> MappingFacts? {
    try all().first { $0.range.contains(address) }
  }

  /// The fields of the line of /proc/self/numa_maps about a mapping: its policy, and pages by node.
  static func numa(_ start: UInt) throws -> [String] {
    let lines = try #require(KernelFile.text("/proc/self/numa_maps")).split(separator: "\n")
    let name = String(start, radix: 16)
    let line = lines.first { UInt($0.split(separator: " ")[0], radix: 16) == start }
    return try #require(line, "\(name)").split(separator: " ").map(String.init)
  }
}

/// What this machine has of each kind of memory.
enum MemoryHere {
  /// Why a kind cannot be tested here; nil where it can. `bytes` is for one area.
  static func lack(_ kind: AreaMemoryKind, bytes: Int, node: Int? = nil) -> String? {
    switch kind {
    case .pages, .thp: return nil
    case .huge2m: return pages(2 << 20, bytes, node)
    case .huge1g: return pages(1 << 30, bytes, node)
    case .udmabuf(let huge):
      guard unsafe access("/dev/udmabuf", R_OK | W_OK) == 0 else { return "needs /dev/udmabuf" }
      return huge ? pages(2 << 20, bytes, node) : nil
    case .dmaHeap(let name):
      return unsafe access("/dev/dma_heap/\(name)", R_OK) == 0 ? nil : "needs /dev/dma_heap"
    case .dmabuf: return nil
    }
  }

  private static func pages(_ size: Int, _ bytes: Int, _ node: Int?) -> String? {
    let counts = HugePagePool(pageSize: size, node: node).counts
    let needed = (bytes + size - 1) / size
    let free = counts.map { $0.free - $0.promised } ?? 0
    return free >= needed ? nil : "needs free huge pages (\(needed) of \(sizeText(size)))"
  }

  /// Cancels the test where a kind is not to be had.
  static func require(_ kind: AreaMemoryKind, bytes: Int, node: Int? = nil) throws {
    if let lack = lack(kind, bytes: bytes, node: node) { try Test.cancel(Comment(rawValue: lack)) }
  }

  /// The NUMA nodes that have memory.
  static let nodes: [Int] = KernelFile.names(in: "/sys/devices/system/node").compactMap { name in
    name.hasPrefix("node") ? Int(name.dropFirst(4)) : nil
  }

  /// Descriptors of this process that are dmabufs.
  static var openDMABufs: Int {
    KernelFile.names(in: "/proc/self/fd").filter { name in
      var target = [UInt8](repeating: 0, count: 64)
      let count = unsafe readlink("/proc/self/fd/\(name)", &target, target.count)
      return count > 0 && String(decoding: target.prefix(count), as: UTF8.self).contains("dmabuf")
    }.count
  }

  /// Free memory of a node.
  static func freeBytes(node: Int) -> Int? {
    let text = KernelFile.text("/sys/devices/system/node/node\(node)/meminfo") ?? ""
    let line = text.split(separator: "\n").first { $0.contains(" MemFree:") }
    return line?.split(separator: " ").dropLast().last.flatMap { Int($0) }.map { $0 << 10 }
  }
}
