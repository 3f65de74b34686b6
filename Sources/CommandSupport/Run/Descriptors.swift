package import Ingest

/// Makes room for as many descriptors as a receiver may need: raises the soft limit, up to the hard
/// one. Returns a sentence where that is not enough.
package func makeRoomForDescriptors(_ configuration: ReceiveConfiguration) -> String? {
  var need = DescriptorNeed(configuration)
  need.raise()
  guard need.isShort else { return nil }
  return "\(configuration.maxConnections) connections may need \(need.wanted) descriptors, and "
    + "\(need.allowed) are allowed: connections that have none wait; raise the hard limit "
    + "(`ulimit -Hn`, LimitNOFILE=), or lower --max-connections"
}
