import CIngestKernel
import Glibc
import RingCore

/// A kernel that does again what a track says the real one did: the engine's own code runs on it,
/// with its rings in ordinary memory.
///
/// Completions come in the recorded order and batches, with their sizes and results. What cannot be
/// as it was is not forced: data waits until its receive is armed and there is a buffer, and lies
/// elsewhere where its place is still claimed. Payload is made up. Connections are sockets that are
/// connected to nobody.
@safe
package final class ReplayKernel: @unchecked Sendable {
  // Sendable: handed to the one thread that runs the engine; read after it was joined.
  package let shape: FlightTrack.Shape
  let memory: ScriptedRingMemory
  private let script: ReplayScript
  private let control: EngineControl
  /// Fills the next bytes of a connection, named by its number in the replay.
  private let fill: (Int, UnsafeMutableRawBufferPointer) -> Void

  var provided: ReplayProvided?
  var refill: ReplayRefill?
  private var connections: [ReplayConnection] = []
  /// Recorded slot -> connection, and descriptor -> its newest owner.
  private var bySlot: [UInt32: Int] = [:]
  private var byDescriptor: [Int32: Int] = [:]

  private var batch = 0
  private var next = 0
  private var outcome = 0
  private var isOpenBefore = false
  private var marks: Set<ReplayMark> = []
  private var progressAt = ik_clock_ns()

  /// Times that the next completion had to wait, completions left out, and why it ended early.
  package private(set) var waits = 0
  package private(set) var skipped = 0
  package private(set) var stuck: String?
  package var moved: Int { refill?.moved ?? 0 }
  package var batchesLeft: Int { script.batches.count - batch }

  private static let patience: UInt64 = 10_000_000_000

  package init(
    _ shape: FlightTrack.Shape, _ script: ReplayScript, control: EngineControl,
    fill: @escaping (Int, UnsafeMutableRawBufferPointer) -> Void
  ) {
    self.shape = shape
    self.script = script
    self.control = control
    unsafe self.fill = fill
    memory = ScriptedRingMemory(
      entries: EngineCore.submissionEntries, completions: shape.completionEntries)
  }

  /// What io_uring_enter(2) would do. Returns 0, or an errno.
  func enter() -> Int32 {
    takeSubmissions()
    // A NIC's page pool looks by itself; without a NIC only FLUSH_RQ does.
    if shape.engine == .zcrx { refill?.read() }
    let before = (batch, next, connections.count, marks.count)
    post()
    if before != (batch, next, connections.count, marks.count) {
      progressAt = ik_clock_ns()
    } else {
      waits += 1
      usleep(100)
      if ik_clock_ns() - progressAt > ReplayKernel.patience { giveUp() }
    }
    return 0
  }

  private func post() {
    guard openFirst() else { return }
    guard batch < script.batches.count else {
      mark(.ends)
      control.ask(.abort)
      return
    }
    // What the last batch came to is not recorded where the process was killed within it.
    if !script.isWhole && batch == script.batches.count - 1 && next == 0 {
      guard marks.contains(.ends) else { return mark(.ends) }
    }
    let current = script.batches[batch]
    if next == 0 && current.stops { control.ask(.stop) }
    while next < current.completions.count {
      guard deliver(current.completions[next], current) else { return }
      next += 1
    }
    (batch, next, outcome) = (batch + 1, 0, 0)
  }

  /// Opens what was open before. True once that is done, and marked.
  private func openFirst() -> Bool {
    if isOpenBefore { return true }
    while connections.count < script.openBefore.count {
      guard memory.room > 0 else { return false }
      accept(slot: script.openBefore[connections.count], flags: UInt32(IK_CQE_F_MORE))
    }
    guard connections.allSatisfy({ $0.tag != nil || isGone($0) }) else { return false }
    isOpenBefore = true
    if script.openBefore.isEmpty { return true }
    mark(.begins)
    return false
  }

  private func mark(_ mark: ReplayMark) {
    guard marks.insert(mark).inserted else { return }
    memory.post(mark.tag, result: 0, flags: 0, offset: 0)
  }

  /// Does one completion again; false where it has to wait.
  private func deliver(_ event: FlightEvent, _ current: ReplayScript.Batch) -> Bool {
    guard memory.room > 1 else { return false }
    // No kernel says so; a damaged file may.
    guard event.result >= -4095 else {
      skipped += 1
      return true
    }
    switch event.operation {
    case .receive: return deliver(receive: event)
    case .accept where event.result >= 0:
      guard let made = takeOutcome(current, handedOver: false) else {
        accept(slot: nil, flags: event.flags)
        return true
      }
      if made.kind == .handedOver {
        // Another engine's now; here it is as one that failed before it was accepted.
        memory.post(event.tag, result: -ECONNABORTED, flags: event.flags, offset: 0)
      } else {
        accept(slot: made.kind == .opened ? made.index : nil, flags: event.flags)
      }
    case .wake:
      while memory.room > 1, let made = takeOutcome(current, handedOver: true) {
        accept(slot: made.kind == .opened ? made.index : nil, flags: UInt32(IK_CQE_F_MORE))
      }
      memory.post(event.tag, result: event.result, flags: event.flags, offset: 0)
    case .stage: skipped += 1  // the sink of then is not there
    default: memory.post(event.tag, result: event.result, flags: event.flags, offset: 0)
    }
    return true
  }

  private func takeOutcome(_ current: ReplayScript.Batch, handedOver: Bool) -> FlightEvent? {
    guard outcome < current.outcomes.count,
      (current.outcomes[outcome].detail == 1) == handedOver
    else { return nil }
    outcome += 1
    return current.outcomes[outcome - 1]
  }

  private func deliver(receive event: FlightEvent) -> Bool {
    guard let number = bySlot[event.index], !isGone(connections[number]) else {
      skipped += 1
      return true
    }
    guard let tag = connections[number].tag else { return false }
    let more = event.flags & UInt32(IK_CQE_F_MORE)
    if event.result > 0 {
      let bytes = UInt32(event.result)
      guard shape.engine == .copy || bytes <= shape.layout.bufferSize else {
        skipped += 1
        return true
      }
      let found =
        shape.engine == .copy
        ? provided?.place(bytes) : refill?.place(bytes, at: event.second)
      guard let place = found else { return false }
      for index in 0..<(unsafe place.pieces.count) { unsafe fill(number, place.pieces[index]) }
      memory.post(
        tag, result: event.result, flags: place.flags | more, offset: place.offset)
    } else {
      memory.post(tag, result: event.result, flags: more, offset: 0)
    }
    if more == 0 { connections[number].tag = nil }
    return true
  }

  // MARK: Connections

  private func accept(slot: UInt32?, flags: UInt32) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    let number = connections.count
    connections.append(ReplayConnection(descriptor: descriptor, number: number))
    if descriptor >= 0 { byDescriptor[descriptor] = number }
    if let slot { bySlot[slot] = number }
    memory.post(
      OperationTag(.accept, index: 0), result: descriptor < 0 ? -EMFILE : descriptor, flags: flags,
      offset: 0)
  }

  /// Whether the engine has closed it.
  private func isGone(_ connection: ReplayConnection) -> Bool {
    guard connection.descriptor >= 0, let owner = byDescriptor[connection.descriptor] else {
      return true
    }
    return connections[owner].number != connection.number
      || fcntl(connection.descriptor, F_GETFD) < 0
  }

  private func takeSubmissions() {
    memory.takeSubmissions { entry in
      let tag = OperationTag(rawValue: entry.user_data)
      switch OperationTag.Kind(rawValue: tag.kindByte) {
      case .receive:
        if let number = byDescriptor[entry.fd] { connections[number].tag = tag }
      case .stage, .send, .close:
        // Nobody is there to do it.
        memory.post(tag, result: -ECANCELED, flags: 0, offset: 0)
      default: break
      }
    }
  }

  private func giveUp() {
    if stuck == nil {
      let event = script.batches[batch].completions.dropFirst(next).first
      stuck =
        "batch \(batch + 1) of \(script.batches.count) waits for "
        + (event?.result ?? 0 > 0
          ? "a buffer or an armed receive" : "an armed receive")
        + " of slot \(event?.index ?? 0), which never came"
    }
    control.ask(.abort)
  }
}

/// One connection of a replay.
struct ReplayConnection {
  let descriptor: Int32
  let number: Int
  /// Of the armed receive.
  var tag: OperationTag?
}
