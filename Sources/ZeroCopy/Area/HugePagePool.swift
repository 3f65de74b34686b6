/// The hugetlb pages of one size that an administrator has set aside.
struct HugePagePool: Equatable {
  let pageSize: Int
  /// Where pages must come from; nil takes them from any node.
  let node: Int?
  /// Nil where the kernel or the CPU has no pages of this size.
  let counts: Counts?
  /// Whether /proc/sys/vm/nr_hugepages is about this size.
  let isDefault: Bool

  struct Counts: Equatable {
    var total: Int
    var free: Int
    /// Free, but promised to mappings that have not touched them yet. Not known per node.
    var promised: Int
  }

  init(pageSize: Int, node: Int?, counts: Counts?, isDefault: Bool) {
    self.pageSize = pageSize
    self.node = node
    self.counts = counts
    self.isDefault = isDefault
  }

  /// Reads the pool as it is now.
  init(pageSize: Int, node: Int?) {
    let directory = HugePagePool.directory(pageSize: pageSize, node: node)
    var counts: Counts?
    if let total = KernelFile.number(directory + "/nr_hugepages"),
      let free = KernelFile.number(directory + "/free_hugepages")
    {
      let promised = KernelFile.number(directory + "/resv_hugepages") ?? 0
      counts = Counts(total: total, free: free, promised: promised)
    }
    let line = (KernelFile.text("/proc/meminfo") ?? "").split(separator: "\n")
      .first { $0.hasPrefix("Hugepagesize:") }
    let standard = line?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
    self.init(
      pageSize: pageSize, node: node, counts: counts, isDefault: standard == pageSize >> 10)
  }

  private static func directory(pageSize: Int, node: Int?) -> String {
    let place = node.map { "/sys/devices/system/node/node\($0)" } ?? "/sys/kernel/mm"
    return "\(place)/hugepages/hugepages-\(pageSize >> 10)kB"
  }

  /// The file that sets how many pages there are.
  var control: String {
    if node == nil && isDefault { return "/proc/sys/vm/nr_hugepages" }
    return HugePagePool.directory(pageSize: pageSize, node: node) + "/nr_hugepages"
  }

  /// What to do when `needed` pages could not be had.
  func remedy(needed: Int) -> String {
    let size = sizeText(pageSize)
    let place = node.map { " on node \($0)" } ?? ""
    guard let counts else {
      return "there is no pool of \(size) pages\(place) here (`ls /sys/kernel/mm/hugepages`): "
        + "the CPU, the kernel or the container does without them"
    }
    let free = max(counts.free - counts.promised, 0)
    guard free < needed else {
      return
        "\(free) pages of \(size) are free\(place), yet \(needed) were refused: another process "
        + "was faster, or the hugetlb limit of this control group or its cpuset forbids it"
    }
    let total = counts.total + needed - free
    let lack = needed == 1 ? "1 page of \(size) is" : "\(needed) pages of \(size) are"
    var text =
      "\(lack) needed\(place) and \(free) free: as root, `echo \(total) > \(control)`, then "
      + "`cat` it: the kernel sets aside as many as it finds"
    if pageSize >= 1 << 30 {
      text +=
        " (few or none once memory is in use; hugepagesz=1G hugepages=\(total) on the kernel's "
        + "command line sets them aside at boot)"
    }
    return text
  }
}
