/// What the kernel made of a wish for transparent huge pages.
enum TransparentPages {
  /// The size of one, on x86 and on arm64 with 4 KiB pages.
  static let size = 2 << 20

  /// How many bytes of this process's memory in a range are transparent huge pages.
  ///
  /// - Cost: reads all of /proc/self/smaps, for which the kernel walks the page tables.
  static func bytes(in range: Range<UInt>) -> Int {
    bytes(in: range, smaps: KernelFile.text("/proc/self/smaps") ?? "")
  }

  /// Mappings count that lie in the range as a whole.
  static func bytes(in range: Range<UInt>, smaps: String) -> Int {
    var isInside = false
    var total = 0
    for line in smaps.utf8.split(separator: UInt8(ascii: "\n")) {
      if let bounds = bounds(of: Substring(line)) {
        isInside = bounds.lowerBound >= range.lowerBound && bounds.upperBound <= range.upperBound
      } else if isInside,
        line.starts(with: "AnonHugePages:".utf8) || line.starts(with: "ShmemPmdMapped:".utf8)
      {
        let fields = line.split(separator: UInt8(ascii: " "))
        total += (fields.count > 1 ? Int(Substring(fields[1])) ?? 0 : 0) << 10
      }
    }
    return total
  }

  /// `7f00-7f10 rw-p …` starts a mapping; other lines are about it.
  private static func bounds(of line: Substring) -> Range<UInt>? {
    let ends = line.prefix { $0 != " " }.split(separator: "-", omittingEmptySubsequences: false)
    guard ends.count == 2, let low = UInt(ends[0], radix: 16), let high = UInt(ends[1], radix: 16),
      low < high
    else { return nil }
    return low..<high
  }

  /// Why memory is not all huge, and what to do about it; nil where it is.
  static func remark(huge: Int, of all: Int) -> String? {
    guard huge < all else { return nil }
    let setting = KernelFile.text("/sys/kernel/mm/transparent_hugepage/enabled") ?? ""
    return remark(huge: huge, of: all, setting: setting)
  }

  /// `setting` is the text of transparent_hugepage/enabled, the choice in brackets.
  static func remark(huge: Int, of all: Int, setting: String) -> String {
    let what = "only \(sizeText(huge)) of \(sizeText(all)) are transparent huge pages: "
    if setting.isEmpty { return what + "this kernel has none" }
    if setting.contains("[never]") {
      return what + "they are switched off (as root: "
        + "`echo madvise > /sys/kernel/mm/transparent_hugepage/enabled`)"
    }
    return what + "memory is too fragmented (as root: `echo 1 > /proc/sys/vm/compact_memory`, then "
      + "start again; pages set aside with vm.nr_hugepages are certain)"
  }
}
