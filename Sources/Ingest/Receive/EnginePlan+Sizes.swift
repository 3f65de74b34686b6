import Glibc
import NICControl
import RingCore
import ZeroCopy

extension ReceiveConfiguration {
  /// Bytes of area per ring of the copy engine: where leases come back at once, so few that what
  /// the kernel copies stays near a core's own cache; else twice as many, for those that are held.
  /// Smaller ones run empty within a wait.
  package var copyArea: Int {
    if area > 0 { return area }
    return sink == "null" && place.isEmpty ? 4 << 20 : 8 << 20
  }

  /// Bytes of one buffer of the copy engine: 64 KiB cost more over veth and the same over loopback,
  /// 16 KiB the same over veth and more over loopback (tools/bench/LOG.md).
  package var copyBuffer: Int { buffer > 0 ? buffer : 32 << 10 }
}

// How large areas and rings are.
extension EnginePlan {
  /// Connections that an area is sized for, and the unread bytes that each may leave in it: with
  /// more of them buffers run out sooner, and TCP holds the senders back.
  static let sizedConnections = 16
  static let sizedUnread = 1 << 20
  /// Leases that a sink which writes may hold past their batch.
  static let sizedHolds = 1024

  /// Bytes of area per ring, with buffers of this length.
  func area(_ configuration: ReceiveConfiguration, bufferLength: Int) -> Int {
    if engine == .copy { return configuration.copyArea }
    if configuration.area != 0 { return configuration.area }
    return sizing(configuration, bufferLength: bufferLength).layout.byteCount
  }

  /// The sum behind the sizes of a zero-copy engine.
  func sizing(_ configuration: ReceiveConfiguration, bufferLength: Int) -> AreaSizing {
    let features = KernelFeatures()
    var demand = AreaSizing.Demand()
    demand.bufferLength = bufferLength
    demand.ringBuffers = ringBuffers
    if engine == .deviceless { demand.poolBuffers = 0 }
    demand.heldLeases = configuration.sink == "null" ? 0 : EnginePlan.sizedHolds
    demand.connections = min(configuration.maxConnections, EnginePlan.sizedConnections)
    demand.unreadBytes = EnginePlan.sizedUnread
    demand.areaLimit = features.areaLimit
    demand.areas = areas
    let host = RegistrationHost.current()
    demand.lockedLimit = host.hasLockRight ? nil : host.lockLimit.map { Int(clamping: $0) }
    demand.areaBytes = configuration.area == 0 ? nil : configuration.area
    demand.refillEntries = configuration.refill == 0 ? nil : configuration.refill
    demand.completionEntries = configuration.completions == 0 ? nil : configuration.completions
    return AreaSizing(demand)
  }

  /// Rings are made before it is known how long buffers can be, so for the shortest, of which
  /// there are the most. What was asked for is taken as it is.
  func ringSizes(_ configuration: ReceiveConfiguration) -> RingSizes {
    let sum = sizing(configuration, bufferLength: bufferLengths.last ?? Int(getpagesize()))
    return RingSizes(
      refill: UInt32(configuration.refill == 0 ? sum.refillEntries : configuration.refill),
      completions: UInt32(
        configuration.completions == 0 ? sum.completionEntries : configuration.completions))
  }

  struct RingSizes: Sendable {
    var refill: UInt32
    var completions: UInt32
  }

  /// Buffers that the NIC keeps posted for a queue; a common ring's where nothing tells.
  static func ringBuffers(of ifname: String) -> Int {
    guard let access = try? NICAccess(), let link = try? access.link(named: ifname),
      let posted = try? access.rings(of: link).receive
    else { return 1024 }
    return Int(posted)
  }
}
