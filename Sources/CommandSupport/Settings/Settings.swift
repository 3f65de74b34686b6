package import Ingest
package import JSON5
import Stages

extension Setting<ReceiveConfiguration> {
  /// Every key of a receiver's configuration.
  package static var all: [Setting] {
    [
      .choice("engine", \.engine),
      .optionalText("listen", \.listen, "an address or a host name"),
      .count("port", \.port, in: 0...65535),
      .optionalText("ifname", \.ifname, "an interface's name, such as \"eth1\""),
      .numbers("queues", \.queues, of: "queue"),
      .networks("allow", \.allow) { texts throws(IngestError) in
        try ReceiveConfiguration.checkNetworks(texts)
      },
      .choice("family", \.family),
      .count("threads", \.threads, in: 1...256),
      .numbers("cpus", \.cpus, of: "CPU"),
      .stage("parse", \.parse) { text throws(SpecificationError) in
        try ParseSpecification(text)
      },
      .stage("checksum", \.checksum) { text throws(SpecificationError) in
        try ChecksumSpecification(text)
      },
      .stage("sink", \.sink) { text throws(SpecificationError) in try SinkSpecification(text) },
      .stages("stages", \.stages) { text throws(SpecificationError) in
        try PluginSpecification.list(text)
      },
      .seconds("stageTimeout", \.stageTimeout),
      .stage("place", \.place) { text throws(SpecificationError) in
        try PlaceSpecification(text)
      },
      .size("area", \.area, in: 0...(1 << 40)),
      .size("buffer", \.buffer, in: 0...(64 << 20), powerOfTwo: true),
      .spelled("maxCopied", \.maxCopied, "a share from \"0%\" to \"100%\""),
      .spelled("memory", \.memory, "one of " + MemoryKind.spellings),
      .choice("receive", \.receive),
      .count("refill", \.refill, in: 0...32768),
      .count("completions", \.completions, in: 0...65536),
      .choice("refillMemory", \.refillMemory),
      .choice("nic", \.nic),
      .flag("force", \.force),
      .choice("privileges", \.privileges),
      .optionalText("user", \.user, "a user such as \"nobody\" or \"1000:100\""),
      .microseconds("busyPoll", \.busyPoll, upTo: 10_000),
      .count("waitBatch", \.waitBatch, in: 1...4096),
      .microseconds("minWait", \.minWait, upTo: 1_000_000),
      .flag("latency", \.latency),
      .count("maxConnections", \.maxConnections, in: 1...1_048_576),
      .count("connectionsPerPeer", \.connectionsPerPeer, in: 0...1_048_576),
      .size("maxBytesPerPeer", \.maxBytesPerPeer, in: 0...UInt64.max),
      .size("maxRecord", \.maxRecord, in: 0...UInt64(ParseSpecification.largestBound)),
      .size("socketBuffer", \.socketBuffer, in: 0...(1 << 30)),
      .seconds("peerTimeout", \.peerTimeout),
      .seconds("rebind", \.rebind),
      .seconds("time", \.time),
      .size("bytes", \.bytes, in: 0...UInt64.max),
      .count("connections", \.connections, in: 0...UInt64.max),
      .count("recordEvents", \.recordEvents, in: 0...(1 << 26)),
      .optionalText("record", \.record, "a path to record into"),
    ]
  }
}

extension Setting<SendConfiguration> {
  /// Every key of a sender's configuration.
  package static var all: [Setting] {
    [
      .text("host", \.host, "an address or a host name"),
      .count("port", \.port, in: 0...65535),
      .choice("transport", \.transport),
      .choice("family", \.family),
      .choice("method", \.method),
      .size("length", \.length, in: 1...(64 << 20)),
      .choice("source", \.source),
      .size("recordMinimum", \.recordMinimum, in: 0...(1 << 30)),
      .size("recordMaximum", \.recordMaximum, in: 0...(1 << 30)),
      .count("seed", \.seed, in: 0...UInt64.max),
      .choice("checksum", \.checksum),
      .optionalText("file", \.file, "a path, or \"-\" for standard input"),
      .count("streams", \.streams, in: 1...65536),
      .count("threads", \.threads, in: 1...256),
      .numbers("cpus", \.cpus, of: "CPU"),
      .seconds("time", \.time),
      .size("bytes", \.bytes, in: 0...UInt64.max),
      .count("records", \.records, in: 0...UInt64.max),
      .count("batch", \.batch, in: 1...1024),
      .size("pool", \.pool, in: 4096...(1 << 36)),
      .count("generation", \.generation, in: 1...1024),
      .flag("vectored", \.vectored),
      .optionalText("congestion", \.congestion, "a TCP congestion control such as \"cubic\""),
      .bitrate("bitrate", \.bitrate),
      .size("socketBuffer", \.socketBuffer, in: 0...(1 << 30)),
      .seconds("connectTimeout", \.connectTimeout),
    ]
  }
}

/// One flag given on the command line.
package struct Override: Sendable {
  package var flag: String
  package var key: String
  package var text: String

  package init?(_ flag: String, _ key: String, _ text: String?) {
    guard let text else { return nil }
    self.flag = flag
    self.key = key
    self.text = text
  }
}

extension Array {
  /// Applies flags over what a file or the defaults gave.
  package func apply<Root>(
    _ overrides: [Override], to root: inout Root
  ) throws(IngestError) where Element == Setting<Root> {
    for override in overrides {
      guard let setting = first(where: { $0.key == override.key }) else { continue }
      guard setting.write(&root, setting.lift(override.text)) else {
        throw IngestError(
          .usage, "\(override.flag): \(setting.refusal(setting.lift(override.text)))")
      }
    }
  }

  /// The whole configuration as a JSON object that a file can hold.
  package func object<Root>(of root: Root) -> [String: JSONValue] where Element == Setting<Root> {
    var object: [String: JSONValue] = [:]
    for setting in self { object[setting.key] = setting.read(root) }
    return object
  }
}
