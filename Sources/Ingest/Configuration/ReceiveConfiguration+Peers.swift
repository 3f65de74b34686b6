import ZeroCopy

extension ReceiveConfiguration {
  /// As many networks as an accepted connection is compared with, one after the other.
  static let mostNetworks = 1024

  /// The most peers that are turned away by name, once each; further ones are only counted.
  package static var mostNamed: Int { PeerGate.newsLimit }

  /// Refuses what is no list of networks, naming the part that is wrong.
  package static func checkNetworks(_ texts: [String]) throws(IngestError) {
    _ = try networks(texts)
  }

  /// Networks as they are spelled.
  static func networks(_ texts: [String]) throws(IngestError) -> [PeerPrefix] {
    guard texts.count <= mostNetworks else {
      throw IngestError(
        .usage, "\(texts.count) networks are more than \(mostNetworks)",
        remedy: "name larger ones, or let a firewall do it (`nft add set …`)")
    }
    do throws(PeerPrefixError) {
      var networks: [PeerPrefix] = []
      for text in texts { networks.append(try PeerPrefix(text)) }
      return networks
    } catch {
      throw IngestError(
        .usage, "\(error.text): \(error.problem)", remedy: error.remedy)
    }
  }

  /// Who may connect, and how much of them is taken; nil where nothing is asked for.
  func peerGate() throws(IngestError) -> PeerGate? {
    var rules = PeerGate.Rules()
    rules.allowed = try ReceiveConfiguration.networks(allow)
    rules.connections = UInt32(clamping: connectionsPerPeer)
    rules.bytes = maxBytesPerPeer
    rules.mostConnections = maxConnections
    return PeerGate(rules)
  }
}
