import RingCore

// A plugin in a process of its own may end at any call. What it had is refused, the rest goes on.
extension PluginStage {
  /// Looks after processes that ended outside a batch of pieces.
  mutating func recoverAll(in batch: inout Batch) {
    for index in 0..<count where unsafe plugins[index].end != nil { recover(index, 0, &batch) }
  }

  /// Refuses the connections of the first `asked` pieces, which have no answer, and those in the
  /// middle of a record, of which a new process knows nothing; then starts that process. Leases
  /// take their usual way: the process never had any.
  mutating func recover(_ index: Int, _ asked: Int, _ batch: inout Batch) {
    guard let code = unsafe plugins[index].end else { return }
    let bit = UInt8(1) << UInt8(truncatingIfNeeded: index)
    for number in 0..<asked {
      let piece = unsafe pieces + plugins[index].answer(number).place
      let slot = unsafe piece.pointee.lease.connection
      unsafe stop(piece, isRefused: true)
      unsafe slots[Int(slot)].refusedBy |= bit
      guard unsafe !slots[Int(slot)].isRefused else { continue }
      let serial = unsafe slots[Int(slot)].serial
      unsafe batch.report(piece.pointee.fault(plugins[index].number, code, serial: serial))
      refuse(slot: slot)
    }
    for slot in 0..<maxConnections {
      let state = unsafe slots[slot]
      guard state.serial != 0, state.openCount > index, state.isInside, !state.isRefused else {
        continue
      }
      unsafe slots[slot].refusedBy |= bit
      batch.report(state.fault(unsafe plugins[index].number, code))
      refuse(slot: UInt32(slot))
    }
    // Whoever has its answers may be asked again only once there is somebody to answer.
    let slots = unsafe slots
    unsafe plugins[index].restart { unsafe !slots[Int($0)].isRefused }
  }
}

extension PluginSlot {
  /// A fault of the record at hand.
  func fault(_ number: UInt64, _ code: UInt64) -> Fault {
    var fault = Fault(
      .stage, record: records, offset: recordStart, expected: number, found: code)
    fault.connection = serial
    return fault
  }
}
