import CIngestKernel
import Glibc
import Synchronization

/// Brings accepted sockets to the engine whose queue their data arrives on.
///
/// The kernel spreads connections over listening sockets without regard to queues, but a zero-copy
/// receive can only take data that came through its own interface queue: anything else ends with
/// EFAULT (io_uring/zcrx.c, io_zcrx_recv_frag). The NAPI id of a socket (SO_INCOMING_NAPI_ID)
/// names the queue that its last packet came through.
///
/// - Cost: one getsockopt(2) for an accepted connection; for one that moves also a lock and a
///   write(2) to the other engine's eventfd. Nothing per buffer.
public final class SocketExchange: Sendable {
  private struct Member {
    var waker: Int32
    var queue: UInt32
    var inbox: [Int32] = []
  }

  private let members = Mutex<[Member]>([])
  private let queueOf: @Sendable (UInt32) -> UInt32?

  /// `queueOf` names the receive queue of a NAPI id, nil where it is not one of the interface's.
  /// It is called on engine threads, once per accepted connection.
  public init(queueOf: @escaping @Sendable (UInt32) -> UInt32?) { self.queueOf = queueOf }

  deinit { members.withLock { list in for member in list { member.inbox.forEach(discard) } } }

  func register(waker: Int32, queue: UInt32) {
    members.withLock { $0.append(Member(waker: waker, queue: queue)) }
  }

  /// Sockets that nobody took are reset.
  func unregister(waker: Int32) {
    let left = members.withLock { list -> [Int32] in
      guard let index = list.firstIndex(where: { $0.waker == waker }) else { return [] }
      return list.remove(at: index).inbox
    }
    left.forEach(discard)
  }

  /// Gives a socket to an engine on its queue. False where it should stay with the caller: it came
  /// through the caller's own queue, or through one that no engine owns.
  func handOver(_ descriptor: Int32, from waker: Int32) -> Bool {
    let napi = ik_incoming_napi(descriptor)
    guard napi != 0, let queue = queueOf(napi) else { return false }
    return members.withLock { list in
      guard list.first(where: { $0.waker == waker })?.queue != queue,
        let owner = list.indices.filter({ list[$0].queue == queue }).min(by: {
          list[$0].inbox.count < list[$1].inbox.count
        })
      else { return false }
      list[owner].inbox.append(descriptor)
      ik_event_signal(list[owner].waker)
      return true
    }
  }

  /// The next socket that was handed to this engine.
  func take(for waker: Int32) -> Int32? {
    members.withLock { list in
      guard let index = list.firstIndex(where: { $0.waker == waker }),
        !list[index].inbox.isEmpty
      else { return nil }
      return list[index].inbox.removeFirst()
    }
  }
}

private func discard(_ descriptor: Int32) {
  _ = ik_abort(descriptor)
  Glibc.close(descriptor)
}

/// An engine's place in an exchange: which queue's connections it takes.
public struct ExchangeSeat: Sendable {
  let exchange: SocketExchange
  let queue: UInt32

  public init(_ exchange: SocketExchange, queue: UInt32) {
    self.exchange = exchange
    self.queue = queue
  }
}
