import Glibc
import Testing

@testable import NICControl

@Suite("waiting for a queue")
struct QueueWatchTests {
  /// A queue that is let go after a number of looks, and a clock that only sleeping moves.
  private final class Scene {
    var looks = 0
    var clock: UInt64 = 1_000
    var pauses: [UInt64] = []
    let freeAfter: Int
    let failure: NetlinkError?

    init(freeAfter: Int, failure: NetlinkError? = nil) {
      self.freeAfter = freeAfter
      self.failure = failure
    }

    var taken: Queue {
      Queue(
        direction: .receive, number: 3, ioUring: Queue.IOUring(bufferLength: 4096),
        hasXDPSocket: false)
    }

    var watch: QueueWatch {
      QueueWatch(
        read: { () throws(NetlinkError) in
          self.looks += 1
          if let failure = self.failure, self.looks > 2 { throw failure }
          var queue = self.taken
          if self.looks > self.freeAfter { queue.ioUring = nil }
          return queue
        },
        now: { self.clock },
        sleep: {
          self.pauses.append($0)
          self.clock += $0
        })
    }
  }

  @Test("a free queue is not waited for")
  func free() throws {
    let scene = Scene(freeAfter: 0)
    let outcome = try scene.watch.waitUntilFree(within: 0) { _, _ in
      Issue.record("nothing to wait for")
      return true
    }
    #expect(outcome == .free && scene.looks == 1 && scene.pauses.isEmpty)
  }

  @Test("pauses grow, and each is announced with the time waited so far")
  func pauses() throws {
    let scene = Scene(freeAfter: 8)
    var waited: [UInt64] = []
    let outcome = try scene.watch.waitUntilFree(within: 5_000_000_000) { queue, soFar in
      #expect(queue == scene.taken)
      waited.append(soFar)
      return true
    }
    #expect(outcome == .free)
    #expect(scene.pauses.map { $0 / 1_000_000 } == [5, 10, 20, 40, 80, 100, 100, 100])
    #expect(waited.count == 8 && waited.first == 0)
    #expect(waited.last == scene.pauses.dropLast().reduce(0, +))
  }

  @Test("the wait ends with the time, looking once more at its end")
  func limit() throws {
    let scene = Scene(freeAfter: .max)
    #expect(try scene.watch.waitUntilFree(within: 12_000_000) == .taken(scene.taken))
    #expect(scene.pauses == [5_000_000, 7_000_000])
    #expect(scene.looks == 3)
    let once = Scene(freeAfter: .max)
    #expect(try once.watch.waitUntilFree(within: 0) == .taken(once.taken))
    #expect(once.looks == 1)
  }

  @Test("the caller can end it")
  func stopped() throws {
    let scene = Scene(freeAfter: .max)
    var calls = 0
    let outcome = try scene.watch.waitUntilFree(within: .max) { _, _ in
      calls += 1
      return calls < 3
    }
    #expect(outcome == .taken(scene.taken))
    #expect(scene.looks == 3)
  }

  @Test("an interface that goes meanwhile is an error")
  func gone() {
    let scene = Scene(freeAfter: .max, failure: NetlinkError("read", errno: ENODEV))
    let error = #expect(throws: NetlinkError.self) {
      try scene.watch.waitUntilFree(within: .max)
    }
    #expect(error?.errno == ENODEV)
  }
}
