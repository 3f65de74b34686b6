import CIngestStage
public import RingCore

extension PluginStage {
  /// Asks the plugins about what was gathered, and passes it on.
  ///
  /// Whatever is refused here is refused by its slot: the lease that the chain has in hand may be
  /// another connection's.
  @inline(never) @usableFromInline
  mutating func run(in batch: inout Batch) {
    guard gathered > 0 else { return }
    let refusesInHand = batch.refused
    batch.refused = false
    for index in 0..<count {
      let asked = put(for: index)
      guard asked > 0 else { continue }
      unsafe plugins[index].ask(asked, now: batch.now)
      if unsafe plugins[index].end == nil { hear(index, asked, &batch) }
      // It may have ended over its answers, too.
      if unsafe plugins[index].end != nil { recover(index, asked, &batch) }
    }
    // What comes now is the sink's.
    if batch.meter.isOn { batch.meter.lap(.stage) }
    let passed = gathered
    gathered = 0
    let (hasRefused, unshown) = unsafe next.replay(pieces, passed, slots, &batch)
    refusedBytes &+= unshown
    if hasRefused { listRefused(passed) }
    batch.refused = refusesInHand
  }

  /// Shows a plugin what those before it let through. Returns how many pieces that is.
  private func put(for index: Int) -> Int {
    var asked = 0
    for place in 0..<gathered {
      let piece = unsafe pieces + place
      if unsafe piece.pointee.isFinish || piece.pointee.isStopped { continue }
      let serial = unsafe slots[Int(piece.pointee.lease.connection)].serial
      unsafe plugins[index].put(piece.pointee, at: asked, from: place, serial: serial)
      asked += 1
    }
    return asked
  }

  /// Takes a plugin's answers, in order.
  private mutating func hear(_ index: Int, _ asked: Int, _ batch: inout Batch) {
    let bit = UInt8(1) << UInt8(truncatingIfNeeded: index)
    for number in 0..<asked {
      let (answer, place) = unsafe plugins[index].answer(number)
      let piece = unsafe pieces + place
      let slot = unsafe slots + Int(piece.pointee.lease.connection)
      if unsafe slot.pointee.refusedBy & bit != 0 {
        unsafe stop(piece, isRefused: true)
        continue
      }
      if unsafe piece.pointee.decides { unsafe slot.pointee.drops &= ~bit }
      switch answer.kind {
      case UInt32(INGEST_STAGE_PASS): break
      case UInt32(INGEST_STAGE_DROP):
        if unsafe piece.pointee.decides { unsafe slot.pointee.drops |= bit }
      case UInt32(INGEST_STAGE_FLAWED):
        unsafe batch.report(fault(piece, index, answer.code))
      default:
        // Refused; an answer that is none is taken for that, too.
        unsafe slot.pointee.refusedBy |= bit
        unsafe batch.report(fault(piece, index, answer.code))
        refuse(slot: unsafe piece.pointee.lease.connection)
        unsafe stop(piece, isRefused: true)
      }
      if unsafe slot.pointee.drops & bit != 0 { unsafe stop(piece, isRefused: false) }
    }
  }

  /// A piece goes no further. Counted once, whoever else would stop it.
  mutating func stop(_ piece: UnsafeMutablePointer<PluginPiece>, isRefused: Bool) {
    guard unsafe !piece.pointee.isStopped else { return }
    unsafe piece.pointee.isStopped = true
    let bytes = UInt64(unsafe piece.pointee.piece.count)
    if isRefused { refusedBytes += bytes } else { droppedBytes += bytes }
  }

  private func fault(
    _ piece: UnsafeMutablePointer<PluginPiece>, _ index: Int, _ code: UInt64
  ) -> Fault {
    unsafe plugins[index].learn(code)
    let serial = unsafe slots[Int(piece.pointee.lease.connection)].serial
    return unsafe piece.pointee.fault(plugins[index].number, code, serial: serial)
  }

  /// Notes the connections that the sink refused, of the first so many pieces.
  private mutating func listRefused(_ passed: Int) {
    for index in 0..<passed {
      let slot = unsafe pieces[index].lease.connection
      if unsafe slots[Int(slot)].isRefusedBehind { refuse(slot: slot) }
    }
  }

  /// Notes a connection for the end of the batch; once. Until then it may end, and its slot be
  /// another's.
  mutating func refuse(slot: UInt32) {
    guard unsafe !slots[Int(slot)].isRefused else { return }
    unsafe slots[Int(slot)].isRefused = true
    invariant(refusalCount < maxConnections, "a connection is refused once")
    unsafe refusals[refusalCount] = slot
    refusalCount += 1
  }

  /// The connection has ended: nothing is left to refuse.
  func forgetRefusal(of slot: UInt32) -> Int {
    var kept = 0
    for index in 0..<refusalCount {
      let listed = unsafe refusals[index]
      unsafe refusals[kept] = listed
      if listed != slot { kept += 1 }
    }
    return kept
  }
}
