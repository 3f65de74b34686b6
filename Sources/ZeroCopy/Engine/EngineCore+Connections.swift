import CIngestKernel
import Glibc
public import RingCore

// A connection's life: accepted (here or by another thread), received from, refused, drained,
// closed. What happens once per connection, never once per lease.
extension EngineCore {
  /// What became of an accepted connection.
  @usableFromInline
  enum Admission {
    /// Another engine has it, or nobody; if it was turned away, that is only counted.
    case none
    case slot(UInt32)
    /// Turned away for the first time.
    case turnedAway(TurnedAway)
  }

  /// A connection was accepted, or accepting ended.
  @usableFromInline
  mutating func acceptCompleted(_ listener: UInt32, result: Int32, flags: UInt32) -> Admission {
    if flags & UInt32(IK_CQE_F_MORE) == 0 { acceptEnded(listener) }
    guard result >= 0 else {
      switch -result {
      case EMFILE, ENFILE, ENOBUFS, ENOMEM: blockAccepting()
      case EINVAL, ECANCELED:
        accepting = .ended  // the listener was shut down
      default:
        break  // the connection failed before it was accepted
      }
      return .none
    }
    let peer = EngineCore.peer(of: result)
    if let peers = options.peers, peer.raw.family != 0, !peers.allows(peer) {
      return turnAway(result, peer, .notAllowed, handedOver: false)
    }
    if let seat, seat.exchange.handOver(result, from: waker) {
      counters.handedOver &+= 1
      hasNews = true
      recorder.append(FlightEvent(.handedOver))
      return .none
    }
    return adopt(result, peer)
  }

  /// Takes a connection that another engine accepted and allowed; nil when none waits.
  @usableFromInline
  mutating func takeHandedOver() -> Int32? { seat?.exchange.take(for: waker) }

  @usableFromInline
  mutating func adoptHandedOver(_ descriptor: Int32) -> Admission {
    adopt(descriptor, EngineCore.peer(of: descriptor), handedOver: true)
  }

  private static func peer(of descriptor: Int32) -> Endpoint {
    var peer = ik_endpoint()
    _ = unsafe ik_endpoint_of(descriptor, 1, &peer)
    return Endpoint(raw: peer)
  }

  /// Gives a connected socket a slot, or turns it away.
  private mutating func adopt(
    _ descriptor: Int32, _ peer: Endpoint, handedOver: Bool = false
  ) -> Admission {
    // One that has ended already has no address any more, though perhaps bytes: nobody can tell
    // whether they are wanted.
    guard options.peers == nil || peer.raw.family != 0 else {
      reset(descriptor, handedOver: handedOver)
      return .none
    }
    guard !stopping, table.hasRoom, control.enter() else {
      counters.rejected &+= 1
      hasNews = true
      reset(descriptor, handedOver: handedOver)
      return .none
    }
    var account = PeerLedger.none
    if let ledger = options.peers?.ledger {
      switch ledger.open(PeerAddress(peer)) {
      case .account(let number): account = number
      case .refused(let reason):
        control.leave()
        return turnAway(descriptor, peer, reason, handedOver: handedOver)
      }
    }
    guard let slot = table.add(descriptor: descriptor, peer: peer) else { return .none }
    table[slot].account = account
    if options.peers?.ledger?.countsBytes ?? false { table[slot].flow = .metered }
    counters.accepted &+= 1
    hasNews = true
    ik_own(descriptor)
    recorder.append(
      FlightEvent(
        .opened, detail: handedOver ? 1 : 0, index: slot, table[slot].connection.serial))
    table.append(slot, to: &toArm)
    return .slot(slot)
  }

  /// Closes a connection whose peer is not to be served, before a byte of it was read.
  private mutating func turnAway(
    _ descriptor: Int32, _ peer: Endpoint, _ reason: TurnedAway.Reason, handedOver: Bool
  ) -> Admission {
    hasNews = true
    switch reason {
    case .notAllowed: counters.notAllowed &+= 1
    case .connections: counters.peerConnections &+= 1
    case .bytes: counters.peerBytes &+= 1
    case .strangers: counters.strangers &+= 1
    }
    reset(descriptor, handedOver: handedOver)
    guard options.peers?.isNews(peer, reason) ?? false else { return .none }
    return .turnedAway(TurnedAway(peer: peer, reason: reason))
  }

  private mutating func reset(_ descriptor: Int32, handedOver: Bool) {
    recorder.append(FlightEvent(.rejected, detail: handedOver ? 1 : 0))
    _ = ik_abort(descriptor)
    Glibc.close(descriptor)
  }

  // MARK: Bytes that are not for the stage

  /// Of a connection whose flow is not open: how many of `bytes` that have arrived are not for the
  /// stage, the last ones; `.max` is all of them. The others are counted as the connection's.
  @usableFromInline @inline(never)
  mutating func excess(_ slot: UInt32, _ bytes: UInt32) -> UInt32 {
    guard table[slot].flow == .metered, let ledger = options.peers?.ledger else { return .max }
    let granted = ledger.take(UInt64(bytes), of: table[slot].account)
    table[slot].bytes &+= granted
    if granted < UInt64(bytes) {
      counters.limited &+= 1
      hasNews = true
      recorder.append(FlightEvent(.refused, index: slot))
      shut(slot, .limited)
    }
    return bytes &- UInt32(truncatingIfNeeded: granted)
  }

