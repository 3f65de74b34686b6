import CIngestKernel
import Glibc
import RingCore
import Testing
import ZeroCopy

/// The address of a peer as a socket for both families sees it, and as one for IPv4 alone does.
func peer(_ text: String, mapped: Bool = false, scope: UInt32 = 0) -> Endpoint {
  var raw = ik_endpoint()
  let isIPv6 = text.contains(":")
  raw.family = UInt16(isIPv6 || mapped ? AF_INET6 : AF_INET)
  raw.port = 4000
  raw.scope = scope
  let read = unsafe withUnsafeMutableBytes(of: &raw.address) { bytes in
    if mapped {
      unsafe bytes[10] = 0xff
      unsafe bytes[11] = 0xff
    }
    return unsafe inet_pton(
      isIPv6 ? AF_INET6 : AF_INET, text, bytes.baseAddress! + (mapped ? 12 : 0))
  }
  #expect(read == 1, "\(text)")
  return Endpoint(raw: raw)
}

@Suite struct PeerPrefixTests {
  @Test(
    arguments: [
      ("10.0.0.0/8", "10.255.255.255", true), ("10.0.0.0/8", "11.0.0.0", false),
      ("10.1.2.3", "10.1.2.3", true), ("10.1.2.3", "10.1.2.2", false),
      ("10.1.2.2/31", "10.1.2.3", true), ("10.1.2.2/31", "10.1.2.4", false),
      ("0.0.0.0/0", "203.0.113.9", true), ("0.0.0.0/0", "2001:db8::1", false),
      ("0.0.0.0/1", "127.255.255.255", true), ("0.0.0.0/1", "128.0.0.0", false),
      ("2001:db8::/32", "2001:db8:ffff::1", true), ("2001:db8::/32", "2001:db9::", false),
      ("2001:db8::/64", "2001:db8::ffff:ffff:ffff:ffff", true),
      ("2001:db8::/64", "2001:db8:0:1::", false),
      ("2001:db8::8000:0:0:0/65", "2001:db8::8000:0:0:1", true),
      ("2001:db8::8000:0:0:0/65", "2001:db8::7fff:0:0:1", false),
      ("::1", "::1", true), ("::1", "::2", false), ("::/0", "fe80::1", true),
      ("::/0", "192.0.2.1", false), ("::ffff:10.0.0.0/104", "10.9.9.9", true),
      ("::ffff:10.0.0.0/104", "11.9.9.9", false),
    ])
  func contains(prefix: String, address: String, wanted: Bool) throws {
    let network = try PeerPrefix(prefix)
    #expect(network.contains(PeerAddress(peer(address))) == wanted)
    // A socket for both families shows IPv4 peers as mapped ones.
    if !address.contains(":") {
      #expect(network.contains(PeerAddress(peer(address, mapped: true))) == wanted)
    }
  }

  /// Against a bit-by-bit comparison, for every length.
  @Test func everyLengthComparesSoManyBits() throws {
    let bytes: [UInt8] = [
      0x20, 1, 0xd, 0xb8, 0xaa, 0x55, 0xff, 0, 0x81, 0x7e, 3, 0xc0, 9, 0, 1, 0x80,
    ]
    for length in 0...128 {
      var network = bytes
      for bit in length..<128 { network[bit / 8] &= ~(0x80 >> UInt8(bit % 8)) }
      let prefix = try PeerPrefix("\(PeerPrefixTests.text(network))/\(length)")
      for flipped in 0..<128 {
        var other = bytes
        other[flipped / 8] ^= 0x80 >> UInt8(flipped % 8)
        let address = PeerAddress(peer(PeerPrefixTests.text(other)))
        #expect(prefix.contains(address) == (flipped >= length), "\(length), bit \(flipped)")
      }
    }
  }

  private static func text(_ bytes: [UInt8]) -> String {
    stride(from: 0, to: 16, by: 2)
      .map { String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16) }
      .joined(separator: ":")
  }

  @Test(
    arguments: [
      ("10.0.0/8", "\"10.0.0\" is no address"), ("", "\"\" is no address"),
      ("host.example", "\"host.example\" is no address"), ("10.0.0.0/", "\"\" is no length"),
      ("10.0.0.0/33", "\"33\" is no length"), ("2001:db8::/129", "\"129\" is no length"),
      ("10.0.0.0/+8", "\"+8\" is no length"), ("10.0.0.0/8/8", "\"8/8\" is no length"),
      ("fe80::1%eth0", "no interface"), ("10.0.0.1/8", "bits set beyond the first 8"),
      ("2001:db8::1/64", "bits set beyond the first 64"), (" 10.0.0.1", "is no address"),
    ])
  func namesThePartThatIsWrong(text: String, words: String) {
    let error = #expect(throws: PeerPrefixError.self) { try PeerPrefix(text) }
    #expect(error?.problem.contains(words) == true, "\(error.map { "\($0)" } ?? "")")
  }

  @Test func saysWhichNetworkWasMeant() {
    let error = #expect(throws: PeerPrefixError.self) { try PeerPrefix("10.1.2.3/8") }
    #expect(error?.remedy == "10.0.0.0/8 is that network, 10.1.2.3/32 that one address")
  }

  @Test func isSpelledAsItReads() throws {
    for text in ["10.0.0.0/8", "2001:db8::/32", "0.0.0.0/0", "::/0", "192.0.2.1/32"] {
      #expect(try PeerPrefix(text).description == text)
    }
  }

  /// A link-local address is another host's on another link; any other is the same everywhere.
  @Test func scopesTellLinkLocalHostsApart() {
    #expect(PeerAddress(peer("fe80::1", scope: 2)) != PeerAddress(peer("fe80::1", scope: 3)))
    #expect(PeerAddress(peer("2001:db8::1", scope: 2)) == PeerAddress(peer("2001:db8::1")))
    #expect(PeerAddress(peer("192.0.2.1", mapped: true)) == PeerAddress(peer("192.0.2.1")))
  }
}
