// One queue, and what leads to it.
extension Preflight {
  func channels(_ state: NICState, _ subject: String) -> Finding {
    guard let count = state.receiveQueueCount else {
      return Finding(
        .warning, subject, "\(state.link.name) does not tell how many queues it has",
        remedy: "`ethtool -l \(state.link.name)`")
    }
    let most = state.channels.value.map { " (it can have \($0.maximum.receiveQueues))" } ?? ""
    return Finding(.ok, subject, "one of \(count) receive queues\(most)")
  }

  func owner(_ state: NICState, _ subject: String) -> Finding {
    if scene.queue != nil { return Finding(.ok, subject, "free") }
    let why =
      state.link.isUp
      ? state.queues.error.map { "\($0)" } ?? "the kernel does not list the queue"
      : "the kernel shows queues only while \(state.link.name) is up"
    return Finding(.warning, subject, "not known: \(why)")
  }

  /// Other connections in a bound queue: programs that read them by recv(2) get EFAULT, because
  /// their payload is in memory of the area (net/ipv4/tcp.c, tcp_recvmsg_locked).
  func scaling(_ state: NICState, _ subject: String) -> Finding {
    let name = state.link.name
    guard let table = state.scaling.value else {
      if case .notSupported = state.scaling {
        return Finding(.ok, subject, "\(name) does not spread connections by a table")
      }
      let error = state.scaling.error.map { "\($0)" } ?? ""
      return Finding(.warning, subject, "not known: \(error)")
    }
    let queue = scene.queueNumber
    let buckets = table.indirection.count { $0 == queue }
    guard buckets > 0 else {
      return Finding(.ok, subject, "no hash leads other connections to it")
    }
    return Finding(
      .warning, subject,
      "\(buckets) of \(table.indirection.count) hash buckets lead other connections to it; "
        + "programs that read those get \"Bad address\"",
      remedy: Preflight.exclusion(of: queue, among: state.receiveQueueCount ?? 0, name))
  }

  /// The command after which no hash leads to a queue.
  static func exclusion(of queue: UInt32, among count: UInt32, _ name: String) -> String {
    guard count > 1, queue < count else {
      return "it takes a second queue: `ethtool -l \(name)` shows how many there can be"
    }
    if queue == count - 1 { return "`ethtool -X \(name) equal \(queue)`" }
    let weights = (0..<count).map { $0 == queue ? "0" : "1" }.joined(separator: " ")
    return "`ethtool -X \(name) weight \(weights)`"
  }

  func rules(_ state: NICState, _ subject: String) -> Finding {
    let name = state.link.name
    let queue = scene.queueNumber
    let rules = state.flowRules.value?.rules ?? []
    let leading = rules.filter { Preflight.leads($0, to: queue, state.contexts.value ?? []) }
    if !leading.isEmpty {
      let places = leading.prefix(8).map { "\($0.location)" }.joined(separator: ", ")
      let more = leading.count > 8 ? ", …" : ""
      let noun = leading.count == 1 ? "rule" : "rules"
      let verb = leading.count == 1 ? "leads" : "lead"
      return Finding(
        .ok, subject, "\(leading.count) n-tuple \(noun) (\(places)\(more)) \(verb) to it")
    }
    let byHash = state.scaling.value?.indirection.contains(queue) == true
    return Finding(
      .warning, subject,
      byHash
        ? "none leads to it: only connections whose hash happens to"
        : "neither a rule nor a hash leads to it: connections arrive elsewhere, and are copied",
      remedy: "`ethtool -N \(name) flow-type tcp4 dst-port \(port) action \(queue)`, and the same "
        + "with tcp6")
  }

  /// Whether a rule sends packets to a queue, itself or by its RSS context.
  static func leads(
    _ rule: FlowRule, to queue: UInt32, _ contexts: [ReceiveSideScaling]
  ) -> Bool {
    guard case .queue(let target, virtualFunction: 0) = rule.action else { return false }
    guard let number = rule.context else { return target == queue }
    // The rule's queue counts from each of the context's.
    return contexts.first { $0.context == number }?.indirection
      .contains { $0 &+ target == queue } == true
  }

  /// Where the packets are polled, against where they are consumed.
  func interrupt(_ state: NICState, _ subject: String) -> Finding {
    let napi = scene.queue?.napi.flatMap { number in
      state.napis.value?.first { $0.identifier == number }
    }
    guard let number = napi?.interrupt else {
      return Finding(.ok, subject, "the driver does not tell which it is")
    }
    let list = surroundings.interruptCPUs[number]
    let place = list.map { "goes to CPU \($0)" } ?? "goes to an unknown CPU"
    guard let cpu = surroundings.cpu else {
      return Finding(.ok, subject, "number \(number) \(place)")
    }
    let nodes = Set(Surroundings.cpus(list ?? "").compactMap { surroundings.nodes[$0] })
    let fact = "number \(number) \(place), the thread will run on CPU \(cpu)"
    guard let own = surroundings.nodes[cpu] else { return Finding(.ok, subject, fact) }
    let near = state.numaNode.map { " (the NIC is next to node \($0))" } ?? ""
    if !nodes.isEmpty, !nodes.contains(own) {
      return Finding(
        .warning, subject, "\(fact), of another memory node\(near)",
        remedy: "`--cpus N` with a CPU of that node (`lscpu -e=cpu,node`), or "
          + "`echo \(cpu) > /proc/irq/\(number)/smp_affinity_list`")
    }
    if let node = state.numaNode, node != own {
      return Finding(
        .warning, subject, "\(fact), which is of node \(own)\(near)",
        remedy: "`--cpus N` with a CPU of node \(node): `lscpu -e=cpu,node` lists them")
    }
    return Finding(.ok, subject, fact)
  }
}
