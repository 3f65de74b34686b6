@testable import NICControl

/// States to diagnose, made from replies of the kernel.
enum StateSamples {
  /// A NIC with four receive queues on which queue 3 can be bound.
  static func capable() throws -> NICState {
    let link = try Link(
      message: LinkMessages.message(flags: 1 | 1 << 16) {
        $0.add(56, text: "0000:3b:00.0")
        $0.add(57, text: "pci")
      })
    var queues: [Queue] = []
    for (number, napi) in [(UInt32(0), UInt32(8100)), (1, 8100), (2, 8102), (3, 8200)] {
      queues.append(try Queue(Attributes(NetdevMessages.queue(number) { $0.add(4, napi) }[...])))
    }
    queues.append(try Queue(Attributes(NetdevMessages.queue(0, direction: 1)[...])))
    var channels = try Channels(Attributes(EthtoolMessages.channels[...]))
    channels.current.combined = 4
    var rings = try Rings(Attributes(EthtoolMessages.rings[...]))
    rings.tcpDataSplit = .enabled
    rings.headerSplitThreshold = 0
    return NICState(
      link: link, numaNode: 0,
      driver: .value(
        DriverInfo(driver: "bnxt_en", version: "7.2", firmware: "229.0", bus: "0000:3b:00.0")),
      channels: .value(channels), rings: .value(rings),
      features: .value(try Features(Attributes(EthtoolMessages.features[...]))),
      scaling: .value(try ReceiveSideScaling(Attributes(EthtoolMessages.attributes { _ in }[...]))),
      contexts: .value([]),
      flowRules: .value(FlowRules(rules: [], capacity: 1024, picksLocations: true)),
      xdpFeatures: .value(XDPFeatures(actions: 0, receiveMetadata: 0, socketFlags: 0)),
      queues: .value(queues), napis: .value([]), pagePools: .value([]))
  }
}
