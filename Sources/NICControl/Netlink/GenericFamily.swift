/// Requests of one generic netlink family ("ethtool", "netdev").
struct GenericFamily {
  private let socket: NetlinkSocket
  private let number: UInt16

  /// Both families are of version 1, and their replies start with a generic header of 4 bytes.
  private static let version: UInt8 = 1
  private static let headerSize = 4

  init(_ name: String, on socket: NetlinkSocket) throws(NetlinkError) {
    number = try socket.family(name)
    self.socket = socket
  }

  /// Asks for one object.
  ///
  /// - Parameter what: the request as a phrase, for errors.
  func get<Value: AttributeDecodable>(
    _ command: UInt8, _ what: String, _ fill: (inout AttributeWriter) -> Void
  ) throws(NetlinkError) -> Value {
    let replies: [Value] = try send(command, what, answer: .acknowledged, fill)
    guard let reply = replies.first else {
      throw NetlinkError(what, malformed: MalformedMessage("the kernel sent no reply"))
    }
    return reply
  }

  /// Asks for all objects that match.
  func dump<Value: AttributeDecodable>(
    _ command: UInt8, _ what: String, _ fill: (inout AttributeWriter) -> Void
  ) throws(NetlinkError) -> [Value] {
    try send(command, what, answer: .dump, fill)
  }

  /// Asks for a change; what the kernel replies besides its acknowledgement is dropped.
  func change(
    _ command: UInt8, _ what: String, _ fill: (inout AttributeWriter) -> Void
  ) throws(NetlinkError) {
    let _: [Ignored] = try send(command, what, answer: .acknowledged, fill)
  }

  private struct Ignored: AttributeDecodable {
    init(_ attributes: Attributes) throws(MalformedMessage) {}
  }

  private func send<Value: AttributeDecodable>(
    _ command: UInt8, _ what: String, answer: NetlinkSocket.Answer,
    _ fill: (inout AttributeWriter) -> Void
  ) throws(NetlinkError) -> [Value] {
    var writer = AttributeWriter()
    fill(&writer)
    let payloads = try socket.exchange(
      what, type: number, answer: answer,
      header: [command, GenericFamily.version, 0, 0], attributes: writer)
    do throws(MalformedMessage) {
      var values: [Value] = []
      for payload in payloads {
        guard payload.count >= GenericFamily.headerSize else {
          throw MalformedMessage("a reply of \(payload.count) bytes")
        }
        values.append(try Value(Attributes(payload[GenericFamily.headerSize...])))
      }
      return values
    } catch {
      throw NetlinkError(what, malformed: error)
    }
  }
}

extension NetlinkSocket {
  /// As ``exchange(_:type:answer:payload:)``, of a family header and attributes.
  func exchange(
    _ what: String, type: UInt16, answer: Answer, header: [UInt8], attributes: AttributeWriter
  ) throws(NetlinkError) -> [[UInt8]] {
    guard !attributes.isTooLarge else {
      throw NetlinkError(what, malformed: MalformedMessage("a value is longer than 65531 bytes"))
    }
    return try exchange(what, type: type, answer: answer, payload: header + attributes.bytes)
  }
}
