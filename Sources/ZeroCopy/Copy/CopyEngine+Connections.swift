import CIngestKernel
import Glibc
public import RingCore

// Arming, accepting, pausing and ending: what happens once per connection or once per batch, never
// once per lease. None of it is generic, so it is compiled once.
extension CopyEngine {
  /// Prepares the requests that are due: the waker, the listener, receives.
  @usableFromInline
  mutating func prepare() {
    if !wakerArmed, let entry = unsafe ring.submissions.next() {
      unsafe ik_prep_poll_multishot(entry, waker, UInt32(POLLIN))
      unsafe entry.pointee.user_data = OperationTag(.wake, index: 0).rawValue
      wakerArmed = true
    }
    if accepting == .wanted, let entry = unsafe ring.submissions.next() {
      unsafe ik_prep_accept_multishot(entry, listener, UInt32(SOCK_CLOEXEC.rawValue))
      unsafe entry.pointee.user_data = OperationTag(.accept, index: 0).rawValue
      accepting = .armed
    }
    resumePaused()
    while !toArm.isEmpty, let entry = unsafe ring.submissions.next() {
      guard let slot = table.takeFirst(of: &toArm) else { break }
      var flags = UInt16(IK_RECV_MULTISHOT)
      if mode.usesBundles(with: ring.features) { flags |= UInt16(IK_RECVSEND_BUNDLE) }
      unsafe ik_prep_recv_select(entry, table[slot].descriptor, CopyEngine.group, flags, 0)
      unsafe entry.pointee.user_data = OperationTag(.receive, index: slot).rawValue
    }
  }

  /// Back-pressure ends when a quarter of the area is with the kernel again; until then TCP's
  /// window keeps the senders waiting.
  mutating func resumePaused() {
    guard !paused.isEmpty else { return }
    let mark = max(1, buffers.view.layout.bufferCount / 4)
    guard buffers.view.posted >= mark else { return }
    while let slot = table.takeFirst(of: &paused) {
      if table[slot].state == .paused { table[slot].state = .receiving }
      table.append(slot, to: &toArm)
    }
  }

  /// How to wait for the next batch.
  @usableFromInline
  mutating func nextWait(stagePending: Int) -> Ring.Wait {
    if !toArm.isEmpty { return .none }
    var wait = Ring.Wait(
      completions: options.waitBatch, minimumMicroseconds: options.minimumWait)
    if options.minimumWait == 0 {
      // A batch that may not be waited for: with no time to end it, the wait would be for all.
      wait.completions = 1
    } else if !ring.features.minimumWait && options.waitBatch > 1 {
      // Without a minimum wait: while data flows, wait for a batch, but not for long; else for one.
      if hadData {
        wait.timeoutNanoseconds = UInt64(options.minimumWait) * 1000
      } else {
        wait.completions = 1
      }
    }
    let now = batch.now
    // A deadline that has passed is no reason to wake again.
    let deadline = stopping || control.limits.deadline == 0 ? .max : control.limits.deadline
    var until = min(deadline, stopDeadline)
    if accepting == .blocked { until = min(until, acceptRetryAt) }
    if until != .max {
      let left = until > now ? until - now : 0
      wait.timeoutNanoseconds = min(wait.timeoutNanoseconds, left)
    }
    if stopping && table.open == 0 && stagePending == 0 { return .none }
    return wait
  }

  /// A receive ended with data in its last completion: arm it again.
  @usableFromInline
  mutating func receiveEnded(_ slot: UInt32) {
    counters.rearms &+= 1
    table.append(slot, to: &toArm)
  }

  /// An ended receive may still name a buffer; if the kernel is through with it, it comes back.
  @usableFromInline
  mutating func returnUnfilled(result: Int32, flags: UInt32) {
    guard flags & UInt32(IK_CQE_F_BUFFER) != 0, flags & UInt32(IK_CQE_F_BUF_MORE) == 0 else {
      return
    }
    buffers.view.retireEmpty(
      buffer: UInt16(truncatingIfNeeded: flags &>> UInt32(IK_CQE_BUFFER_SHIFT)))
  }

  /// What the final completion of a receive means: nil where it goes on, else how the stream ended.
  @usableFromInline
  mutating func streamEnd(of slot: UInt32, result: Int32) -> StreamEnd? {
    let state = table[slot].state
    switch -result {
    case 0:
      switch state {
      case .refused: return .refused
      case .ending, .cut: return .stopped
      // While draining, nothing was shut down here: the end is the peer's.
      case .receiving, .paused, .draining, .free: return .finished
      }
    case ENOBUFS:
      counters.pauses &+= 1
      if state == .receiving { table[slot].state = .paused }
      table.append(slot, to: &paused)
      return nil
    case EINTR, EAGAIN:
      receiveEnded(slot)
      return nil
    case let errno:
      switch state {
      case .refused: return .refused
      case .ending, .cut: return .stopped
      case .receiving, .paused, .draining, .free: return .failed(errno)
      }
    }
  }

