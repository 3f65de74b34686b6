import CIngestKernel
import CIngestShm
import Glibc
import RingCore

// What happens between this side and the consumer, beside writing records: once per batch, or while
// there is nothing else to do.
extension SharedSink {
  /// The longest that a stop request or the consumer's end goes unnoticed.
  private static var step: Int32 { 100 }

  /// Tags of this sink's polls: the listener's, and one for each ring.
  static var listenerIndex: UInt32 { 0 }
  var connectionIndex: UInt32 { epoch }

  /// Whether a record about a connection can be written: waits for a place, and announces the
  /// connection where this ring has not heard of it. False where nobody takes records.
  @inline(__always)
  mutating func hasPlace(for slot: UInt32, in batch: inout Batch) -> Bool {
    if isTaking, ring.hasRoom, slots[slot].epoch == epoch { return true }
    return makePlace(for: slot, in: &batch)
  }

  @inline(never)
  private mutating func makePlace(for slot: UInt32, in batch: inout Batch) -> Bool {
    while isTaking {
      if !ring.hasRoom {
        if checked(ring.readPosition(), in: &batch), !ring.hasRoom { _ = waitStep(in: &batch) }
      } else if slots[slot].epoch != epoch {
        announce(slot)
      } else {
        return true
      }
    }
    return false
  }

  /// Whether a piece is let go of, since its record began where the consumer was behind.
  mutating func drops(_ piece: Piece, of slot: UInt32, in batch: inout Batch) -> Bool {
    if piece.first {
      slots[slot].isDropping = isTaking && !isRoomy && !becameRoomy(in: &batch)
      if slots[slot].isDropping {
        counters.droppedRecords += 1
        name(slot, in: &batch)
      }
    }
    guard slots[slot].isDropping else { return false }
    counters.droppedBytes += UInt64(piece.count)
    return true
  }

  /// Whether there is room for a record to begin.
  private var isRoomy: Bool {
    ring.unread < (ring.recordCount + 1) / 2 && claims.count < (claims.capacity + 1) / 2
      && claims.content.bytes + hand.content.bytes < UInt64(limit)
  }

  /// Bytes that the consumer may have when a record begins.
  private var limit: Int { options.queue > 0 ? options.queue : area.byteCount / 2 }

  /// Looks at what the consumer did meanwhile.
  private mutating func becameRoomy(in batch: inout Batch) -> Bool {
    counters.fullTimes += 1
    publish()
    guard state == .attached, checked(ring.readPosition(), in: &batch) else { return !isTaking }
    _ = takeReturns(in: &batch)
    return !isTaking || isRoomy
  }

  /// Tells once of each connection that it loses records.
  private mutating func name(_ slot: UInt32, in batch: inout Batch) {
    guard !slots[slot].isNamed else { return }
    slots[slot].isNamed = true
    var fault = Fault(
      .dropped, record: 0, offset: counters.bytes, expected: UInt64(limit),
      found: claims.content.bytes)
    fault.connection = slots[slot].connection?.serial ?? 0
    batch.report(fault)
  }

  /// Tells the ring of an open connection.
  private mutating func announce(_ slot: UInt32) {
    slots[slot].epoch = epoch
    guard let connection = slots[slot].connection else { return }
    var record = ingest_shm_record()
    record.kind = UInt16(INGEST_SHM_OPENED)
    record.flags = slots[slot].isUnderWay ? UInt16(INGEST_SHM_RESUMED) : 0
    record.serial = connection.serial
    record.slot = slot
    let peer = connection.peer.raw
    record.detail = UInt32(peer.family) | UInt32(peer.port) << 16
    record.peer = peer.address
    ring.push(record)
  }

  /// Lets the consumer see what was written.
  mutating func publish() {
    if ring.publish() { link.wake() }
  }

  /// One bounded step of waiting for the consumer, or for one to come. False when nobody takes
  /// records any more.
  mutating func waitStep(in batch: inout Batch) -> Bool {
    publish()
    counters.waits += 1
    let asked = control.asked()
    if asked == .abort || (asked == .stop && state == .absent) { giveUp(in: &batch) }
    guard isTaking else { return false }
    if state == .absent {
      link.wait(milliseconds: SharedSink.step)
      attach()
      return true
    }
    ring.announceWait()
    let room = ring.hasRoom
    guard checked(ring.readPosition(), in: &batch) else { return isTaking }
    if takeReturns(in: &batch) || (!room && ring.hasRoom) || state != .attached { return isTaking }
    link.wait(milliseconds: SharedSink.step)
    hear(in: &batch)
    return isTaking
  }

  /// What the consumer says on its socket: to look at the ring, or that it is gone.
  mutating func hear(in batch: inout Batch) {
    let isThere = link.listen()
    // What it gave back before it went is not lost.
    _ = takeReturns(in: &batch)
    if !isThere, state == .attached { consumerEnded("went away", in: &batch) }
  }

