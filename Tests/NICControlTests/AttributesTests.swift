import IngestTestSupport
import Testing

@testable import NICControl

@Suite("netlink attributes")
struct AttributesTests {
  @Test("what is written is read back")
  func roundTrip() throws {
    var writer = AttributeWriter()
    writer.add(1, UInt8(200))
    writer.add(2, UInt16(60_000))
    writer.add(3, UInt32(4_000_000_000))
    writer.add(4, UInt64.max)
    writer.add(5, text: "eth0")
    writer.add(6, bytes: [])
    writer.nest(7) { inner in
      inner.add(1, UInt32(7))
      inner.nest(2) { $0.add(9, bytes: [1, 2, 3]) }
    }
    #expect(writer.bytes.count % Attributes.alignment == 0)
    #expect(!writer.isTooLarge)
    let attributes = try Attributes(writer.bytes[...])
    #expect(try attributes.integer(1, as: UInt64.self) == 200)
    #expect(try attributes.integer(2, as: UInt16.self) == 60_000)
    #expect(try attributes.required(3, as: UInt32.self) == 4_000_000_000)
    #expect(try attributes.integer(4, as: UInt64.self) == .max)
    #expect(attributes.text(5) == "eth0")
    #expect(attributes.has(6))
    #expect(!attributes.has(8))
    // The number of a nest is read without its flag.
    let nest = try #require(try attributes.nested(7))
    #expect(try nest.integer(1, as: UInt32.self) == 7)
    #expect(try nest.nested(2)?[9]?.value == [1, 2, 3])
    #expect(try attributes.nested(8) == nil)
  }

  @Test("numbers are as wide as the kernel made them")
  func widths() throws {
    for width in [1, 2, 4, 8] {
      let bytes = [UInt8](repeating: 0, count: width - 1)
      let attribute = Attribute(number: 1, value: ([7] + bytes)[...])
      #expect(try attribute.unsigned() == 7)
    }
    for width in [0, 3, 5, 6, 7, 9, 16] {
      let attribute = Attribute(number: 1, value: [UInt8](repeating: 1, count: width)[...])
      #expect(throws: MalformedMessage.self) { try attribute.unsigned() }
    }
  }

  @Test("a number that does not fit, or is missing where every kernel sends it, is an error")
  func misfits() throws {
    var writer = AttributeWriter()
    writer.add(1, UInt32(256))
    let attributes = try Attributes(writer.bytes[...])
    #expect(throws: MalformedMessage.self) { try attributes.integer(1, as: UInt8.self) }
    #expect(throws: MalformedMessage.self) { try attributes.required(2, as: UInt8.self) }
    #expect(try attributes.integer(2, as: UInt8.self) == nil)
  }

  @Test("words come in fours")
  func words() throws {
    #expect(try Attribute(number: 1, value: [1, 0, 0, 0, 0, 1, 0, 0]).words() == [1, 256])
    #expect(try Attribute(number: 1, value: []).words() == [])
    #expect(throws: MalformedMessage.self) { try Attribute(number: 1, value: [1, 2, 3]).words() }
  }

  @Test("texts end at their zero, or where the attribute does")
  func texts() {
    #expect(Attribute(number: 1, value: Array("lo\u{0}xx".utf8)[...]).text() == "lo")
    #expect(Attribute(number: 1, value: Array("lo".utf8)[...]).text() == "lo")
    #expect(Attribute(number: 1, value: []).text() == "")
  }

  @Test("a length that is a lie is found, wherever the attribute starts")
  func lies() throws {
    var writer = AttributeWriter()
    writer.add(1, UInt32(1))
    writer.add(2, UInt32(2))
    for length in [0, 3, 9, 255] {
      var bytes = writer.bytes
      bytes[8] = UInt8(length)
      // The offset shows that slices are read by their own indices.
      let slice = ([0xff, 0xff] + bytes)[2...]
      #expect(throws: MalformedMessage.self) { try Attributes(slice) }
    }
    #expect(try Attributes((writer.bytes + [0, 0, 0])[...]).list.count == 2)
    #expect(try Attributes([]).list.isEmpty)
  }

  @Test("an attribute that is too long for its length field is not sent")
  func tooLarge() {
    var writer = AttributeWriter()
    writer.add(1, bytes: [UInt8](repeating: 0, count: 65_531))
    #expect(!writer.isTooLarge)
    writer.nest(2) { $0.add(1, bytes: [UInt8](repeating: 0, count: 65_532)) }
    #expect(writer.isTooLarge)
  }

  @Test("random bytes are attributes or an error", arguments: 0..<32 as Range<UInt64>)
  func random(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<500 {
      var bytes = generator.bytes(Int.random(in: 0...64, using: &generator))
      // Small lengths are the ones that lead further in.
      if bytes.count > 1 && Bool.random(using: &generator) { bytes[1] = 0 }
      guard let attributes = try? Attributes(bytes[...]) else { continue }
      let held = attributes.list.reduce(0) { $0 + $1.value.count + Attributes.headerSize }
      #expect(held <= bytes.count, "seed \(seed)")
    }
  }
}
