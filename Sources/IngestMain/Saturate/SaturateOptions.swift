import ArgumentParser
import CommandSupport

/// The flags of `ingest saturate` beside those of `ingest loopback`.
struct SaturateOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Plan for a NIC of this rate.", valueName: "200G"))
  var rate: String?
  @Option(
    help: ArgumentHelp("Bytes of its largest IP packet; without it no headers are counted."))
  var mtu: Int?
  @Option(
    help: ArgumentHelp(
      "Bytes of one buffer of the area, of this run and of the plan (32K here, 4K planned).",
      valueName: "4K"))
  var buffer: String?
  @Option(help: ArgumentHelp("Plan for so much more than the mean.", valueName: "1.25"))
  var headroom: Double = 1.25

  @Option(help: ArgumentHelp("Bytes of area per receiving thread.", valueName: "size"))
  var area: String?
  @Option(help: ArgumentHelp("auto, nodev (7.1), copy.", valueName: "kind"))
  var engine: String?
  @Option(help: ArgumentHelp("Entries of the refill ring.", valueName: "count"))
  var refill: String?
  @Option(help: ArgumentHelp("Entries of the completion queue.", valueName: "count"))
  var completions: String?
  @Option(
    name: [.customShort("w", allowingJoined: true), .long],
    help: ArgumentHelp("SO_RCVBUF of connections; 0 leaves TCP's autotuning on.", valueName: "size")
  )
  var socketBuffer: String?
  @Option(
    help: ArgumentHelp(
      "Put a shared object's stage before the sink; again for more, in order.",
      valueName: "path[?key=value,…]"))
  var stage: [String] = []
  @Option(
    help: ArgumentHelp("The same in a process of its own.", valueName: "path[?key=value,…]"))
  var stageIsolated: [String] = []
  @Option(
    help: ArgumentHelp(
      "Run parts of the chain on other threads.", valueName: "part=cpuN"))
  var place: [String] = []

  func validate() throws {
    if let rate, (Units.bitrate(rate) ?? 0) == 0 {
      throw ValidationError("--rate \(rate): expected bits per second, such as 200G")
    }
    if let mtu, !(576...65535).contains(mtu) {
      throw ValidationError("--mtu \(mtu): expected bytes from 576 to 65535")
    }
    guard headroom >= 1 && headroom <= 10 else {
      throw ValidationError("--headroom \(headroom): expected a factor from 1 to 10")
    }
    if rate == nil && mtu != nil {
      throw ValidationError("--mtu is about the NIC to plan for: give its --rate, too")
    }
  }

  /// The NIC to plan for.
  var nic: CapacityWish? {
    guard let rate, let bits = Units.bitrate(rate) else { return nil }
    var wish = CapacityWish()
    wish.bitsPerSecond = Double(bits)
    wish.mtu = mtu
    if let bytes = buffer.flatMap(Units.bytes) { wish.bufferBytes = Int(clamping: bytes) }
    wish.headroom = headroom
    return wish
  }

  var overrides: [Override] {
    let stages = stage + stageIsolated.map { "isolated:" + $0 }
    return [
      Override("--buffer", "buffer", buffer),
      Override("--area", "area", area),
      Override("--engine", "engine", engine),
      Override("--refill", "refill", refill),
      Override("--completions", "completions", completions),
      Override("--socket-buffer", "socketBuffer", socketBuffer),
      Override("--stage", "stages", stages.isEmpty ? nil : stages.joined(separator: "\n")),
      Override("--place", "place", place.isEmpty ? nil : place.joined(separator: ",")),
    ].compactMap { $0 }
  }
}
