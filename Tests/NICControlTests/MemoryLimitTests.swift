import Testing

@testable import NICControl

@Suite("memory that a cgroup allows")
struct MemoryLimitTests {
  private static func limit(_ files: [String: String]) -> MemoryLimit? {
    MemoryLimit.current { files[$0] }
  }

  @Test("the least of all from the process's own up to the root counts")
  func versions() {
    let two = [
      "/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max": "max\n",
      "/sys/fs/cgroup/a/memory.max": "1048576\n", "/sys/fs/cgroup/memory.max": "2097152\n",
    ]
    #expect(Self.limit(two) == MemoryLimit(bytes: 1 << 20, file: "/sys/fs/cgroup/a/memory.max"))
    let one = [
      "/proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/x/y\n0::/\n",
      "/sys/fs/cgroup/memory/x/y/memory.limit_in_bytes": "9223372036854771712\n",
      "/sys/fs/cgroup/memory/x/memory.limit_in_bytes": "4096\n",
    ]
    #expect(
      Self.limit(one)
        == MemoryLimit(bytes: 4096, file: "/sys/fs/cgroup/memory/x/memory.limit_in_bytes"))
    // A container that sees its own cgroup as the root, under the host's path.
    let container = [
      "/proc/self/cgroup": "4:memory:/docker/1234\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": "65536\n",
    ]
    #expect(Self.limit(container)?.bytes == 65536)
  }

  @Test("where nothing is limited or said, there is none")
  func none() {
    #expect(Self.limit([:]) == nil)
    #expect(Self.limit(["/proc/self/cgroup": "0::/\n"]) == nil)
    #expect(
      Self.limit(["/proc/self/cgroup": "0::/a\nbad\n::", "/sys/fs/cgroup/a/memory.max": "max"])
        == nil)
  }
}
