import Glibc
import Testing

@testable import NICControl

@Suite("around a queue")
struct SurroundingsTests {
  @Test("lists of CPUs as the kernel writes them")
  func lists() {
    #expect(Surroundings.cpus("0-3,8\n") == [0, 1, 2, 3, 8])
    #expect(Surroundings.cpus("5") == [5])
    #expect(Surroundings.cpus("") == [])
    #expect(Surroundings.cpus("3-1,x,9") == [9])
  }

  @Test("this machine's CPUs have nodes, where it tells them")
  func current() throws {
    let around = Surroundings.current(try StateSamples.capable(), cpu: 0)
    #expect(around.cpu == 0 && around.interruptCPUs.isEmpty && around.rdma == .none)
    if SystemFiles.text("/sys/devices/system/node/node0/cpulist") != nil {
      #expect(around.nodes[0] == 0)
    }
  }

  @Test("the RDMA device is the one whose port is the interface")
  func rdma() throws {
    let root = try TestNamespace.shell("mktemp -d /tmp/ingest-rdma-XXXXXX").filter { $0 != "\n" }
    defer { _ = try? TestNamespace.shell("rm -r \(root)") }
    for (device, port, name) in [("mlx5_0", 1, "eth1"), ("mlx5_1", 1, "eth2"), ("mlx5_1", 2, "z")] {
      let directory = "\(root)/\(device)/ports/\(port)/gid_attrs/ndevs"
      try TestNamespace.shell("mkdir -p \(directory) && echo \(name) > \(directory)/0")
    }
    #expect(RDMADevice.find("eth1", root: root) == RDMADevice(name: "mlx5_0"))
    #expect(RDMADevice.find("z", root: root) == RDMADevice(name: "mlx5_1"))
    #expect(RDMADevice.find("eth3", root: root) == nil)
    #expect(RDMADevice.find("eth1", root: root + "/none") == nil)
  }

  @Test("a device that is not there takes no dmabuf")
  func noDevice() {
    switch RDMADevice(name: "no-such-device").answer(dmabuf: -1, bytes: 4096) {
    case .noLibrary(let device): #expect(device.name == "no-such-device")
    case .refusesDMABuf(_, let errno): #expect(errno > 0)
    case let other: Issue.record("\(other)")
    }
  }
}
