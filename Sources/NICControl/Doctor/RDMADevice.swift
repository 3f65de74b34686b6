import CIngestKernel
import Glibc

/// The RDMA device of an interface: whether memory that is received into could be handed to it.
public struct RDMADevice: Equatable, Sendable {
  /// "mlx5_0"
  public let name: String

  /// What is known of an interface's RDMA device.
  public enum Answer: Equatable, Sendable {
    case none
    /// The library that speaks to it (libibverbs) is not installed.
    case noLibrary(RDMADevice)
    case takesDMABuf(RDMADevice)
    case refusesDMABuf(RDMADevice, errno: Int32)
    /// There is no dmabuf to ask with.
    case notAsked(RDMADevice, why: String)
  }

  /// The RDMA device whose port is this interface; nil where it has none.
  ///
  /// - Cost: some reads of /sys/class/infiniband.
  public static func of(_ interface: String) -> RDMADevice? {
    find(interface, root: "/sys/class/infiniband")
  }

  static func find(_ interface: String, root: String) -> RDMADevice? {
    for name in SystemFiles.names(in: root).sorted() {
      for port in SystemFiles.names(in: "\(root)/\(name)/ports") {
        let text = SystemFiles.text("\(root)/\(name)/ports/\(port)/gid_attrs/ndevs/0") ?? ""
        if text.prefix(while: { $0 != "\n" }) == interface { return RDMADevice(name: name) }
      }
    }
    return nil
  }

  /// Registers a dmabuf with the device, and lets it go at once.
  ///
  /// libibverbs is loaded for this alone, so that nothing needs it to start.
  public func answer(dmabuf: Int32, bytes: Int) -> Answer {
    switch unsafe ik_verbs_take_dmabuf(name, dmabuf, bytes) {
    case 0: .takesDMABuf(self)
    case -ELIBACC: .noLibrary(self)
    case let error: .refusesDMABuf(self, errno: -error)
    }
  }
}
