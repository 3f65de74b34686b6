import Glibc

@testable import NICControl

/// An XDP program that lets every packet pass, in the kernel's memory for as long as this lives or
/// it is attached.
final class TestXDP {
  let descriptor: Int32

  // bpf(2)
  #if arch(arm64)
    private static let systemCall = 280
  #else
    private static let systemCall = 321
  #endif
  private static let load = 5  // BPF_PROG_LOAD
  private static let programType: UInt32 = 6  // BPF_PROG_TYPE_XDP
  private static let setLink: UInt16 = 19  // RTM_SETLINK

  init() throws {
    guard let symbol = unsafe dlsym(nil, "syscall") else {
      throw TestNamespace.Failure(description: "the C library has no syscall")
    }
    typealias Function = @convention(c) (Int, Int, UnsafeRawPointer, Int) -> Int
    let call = unsafe unsafeBitCast(symbol, to: Function.self)
    // r0 = XDP_PASS; exit
    let program: [UInt8] = [0xb7, 0, 0, 0, 2, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]
    let license = Array("GPL".utf8) + [0]
    let got = unsafe program.withUnsafeBytes { instructions in
      unsafe license.withUnsafeBytes { text in
        // The first members of union bpf_attr for loading; what follows is 0.
        var attributes =
          littleEndianBytes(of: TestXDP.programType) + littleEndianBytes(of: UInt32(2))
        let addresses = unsafe [instructions.baseAddress, text.baseAddress]
        attributes += unsafe addresses.flatMap { address in
          littleEndianBytes(of: UInt64(UInt(bitPattern: address)))
        }
        attributes += [UInt8](repeating: 0, count: 96)
        return unsafe attributes.withUnsafeBytes { bytes in
          unsafe call(TestXDP.systemCall, TestXDP.load, bytes.baseAddress!, bytes.count)
        }
      }
    }
    guard got >= 0 else { throw TestNamespace.Failure(description: "bpf: errno \(errno)") }
    descriptor = Int32(got)
  }

  deinit { close(descriptor) }

  /// Attaches it in generic mode, as `ip link set DEVICE xdpgeneric …` does.
  func attach(to link: Link, _ access: NICAccess) throws {
    try TestXDP.set(descriptor, link, access)
  }

  static func detach(from link: Link, _ access: NICAccess) throws { try set(-1, link, access) }

  private static func set(_ descriptor: Int32, _ link: Link, _ access: NICAccess) throws {
    var writer = AttributeWriter()
    writer.nest(43) {
      $0.add(1, UInt32(bitPattern: descriptor))
      $0.add(3, UInt32(2))  // XDP_FLAGS_SKB_MODE
    }
    let header =
      [0, 0, 0, 0] + littleEndianBytes(of: link.index) + [UInt8](repeating: 0, count: 8)
    _ = try access.route.exchange(
      "set the XDP program of \(link.name)", type: setLink, answer: .acknowledged, header: header,
      attributes: writer)
  }
}
