public import RingCore

/// What one thread of a spread chain tells the next: the calls of ``Downstream``, in order.
///
/// Plain words. A lease travels as its three numbers, and whoever takes them off the queue owes
/// what the lease owed.
@frozen
public enum Item: BitwiseCopyable, Sendable {
  case opened(Connection)
  case piece(Piece, of: LeaseWords, at: UInt32, expected: Expectation)
  /// All pieces of the lease came: it is to be given back, or kept.
  case finish(LeaseWords)
  case endRecord(Connection)
  /// `bytes` of the stream, and the digest of its payload where one is kept before here.
  case closed(Connection, StreamEnd, bytes: UInt64, digest: UInt64?)
  /// Nothing comes after this.
  case stop
}

/// A lease between two threads.
@frozen
public struct LeaseWords: BitwiseCopyable, Sendable {
  @usableFromInline let offset: UInt64
  @usableFromInline let length: UInt32
  @usableFromInline let connection: UInt32

  @inlinable @inline(__always)
  init(_ lease: borrowing Lease) {
    offset = lease.offset
    length = lease.length
    connection = lease.connection
  }

  @inlinable @inline(__always)
  package func makeLease() -> Lease {
    Lease(offset: offset, length: length, connection: connection)
  }
}

/// What comes back from a thread to the one before it.
@frozen
public enum Return: BitwiseCopyable, Sendable {
  /// A lease, by its offset.
  case lease(UInt64)
  /// A connection that cannot go on; its fault was told.
  case refuse(slot: UInt32, serial: UInt64)
}
