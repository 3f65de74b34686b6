/// Queues of a NIC by what they do (`ethtool -l`). Kinds that a driver does not have are 0.
public struct Channels: Equatable, Sendable {
  public var current: Counts
  public var maximum: Counts

  public struct Counts: Equatable, Hashable, Sendable {
    public var receive: UInt32
    public var transmit: UInt32
    /// Pairs of a receive and a transmit queue.
    public var combined: UInt32
    /// Interrupts for link changes and the like.
    public var other: UInt32

    /// Receive queues, numbered from 0.
    public var receiveQueues: UInt32 { receive &+ combined }
  }
}

private enum ChannelsNumber {
  static let get: UInt8 = 17
  static let set: UInt8 = 18
  static let receiveMaximum: UInt16 = 2
  static let transmitMaximum: UInt16 = 3
  static let otherMaximum: UInt16 = 4
  static let combinedMaximum: UInt16 = 5
  static let receive: UInt16 = 6
  static let transmit: UInt16 = 7
  static let other: UInt16 = 8
  static let combined: UInt16 = 9
}

extension Channels: AttributeDecodable {
  init(_ attributes: Attributes) throws(MalformedMessage) {
    current = Counts(
      receive: try attributes.integer(ChannelsNumber.receive) ?? 0,
      transmit: try attributes.integer(ChannelsNumber.transmit) ?? 0,
      combined: try attributes.integer(ChannelsNumber.combined) ?? 0,
      other: try attributes.integer(ChannelsNumber.other) ?? 0)
    maximum = Counts(
      receive: try attributes.integer(ChannelsNumber.receiveMaximum) ?? 0,
      transmit: try attributes.integer(ChannelsNumber.transmitMaximum) ?? 0,
      combined: try attributes.integer(ChannelsNumber.combinedMaximum) ?? 0,
      other: try attributes.integer(ChannelsNumber.otherMaximum) ?? 0)
  }
}

extension NICAccess {
  /// Linux 5.7.
  public func channels(of link: Link) throws(NetlinkError) -> Channels {
    try ethtool().get(
      ChannelsNumber.get, "read the channels of \(link.name)", Ethtool.header(link))
  }
}

// Changes.
extension NICAccess {
  /// Has the driver use so many queues (`ethtool -L`). Kinds it does not have stay 0. Most drivers
  /// restart the interface for it. Linux 5.7; needs CAP_NET_ADMIN.
  public func setChannels(
    _ counts: Channels.Counts, of link: Link
  ) throws(NetlinkError) {
    let now = try channels(of: link).current
    try ethtool().change(ChannelsNumber.set, "set the channels of \(link.name)") {
      Ethtool.header(link)(&$0)
      if counts.receive != now.receive { $0.add(ChannelsNumber.receive, counts.receive) }
      if counts.transmit != now.transmit { $0.add(ChannelsNumber.transmit, counts.transmit) }
      if counts.combined != now.combined { $0.add(ChannelsNumber.combined, counts.combined) }
      if counts.other != now.other { $0.add(ChannelsNumber.other, counts.other) }
    }
  }
}
