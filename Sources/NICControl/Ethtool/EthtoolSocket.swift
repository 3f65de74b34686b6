import CIngestKernel
import Glibc

/// A socket for the ethtool ioctl (SIOCETHTOOL).
final class EthtoolSocket {
  private let descriptor: Int32

  init() throws(NetlinkError) {
    let flags = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue)
    descriptor = socket(AF_UNIX, flags, 0)
    guard descriptor >= 0 else {
      throw NetlinkError("open a socket for the ethtool ioctl", errno: errno)
    }
  }

  deinit { close(descriptor) }

  /// Makes one call; what the kernel answers replaces `command`.
  ///
  /// - Parameter command: the command's structure of include/uapi/linux/ethtool.h. It must be as
  ///   large as everything that this command writes, counts inside it included.
  @unsafe
  func call(
    _ what: String, _ link: Link, unsafeCommand command: inout [UInt8]
  ) throws(NetlinkError) {
    let status = unsafe command.withUnsafeMutableBytes { buffer in
      // An array that is not empty has an address.
      unsafe ik_ethtool(descriptor, link.name, buffer.baseAddress!)
    }
    guard status == 0 else { throw NetlinkError(what, errno: -status) }
  }
}
