import CIngestKernel
import Glibc
import Testing

@testable import Ingest
@testable import ZeroCopy

/// A slot of a pool that has some.
private func taken(_ pool: inout SendPool) -> UInt32 {
  let slot = pool.take()
  guard slot != SendPool.none else { fatalError("the pool of the test is empty") }
  return slot
}

/// The pool's memory and the rule that a slot is written again only after the kernel's last word.
@Suite struct SendPools {
  @Test func slotsComeBackLastFirstAndOnlyOnce() throws {
    var pool = try SendPool(length: 1000, bytes: 1 << 16, minimumSlots: 4, generation: 1)
    let first = taken(&pool)
    let second = taken(&pool)
    #expect(first != second)
    let left = pool.available
    #expect(left == pool.slotCount - 2)
    pool.putBack(first)
    let again = taken(&pool)
    #expect(again == first)
  }

  @Test func smallSlotsStayWithinAPage() throws {
    for length in [1, 64, 600, 1472, 4000, 4096, 4097, 65000] {
      let pool = try SendPool(length: length, bytes: 1 << 20, minimumSlots: 2, generation: 1)
      let stride = pool.stride
      #expect(stride >= length)
      #expect(length > 4096 ? stride % 4096 == 0 : 4096 % stride == 0)
    }
  }

  @Test func aGenerationIsReleasedAsAWhole() throws {
    var pool = try SendPool(length: 64, bytes: 4096, minimumSlots: 8, generation: 3)
    let slots = [taken(&pool), taken(&pool), taken(&pool)]
    for slot in slots {
      pool.enlist(slot)
      unsafe pool.slots[Int(slot)].state = .awaiting
    }
    let before = pool.available
    pool.answer(slots[2])
    pool.answer(slots[0])
    let held = pool.available
    #expect(held == before)
    pool.answer(slots[1])
    let released = pool.available
    #expect(released == before + 3)
  }

  @Test func anOpenGenerationGoesWhenItIsClosed() throws {
    var pool = try SendPool(length: 64, bytes: 4096, minimumSlots: 8, generation: 3)
    let slot = taken(&pool)
    pool.enlist(slot)
    unsafe pool.slots[Int(slot)].state = .awaiting
    pool.answer(slot)
    let held = pool.available
    #expect(held == pool.slotCount - 1)
    pool.closeGeneration()
    let released = pool.available
    #expect(released == pool.slotCount)
  }

  @Test func aSlotIsNotReleasedWhileANotificationIsOutstanding() async {
    await #expect(processExitsWith: .failure) {
      var pool = try SendPool(length: 64, bytes: 4096, minimumSlots: 8, generation: 1)
      let slot = taken(&pool)
      unsafe pool.slots[Int(slot)].pending = 1
      unsafe pool.slots[Int(slot)].state = .awaiting
      pool.answer(slot)
    }
  }

  @Test func aSlotInFlightIsNotTakenAgain() async {
    await #expect(processExitsWith: .failure) {
      var pool = try SendPool(length: 64, bytes: 4096, minimumSlots: 8, generation: 1)
      let slot = taken(&pool)
      pool.putBack(slot)
      unsafe pool.slots[Int(slot)].state = .inFlight
      _ = pool.take()
    }
  }

  /// Registered buffers on large folios are charged to a TCP socket by the folio.
  @Test func thePoolIsOnBasePages() throws {
    let pool = try SendPool(length: 65536, bytes: 16 << 20, minimumSlots: 2, generation: 1)
    let maps = try text(of: "/proc/self/smaps").split(separator: "\n")
    let address = unsafe UInt(bitPattern: pool.memory)
    let start = try #require(
      maps.firstIndex { line in
        let bounds = line.split(separator: " ")[0].split(separator: "-")
        guard bounds.count == 2, let low = UInt(bounds[0], radix: 16),
          let high = UInt(bounds[1], radix: 16)
        else { return false }
        return low <= address && address < high
      })
    let fields = maps[start...].prefix(30).reduce(into: [String: String]()) { found, line in
      let parts = line.split(separator: ":", maxSplits: 1)
      guard parts.count == 2, found[String(parts[0])] == nil else { return }
      found[String(parts[0])] = parts[1].split(separator: " ").first.map(String.init)
    }
    #expect(fields["AnonHugePages"] == "0")
    #expect(fields["KernelPageSize"] == "4")
    let flags = maps[start...].first { $0.hasPrefix("VmFlags:") }
    #expect(flags?.contains(" nh") == true)
    let size = pool.byteCount
    #expect(size >= 16 << 20)
  }

  /// What a blocked sender has queued, against what the kernel charges for it: on 2 MiB folios one
  /// packet is charged 3.7 MB and nothing else fits.
  @Test(arguments: [SendMethod.sendZCFixed, .sendZC, .send])
  func queuedBytesAreChargedAsWhatTheyAre(method: SendMethod) throws {
    let peer = SendPeer { _ in .ignore }
    var configuration = SendDelivery.configuration(peer, method)
    configuration.length = 16384
    configuration.pool = 16 << 20
    configuration.time = 20
    let sender = try Sender(configuration)
    try sender.start()
    let descriptor = try #require(sender.descriptors.first)
    var last: UInt64 = 0
    var still = 0
    while still < 20 {
      usleep(5000)
      let bytes = sender.snapshot().bytes
      still = bytes == last && bytes > 0 ? still + 1 : 0
      last = bytes
    }
    let queued = ik_unsent_bytes(descriptor)
    let charged = ik_send_memory(descriptor)
    #expect(queued > 64 << 10)
    #expect(charged < 3 * queued)
    sender.stop()
    sender.stop()
    peer.end()
    _ = sender.finish()
    _ = peer.streams()
  }

  private func text(of path: String) throws -> String {
    let descriptor = unsafe open(path, O_RDONLY)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let got = unsafe read(descriptor, &buffer, buffer.count)
      if got <= 0 { break }
      bytes += buffer[0..<got]
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
