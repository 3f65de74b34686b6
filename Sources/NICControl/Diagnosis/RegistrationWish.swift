/// The interface queue that was to be registered for zero-copy receive.
public struct RegistrationWish: Equatable, Sendable {
  /// Nil for an instance without a NIC.
  public var target: Target?
  /// Bytes of the area.
  public var areaBytes: UInt64
  public var memory: Memory
  /// Bytes of one receive buffer; 0 leaves it to the kernel, which takes a page.
  public var bufferBytes: UInt64
  public var refillEntries: UInt64

  public struct Target: Equatable, Sendable {
    public var interface: String
    public var queue: UInt32

    public init(interface: String, queue: UInt32) {
      self.interface = interface
      self.queue = queue
    }
  }

  /// What the area is made of. How large the pieces are that lie next to each other in physical
  /// memory decides how large a receive buffer can be.
  public enum Memory: Equatable, Sendable {
    case pages
    case transparentHugePages
    /// Bytes of one huge page.
    case hugePages(UInt64)
    case dmabuf
  }

  public init(
    target: Target?, areaBytes: UInt64, memory: Memory, bufferBytes: UInt64 = 0,
    refillEntries: UInt64
  ) {
    self.target = target
    self.areaBytes = areaBytes
    self.memory = memory
    self.bufferBytes = bufferBytes
    self.refillEntries = refillEntries
  }
}
