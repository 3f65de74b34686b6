import CIngestKernel
import Glibc
public import RingCore

// A connection's life: accepted (here or by another thread), received from, refused, drained,
// closed. What happens once per connection, never once per lease.
extension EngineCore {
  /// A connection was accepted, or accepting ended. Returns the new connection's slot, where this
  /// engine is to keep it.
  @usableFromInline
  mutating func acceptCompleted(result: Int32, flags: UInt32) -> UInt32? {
    if flags & UInt32(IK_CQE_F_MORE) == 0 && accepting == .armed { accepting = .wanted }
    guard result >= 0 else {
      switch -result {
      case EMFILE, ENFILE, ENOBUFS, ENOMEM: blockAccepting()
      case EINVAL, ECANCELED:
        accepting = .ended  // the listener was shut down
      default:
        break  // the connection failed before it was accepted
      }
      return nil
    }
    if let seat, seat.exchange.handOver(result, from: waker) {
      counters.handedOver &+= 1
      recorder.append(FlightEvent(.handedOver))
      return nil
    }
    return adopt(result)
  }

  /// Takes a connection that another engine accepted; nil when none waits.
  @usableFromInline
  mutating func takeHandedOver() -> Int32? { seat?.exchange.take(for: waker) }

  /// Gives a connected socket a slot, or turns it away.
  @usableFromInline
  mutating func adopt(_ descriptor: Int32, handedOver: Bool = false) -> UInt32? {
    var peer = ik_endpoint()
    _ = unsafe ik_endpoint_of(descriptor, 1, &peer)
    guard !stopping, let slot = table.add(descriptor: descriptor, peer: Endpoint(raw: peer)) else {
      counters.rejected &+= 1
      recorder.append(FlightEvent(.rejected, detail: handedOver ? 1 : 0))
      _ = ik_abort(descriptor)
      Glibc.close(descriptor)
      return nil
    }
    counters.accepted &+= 1
    ik_own(descriptor)
    recorder.append(
      FlightEvent(
        .opened, detail: handedOver ? 1 : 0, index: slot, table[slot].connection.serial))
    table.append(slot, to: &toArm)
    return slot
  }

  /// A receive ended with data in its last completion: arm it again.
  @usableFromInline
  mutating func receiveEnded(_ slot: UInt32) {
    counters.rearms &+= 1
    table.append(slot, to: &toArm)
  }

  /// A receive ended for want of buffers: it waits in line for ``resumePaused()``.
  @usableFromInline
  mutating func pause(_ slot: UInt32) {
    counters.pauses &+= 1
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
    table[slot].state = .refused
    counters.refused &+= 1
    recorder.append(FlightEvent(.refused, index: slot))
    Glibc.shutdown(table[slot].descriptor, Int32(SHUT_RDWR))
  }

  /// Refuses the connections that a stage gave up on outside their leases.
  @usableFromInline
  mutating func refuseListed() {
    while let slot = batch.takeRefusal() { refuse(slot) }
  }

  @usableFromInline
  mutating func releaseConnection(_ slot: UInt32, _ end: StreamEnd) {
    switch end {
    case .failed, .misplaced, .unsplit: counters.reset &+= 1
    case .finished, .refused, .stopped: break
    }
    counters.closed &+= 1
    recordClose(slot, end)
    let descriptor = table[slot].descriptor
    if end.isOurs, ik_peer_may_send(descriptor) != 0 {
      // A FIN would leave the peer waiting for a window that nobody opens any more: with the
      // receive side shut down, no window update is sent (net/ipv4/tcp.c, tcp_cleanup_rbuf).
      _ = ik_abort(descriptor)
    }
    ik_close_owned(descriptor)
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
  mutating func cut(_ slot: UInt32) {
    table[slot].state = .cut
    Glibc.shutdown(table[slot].descriptor, Int32(SHUT_RDWR))
  }
}

extension StreamEnd {
  /// Whether this end was decided here, with the peer still sending; a failed receive (data on a
  /// queue that this engine cannot read) is such an end as well.
  var isOurs: Bool {
    switch self {
    case .finished: false
    case .failed, .refused, .stopped, .misplaced, .unsplit: true
    }
  }
}
