import Ingest

/// The last lines of a run, for people.
package enum Summary {
  package static let rule = "- - - - - - - - - - - - - - - - - - - - - - - - -"

  /// iperf3's total line for the receiving end, and what stands behind it.
  package static func receive(_ part: ReceivePart, _ format: RateFormat) -> [String] {
    let counters = part.counters
    var lines = [
      rowHead(
        "SUM", start: 0, end: part.busySeconds, bytes: counters.bytes,
        bitsPerSecond: part.bitsPerSecond, format) + "receiver"
    ]
    lines.append(
      "receiver: \(plural(counters.accepted, "connection")), "
        + "\(counted(counters.records, "record")), engine \(part.engine), "
        + truth(counters))
    if Summary.hasCosts(counters.bytes) {
      lines.append(
        "receiver: \(cpu(part.cpuSecondsPerGB)), "
          + "\(Units.fixed(part.entersPerGB, 0)) wake-ups and "
          + "\(Units.fixed(part.completionsPerGB, 0)) completions per GB")
    }
    if !part.stages.isEmpty && Summary.hasCosts(counters.bytes) {
      lines.append("stages: " + part.stages.map { Summary.price($0) }.joined(separator: ", "))
    }
    if counters.sinkBytes > 0 && part.sink != "null" {
      lines.append(
        "sink \(part.sink): \(Units.transfer(counters.sinkBytes).trimmed) written"
          + sendingOn(counters))
    }
    lines += undelivered(counters)
    lines += overflow(counters)
    if counters.rejected > 0 {
      lines.append(
        "turned away: \(plural(counters.rejected, "connection")), because as many as "
          + "--max-connections allows were open")
    }
    lines += turnedAway(counters)
    if counters.eventsDropped > 0 {
      lines.append(
        "\(plural(counters.eventsDropped, "event")) came too fast to be told one by one; the "
          + "counters have them")
    }
    lines += Pressure(to: counters).sentences
    return lines
  }

  /// Where bytes are that are not in the sink.
  private static func undelivered(_ counters: ReceiveCounters) -> [String] {
    var lines: [String] = []
    if counters.sinkLostBytes > 0 {
      lines.append(
        "lost: \(plural(counters.sinkLostRecords, "record")) in "
          + "\(Units.transfer(counters.sinkLostBytes).trimmed), which came to the sink "
          + "and no further")
    }
    let refused = counters.refusedBytes + counters.discardedBytes
    if refused > 0 {
      lines.append(
        "not taken: \(Units.transfer(refused).trimmed) of connections that were refused or cut off")
    }
    if counters.stageDroppedBytes > 0 {
      lines.append("let go of by stages: \(Units.transfer(counters.stageDroppedBytes).trimmed)")
    }
    return lines
  }

  /// Whom the limits met.
  private static func turnedAway(_ counters: ReceiveCounters) -> [String] {
    let reasons = [
      (counters.notAllowed, "of peers that --allow does not name"),
      (counters.peerConnections, "beyond the --connections-per-peer of one address"),
      (counters.peerBytes, "of addresses that had sent their --max-bytes-per-peer"),
      (counters.strangers, "of new addresses: bytes of as many are counted as there is room for"),
    ]
    var lines = reasons.filter { $0.0 > 0 }.map {
      "turned away: \(plural($0.0, "connection")) \($0.1)"
    }
    if counters.limited > 0 {
      lines.append(
        "limited: \(plural(counters.limited, "connection")) whose peers sent more than "
          + "--max-bytes-per-peer")
    }
    return lines
  }

  /// What a reader that was behind had as a consequence.
  private static func overflow(_ counters: ReceiveCounters) -> [String] {
    var lines: [String] = []
    if counters.sinkSpilledBytes > 0 {
      lines.append(
        "the sink's reader was full \(plural(counters.sinkFullTimes, "time")): "
          + "\(Units.transfer(counters.sinkSpilledBytes).trimmed) waited aside, "
          + "\(Units.transfer(counters.sinkReplayedBytes).trimmed) of it followed")
    }
    if counters.sinkDroppedBytes > 0 {
      lines.append(
        "dropped: \(plural(counters.sinkDroppedRecords, "record")) in "
          + "\(Units.transfer(counters.sinkDroppedBytes).trimmed), because the sink's reader was "
          + "behind (full=drop)")
    }
    return lines
  }

  /// In which class the bytes were, none of them rounded away.
  private static func truth(_ counters: ReceiveCounters) -> String {
    let truth = counters.truth
    if truth.copiedReceive == truth.total { return "100 % copied by the kernel" }
    var parts = ["\(Units.percent(ratio(truth.zeroCopy, truth.total))) zero-copy"]
    func add(_ bytes: UInt64, _ what: String) {
      if bytes > 0 { parts.append("\(Units.transfer(bytes).trimmed) \(what)") }
    }
    add(truth.copiedFragment, "copied from fragments")
    add(truth.copiedLinear, "copied from the linear part of packets")
    add(truth.copiedReceive, "copied by ordinary receives")
    add(truth.unknown, "unknown")
    return parts.joined(separator: ", ")
  }

  /// A part's name, what it costs, and its thread where that is not the ring's owner.
  private static func price(_ price: StagePrice) -> String {
    let place = price.place == "own" ? "" : " (thread \(price.place))"
    return "\(price.part) \(Units.fixed(price.nanosecondsPerKiB, 1)) ns/KiB\(place)"
  }

  /// The same for the sending end.
  package static func send(_ part: SendPart, _ format: RateFormat) -> [String] {
    let counters = part.counters
    let average = ratio(counters.bytes, counters.sends)
    var lines = [
      rowHead(
        "SUM", start: 0, end: part.elapsedSeconds, bytes: counters.bytes,
        bitsPerSecond: part.bitsPerSecond, format) + "sender"
    ]
    lines.append(
      "sender: method \(part.method), \(counted(counters.sends, "send")) of "
        + "\(Units.fixed(average, 0)) bytes on average, \(counted(counters.records, "record"))"
        + (Summary.hasCosts(counters.bytes) ? ", \(cpu(part.cpuSecondsPerGB))" : ""))
    lines.append(
      "sender: \(zeroCopy(counters)), \(plural(counters.retransmits, "retransmit"))")
    for stream in part.streams.prefix(10) {
      if let failure = stream.failure {
        lines.append("stream \(stream.local) -> \(stream.remote) ended early: \(failure)")
      }
    }
    return lines
  }

  /// Which way the sends went: what the kernel copied anyway is no zero-copy.
  private static func zeroCopy(_ counters: SendCounters) -> String {
    guard counters.zeroCopySends > 0 else { return "none of them zero-copy" }
    let share = ratio(counters.zeroCopySends, counters.sends) * 100
    let copied = ratio(counters.copiedSends, counters.zeroCopySends) * 100
    let asked = share > 99.5 ? "all" : plural(counters.zeroCopySends, "send")
    return "\(asked) asked for zero-copy, of which the kernel copied "
      + "\(Units.fixed(copied, 0)) % anyway"
  }

  /// Which way a sink sent its bytes; nothing where it did not.
  private static func sendingOn(_ counters: ReceiveCounters) -> String {
    guard counters.sinkZeroCopyBytes > 0 || counters.sinkKernelCopiedBytes > 0 else { return "" }
    let zeroCopy = ratio(counters.sinkZeroCopyBytes, counters.sinkBytes) * 100
    let copied = ratio(counters.sinkKernelCopiedBytes, counters.sinkBytes) * 100
    return ", \(Units.fixed(zeroCopy, 0)) % by zero-copy sends, \(Units.fixed(copied, 0)) % copied "
      + "by the kernel"
  }

  /// Costs per GB of a few bytes would be start-up time, multiplied.
  package static func hasCosts(_ bytes: UInt64) -> Bool { bytes >= 1 << 20 }

  private static func cpu(_ secondsPerGB: Double) -> String {
    "\(Units.fixed(secondsPerGB, 3)) CPU s/GB"
  }
}

/// `1 record`, `144k records`.
private func counted(_ count: UInt64, _ noun: String) -> String {
  "\(Units.count(Double(count))) \(noun)\(count == 1 ? "" : "s")"
}

extension String {
  /// Without blanks at the front, which align numbers in tables.
  package var trimmed: String { String(drop { $0 == " " }) }
}
