import CIngestKernel
import Glibc

/// What the running kernel has of zero-copy receive, by its own word (IORING_REGISTER_QUERY, Linux
/// 6.18) and by trying. What a NIC allows is another question.
public struct KernelFeatures: Sendable, Equatable {
  /// The kernel's release, as in `uname -r`.
  public let release: String
  /// RECV_ZC with the registration of an interface queue (6.15).
  public let zeroCopyReceive: Answer
  /// Areas in dmabufs (6.16).
  public let dmabufAreas: Answer
  /// FLUSH_RQ and EXPORT, and with them shared interface queues (6.19).
  public let control: Answer
  public let importing: Answer
  /// Buffers larger than a page (7.0).
  public let bufferLength: Answer
  /// Interface queues without a device: everything is copied (7.1).
  public let deviceless: Answer
  /// Events for exhaustion and copies, and the count of copied bytes (7.2).
  public let events: Answer
  /// Bytes that the header of the refill ring takes; 0 where the kernel does not say.
  let refillHeader: Int

  public enum Answer: String, Sendable {
    case yes, no
    /// The kernel cannot be asked (before 6.18): registering tells.
    case unknown
  }

  /// Asks the kernel.
  ///
  /// - Cost: three system calls, and an io_uring of two entries for a moment.
  public init() {
    var query = ik_kernel_query()
    let error = unsafe ik_kernel_query(&query)
    self.init(
      release: KernelFeatures.runningRelease(), query: error == 0 ? query : nil,
      probe: error == 0 ? KernelFeatures.probe() : 0)
  }

  /// `probe` is the answer of ZCRX_CTRL to an id that does not exist.
  init(release: String, query: ik_kernel_query?, probe: Int32) {
    self.release = release
    guard let query else {
      // Before 6.18 the opcode list is no help: it names RECV_ZC even when that is not compiled in.
      let version = KernelFeatures.version(release)
      zeroCopyReceive = version.map { $0 < (6, 15) } == true ? .no : .unknown
      dmabufAreas = version.map { $0 < (6, 16) } == true ? .no : .unknown
      (control, importing, bufferLength, deviceless, events) = (.no, .no, .no, .no, .no)
      refillHeader = 0
      return
    }
    func said(_ yes: Bool) -> Answer { yes && probe != EOPNOTSUPP ? .yes : .no }
    zeroCopyReceive =
      query.request_opcodes <= UInt32(IK_OP_RECV_ZC) || probe == EOPNOTSUPP
      ? .no : probe == ENXIO ? .yes : .unknown
    let asked = query.zcrx_control_opcodes != 0
    dmabufAreas =
      asked ? said(query.zcrx_area_flags & UInt64(IK_ZCRX_AREA_DMABUF) != 0) : zeroCopyReceive
    control = said(asked)
    importing = said(query.zcrx_register_flags & UInt64(IK_ZCRX_REG_IMPORT) != 0)
    bufferLength = said(query.zcrx_features & UInt32(IK_ZCRX_FEATURE_RX_PAGE_SIZE) != 0)
    deviceless = said(query.zcrx_register_flags & UInt64(IK_ZCRX_REG_NODEV) != 0)
    events = said(query.zcrx_features & UInt32(IK_ZCRX_FEATURE_EVENT) != 0)
    refillHeader = Int(query.refill_header_bytes)
  }

  /// A kernel that has everything, for simulations.
  package static var simulated: KernelFeatures {
    var query = ik_kernel_query()
    query.request_opcodes = .max
    query.zcrx_control_opcodes = .max
    query.zcrx_register_flags = .max
    query.zcrx_area_flags = .max
    query.zcrx_features = .max
    query.refill_header_bytes = 64
    return KernelFeatures(release: "7.3", query: query, probe: ENXIO)
  }

  /// The first kernel with zero-copy receive.
  public static let firstRelease = "6.15"

  /// Every feature with the first kernel that has it, in order of age.
  public var table: [(feature: String, answer: Answer, since: String)] {
    [
      ("zero-copy receive (RECV_ZC)", zeroCopyReceive, KernelFeatures.firstRelease),
      ("areas in dmabufs", dmabufAreas, "6.16"),
      ("refill queue flush (FLUSH_RQ)", control, "6.19"),
      ("interface queue shared by rings", importing, "6.19"),
      ("buffers larger than a page (rx_buf_len)", bufferLength, "7.0"),
      ("receive without a NIC (NODEV)", deviceless, "7.1"),
      ("events and copy statistics", events, "7.2"),
    ]
  }

  /// Areas above this many bytes are refused: 1 GiB until 7.1 (io_uring/rsrc.c).
  public var areaLimit: Int {
    guard let version = KernelFeatures.version(release) else { return 1 << 30 }
    return version < (7, 2) ? 1 << 30 : 1 << 32
  }

  /// Major and minor number of a release; nil where it does not start with two.
  static func version(_ release: String) -> (Int, Int)? {
    let numbers = release.split(whereSeparator: { !$0.isNumber }).prefix(2).compactMap { Int($0) }
    return numbers.count == 2 ? (numbers[0], numbers[1]) : nil
  }

  static func runningRelease() -> String {
    var name = utsname()
    guard unsafe uname(&name) == 0 else { return "" }
    return unsafe withUnsafeBytes(of: &name.release) { bytes in
      unsafe String(decoding: bytes.prefix(while: { $0 != 0 }), as: UTF8.self)
    }
  }

  private static func probe() -> Int32 {
    guard let ring = try? Ring(entries: 2, completionEntries: 4) else { return 0 }
    return ring.probeZeroCopy()
  }
}