  /// Takes back what the consumer is through with. True when there was something.
  mutating func takeReturns(in batch: inout Batch) -> Bool {
    guard state == .attached else { return false }
    guard let ready = ring.readyReturns() else {
      _ = checked(.returnPosition, in: &batch)
      return true
    }
    for _ in 0..<ready {
      guard let content = claims.giveBack(ring.takeReturn(), in: &batch) else {
        _ = checked(.claim, in: &batch)
        return true
      }
      counters.bytes += content.bytes
    }
    if ready > 0 { ring.retireReturns() }
    return ready > 0
  }

  /// Lets go of a consumer that said what cannot be. True where it did not.
  private mutating func checked(_ flaw: SharedRing.Flaw?, in batch: inout Batch) -> Bool {
    guard let flaw else { return true }
    let said =
      switch flaw {
      case .readPosition: "claimed to have read what was not written"
      case .returnPosition: "claimed to have given back more than it can have"
      case .claim: "gave back what it did not have"
      }
    consumerEnded("\(said), and was let go of", in: &batch)
    return false
  }

  /// Takes a consumer that waits to be one.
  mutating func attach() {
    guard state == .absent else { return }
    let taken = link.takeConsumer(
      area: area.descriptor, ring: memory.descriptor, areaBytes: area.byteCount,
      ringBytes: memory.byteCount)
    guard taken else { return }
    state = .attached
    isTaking = true
  }

  /// The consumer is gone: what it had comes back, and counts as lost.
  private mutating func consumerEnded(_ why: String, in batch: inout Batch) {
    let process = link.process
    link.hangUp()
    var had = claims.giveBackAll(in: &batch)
    had += hand.content
    hand = Hand()
    counters.lostRecords += had.records
    counters.lostBytes += had.bytes
    let name = process > 0 ? "the consumer (process \(process))" : "the consumer"
    let remedy: String? =
      options.onDeath == .stop ? "on-death=continue waits for the next one" : nil
    let failure = lost(had, "\(name) \(why)", remedy: remedy)
    if options.onDeath == .stop || had.bytes > 0 {
      counters.failures += 1
      list.append(failure)
    }
    guard options.onDeath == .continue, renew() else { return end(EPIPE) }
    state = .absent
    isTaking = options.wait
  }

  /// A ring for the next consumer; the last one may still write to the old.
  private mutating func renew() -> Bool {
    do throws(SinkError) {
      memory = try SharedSink.ringMemory(options, claims: claims.capacity)
    } catch {
      counters.failures += 1
      list.append(SinkFailure(target: options.path, detail: error.what, remedy: error.remedy))
      return false
    }
    ring = SharedSink.ring(options, memory, claims: claims.capacity, area)
    epoch &+= 1
    if epoch == SharedSink.listenerIndex { epoch &+= 1 }
    connectionPolled = false
    return true
  }

  /// An end was asked for, and nobody is there to wait for; or the end is now.
  mutating func giveUp(in batch: inout Batch) {
    var left = claims.giveBackAll(in: &batch)
    left += hand.content
    hand = Hand()
    lose(left)
    guard state == .absent else { return end(ECANCELED) }
    // Nobody may come any more: what the ring names is given back.
    isTaking = false
    hasGivenUp = options.wait
    link.stopListening()
    state = .ended
  }

  /// No consumer any more: the run ends, and every connection is refused.
  private mutating func end(_ errno: Int32) {
    link.hangUp()
    link.stopListening()
    state = .ended
    isTaking = false
    fault = errno
    refusalsWanted = true
    control.stop()
  }

  /// Refuses the open connections; the engine takes 256 in a batch.
  mutating func refuseOpen(in batch: inout Batch) {
    refusalsWanted = false
    var asked = 0
    for index in 0..<UInt32(slots.capacity) {
      guard slots[index].connection != nil, !slots[index].isRefused else { continue }
      guard asked < 128 else { return refusalsWanted = true }
      asked += 1
      slots[index].isRefused = true
      batch.refuse(refusal(of: index), slot: index)
    }
  }

  func refusal(of slot: UInt32) -> Fault {
    var refusal = Fault(
      .sink, record: 0, offset: counters.bytes, expected: counters.bytes, found: UInt64(fault))
    refusal.connection = slots[slot].connection?.serial ?? 0
    return refusal
  }

  func lost(_ content: SharedClaims.Content, _ why: String, remedy: String?) -> SinkFailure {
    SinkFailure(
      target: options.path(thread: area.thread),
      detail: "\(why): \(content.records) records of \(content.bytes) bytes in all are lost",
      remedy: remedy)
  }

  /// Has the ring wake for a consumer that connects, speaks or goes. Each poll is answered once.
  mutating func armPolls(in batch: borrowing Batch) {
    guard let submissions = batch.submissions else { return }
    switch state {
    case .absent where !listenerPolled:
      guard let entry = unsafe submissions.next() else { return }
      unsafe ik_prep_poll(entry, link.listener, UInt32(POLLIN))
      unsafe entry.pointee.user_data = batch.tag(SharedSink.listenerIndex)
      listenerPolled = true
    case .attached where !connectionPolled:
      guard let entry = unsafe submissions.next() else { return }
      unsafe ik_prep_poll(entry, link.connection, UInt32(POLLIN))
      unsafe entry.pointee.user_data = batch.tag(connectionIndex)
      connectionPolled = true
    default: break
    }
  }
}
