/// Indirection tables as ethtool makes them, so that every planned table can be asked for by an
/// `ethtool -X` line.
enum IndirectionTable {
  /// `equal N` and `start S equal N`: the queues from `start` in turn.
  static func equal(_ queues: Range<UInt32>, size: Int) -> [UInt32] {
    (0..<size).map { queues.lowerBound + UInt32($0) % UInt32(queues.count) }
  }

  /// `weight W0 W1 …` with weights of 0 and 1: a run of entries for each queue in order, which ends
  /// where as large a share of the table is used up as of the queues, rounded down.
  static func weighted(_ queues: [UInt32], size: Int) -> [UInt32] {
    var table: [UInt32] = []
    for (index, queue) in queues.enumerated() {
      let end = size * (index + 1) / queues.count
      while table.count < end { table.append(queue) }
    }
    return table
  }

  /// A table over just these queues.
  static func over(_ queues: [UInt32], size: Int) -> [UInt32] {
    let sorted = queues.sorted()
    if let range = run(of: sorted) { return equal(range, size: size) }
    return weighted(sorted, size: size)
  }

  /// What a driver fills its table with by itself.
  static func isDefault(_ table: [UInt32], queues: UInt32) -> Bool {
    queues > 0 && !table.isEmpty && table == equal(0..<queues, size: table.count)
  }

  /// The words after `ethtool -X IFNAME` that make a table; nil where there are none.
  static func words(for table: [UInt32]) -> String? {
    let queues = Set(table).sorted()
    guard let last = queues.last else { return nil }
    if let range = run(of: queues), table == equal(range, size: table.count) {
      return range.lowerBound == 0
        ? "equal \(range.count)" : "start \(range.lowerBound) equal \(range.count)"
    }
    guard last < NICObservation.mostQueues, table == weighted(queues, size: table.count) else {
      return nil
    }
    let weights = (0...last).map { queues.contains($0) ? "1" : "0" }
    return "weight " + weights.joined(separator: " ")
  }

  /// `queues 0-2, 128 entries`.
  static func text(_ table: [UInt32]) -> String {
    let queues = Set(table).sorted()
    guard let first = queues.first, let last = queues.last else { return "empty" }
    let list =
      run(of: queues) != nil && first != last
      ? "\(first)-\(last)" : queues.map(String.init).joined(separator: ",")
    return "\(queues.count == 1 ? "queue" : "queues") \(list), \(table.count) entries"
  }

  private static func run(of sorted: [UInt32]) -> Range<UInt32>? {
    guard let first = sorted.first, let last = sorted.last, last < .max,
      Int(last - first) + 1 == sorted.count
    else { return nil }
    return first..<last + 1
  }
}
