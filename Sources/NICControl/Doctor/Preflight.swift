import Glibc

/// Looks at everything that zero-copy receive on a queue depends on before it is started, in the
/// order of need, and says of each whether it is as it must be.
///
/// What blocks is found by the checks that also explain a refusal (``RegistrationDiagnosis``), so
/// that both say the same and a start is refused where, and only where, something blocks. It is a
/// function of what was read: nothing is asked of the system here.
public struct Preflight: Sendable {
  public var wish: RegistrationWish
  public var host: RegistrationHost
  /// Nil where there is no interface of that name.
  public var state: NICState?
  public var surroundings: Surroundings
  /// The TCP port that connections will come to, for the rule that leads them to the queue.
  public var port: UInt16
  /// What the start puts right by itself, where the NIC can do it. Such a thing is ok as it is:
  /// whoever asks what to do has nothing to do about it.
  public var settled: Set<RegistrationTopic>

  public init(
    wish: RegistrationWish, host: RegistrationHost, state: NICState?,
    surroundings: Surroundings = Surroundings(), port: UInt16 = 5301,
    settled: Set<RegistrationTopic> = []
  ) {
    self.wish = wish
    self.host = host
    self.state = state
    self.surroundings = surroundings
    self.port = port
    self.settled = settled
  }

  /// The interface and its driver, with what all queues share. Where it is not there, or cannot do
  /// it at all, that is all that is said.
  public func interface() -> [Finding] {
    var found = [row(.interface, "interface") { present() }]
    guard let state else { return found }
    found.append(row(.hardware, "hardware") { hardware(state.link) })
    if found.last?.verdict != .blocks { found.append(row(.driver, "driver") { driver(state) }) }
    guard !isHopeless else { return found }
    return found + [
      row(.link, "link") { link(state.link) },
      row(.headerSplit, "tcp-data-split") { headerSplit(state) },
      row(.threshold, "hds-thresh") { threshold(state) },
      row(.xdp, "XDP") { Finding(.ok, "XDP", "no program is attached") },
      coalescing(state),
      row(.ntuple, "rx-ntuple-filter") { ntuple(state) },
    ]
  }

  /// The area and its buffers, whatever the queue.
  public func area() -> [Finding] {
    [
      row(.area, "area") {
        Finding(.ok, "area", "\(sizeText(wish.areaBytes)) of \(wish.memory.phrase)")
      },
      row(.lockedMemory, "locked memory") { Preflight.lockedMemory(host) },
      row(.buffers, "buffers") { buffers() },
    ]
  }

  /// The queue and what leads to it; nothing where there is no interface.
  public func queue() -> [Finding] {
    guard let state else { return [] }
    let name = "queue \(scene.queueNumber)"
    let there = row(.queue, name) { channels(state, name) }
    // Nothing else can be said of one that is not there.
    guard there.verdict != .blocks else { return [there] }
    guard !isHopeless else { return [] }
    return [
      there,
      row(.owner, name + " owner") { owner(state, name + " owner") },
      row(.scaling, name + " RSS") { scaling(state, name + " RSS") },
      row(.rules, name + " rules") { rules(state, name + " rules") },
      interrupt(state, name + " interrupt"),
    ]
  }

  var scene: RegistrationScene { RegistrationScene(wish: wish, host: host, state: state) }

  /// No setting helps.
  private var isHopeless: Bool {
    scene.obstacle(.hardware) != nil || scene.obstacle(.driver) != nil
  }

  /// What blocks, in the words of a refusal; else what `otherwise` makes of it.
  func row(_ topic: RegistrationTopic, _ subject: String, otherwise: () -> Finding) -> Finding {
    let isSettled = settled.contains(topic)
    if let obstacle = scene.obstacle(topic) {
      // What a NIC cannot do, nobody can set.
      return isSettled && obstacle.kind == .refused
        ? Preflight.settles(subject, obstacle.what) : Finding(blocks: obstacle, subject: subject)
    }
    let finding = otherwise()
    guard isSettled, finding.verdict != .ok, finding.remedy != nil else { return finding }
    return Preflight.settles(subject, finding.fact)
  }

  private static func settles(_ subject: String, _ fact: String) -> Finding {
    Finding(.ok, subject, fact + "; `ingest run` sets it while it runs")
  }

  private func present() -> Finding {
    let name = scene.interface
    let number = state.map { " (number \($0.link.index))" } ?? ""
    return Finding(.ok, "interface", name + number)
  }
}

extension RegistrationWish.Memory {
  /// What follows a size.
  fileprivate var phrase: String {
    switch self {
    case .pages: "pages"
    case .transparentHugePages: "transparent huge pages"
    case .hugePages(let bytes): "huge pages of \(sizeText(bytes))"
    case .dmabuf: "a dmabuf"
    }
  }
}
