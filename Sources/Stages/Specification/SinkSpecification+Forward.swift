// Sinks that send on.
extension SinkSpecification {
  static func forward(
    _ spelled: inout SpelledStage
  ) throws(SpecificationError) -> ForwardSinkOptions {
    let allowed = "\(spelled.kind):HOST:PORT[,key=value,…], with an IPv6 address in brackets"
    let text = try spelled.readPath(named: "HOST:PORT", allowed: allowed)
    let parts = text[...].parts(at: ":")
    guard parts.count > 1, let last = parts.last, let port = UInt16(last), port > 0
    else { throw spelled.refusal("\(text) has no port from 1 to 65535", allowed: allowed) }
    var host = Substring(text[..<last.startIndex].utf8.dropLast())
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
    } else if parts.count > 2 {
      throw spelled.refusal("\(text) is no HOST:PORT", allowed: allowed)
    }
    guard !host.isEmpty else { throw spelled.refusal("the host is missing", allowed: allowed) }
    var forward = ForwardSinkOptions(host: String(host), port: port)
    forward.bytes = try spelled.takeCase("bytes", of: SinkBytes.self) ?? forward.bytes
    let method = try spelled.takeCase("method", of: ForwardSinkOptions.Method.self)
    forward.overflow = try OverflowOptions.taken(from: &spelled)
    let holds = forward.overflow.policy == .block
    guard holds || method != .zeroCopy else {
      throw spelled.refusal(
        "full=\(forward.overflow.policy.rawValue) and method=send-zc contradict each other: "
          + "zero-copy sends keep the received memory until the receiving host has acknowledged "
          + "them, so a slow one would hold all of it",
        allowed: "method=send, which full=\(forward.overflow.policy.rawValue) takes by itself")
    }
    forward.method = method ?? (holds ? .zeroCopy : .send)
    return forward
  }
}

extension SinkSpecification {
  /// `A|B`, each spelled as it would be alone.
  static func tee(_ spelled: SpelledStage) throws(SpecificationError) -> SinkSpecification {
    let parts = (spelled.rest ?? "")[...].parts(at: "|")
    guard parts.count == 2 else {
      throw spelled.refusal("it takes two sinks", allowed: "tee:A|B")
    }
    let first = try SinkSpecification(String(parts[0]))
    let second = try SinkSpecification(String(parts[1]))
    for sink in [first, second] {
      switch sink {
      case .file, .forward, .shared, .unix: break
      case .null, .stdout, .tee:
        throw spelled.refusal(
          "\(sink) cannot be one of two sinks", allowed: "file, forward, shm and unix")
      }
    }
    return .tee(first, second)
  }

  /// The sinks that it is made of.
  public var branches: [SinkSpecification] {
    if case .tee(let first, let second) = self { [first, second] } else { [self] }
  }
}

extension ForwardSinkOptions {
  /// The canonical spelling.
  var spelled: String {
    "forward:\(target),method=\(method.rawValue),bytes=\(bytes.rawValue)" + overflow.spelled
  }
}
