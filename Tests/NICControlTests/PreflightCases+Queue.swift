import Glibc

@testable import NICControl

extension PreflightCase {
  static let queue: [PreflightCase] = [
    PreflightCase("queue 3", .ok, "one of 4 receive queues (it can have 16)"),
    PreflightCase("queue 9", .blocks, "zc0 has no queue 9", "-L zc0 combined N") { scene, _ in
      scene.wish.target?.queue = 9
    },
    PreflightCase("queue 0", .blocks, "cannot hand over queue 0", "--queue 1") { scene, _ in
      scene.wish.target?.queue = 0
      scene.driver("gve")
    },
    PreflightCase("queue 3", .warning, "does not tell how many", "`ethtool -l zc0`") { scene, _ in
      scene.state?.channels = .failed(NetlinkError("read", errno: EIO))
      scene.state?.queues = .value([])
    },
    PreflightCase("queue 3 owner", .ok, "free"),
    PreflightCase("queue 3 owner", .warning, "only while zc0 is up") { scene, _ in
      try scene.down()
      scene.state?.queues = .value([])
    },
    PreflightCase("queue 3 owner", .warning, "could not list") { scene, _ in
      scene.state?.queues = .failed(NetlinkError("list the queues", errno: EIO))
    },
    PreflightCase("queue 3 owner", .warning, "does not list") { scene, _ in
      scene.state?.queues = .value([])
    },
    PreflightCase("queue 3 owner", .blocks, "(process 4711)", "`ps -fp 4711`") { scene, _ in
      try scene.queue { $0.nest(6) { _ in } }
      scene.host.owners = [
        QueueOwner(process: 4711, command: "receiver", evidence: .ring, pinnedKiB: 65_536)
      ]
    },
    PreflightCase("queue 3 owner", .blocks, "TCP devmem", "another --queue") { scene, _ in
      try scene.queue { $0.add(5, UInt32(4)) }
    },
    PreflightCase("queue 3 owner", .blocks, "AF_XDP socket", "`ss --xdp -p`") { scene, _ in
      try scene.queue { $0.nest(7) { _ in } }
    },
    PreflightCase("queue 3 owner", .blocks, "leased to", "another --queue") { scene, _ in
      try scene.queue { $0.nest(8) { $0.add(1, UInt32(12)) } }
    },
    PreflightCase("queue 3 RSS", .ok, "no hash leads") { scene, _ in
      scene.table([0, 1, 2, 0])
    },
    PreflightCase("queue 3 RSS", .warning, "2 of 4 hash buckets", "`ethtool -X zc0 equal 3`") {
      scene, _ in scene.table([3, 1, 2, 3])
    },
    PreflightCase("queue 1 RSS", .warning, "1 of 4", "`ethtool -X zc0 weight 1 0 1 1`") {
      scene, _ in
      scene.table([3, 1, 2, 3])
      scene.wish.target?.queue = 1
    },
    PreflightCase("queue 0 RSS", .warning, "1 of 1", "a second queue: `ethtool -l zc0`") {
      scene, _ in
      let one = Channels.Counts(receive: 1, transmit: 1, combined: 0, other: 0)
      scene.state?.channels = .value(Channels(current: one, maximum: one))
      scene.table([0])
      scene.wish.target?.queue = 0
    },
    PreflightCase("queue 3 RSS", .ok, "by a table") { scene, _ in
      scene.state?.scaling = .notSupported(NetlinkError("read", errno: EOPNOTSUPP))
    },
    PreflightCase("queue 3 RSS", .warning, "could not read the table") { scene, _ in
      scene.state?.scaling = .failed(NetlinkError("read the table", errno: EIO))
    },
    PreflightCase(
      "queue 3 rules", .warning, "neither a rule nor a hash",
      "`ethtool -N zc0 flow-type tcp4 dst-port 5301 action 3`"
    ) { scene, _ in scene.table([0]) },
    PreflightCase("queue 3 rules", .warning, "whose hash happens to", "action 3`") { scene, _ in
      scene.table([0, 3])
      scene.rules([
        (.queue(2, virtualFunction: 0), nil), (.drop, nil), (.queue(3, virtualFunction: 1), nil),
      ])
    },
    PreflightCase("queue 3 rules", .ok, "1 n-tuple rule (1001) leads to it") { scene, _ in
      scene.rules([(.drop, nil), (.queue(3, virtualFunction: 0), nil)])
    },
    PreflightCase("queue 3 rules", .ok, "9 n-tuple rules (1000, 1001, 1002") { scene, _ in
      scene.rules(
        [(FlowRule.Action, context: UInt32?)](
          repeating: (.queue(3, virtualFunction: 0), nil), count: 9))
    },
    // The rule counts from the queues of its context: 1 + 2.
    PreflightCase("queue 3 rules", .ok, "1 n-tuple rule (1001) leads to it") { scene, _ in
      scene.rules([
        (.queue(3, virtualFunction: 0), 8), (.queue(2, virtualFunction: 0), 8),
        (.queue(3, virtualFunction: 0), 9),
      ])
      scene.state?.contexts = .value([
        ReceiveSideScaling(context: 8, hashFunction: 1, indirection: [1], key: [])
      ])
    },
    PreflightCase("queue 3 interrupt", .ok, "does not tell which"),
    PreflightCase("queue 3 interrupt", .ok, "number 31 goes to CPU 0-3") { scene, around in
      scene.interrupt(31, node: 0)
      around.interruptCPUs = [31: "0-3"]
    },
    PreflightCase("queue 3 interrupt", .ok, "an unknown CPU, the thread will run on CPU 9") {
      scene, around in
      scene.interrupt(31, node: nil)
      around.cpu = 9
    },
    PreflightCase("queue 3 interrupt", .ok, "CPU 2, the thread will run on CPU 3") {
      scene, around in
      scene.interrupt(31, node: 0)
      around = Surroundings(cpu: 3, nodes: [2: 0, 3: 0, 8: 1], interruptCPUs: [31: "2"])
    },
    PreflightCase(
      "queue 3 interrupt", .warning, "another memory node (the NIC is next to node 0)",
      "`echo 8 > /proc/irq/31/smp_affinity_list`"
    ) { scene, around in
      scene.interrupt(31, node: 0)
      around = Surroundings(cpu: 8, nodes: [2: 0, 3: 0, 8: 1], interruptCPUs: [31: "2-3"])
    },
    PreflightCase("queue 3 interrupt", .warning, "which is of node 1 (the NIC", "node 0:") {
      scene, around in
      scene.interrupt(31, node: 0)
      around = Surroundings(cpu: 8, nodes: [2: 0, 8: 1, 9: 1], interruptCPUs: [31: "9"])
    },
  ]
}
