/// What matters to a queue beside the NIC's own settings: interrupts, CPUs, memory nodes and an
/// RDMA device, as files of /proc and /sys have it.
public struct Surroundings: Equatable, Sendable {
  /// The CPU that the receiving thread will run on; nil where it is not known.
  public var cpu: Int?
  /// The memory node of each CPU; empty on machines with one node.
  public var nodes: [Int: UInt32]
  /// By the number of an interrupt the CPUs to which it goes, as the kernel lists them ("0-3,8").
  public var interruptCPUs: [UInt32: String]
  public var rdma: RDMADevice.Answer

  public init(
    cpu: Int? = nil, nodes: [Int: UInt32] = [:], interruptCPUs: [UInt32: String] = [:],
    rdma: RDMADevice.Answer = .none
  ) {
    self.cpu = cpu
    self.nodes = nodes
    self.interruptCPUs = interruptCPUs
    self.rdma = rdma
  }

  /// Reads what is about an interface's NAPI instances and this machine's CPUs; the RDMA device is
  /// left out.
  ///
  /// - Cost: a file for each interrupt and each memory node.
  public static func current(_ state: NICState, cpu: Int?) -> Surroundings {
    var interrupts: [UInt32: String] = [:]
    for napi in state.napis.value ?? [] {
      guard let number = napi.interrupt else { continue }
      interrupts[number] = interruptCPUs(of: number)
    }
    return Surroundings(cpu: cpu, nodes: nodeOfEachCPU(), interruptCPUs: interrupts)
  }

  /// Where an interrupt goes now, or, where the controller does not tell, may go.
  private static func interruptCPUs(of number: UInt32) -> String? {
    for name in ["effective_affinity_list", "smp_affinity_list"] {
      let text = SystemFiles.text("/proc/irq/\(number)/\(name)")
      if let line = text?.split(separator: "\n").first { return String(line) }
    }
    return nil
  }

  private static func nodeOfEachCPU() -> [Int: UInt32] {
    var nodes: [Int: UInt32] = [:]
    let directory = "/sys/devices/system/node"
    for name in SystemFiles.names(in: directory) where name.hasPrefix("node") {
      guard let node = UInt32(name.dropFirst(4)) else { continue }
      let list = SystemFiles.text("\(directory)/\(name)/cpulist") ?? ""
      for cpu in cpus(list) { nodes[cpu] = node }
    }
    return nodes
  }

  /// "0-3,8" as numbers; what is none is left out.
  static func cpus(_ list: String) -> [Int] {
    list.split { $0 == "," || $0 == "\n" }.flatMap { part -> [Int] in
      let ends = part.split(separator: "-").map { Int($0) }
      guard let first = ends.first ?? nil, let last = ends.last ?? nil, first <= last,
        last - first < 1 << 16
      else { return [] }
      return Array(first...last)
    }
  }
}
