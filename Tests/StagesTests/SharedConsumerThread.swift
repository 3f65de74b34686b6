import Dispatch
import Glibc
import IngestTestSupport
import Synchronization

@testable import IngestConsumer

/// A consumer on a thread of its own, which puts every connection's bytes together.
final class ConsumerThread: Sendable {
  struct Outcome {
    var streams: [UInt64: [UInt8]] = [:]
    var records: [UInt64: Int] = [:]
    var resumed: [UInt64] = []
    var closed: [UInt64] = []
    var error: SharedConsumerError?
  }

  private let outcome = Mutex(Outcome())
  private let done = DispatchSemaphore(value: 0)
  private let bytesTaken = Atomic<Int>(0)

  /// Gives claims back in random order, some later than others. Goes away after `limit` claims.
  init(path: String, seed: UInt64, claims limit: Int = .max) {
    Thread.run { [self] in
      do throws(SharedConsumerError) {
        try consume(path, seed: seed, limit: limit)
      } catch {
        outcome.withLock { $0.error = error }
      }
      done.signal()
    }
  }

  var taken: Int { bytesTaken.load(ordering: .relaxed) }

  func finish() -> Outcome {
    done.wait()
    return outcome.withLock { $0 }
  }

  private func consume(
    _ path: String, seed: UInt64, limit: Int
  ) throws(SharedConsumerError) {
    var consumer = try SharedConsumer(path: path)
    var generator = SeededGenerator(seed: seed)
    var kept: [SharedRecord] = []
    var claims = 0
    while true {
      if !consumer.hasNext() {
        for claim in kept.shuffled(using: &generator) { consumer.giveBack(claim) }
        kept = []
      }
      guard let record = try consumer.next() else { return }
      outcome.withLock { outcome in
        switch record.kind {
        case .opened:
          if record.isResumed { outcome.resumed.append(record.serial) }
        case .piece:
          let bytes = consumer.withBytes(of: record) { span in
            unsafe span.withUnsafeBytes { unsafe Array($0) }
          }
          outcome.streams[record.serial, default: []] += bytes ?? []
          outcome.records[record.serial, default: 0] += record.isLast ? 1 : 0
          bytesTaken.wrappingAdd(record.byteCount, ordering: .relaxed)
        case .claim: kept.append(record)
        case .closed: outcome.closed.append(record.serial)
        }
      }
      guard record.kind == .claim else { continue }
      claims += 1
      if claims == limit { return }
      if kept.count > Int.random(in: 0...8, using: &generator) {
        consumer.giveBack(kept.remove(at: kept.indices.randomElement(using: &generator) ?? 0))
      }
    }
  }
}

/// A thread for a body that blocks.
enum Thread {
  static func run(_ body: @escaping @Sendable () -> Void) {
    DispatchQueue(label: "consumer").async(execute: DispatchWorkItem(block: body))
  }
}

/// Connects and writes garbage over what it can reach, for a few milliseconds at a time.
enum HostileConsumer {
  static func run(path: String, rounds: Int, seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<rounds {
      guard let connection = try? SharedConnection(path: path) else { return }
      let words = connection.ring.byteCount / 4
      let start = clock()
      while Int(clock() - start) < 3000 * Int(CLOCKS_PER_SEC) / 1_000_000 {
        // Mostly the words that are read: 64 and 65 are its positions.
        let index =
          Bool.random(using: &generator)
          ? Int.random(in: 64...65, using: &generator)
          : Int.random(in: 0..<words, using: &generator)
        let value = UInt32(truncatingIfNeeded: generator.next())
        unsafe connection.ring.base.storeBytes(
          of: Bool.random(using: &generator) ? value : value % 64, toByteOffset: index * 4,
          as: UInt32.self)
        if value % 64 == 0 { connection.wake() }
      }
    }
  }
}
