import CIngestKernel
import Glibc
import RingCore

// An outgoing connection from its socket to the acknowledgement of its last byte.
extension ForwardSink {
  /// An outgoing connection. It may outlive the connection that it is for, whose slot may have
  /// another one by then.
  struct Link: BitwiseCopyable {
    var descriptor: Int32 = -1
    var connection = Connection(slot: 0, serial: 0, peer: Endpoint())
    /// What is asked of the kernel, and whether it has that yet. One thing at a time.
    var request = Request.connect
    var progress = Progress.none
    /// The next link that waits for a submission entry.
    var next = noIndex
    var isConnected = false
    /// The connection is open; and how it ended once it is not.
    var attached = true
    var end = End.open
    var finSent = false
    /// Looks at what is acknowledged so far.
    var looks: UInt32 = 0
    /// No zero-copy for the next send: there was no memory to pin.
    var plainNext = false

    /// Runs, oldest first, from `cursor` on not sent; `into` bytes of that one were.
    var head = noIndex
    var tail = noIndex
    var cursor = noIndex
    var into: UInt32 = 0
    /// Bytes given a place in the stream, and bytes that the kernel took.
    var queued: UInt64 = 0
    var sent: UInt64 = 0
    /// Zero-copy sends, oldest first.
    var flightHead = noIndex
    var flightTail = noIndex

    /// The first error, and what the receiving host had acknowledged by then.
    var failure: Int32 = 0
    var acknowledged: UInt64 = 0
    /// What was not sent has been counted as lost.
    var isAccounted = false

    /// What waits aside, and where in the stream the record at hand starts, if it waits.
    var chain = SpillBlocks.Chain()
    var recordStart: UInt64 = 0
    /// The record in hand is dropped, its later bytes with it; and it was told that some are.
    var isDropping = false
    var isNamed = false

    enum Request: UInt8 { case connect, send, room, time }
    enum Progress: UInt8 { case none, ready, inKernel }
    enum End: UInt8 { case open, finished, cut }
  }

  /// Puts a link behind those that wait for a submission entry.
  mutating func want(_ request: Link.Request, _ index: UInt32) {
    invariant(links[index].progress == .none, "a link asks for one thing at a time")
    links[index].request = request
    links[index].progress = .ready
    links[index].next = noIndex
    requests += 1
    if readyTail == noIndex { readyHead = index } else { links[readyTail].next = index }
    readyTail = index
  }

  mutating func popReady() {
    let index = readyHead
    readyHead = links[index].next
    if readyHead == noIndex { readyTail = noIndex }
    links[index].next = noIndex
  }

  /// Does what a link is ready for.
  mutating func advance(_ index: UInt32, in batch: inout Batch) {
    let link = links[index]
    guard link.progress == .none else { return }
    if link.failure == 0, link.isConnected {
      let full = drain(index, in: &batch)
      if links[index].failure != 0 {
        // What was not sent is let go of below.
      } else if let full {
        want(full, index)
      } else if link.cursor != noIndex {
        want(.send, index)
      } else if link.end != .open {
        end(index, in: &batch)
      }
    }
    settle(index, in: &batch)
  }

  /// Everything is sent and the connection has ended: passes that on, waits until the receiving
  /// host has it all, then closes.
  private mutating func end(_ index: UInt32, in batch: inout Batch) {
    let link = links[index]
    guard link.descriptor >= 0 else { return }
    if link.end == .finished, !link.finSent {
      links[index].finSent = true
      shutdown(link.descriptor, Int32(SHUT_WR))
    }
    // The FIN counts as a byte until it is acknowledged (tcp(7), SIOCOUTQ).
    let error = ik_socket_error(link.descriptor)
    if error != 0 { return fail(index, error, in: &batch) }
    guard ik_unsent_bytes(link.descriptor) > 0 else {
      if link.end == .cut { _ = ik_abort(link.descriptor) }
      return closeSocket(index)
    }
    links[index].looks &+= 1
    want(.time, index)
  }

  private mutating func closeSocket(_ index: UInt32) {
    close(links[index].descriptor)
    links[index].descriptor = -1
  }

  /// Nothing more can be sent: the connection is refused, and what it had is let go of.
  mutating func fail(_ index: UInt32, _ errno: Int32, in batch: inout Batch) {
    guard links[index].failure == 0 else { return }
    let link = links[index]
    links[index].failure = errno
    let unsent = max(0, min(Int64(link.sent), ik_unsent_bytes(link.descriptor)))
    links[index].acknowledged = link.sent &- UInt64(unsent)
    append(
      errno, serial: link.connection.serial, connecting: !link.isConnected,
      acknowledged: links[index].acknowledged)
    _ = ik_abort(link.descriptor)
    closeSocket(index)
    if link.attached { refusalsWanted = true } else { report(index, in: &batch) }
  }

  /// Lets go of a failed link's leases, and of the link itself when nobody needs it any more.
  mutating func settle(_ index: UInt32, in batch: inout Batch) {
    let link = links[index]
    guard link.flightHead == noIndex, link.progress == .none else { return }
    if link.failure != 0 {
      account(index)
      links[index].cursor = noIndex
      while links[index].head != noIndex { releaseFirst(of: index, in: &batch) }
    }
    if !link.attached, link.descriptor < 0 { links.give(index) }
  }

  /// Counts what a link will not send any more, once.
  mutating func account(_ index: UInt32) {
    guard !links[index].isAccounted else { return }
    links[index].isAccounted = true
    counters.lostBytes += links[index].queued &- links[index].sent
    if spill != nil {
      var chain = links[index].chain
      spill!.empty(&chain)
      links[index].chain = chain
    }
  }

  /// Tells the engine which connections cannot go on.
  mutating func refuseFailed(in batch: inout Batch) {
    refusalsWanted = false
    var asked = 0
    for index in 0..<UInt32(slots.capacity) {
      let slot = slots[index]
      guard slot.link != noIndex, !slot.refused, links[slot.link].failure != 0 else { continue }
      // The engine takes 256 in a batch; the others follow with the next.
      guard asked < 128 else { return refusalsWanted = true }
      asked += 1
      slots[index].refused = true
      batch.refuse(fault(of: slot.link), slot: index)
    }
  }

  mutating func report(_ index: UInt32, in batch: inout Batch) { batch.report(fault(of: index)) }

  private func fault(of index: UInt32) -> Fault {
    let link = links[index]
    var fault = fault(serial: link.connection.serial, errno: link.failure)
    fault.offset = link.acknowledged
    fault.expected = link.queued
    return fault
  }

  func fault(serial: UInt64, errno: Int32) -> Fault {
    var fault = Fault(.sink, record: 0, offset: 0, expected: 0, found: UInt64(errno))
    fault.connection = serial
    return fault
  }

  mutating func append(
    _ errno: Int32, serial: UInt64, connecting: Bool, acknowledged: UInt64
  ) {
    counters.failures += 1
    list.append(
      SinkFailure(
        forwarding: options.target, connection: serial, connecting: connecting, errno: errno,
        acknowledged: acknowledged))
  }
}
