@testable import NICControl

/// All decoders of what the kernel sends.
extension MessageDecoder {
  static let all = framing + ethtoolFamily + structures + netdevFamily + links + notifications

  private static let attributeSamples = [
    EthtoolMessages.rings, EthtoolMessages.features, EthtoolMessages.scaling,
    NetdevMessages.leasedQueue, NetdevMessages.pagePoolStatistics, deepNest(12),
  ]

  /// Nests in one another, each of which says that it has all the rest. A message of netlink
  /// holds 16383 at most, because a length has 16 bits.
  static func deepNest(_ depth: Int) -> [UInt8] {
    (1...depth).reversed().flatMap { level in
      littleEndianBytes(of: UInt16(level * 4)) + littleEndianBytes(of: UInt16(0x8001))
    }
  }

  private static let framing = [
    MessageDecoder(
      "Attributes", samples: attributeSamples,
      weight: { (read: Attributes) in read.list.reduce(0) { $0 + 4 + $1.value.count } },
      rewrite: { read throws(MalformedMessage) in
        var writer = AttributeWriter()
        for attribute in read.list { writer.add(attribute.number, bytes: Array(attribute.value)) }
        return try Attributes(writer.bytes[...])
      }
    ) { bytes throws(MalformedMessage) in try Attributes(bytes) },
    MessageDecoder(
      "Acknowledgement", samples: acknowledgements,
      weight: { (end: Acknowledgement) in weight(end.message) }
    ) { bytes throws(MalformedMessage) in
      let kind: Acknowledgement.Kind = bytes.first.map { $0 & 1 == 1 } == true ? .done : .error
      let flags: UInt16 = bytes.number(at: 1) ?? 0
      return try Acknowledgement(kind: kind, flags: flags, payload: bytes.dropFirst(3))
    },
  ]

  /// The kind, the flags, and the payload.
  private static let acknowledgements: [[UInt8]] = {
    var words = AttributeWriter()
    words.add(1, text: "tcp-data-split is disabled")
    words.add(2, UInt32(20))
    let status: [UInt8] = [0xea, 0xff, 0xff, 0xff]
    let header = [20, 0, 0, 0] + [UInt8](repeating: 0, count: 12)
    let capped: [UInt8] = [0, 0, 3]
    let whole: [UInt8] = [0, 0, 2]
    let done: [UInt8] = [1, 0, 2]
    return [
      capped + status + header + words.bytes, whole + status + header + [1, 2, 3, 4] + words.bytes,
      done + status + words.bytes, [1, 0, 0],
    ]
  }()

  private static let ethtoolFamily: [MessageDecoder] = [
    .of(Rings.self, [EthtoolMessages.rings]),
    .of(Channels.self, [EthtoolMessages.channels]),
    .of(Features.self, [EthtoolMessages.features]) {
      weight($0.changeable) + weight($0.wanted) + weight($0.active) + weight($0.fixed)
    },
    .of(ReceiveSideScaling.self, [EthtoolMessages.scaling]) {
      $0.indirection.count * 4 + $0.key.count
    },
    MessageDecoder(
      "Bitset", samples: [EthtoolMessages.bits], weight: { (bits: Bitset) in weight(bits.set) }
    ) {
      bytes throws(MalformedMessage) in try Bitset(Attributes(bytes))
    },
  ]

  private static let netdevFamily: [MessageDecoder] = [
    .of(
      Queue.self,
      [
        NetdevMessages.ioUringQueue, NetdevMessages.wideIOUringQueue, NetdevMessages.leasedQueue,
      ]),
    .of(NAPI.self, [NetdevMessages.napi]),
    .of(PagePool.self, [NetdevMessages.pagePool]),
    MessageDecoder("PagePool.Statistics", samples: [NetdevMessages.pagePoolStatistics]) {
      bytes throws(MalformedMessage) in
      try PagePoolStatisticsReply(Attributes(bytes)).statistics
    },
    .of(QueueStatistics.self, [NetdevMessages.queueStatistics]) { $0.counters.count * 5 },
    .of(XDPFeatures.self, [NetdevMessages.device]),
  ]

  private static let links = [
    MessageDecoder(
      "Link", samples: LinkMessages.samples,
      weight: { (link: Link) in
        weight(link.name) + weight(link.kind) + weight(link.parent?.bus)
          + weight(link.parent?.name)
      }
    ) { bytes throws(MalformedMessage) in try Link(message: Array(bytes)) }
  ]
}

/// Structures of the ethtool ioctl, and notifications.
extension MessageDecoder {
  fileprivate static let structures = [
    MessageDecoder(
      "FlowRule", samples: [EthtoolStructures.rule],
      rewrite: { (rule: FlowRule) throws(MalformedMessage) in
        rule.specification.flatMap { FlowRule(specification: $0[...], context: 3) }
      }
    ) { bytes throws(MalformedMessage) in
      guard let rule = FlowRule(specification: bytes, context: 3) else {
        throw MalformedMessage("too short")
      }
      return rule
    },
    MessageDecoder(
      "FlowRuleList", samples: [EthtoolStructures.ruleList],
      weight: { (list: FlowRuleList) in list.locations.count * 4 }
    ) { bytes throws(MalformedMessage) in
      // The answer about the count, and that with the locations.
      try FlowRuleList(counted: Array(bytes.prefix(192)), listed: Array(bytes.dropFirst(192)))
    },
    MessageDecoder(
      "DriverInfo", samples: [EthtoolStructures.information], readsAll: true,
      weight: { (info: DriverInfo) in
        weight(info.driver) + weight(info.version) + weight(info.firmware) + weight(info.bus)
      }
    ) { bytes throws(MalformedMessage) in DriverInfo(structure: Array(bytes)) },
    MessageDecoder(
      "DriverStatistic", samples: [EthtoolStructures.statistics],
      weight: { (all: [DriverStatistic]) in all.reduce(0) { $0 + 8 + weight($1.name) } }
    ) { bytes throws(MalformedMessage) in
      // How long the names are, how many there should be, then both answers.
      let length: UInt16 = bytes.number(at: 0) ?? 0
      let count: UInt32 = bytes.number(at: 2) ?? 0
      let rest = bytes.dropFirst(6)
      let joined = DriverStatistic.joined(
        names: Array(rest.prefix(Int(length))), values: Array(rest.dropFirst(Int(length))),
        count: Int(count))
      guard let joined else { throw MalformedMessage("not about as many counters") }
      return joined
    },
  ]

  fileprivate static let notifications = [
    MessageDecoder(
      "NICChange.ethtool",
      samples: [17, 19, 13, 50, 53].map { number in
        NotificationMessages.ethtool(number) { $0.add(2, UInt32(number)) }
      }
    ) { bytes throws(MalformedMessage) in try NICChange.ethtool(Array(bytes), interface: 7) },
    MessageDecoder(
      "NICChange.netdev",
      samples: [
        NotificationMessages.netdev(4) { $0.add(1, UInt32(7)) },
        [6, 1, 0, 0] + NetdevMessages.pagePool,
      ]
    ) { bytes throws(MalformedMessage) in try NICChange.netdev(Array(bytes), interface: 7) },
    MessageDecoder(
      "NICChange.route",
      samples: LinkMessages.samples.map { [16, 0] + $0 }
        + LinkMessages.samples.map { [17, 0] + $0 }
    ) { bytes throws(MalformedMessage) in
      let message = Notification(
        type: bytes.number(at: 0) ?? 0, payload: Array(bytes.dropFirst(2)))
      return try NICChange.route(message, interface: 7)
    },
  ]
}
