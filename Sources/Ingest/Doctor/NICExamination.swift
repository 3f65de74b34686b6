import CIngestKernel
import Glibc
import NICControl
import RingCore
import ZeroCopy

/// What a start with a configuration would meet, read once.
struct NICExamination {
  private let configuration: ReceiveConfiguration
  private let host: RegistrationHost
  /// Nil where there is no such interface.
  private let plan: EnginePlan?
  private let state: NICState?
  private let name: String
  private let queues: [UInt32]

  init(_ wanted: ReceiveConfiguration, _ host: RegistrationHost) throws(IngestError) {
    var configuration = wanted
    configuration.engine = .zcrx
    try configuration.validate()
    configuration = try configuration.withGivenArea()
    guard let name = configuration.ifname, !configuration.queues.isEmpty else {
      throw IngestError(
        .usage, "zero-copy receive is of a receive queue of an interface",
        remedy: "name both, for example --ifname eth1 --queue 8; `ethtool -l eth1` tells how "
          + "many it has")
    }
    self.name = name
    self.configuration = configuration
    queues = configuration.queues.map { UInt32(clamping: $0) }
    let isThere = unsafe if_nametoindex(name) != 0
    plan = isThere ? try EnginePlan(configuration) : nil
    if let plan { try configuration.checkMemory(plan) }
    do throws(NetlinkError) {
      state = isThere ? try NICAccess().state(of: name) : nil
    } catch {
      throw IngestError(
        .failed, "\(error)", remedy: "`ip -d link show \(name)` shows whether it is still there")
    }
    var host = host
    let isTaken = queues.contains { [state] in state?.receiveQueue($0)?.ioUring != nil }
    if isTaken { host.owners = QueueOwner.candidates() }
    self.host = host
  }

  func findings(binds: Bool) -> [Finding] {
    guard let plan, let state else { return preflight(queues[0], area: nil).interface() }
    let layout: AreaLayout
    do throws(IngestError) {
      layout = try configuration.layout(bufferLength: plan.bufferLengths[0], plan)
    } catch {
      return [Finding(.blocks, "area", error.what, remedy: error.remedy)]
    }
    let refill = plan.ringSizes(configuration).refill
    var wish = RegistrationWish(
      configuration, layout, queue: queues[0], refillEntries: refill)
    // Where no length was asked for a shorter one is taken if the longest is refused.
    if configuration.buffer == 0 { wish.bufferBytes = 0 }
    var found: [Finding] = []
    for (index, queue) in queues.enumerated() {
      wish.target?.queue = queue
      var preflight = preflight(queue, area: wish)
      let cpu = place(index)
      preflight.surroundings = Surroundings.current(state, cpu: cpu.number)
      if index == 0 {
        found += preflight.area()
        found.append(memory(layout))
        found += preflight.interface()
        if let refusal = cpu.refusal { found.append(refusal) }
      }
      found += preflight.queue()
      if binds { found.append(ProbeFinding.bind(preflight)) }
    }
    var last = preflight(queues[0], area: wish)
    last.surroundings.rdma = RDMAFinding.ask(name)
    return found + [last.rdma()]
  }

  private func preflight(_ queue: UInt32, area: RegistrationWish?) -> Preflight {
    let bare = RegistrationWish(
      target: RegistrationWish.Target(interface: name, queue: queue), areaBytes: 0,
      memory: .pages, refillEntries: 0)
    return Preflight(
      wish: area ?? bare, host: host, state: state, port: configuration.port,
      settled: settled(queue))
  }

  /// What a start sets by itself.
  private func settled(_ queue: UInt32) -> Set<RegistrationTopic> {
    guard configuration.nic == .apply, state?.link.kind != "netkit" else { return [] }
    var topics: Set<RegistrationTopic> = [.headerSplit, .threshold, .ntuple, .scaling, .rules]
    // Channels grow as far as the driver lets them.
    if let most = state?.channels.value?.maximum.receiveQueues, queue < most {
      topics.insert(.queue)
    }
    return topics
  }

  /// The kind of memory, as far as it can be told without taking it.
  private func memory(_ layout: AreaLayout) -> Finding {
    let subject = "memory"
    let kind = configuration.memory.areaKind
    let node = state?.numaNode.map { Int($0) }
    // The areas of all queues come from the same pool.
    let areas = plan?.areas ?? 1
    if let shortage = kind.shortage(bytes: layout.byteCount, node: node) {
      let refusal = IngestError(shortage)
      return Finding(.blocks, subject, refusal.what, remedy: refusal.remedy)
    }
    if areas > 1, let shortage = kind.shortage(bytes: layout.byteCount * areas, node: node) {
      let refusal = IngestError(shortage)
      return Finding(.blocks, subject, refusal.what, remedy: refusal.remedy)
    }
    return Finding(.ok, subject, "\(configuration.memory.rawValue) can be had")
  }

  /// The CPU of a queue's thread, or why it cannot be.
  private func place(_ index: Int) -> (number: Int?, refusal: Finding?) {
    do throws(IngestError) {
      let threads = plan?.threads ?? queues.count
      let cpus = try Placement.cpus(configuration.cpus, threads: threads, flag: "--cpus")
      return (index < cpus.count ? Int(cpus[index]) : nil, nil)
    } catch {
      return (nil, Finding(.blocks, "CPU", error.what, remedy: error.remedy))
    }
  }
}