  /// A connection was accepted, or accepting ended. Returns the new connection's slot.
  @usableFromInline
  mutating func acceptCompleted(result: Int32, flags: UInt32) -> UInt32? {
    if flags & UInt32(IK_CQE_F_MORE) == 0 && accepting == .armed { accepting = .wanted }
    guard result >= 0 else {
      switch -result {
      case EMFILE, ENFILE, ENOBUFS, ENOMEM:
        // Tried again when a connection ends, or after a while; peers wait in the backlog.
        accepting = .blocked
        acceptRetryAt = batch.now &+ CopyEngine.acceptRetry
        counters.acceptFailures &+= 1
      case EINVAL, ECANCELED:
        accepting = .ended  // the listener was shut down
      default:
        break  // the connection failed before it was accepted
      }
      return nil
    }
    var peer = ik_endpoint()
    _ = unsafe ik_endpoint_of(result, 1, &peer)
    guard !stopping, let slot = table.add(descriptor: result, peer: Endpoint(raw: peer)) else {
      counters.rejected &+= 1
      _ = ik_abort(result)
      Glibc.close(result)
      return nil
    }
    counters.accepted &+= 1
    table.append(slot, to: &toArm)
    return slot
  }

  @usableFromInline
  mutating func wakeCompleted(flags: UInt32) {
    var count: UInt64 = 0
    _ = unsafe Glibc.read(waker, &count, MemoryLayout<UInt64>.size)
    if flags & UInt32(IK_CQE_F_MORE) == 0 { wakerArmed = false }
  }

  /// A stage gave up on a connection: no more of its bytes are wanted. The receive ends by the
  /// shutdown; until its final completion, leases are given back unseen.
  @usableFromInline
  mutating func refuse(_ slot: UInt32) {
    batch.refused = false
    guard table[slot].state.isWanted, table[slot].state != .free else { return }
    table[slot].state = .refused
    counters.refused &+= 1
    Glibc.shutdown(table[slot].descriptor, Int32(SHUT_RDWR))
  }

  /// Refuses the connections that a stage gave up on outside their leases.
  @usableFromInline
  mutating func refuseListed() {
    while let slot = batch.takeRefusal() { refuse(slot) }
  }

  @usableFromInline
  mutating func releaseConnection(_ slot: UInt32, _ end: StreamEnd) {
    if case .failed = end { counters.reset &+= 1 }
    counters.closed &+= 1
    let descriptor = table[slot].descriptor
    if end == .refused || end == .stopped, ik_peer_may_send(descriptor) != 0 {
      // A FIN would leave the peer waiting for a window that nobody opens any more: with the
      // receive side shut down, no window update is sent (net/ipv4/tcp.c, tcp_cleanup_rbuf).
      _ = ik_abort(descriptor)
    }
    Glibc.close(descriptor)
    table.remove(slot)
    if accepting == .blocked { accepting = .wanted }
  }

  /// Follows stop requests and deadlines. False when the run is over.
  @usableFromInline
  mutating func checkRequests(stagePending: Int) -> Bool {
    let request = control.current
    if request == EngineControl.Request.abort.rawValue { return false }
    if accepting == .blocked && batch.now >= acceptRetryAt { accepting = .wanted }
    let due = control.limits.deadline != 0 && batch.now >= control.limits.deadline
    if due && !stopping { control.ask(.stop) }
    if (due || request == EngineControl.Request.stop.rawValue) && !stopping { beginStop() }
    guard stopping else { return true }
    if batch.now >= stopDeadline { cutOff() }
    return table.open > 0 || stagePending > 0
  }

  /// Stops accepting, and lets each connection end after what its socket holds now (FIONREAD):
  /// those bytes were acknowledged, so the peer takes them for received.
  mutating func beginStop() {
    stopping = true
    stopDeadline = batch.now &+ CopyEngine.drainLimit
    if accepting != .ended { Glibc.shutdown(listener, Int32(SHUT_RDWR)) }
    accepting = .ended
    for slot in 0..<UInt32(table.capacity) {
      switch table[slot].state {
      case .receiving, .paused:
        let unread = UInt64(max(ik_unread_bytes(table[slot].descriptor), 0))
        table[slot].state = .draining
        table[slot].drainTarget = table[slot].bytes &+ unread
        // Ends a receive that waits for more.
        if unread == 0 { endDrained(slot) }
      case .free, .refused, .draining, .ending, .cut:
        break
      }
    }
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

  /// Gives up on sockets that could not be drained in time, for want of buffers or by a slow sink.
  mutating func cutOff() {
    stopDeadline = .max
    for slot in 0..<UInt32(table.capacity) {
      switch table[slot].state {
      case .draining, .ending: cut(slot)
      case .free, .receiving, .paused, .refused, .cut: break
      }
    }
  }
}
