import CIngestKernel
import Glibc
import NICControl
import RingCore
import ZeroCopy

/// Registering interface queues with words for what the kernel says by errno alone.
struct Registration: Sendable {
  let ifname: String
  let interface: UInt32

  /// A killed receiver's ring is torn down by a kernel worker, which restarts the queue; the
  /// kernel's own tests allow it five seconds.
  static let patience: UInt64 = 5_000_000_000

  /// The memory node next to the NIC, where an area is best; nil where there is no choice.
  var numaNode: Int? { try? NICAccess().numaNode(of: ifname) }

  /// Waits for another ring to let go of a queue. True once it is free; false when it is still
  /// taken at the end. `tell` is called when there is something to wait for.
  func waitUntilFree(_ queue: UInt32, tell: (String) -> Void) -> Bool {
    guard let access = try? NICAccess() else { return false }
    // One that runs holds its queue for good: only one that is gone is worth waiting for.
    let watch = QueueWatch(access, interface: interface, queue: queue)
    var told = false
    let outcome = try? watch.waitUntilFree(within: Registration.patience) { _, _ in
      if !told {
        tell("\(ifname) queue \(queue) is still bound to another ring; waiting for its release")
      }
      told = true
      return true
    }
    return outcome == .free
  }

  /// Why there can be no ring at all, where that is known. It has nothing to do with a NIC.
  static func explain(ring error: RingError) -> RegistrationDiagnosis? {
    let host = RegistrationHost.current(KernelFeatures())
    return RegistrationDiagnosis(ringRefused: error.errno, host: host)
  }

  /// Why the kernel refused, in the order of its own checks. Reads the NIC's state as it is now.
  static func explain(
    _ errno: Int32, features: KernelFeatures, wish: RegistrationWish
  ) -> IngestError {
    var host = RegistrationHost.current(features)
    if errno == EEXIST { host.owners = QueueOwner.candidates() }
    let name = wish.target?.interface
    let state = name.flatMap { name in try? NICAccess().state(of: name) }
    return IngestError(
      RegistrationDiagnosis(errno: errno, wish: wish, host: host, state: state))
  }
}

extension IngestError {
  init(_ diagnosis: RegistrationDiagnosis) {
    let kind: Kind =
      switch diagnosis.kind {
      case .notSupported: .notSupported
      case .refused: .refusedByKernel
      case .noPrivilege: .noPrivilege
      case .failed: .failed
      }
    self.init(kind, diagnosis.what, remedy: diagnosis.remedy)
  }
}

extension RegistrationHost {
  /// This process and its kernel, with what the kernel says of itself.
  static func current(_ features: KernelFeatures) -> RegistrationHost {
    var host = current()
    host.features = features.reported
    host.isCompiledIn = features.isCompiledIn
    return host
  }
}

extension RegistrationWish {
  /// What a start registers. A page is what buffers are where no length is given.
  init(
    _ configuration: ReceiveConfiguration, _ layout: AreaLayout, queue: UInt32?,
    refillEntries: UInt32
  ) {
    let isPage = layout.bufferSize == Int(getpagesize())
    self.init(
      target: queue.map { .init(interface: configuration.ifname ?? "", queue: $0) },
      areaBytes: UInt64(layout.byteCount), memory: configuration.memory.asWished,
      bufferBytes: isPage ? 0 : UInt64(layout.bufferSize), refillEntries: UInt64(refillEntries))
  }
}

extension KernelFeatures {
  /// Nil where the kernel cannot be asked.
  fileprivate var reported: Set<ZeroCopyFeature>? {
    guard control == .yes else { return nil }
    let all: [(ZeroCopyFeature, Bool)] = [
      (.interfaceQueues, zeroCopyReceive == .yes), (.dmabufAreas, dmabufAreas == .yes),
      (.largeBuffers, bufferLength == .yes), (.deviceless, deviceless == .yes),
      (.largeAreas, areaLimit > 1 << 30),
    ]
    return Set(all.filter(\.1).map(\.0))
  }

  fileprivate var isCompiledIn: Bool? {
    switch zeroCopyReceive {
    case .yes: true
    case .no: false
    case .unknown: nil
    }
  }
}

extension MemoryKind {
  /// How large its contiguous pieces are decides how long buffers can be.
  var asWished: RegistrationWish.Memory {
    switch self {
    case .pages: .pages
    case .thp: .transparentHugePages
    case .huge2m: .hugePages(2 << 20)
    case .huge1g: .hugePages(1 << 30)
    case .udmabuf, .dmaHeap, .dmabuf: .dmabuf
    }
  }
}
