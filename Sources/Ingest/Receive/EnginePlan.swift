import Glibc
import NICControl
import RingCore
import ZeroCopy

/// Which engine a configuration means, with everything that it left open filled in.
struct EnginePlan: Sendable {
  let engine: Engine
  /// Rings, each with a thread.
  let threads: Int
  /// Buffer lengths to try, longest first; one for the engines that can have any.
  let bufferLengths: [Int]
  /// Buffers that the NIC keeps posted for a queue.
  let ringBuffers: Int
  /// Why a better engine was not taken.
  let remark: String?

  enum Engine: Sendable, Equatable {
    case copy
    /// An interface queue per thread; nil is device-less.
    case zeroCopy(interface: UInt32, queues: [UInt32])
    case deviceless
  }

  init(_ configuration: ReceiveConfiguration) throws(IngestError) {
    var remark: String?
    switch configuration.engine {
    case .copy:
      try EnginePlan.refuseQueues(configuration, engine: "copy")
      engine = .copy
    case .nodev:
      try EnginePlan.refuseQueues(configuration, engine: "nodev")
      engine = .deviceless
    case .zcrx:
      engine = try EnginePlan.zeroCopy(configuration)
    case .auto where configuration.queues.isEmpty:
      engine = .copy
      remark =
        "engine copy: the kernel copies every byte once; --ifname and --queue name a NIC's "
        + "receive queue for zero-copy"
    case .auto:
      engine = try EnginePlan.zeroCopy(configuration)
    }
    self.remark = remark
    if case .zeroCopy = engine, let ifname = configuration.ifname {
      ringBuffers = EnginePlan.ringBuffers(of: ifname)
    } else {
      ringBuffers = 0
    }
    switch engine {
    case .copy:
      threads = configuration.threads
      bufferLengths = [configuration.copyBuffer]
    case .deviceless:
      threads = configuration.threads
      // The kernel takes no other length without a device.
      bufferLengths = [configuration.buffer == 0 ? Int(getpagesize()) : configuration.buffer]
    case .zeroCopy(_, let queues):
      threads = max(configuration.threads, queues.count)
      bufferLengths = EnginePlan.lengths(for: configuration)
      guard threads % queues.count == 0 else {
        throw IngestError(
          .usage, "--threads \(threads) cannot be spread evenly over \(queues.count) queues",
          remedy: "give each queue one thread, or a whole number of them")
      }
    }
  }

  /// Lengths worth trying: those that leave the area enough buffers to be one, and that its memory
  /// can hold, which is a page for base pages. A page is tried in any case, unless one was given.
  private static func lengths(for configuration: ReceiveConfiguration) -> [Int] {
    let fixed: Int? = configuration.buffer == 0 ? nil : configuration.buffer
    if fixed == nil && configuration.memory == .pages { return [BufferLengthTrial.pageSize] }
    let area = configuration.area == 0 ? AreaLayout.limit : configuration.area
    return BufferLengthTrial.candidates(areaBytes: area, fixed: fixed)
  }

  private static func refuseQueues(
    _ configuration: ReceiveConfiguration, engine: String
  ) throws(IngestError) {
    guard !configuration.queues.isEmpty else { return }
    throw IngestError(
      .usage, "--engine \(engine) binds no queue, so --queue means nothing",
      remedy: "leave --queue out, or take --engine zcrx")
  }

  private static func zeroCopy(_ configuration: ReceiveConfiguration) throws(IngestError) -> Engine
  {
    guard let ifname = configuration.ifname, !configuration.queues.isEmpty else {
      throw IngestError(
        .usage, "zero-copy receive needs an interface and a receive queue of it",
        remedy: "for example --ifname eth1 --queue 8; `ethtool -l eth1` tells how many it has")
    }
    guard Set(configuration.queues).count == configuration.queues.count else {
      throw IngestError(.usage, "--queue names a queue twice")
    }
    let index = unsafe if_nametoindex(ifname)
    guard index != 0 else {
      let missing = RegistrationDiagnosis(missingInterface: ifname)
      throw IngestError(.failed, missing.what, remedy: missing.remedy)
    }
    return .zeroCopy(interface: index, queues: configuration.queues.map { UInt32(clamping: $0) })
  }

  /// The queue of a thread, and whether it is the one that registers it: the first to come does,
  /// later ones share it.
  func queue(of thread: Int) -> (queue: UInt32, shares: Bool)? {
    guard case .zeroCopy(_, let queues) = engine else { return nil }
    return (queues[thread % queues.count], thread >= queues.count)
  }

  /// Whether more than one ring is bound to a queue.
  var isShared: Bool {
    guard case .zeroCopy(_, let queues) = engine else { return false }
    return threads > queues.count
  }

  /// Areas in all: rings that share a queue share its area.
  var areas: Int {
    if case .zeroCopy(_, let queues) = engine { queues.count } else { threads }
  }
}
