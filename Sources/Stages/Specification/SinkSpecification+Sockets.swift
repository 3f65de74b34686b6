// Sinks that hand records to another process of this machine.
extension SinkSpecification {
  static func shared(
    _ spelled: inout SpelledStage
  ) throws(SpecificationError) -> SharedSinkOptions {
    var shared = SharedSinkOptions(path: try spelled.readPath())
    shared.ring = try spelled.takeSize("ring", in: SharedSinkOptions.ringSizes) ?? shared.ring
    guard shared.ring & (shared.ring - 1) == 0 else {
      throw spelled.refusal(
        "ring=\(shared.ring) is no power of two", allowed: "2, 4, 8 and so on up to 1M records")
    }
    shared.onDeath =
      try spelled.takeCase("on-death", of: SharedSinkOptions.OnDeath.self) ?? shared.onDeath
    shared.wait = try spelled.takeFlag("wait") ?? shared.wait
    let policy = try spelled.takeCase("full", of: OverflowOptions.Policy.self) ?? .block
    guard policy != .spill else {
      throw spelled.refusal(
        "full=spill is not for shm: a consumer reads records where they were received, and what "
          + "went to a file would have to be copied back into that memory",
        allowed: "full=block or full=drop; unix:PATH,full=spill takes a file")
    }
    shared.dropsRecords = policy == .drop
    if shared.dropsRecords {
      shared.queue = try spelled.takeSize("queue", in: 4096...1 << 40) ?? shared.queue
    }
    return shared
  }

  static func unix(_ spelled: inout SpelledStage) throws(SpecificationError) -> UnixSinkOptions {
    var unix = UnixSinkOptions(path: try spelled.readPath())
    unix.bytes = try spelled.takeCase("bytes", of: SinkBytes.self) ?? unix.bytes
    unix.mode = try spelled.takeCase("mode", of: UnixSinkOptions.Mode.self) ?? unix.mode
    // Without connections' files there is no memory to bound.
    if unix.mode == .stream { unix.overflow = try OverflowOptions.taken(from: &spelled) }
    if unix.mode == .fd { unix.max = try spelled.takeSize("max", in: 4096...1 << 40) ?? unix.max }
    return unix
  }

  /// Whether other processes have to be able to map the area.
  public var sharesArea: Bool {
    branches.contains { if case .shared = $0 { true } else { false } }
  }

  /// The paths of the sockets that each thread has one of.
  public var threadPaths: [String] {
    branches.compactMap { if case .shared(let shared) = $0 { shared.path } else { nil } }
  }
}

extension SharedSinkOptions {
  /// The canonical spelling.
  var spelled: String {
    "shm:\(path),ring=\(ByteSize.spelled(ring)),on-death=\(onDeath.rawValue)"
      + ",wait=\(wait ? "yes" : "no")" + (dropsRecords ? ",full=drop" : "")
      + (queue > 0 ? ",queue=\(ByteSize.spelled(queue))" : "")
  }
}

extension UnixSinkOptions {
  /// The canonical spelling.
  var spelled: String {
    "unix:\(path),mode=\(mode.rawValue),bytes=\(bytes.rawValue)"
      + (mode == .fd ? ",max=\(ByteSize.spelled(max))" : overflow.spelled)
  }
}