  /// How much of a piece of that many bytes is for the stage, where `excess` bytes of a completion
  /// are not and `behind` bytes of it come after the piece. The rest is counted as discarded.
  @usableFromInline @inline(never)
  mutating func wantedPart(of length: UInt32, behind: UInt32, excess: UInt32) -> UInt32 {
    let discarded = batch.refused || excess == .max ? length : min(length, excess &- behind)
    counters.discardedBytes &+= UInt64(discarded)
    hasNews = true
    return length &- discarded
  }

  /// No more of this connection goes to the stage; its receive ends by the shutdown.
  private mutating func shut(_ slot: UInt32, _ state: ConnectionTable.State) {
    table[slot].state = state
    table[slot].flow = .shut
    Glibc.shutdown(table[slot].descriptor, Int32(SHUT_RDWR))
  }

  /// A receive ended with data in its last completion: arm it again.
  @usableFromInline
  mutating func receiveEnded(_ slot: UInt32) {
    counters.rearms &+= 1
    hasNews = true
    table.append(slot, to: &toArm)
  }

  /// A receive ended for want of buffers: it waits in line for ``resumePaused()``.
  @usableFromInline
  mutating func pause(_ slot: UInt32) {
    counters.pauses &+= 1
    hasNews = true
    recorder.append(FlightEvent(.paused, index: slot))
    if table[slot].state == .receiving { table[slot].state = .paused }
    table.append(slot, to: &paused)
  }

  /// How a stream ended whose receive the kernel ended with `errno`; 0 is the end of the data.
  @usableFromInline
  func streamEnd(of slot: UInt32, errno: Int32) -> StreamEnd {
    switch table[slot].state {
    case .refused: .refused
    case .ending, .cut: .stopped
    case .limited: .limited
    // While draining, nothing was shut down here: the end is the peer's.
    case .receiving, .paused, .draining, .free: errno == 0 ? .finished : .failed(errno)
    }
  }

  /// A stage gave up on a connection: no more of its bytes are wanted. The receive ends by the
  /// shutdown; until its final completion, leases are given back unseen.
  @usableFromInline
  mutating func refuse(_ slot: UInt32) {
    batch.refused = false
    guard table[slot].state.isWanted, table[slot].state != .free else { return }
    counters.refused &+= 1
    hasNews = true
    recorder.append(FlightEvent(.refused, index: slot))
    shut(slot, .refused)
  }

  /// Refuses the connections that a stage gave up on outside their leases.
  @usableFromInline
  mutating func refuseListed() {
    while let slot = batch.takeRefusal() { refuse(slot) }
  }

  @usableFromInline
  mutating func releaseConnection(_ slot: UInt32, _ end: StreamEnd) {
    switch end {
    case .failed, .misplaced, .unsplit, .starved: counters.reset &+= 1
    case .finished, .refused, .stopped, .limited: break
    }
    counters.closed &+= 1
    hasNews = true
    recordClose(slot, end)
    let descriptor = table[slot].descriptor
    if end.isOurs, ik_peer_may_send(descriptor) != 0 {
      // A FIN would leave the peer waiting for a window that nobody opens any more: with the
      // receive side shut down, no window update is sent (net/ipv4/tcp.c, tcp_cleanup_rbuf).
      _ = ik_abort(descriptor)
    }
    ik_close_owned(descriptor)
    options.peers?.ledger?.close(table[slot].account)
    control.leave()
    table.remove(slot)
    if accepting == .blocked { accepting = .wanted }
  }

  /// Ends a draining connection once what its socket held is through.
  @usableFromInline
  mutating func drained(_ slot: UInt32) {
    if table[slot].bytes >= table[slot].drainTarget { endDrained(slot) }
  }

  /// A peer that has finished or failed ends its stream by itself, and how is worth knowing.
  mutating func endDrained(_ slot: UInt32) {
    guard ik_peer_may_send(table[slot].descriptor) != 0 else { return }
    table[slot].state = .ending
    Glibc.shutdown(table[slot].descriptor, Int32(SHUT_RDWR))
  }

  /// No more of this connection is wanted. With both sides shut down the kernel answers what the
  /// peer still sends with a reset (net/ipv4/tcp_input.c, tcp_rcv_state_process).
  mutating func cut(_ slot: UInt32) { shut(slot, .cut) }
}

extension StreamEnd {
  /// Whether this end was decided here, with the peer still sending; a failed receive (data on a
  /// queue that this engine cannot read) is such an end as well.
  var isOurs: Bool {
    switch self {
    case .finished: false
    case .failed, .refused, .stopped, .misplaced, .unsplit, .starved, .limited: true
    }
  }
}
