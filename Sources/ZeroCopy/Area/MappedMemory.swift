import CIngestKernel
import Glibc

/// Mapped memory between two pages that nothing may touch, so that a stray access beyond either
/// end stops the process where it happens. Unmapped when let go of.
///
/// Kept out of forked children, whose first write to a pinned page would leave one of the two
/// processes with another page than the device has; and out of core dumps, because what is received
/// or sent here is payload.
@safe
struct MappedMemory: ~Copyable {
  let base: UnsafeMutableRawPointer
  let byteCount: Int
  private let mapping: ik_mapping

  static let pageSize = sysconf(Int32(_SC_PAGESIZE))

  /// What is mapped.
  enum Source {
    /// Private memory in ordinary pages, or in hugetlb pages of `1 << hugeShift` bytes.
    case anonymous(hugeShift: Int32 = 0)
    /// The start of a memfd or a dmabuf, shared.
    case descriptor(Int32, writable: Bool)
    /// Addresses without memory: any access is an error.
    case nothing
  }

  /// Maps `byteCount` bytes, rounded up to whole units of `alignment`; an error calls them `what`
  /// and ends with `remedy`, if given. Nothing is faulted in yet.
  init(
    _ what: String, byteCount: Int, alignment: Int = pageSize, from source: Source = .anonymous(),
    remedy: String? = nil
  ) throws(RingError) {
    let unit = max(alignment, MappedMemory.pageSize)
    let rounded = (byteCount + unit - 1) / unit * unit
    var mapping = unsafe ik_mapping()
    let error =
      switch source {
      case .anonymous(let shift):
        unsafe ik_map(rounded, unit, PROT_READ | PROT_WRITE, shift, -1, &mapping)
      case .descriptor(let descriptor, let writable):
        unsafe ik_map(
          rounded, unit, writable ? PROT_READ | PROT_WRITE : PROT_READ, 0, descriptor, &mapping)
      case .nothing:
        unsafe ik_map(rounded, unit, PROT_NONE, 0, -1, &mapping)
      }
    guard error == 0, let at = unsafe mapping.at else {
      throw RingError("map \(what)", errno: -error, remedy: remedy ?? MappedMemory.remedy(-error))
    }
    unsafe ik_keep_private(at, rounded)
    unsafe base = at
    self.byteCount = rounded
    unsafe self.mapping = mapping
  }

  deinit {
    unsafe withUnsafePointer(to: mapping) { unsafe ik_unmap($0) }
  }

  /// The most bytes that ``extend(_:by:)`` takes.
  static let longestTail = Int(IK_TAIL_BYTES)

  /// Maps ordinary memory right behind this, faulted in, for the CPU alone.
  func extend(_ what: String, by bytes: Int) throws(RingError) {
    let page = MappedMemory.pageSize
    let rounded = (bytes + page - 1) / page * page
    let error = unsafe withUnsafePointer(to: mapping) { unsafe ik_map_tail($0, rounded) }
    guard error == 0 else {
      throw RingError("map \(what)", errno: -error, remedy: MappedMemory.remedy(-error))
    }
    unsafe ik_keep_private(base + byteCount, rounded)
    let failure = unsafe ik_populate(base + byteCount, rounded)
    guard failure == 0 else {
      throw RingError("fault in \(what)", errno: -failure, remedy: MappedMemory.remedy(-failure))
    }
  }

  /// Has every page come from one NUMA node; before ``populate(_:)``. Nil leaves it to where the
  /// thread runs.
  func bind(to node: Int?) throws(RingError) {
    guard let node else { return }
    let error = unsafe ik_bind_memory(base, byteCount, Int32(clamping: node))
    // A kernel without NUMA has node 0 alone.
    guard error == 0 || (error == -ENOSYS && node == 0) else {
      throw RingError(
        "take memory from NUMA node \(node)", errno: -error, remedy: NUMANodes.remedy)
    }
  }

  /// Asks for transparent huge pages, or for none. Best effort.
  func adviseHuge(_ wanted: Bool) { unsafe ik_advise_huge(base, byteCount, wanted ? 1 : 0) }

  /// Turns what is on base pages into huge pages, as far as the kernel finds some. Best effort.
  func collapse() { unsafe ik_collapse(base, byteCount) }

  /// Faults every page in, so that want of memory is an error now and not a signal later.
  func populate(_ what: String, remedy: String? = nil) throws(RingError) {
    let error = unsafe ik_populate(base, byteCount)
    guard error == 0 else {
      throw RingError(
        "fault in \(what)", errno: -error, remedy: remedy ?? MappedMemory.remedy(-error))
    }
  }

  private static func remedy(_ errno: Int32) -> String {
    switch errno {
    case ENOMEM, EFAULT:
      return "too little memory is free, or this process may not have more: see `free -m`, "
        + "`ulimit -v` and the memory limit of its control group; or ask for less"
    case EACCES, EPERM:
      return "the descriptor was not opened for reading and writing"
    default:
      return "the kernel may say why: `dmesg | tail`"
    }
  }
}

/// The NUMA nodes of this machine.
enum NUMANodes {
  static var remedy: String {
    let online = KernelFile.text("/sys/devices/system/node/online")?.split(separator: "\n").first
    return "this machine's nodes are \(online ?? "0") (`cat /sys/devices/system/node/online`), and "
      + "`grep Mems_allowed_list /proc/self/status` shows those allowed here"
  }
}

/// A descriptor that is closed when let go of; -1 is none.
struct OwnedDescriptor: ~Copyable {
  let value: Int32

  init(_ value: Int32) { self.value = value }

  deinit { if value >= 0 { close(value) } }
}
