/// What a run was limited by, or is expected to be.
package enum Limiter: Equatable, Sendable {
  /// The sender's thread has no CPU time left.
  case sender
  /// The kernel's protocol work between device and socket (NET_RX) has none left.
  case softInterrupts
  /// The receiving thread has none left, and no part of it stands out.
  case application
  /// The path: a NIC's rate, a shaped device, or a rate that the sender was told to keep.
  case link
  /// The receiving thread's time goes into the kernel's copying.
  case copies
  /// Buffers or ring entries run out before they come back.
  case ring(Ring)
  /// One part of the chain, by its name: `parse`, `checksum`, `stage`, `sink`.
  case stage(String)
  /// Nothing measured was at its limit.
  case unclear

  /// Which of the things that leases, completions and unread bytes need.
  package enum Ring: String, Sendable { case area, completions, refill, window }

  /// The name for programs.
  package var name: String {
    switch self {
    case .sender: "sender"
    case .softInterrupts: "soft-interrupts"
    case .application: "application"
    case .link: "link"
    case .copies: "copies"
    case .ring: "ring"
    case .stage: "stage"
    case .unclear: "unclear"
    }
  }

  /// Which ring or stage.
  package var detail: String? {
    switch self {
    case .ring(let ring): ring.rawValue
    case .stage(let part): part
    default: nil
    }
  }

  /// As people read it.
  package var words: String {
    switch self {
    case .sender: "the sender's CPU"
    case .softInterrupts: "soft interrupts (the kernel's protocol work)"
    case .application: "the receiving thread's CPU"
    case .link: "the link"
    case .copies: "the kernel's copying into the area"
    case .ring(.area): "the ring: too few buffers in the area"
    case .ring(.completions): "the ring: too short a completion queue"
    case .ring(.refill): "the ring: too short a refill ring"
    case .ring(.window): "the ring: too small a receive buffer of the sockets"
    case .stage(let part): "a stage of the chain: \(part)"
    case .unclear: "unclear"
    }
  }

  /// What to try first.
  package var remedy: String {
    switch self {
    case .sender: "larger sends (-l), more threads or hosts that send, or a CPU of its own"
    case .softInterrupts:
      "a larger MTU, GRO by the NIC, or its interrupts on another CPU than the thread"
    case .application: "more queues with a thread each, or a CPU of its own (isolcpus)"
    case .link: "a faster path; this receiver has room left"
    case .copies: "zero-copy receive (--ifname, --queue), or more threads"
    case .ring(.area): "a larger --area, or a chain that gives leases back sooner"
    case .ring(.completions): "a larger --completions, or fewer, longer buffers"
    case .ring(.refill): "a larger --refill"
    case .ring(.window): "a larger --socket-buffer, or 0 for TCP's own choice"
    case .stage("sink"): "a faster target, or `full=spill` where the sink has it"
    case .stage: "another thread for it (--place), or more threads"
    case .unclear: "a longer run (-t), and a machine with nothing else to do"
    }
  }
}

extension Limiter: Encodable {
  private enum Key: String, CodingKey { case name, detail, words, remedy }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(name, forKey: .name)
    try container.encodeIfPresent(detail, forKey: .detail)
    try container.encode(words, forKey: .words)
    try container.encode(remedy, forKey: .remedy)
  }
}
