#if NIO
  import CIngestKernel
  import RingCore
  import Stages
  import Synchronization

  /// The way back of one receiving thread's leases: any thread may release the last reference to a
  /// buffer, and only the receiving one may give its lease back.
  final class AreaReturns: @unchecked Sendable {
    // Sendable: the address is that of memory which outlives every lease; the rest is behind locks.
    private let start: UInt
    private let end: UInt
    private let released: Mutex<[UInt64]>
    let bell: Doorbell

    /// `limit` is the most leases that are out at a time.
    init(_ area: AreaMemory, limit: Int, waker: Int32) {
      start = UInt(bitPattern: unsafe area.address(of: 0))
      end = start + UInt(area.layout.byteCount)
      var room: [UInt64] = []
      room.reserveCapacity(limit)
      released = Mutex(room)
      bell = Doorbell(descriptor: waker)
      AreaReturns.all.withLock { $0.append(self) }
    }

    /// No lease of the area is out any more.
    func forget() { AreaReturns.all.withLock { list in list.removeAll { $0 === self } } }

    /// Takes what was released since the last call.
    func take(_ body: (UInt64) -> Void) -> Int {
      released.withLock { list in
        list.forEach(body)
        defer { list.removeAll(keepingCapacity: true) }
        return list.count
      }
    }

    /// Areas by address: all that NIO says of a buffer that nobody needs any more.
    private static let all = Mutex<[AreaReturns]>([])

    /// The last reference to the bytes at `address` is gone, on whatever thread that was. False
    /// where they are in no area: a buffer that has grown is ordinary memory.
    static func release(_ address: UInt) -> Bool {
      let owner = all.withLock { list in
        list.first { $0.start <= address && address < $0.end }
      }
      guard let owner else { return false }
      owner.released.withLock { $0.append(UInt64(address - owner.start)) }
      owner.bell.bell.ring()
      return true
    }
  }
#endif
