import CommandSupport
import Ingest

/// What a newcomer is told at the end of a good run.
enum LoopbackResult {
  static func lines(
    _ configuration: ReceiveConfiguration, _ receive: ReceivePart, _ send: SendPart
  ) -> [String] {
    let counters = receive.counters
    let isVerified = configuration.checksum.hasSuffix(":verify")
    let records = grouped(counters.records)
    func row(_ name: String, _ text: String) -> String { "  " + Units.right(name, 18) + text }
    let result = [
      "",
      "Result: every byte sent arrived"
        + (isVerified && counters.records > 0 ? ", every record verified" : ""),
      row(
        "throughput",
        Summary.hasCosts(counters.bytes)
          ? Units.rate(receive.bitsPerSecond).trimmed
            + ", \(Units.fixed(Double(counters.bytes) / 1e9, 2)) GB in "
            + "\(Units.fixed(receive.busySeconds, 2)) s"
          : "\(plural(counters.bytes, "byte")): too few to tell"),
      row(
        "records",
        isVerified
          ? "\(records) verified (\(configuration.checksum)), 0 lost, 0 damaged" : records),
      row(
        "copied",
        "\(Units.fixed(receive.copiedShare * 100, 0)) % by the receiving kernel, "
          + "\(Units.fixed(send.copiedShare * 100, 0)) % by the sending one "
          + "(loopback always copies)"),
    ]
    let costs = [
      row(
        "wake-ups",
        "\(Units.fixed(receive.entersPerGB, 0)) per GB, for "
          + "\(Units.fixed(receive.completionsPerGB, 0)) completions"),
      row(
        "CPU",
        "\(Units.fixed(receive.cpuSecondsPerGB, 3)) s per GB to receive, "
          + "\(Units.fixed(send.cpuSecondsPerGB, 3)) s per GB to send"),
    ]
    return result + (Summary.hasCosts(counters.bytes) ? costs : []) + next
  }

  private static let next = [
    "",
    "Next:",
    "  ingest --port 5301 --parse wire --checksum crc32c:verify    on the receiving host",
    "  ingest-send --to THAT-HOST                                  on the sending one",
    "  ingest --parse lines --sink file:/tmp/out                   your own lines, to files",
    "  ingest stages                                               what else there is",
  ]

  /// `1,234,567`.
  private static func grouped(_ value: UInt64) -> String {
    var text = ""
    for (index, digit) in String(value).reversed().enumerated() {
      if index > 0 && index % 3 == 0 { text.append(",") }
      text.append(digit)
    }
    return String(text.reversed())
  }
}
