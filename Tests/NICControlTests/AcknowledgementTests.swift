import Glibc
import IngestTestSupport
import Testing

@testable import NICControl

@Suite("netlink acknowledgements")
struct AcknowledgementTests {
  private static let capped: UInt16 = 0x100
  private static let attributes: UInt16 = 0x200

  private func words(_ text: String) -> [UInt8] {
    var writer = AttributeWriter()
    writer.add(1, text: text)
    writer.add(2, UInt32(20))
    return writer.bytes
  }

  /// The header of a request of `length` bytes.
  private func header(_ length: UInt32) -> [UInt8] {
    littleEndianBytes(of: length) + [UInt8](repeating: 0, count: 12)
  }

  private func status(_ errno: Int32) -> [UInt8] {
    littleEndianBytes(of: UInt32(bitPattern: -errno))
  }

  @Test("the kernel's words, with and without the request in front of them")
  func text() throws {
    let capped = try Acknowledgement(
      kind: .error, flags: AcknowledgementTests.capped | AcknowledgementTests.attributes,
      payload: (status(EINVAL) + header(50) + words("tcp-data-split is disabled"))[...])
    #expect(capped.errno == EINVAL)
    #expect(capped.message == "tcp-data-split is disabled")
    let whole = try Acknowledgement(
      kind: .error, flags: AcknowledgementTests.attributes,
      payload: (status(EPERM) + header(21) + [1, 2, 3, 4, 5, 0, 0, 0] + words("no"))[...])
    #expect(whole.errno == EPERM)
    #expect(whole.message == "no")
  }

  @Test("an errno alone, a success, and the end of a dump")
  func plain() throws {
    let refused = try Acknowledgement(
      kind: .error, flags: 0, payload: (status(ENODEV) + header(36) + [1, 2, 3])[...])
    #expect(refused.errno == ENODEV)
    #expect(refused.message == nil)
    let accepted = try Acknowledgement(
      kind: .error, flags: AcknowledgementTests.capped, payload: (status(0) + header(36))[...])
    #expect(accepted.errno == 0)
    let done = try Acknowledgement(kind: .done, flags: 0, payload: status(0)[...])
    #expect(done.errno == 0)
    let failed = try Acknowledgement(
      kind: .done, flags: AcknowledgementTests.attributes,
      payload: (status(EOPNOTSUPP) + words("not here"))[...])
    #expect(failed.errno == EOPNOTSUPP)
    #expect(failed.message == "not here")
    #expect(try Acknowledgement(kind: .done, flags: 0, payload: []).errno == 0)
  }

  @Test("no errno is ever negative")
  func extremes() throws {
    let lowest = try Acknowledgement(
      kind: .done, flags: 0, payload: littleEndianBytes(of: UInt32(0x8000_0000))[...])
    #expect(lowest.errno == .max)
  }

  @Test("what is cut short is an error or loses its words", arguments: 0..<60)
  func cut(length: Int) {
    let whole = status(EINVAL) + header(50) + words("hds-thresh is not zero")
    let flags = AcknowledgementTests.capped | AcknowledgementTests.attributes
    let read = try? Acknowledgement(
      kind: .error, flags: flags, payload: whole.prefix(min(length, whole.count)))
    if length >= whole.count {
      #expect(read?.message == "hds-thresh is not zero")
    } else if length < 20 {
      #expect(read == nil)
    } else if let read {
      #expect(read.errno == EINVAL)
      #expect(read.message == nil || length > 46)
    }
  }

  @Test("random bytes are read or refused", arguments: 0..<16 as Range<UInt64>)
  func random(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<500 {
      let bytes = generator.bytes(Int.random(in: 0...80, using: &generator))
      let flags = UInt16.random(in: 0...0xffff, using: &generator)
      for kind in [Acknowledgement.Kind.error, .done] {
        guard let read = try? Acknowledgement(kind: kind, flags: flags, payload: bytes[...]) else {
          continue
        }
        #expect(read.errno >= 0, "seed \(seed)")
      }
    }
  }
}
