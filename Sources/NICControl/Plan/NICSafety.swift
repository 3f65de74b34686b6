/// What should not be done to an interface without being asked twice.
public enum NICSafety {
  /// Why a wish is refused unless it is forced; nil where it is safe.
  ///
  /// - Parameter carriesDefaultRoute: whether this machine may be reached by that interface alone.
  public static func refusal(
    _ wish: NICWish, _ observed: NICObservation, carriesDefaultRoute: Bool
  ) -> NICPlanError? {
    let ifname = observed.ifname
    if observed.mostChannels.count == 4,
      NICObservation.receiveQueues(observed.mostChannels) == 1
    {
      return NICPlanError(
        .usage, "\(ifname) has one receive queue, which everything else needs",
        remedy: "--force takes it all the same; `--engine copy` needs none")
    }
    if wish.queues.contains(0) {
      return NICPlanError(
        .usage, "queue 0 of \(ifname) is where drivers put what no hash spreads (ARP, ICMP)",
        remedy: "take a higher queue (`ethtool -l \(ifname)` shows how many there are), or --force")
    }
    // With a table of queues the plan keeps everything else away from the wished ones.
    if carriesDefaultRoute && observed.values[.indirection] == nil {
      return NICPlanError(
        .usage,
        "the default route goes by \(ifname), and its driver lets nobody keep that traffic off a "
          + "queue",
        remedy:
          "--force takes the queue all the same: what arrives there for others is lost to them")
    }
    return nil
  }

  /// Whether a default route of this network namespace goes by an interface.
  ///
  /// Reads /proc/thread-self/net/route and ipv6_route.
  public static func carriesDefaultRoute(_ ifname: String) -> Bool {
    let four = SystemFiles.text("/proc/thread-self/net/route") ?? ""
    let six = SystemFiles.text("/proc/thread-self/net/ipv6_route") ?? ""
    return carriesDefaultRoute(ifname, four: four, six: six)
  }

  /// Lines of "IFNAME DESTINATION GATEWAY … MASK …" and of "DESTINATION PREFIX … IFNAME".
  static func carriesDefaultRoute(_ ifname: String, four: String, six: String) -> Bool {
    let zeroes = String(repeating: "0", count: 32)
    let hasFour = four.split(separator: "\n").contains { line in
      let words = line.split { $0 == " " || $0 == "\t" }
      return words.count > 7 && words[0] == ifname && words[1] == "00000000"
        && words[7] == "00000000"
    }
    return hasFour
      || six.split(separator: "\n").contains { line in
        let words = line.split(separator: " ")
        // Without a gateway it is the kernel's own "nothing there".
        return words.count > 9 && words[9] == ifname && words[0] == zeroes && words[1] == "00"
          && words[4] != zeroes
      }
  }
}
