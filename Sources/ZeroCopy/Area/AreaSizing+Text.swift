import RingCore

// What the numbers mean to a reader.
extension AreaSizing {
  /// The sum in one line: `area 21 MiB = 1024 x 4 KiB NIC ring + 192 page-pool cache + …; refill
  /// ring 8192 entries, completion queue 8192`.
  public var spelled: String {
    let length = sizeText(Int(layout.bufferSize))
    let parts = terms.enumerated().map { index, term in
      "\(term.buffers) \(index == 0 ? "x \(length) " : "")\(term.name)"
    }
    let isShort = Int(layout.bufferCount) < wantedBuffers
    return "area \(sizeText(layout.byteCount))\(isShort ? ", wanted" : " =") "
      + parts.joined(separator: " + ")
      + "; refill ring \(refillEntries) entries, completion queue \(completionEntries)"
  }

  /// The sum with a line per term, the numbers below each other.
  public var lines: [String] {
    let count = String(layout.bufferCount)
    let width = max(count.count, String(wantedBuffers).count)
    func line(_ number: String, _ text: String) -> String {
      String(repeating: " ", count: max(0, width - number.count) + 2) + number + "  " + text
    }
    var lines = terms.map { line(String($0.buffers), $0.name) }
    lines.append(
      line(
        count,
        "buffers of \(sizeText(Int(layout.bufferSize))): an area of \(sizeText(layout.byteCount))"))
    lines.append(
      "refill ring: \(refillEntries) entries, for the \(leasesOut) leases that may be out")
    lines.append("completion queue: \(completionEntries) entries")
    lines.append("locked memory: \(sizeText(lockedBytes))")
    return lines
  }

  // MARK: Warnings

  static func limitWarning(_ demand: Demand, limit: Int) -> String? {
    guard let given = demand.areaBytes, given > limit else { return nil }
    let why =
      limit < AreaLayout.limit
      ? "this kernel takes (Linux 7.2 and newer take \(sizeText(AreaLayout.limit)))"
      : "the kernel can tell offsets apart in (they wrap after 32 bits)"
    return "an area of \(sizeText(given)) is more than the \(sizeText(limit)) that \(why)"
  }

  /// The first term that does not find its buffers, in the order in which they are served.
  static func lackWarning(_ needs: [Term], _ layout: AreaLayout, wanted: Int) -> String? {
    var left = Int(layout.bufferCount)
    guard left < wanted else { return nil }
    let length = sizeText(Int(layout.bufferSize))
    for term in needs {
      if term.buffers > left {
        return "an area of \(sizeText(layout.byteCount)) is \(layout.bufferCount) buffers of "
          + "\(length) where \(wanted) are wanted: of \(term.buffers) \(term.name) it has \(left), "
          + "so \(term.consequence)"
      }
      left -= term.buffers
    }
    return nil
  }

  static func refillWarning(_ entries: Int, leases: Int) -> String? {
    guard entries < leases else { return nil }
    let most = entries == refillLimit ? ", the most there can be," : ""
    return "a refill ring of \(entries) entries\(most) is less than the \(leases) leases that may "
      + "be out: what finds no room waits until the kernel has read some"
  }

  static func completionWarning(_ entries: Int, burst: Int) -> String? {
    guard entries < burst else { return nil }
    let most = entries == completionLimit ? ", the most there can be," : ""
    return "a completion queue of \(entries) entries\(most) is less than the \(burst) completions "
      + "that may come at a time: receives that find it full end, and are armed again"
  }

  static func lockedWarning(_ demand: Demand, _ locked: Int) -> String? {
    guard let limit = demand.lockedLimit, limit < locked else { return nil }
    return "\(sizeText(locked)) must be locked and RLIMIT_MEMLOCK is \(sizeText(limit)): raise it "
      + "with `ulimit -l \((locked + 1023) / 1024)` or LimitMEMLOCK=, give the process "
      + "CAP_IPC_LOCK, or take less"
  }
}
