import CommandSupport
import RingCore
import ZeroCopy

extension FlightEvent {
  /// What it is, in a word.
  var word: String {
    if let operation { return "\(operation)" }
    return kind.map { "\($0)" } ?? "kind \(tag.kindByte)"
  }

  /// Its fields, in words.
  var sentence: String {
    if operation != nil { return completion }
    switch kind {
    case .batch: return "\(index) completions\(state)"
    case .ended: return "the run is over\(state)"
    case .wait:
      let timeout = first == .max ? "" : ", at most \(first / 1000) us"
      return "for \(index) completions, \(second) us from the first\(timeout)"
        + (third == 0 ? "" : ": " + errorText(Int32(truncatingIfNeeded: third)))
    case .held: return "slot \(index): \(second) bytes at \(place(first))"
    case .gaveBack:
      return [first, second, third].prefix(Int(min(detail, 3))).map(place).joined(separator: ", ")
    case .flushed:
      return first == 0
        ? "\(second) entries were unread" : errorText(Int32(truncatingIfNeeded: first))
    case .armed, .paused, .refused: return "slot \(index)"
    case .resumed: return "\(index) receives"
    case .opened:
      return "slot \(index): connection \(first)" + (detail == 1 ? ", of another thread" : "")
    case .rejected, .handedOver, .stopping: return ""
    case .cutOff: return "\(index) connections"
    case .closed:
      let end = StreamEnd(code: detail, errno: Int32(truncatingIfNeeded: third))
      return "slot \(index): connection \(first) after \(second) bytes, "
        + (end.map(\.words) ?? "end \(detail)")
    case .note, .text, nil: return "\(first) \(second) \(third)"
    }
  }

  private var completion: String {
    let ending = flags & 2 == 0 ? ", the last" : ""
    switch operation {
    case .receive where result > 0:
      return "slot \(index): \(result) bytes at \(place(second))\(ending)"
    case .receive:
      return "slot \(index): "
        + (result == 0 ? "end of data" : errorText(0 &- result)) + ending
    case .stage, .accept:
      return "\(index): " + (result < 0 ? errorText(0 &- result) : "\(result)") + ending
    default: return "\(result)\(ending)"
    }
  }

  private var state: String {
    ", \(second & 0xffff_ffff) held, \(second >> 32) paused, \(third & 0xffff_ffff) with the kernel"
  }

  /// Of a copy the place is in its flags; of zero-copy an offset in the area.
  private func place(_ offset: UInt64) -> String {
    if operation == .receive && flags & 1 != 0 { return "buffer \(flags >> 16)" }
    return String(offset & AreaLayout.offsetMask, radix: 16)
  }
}

extension StreamEnd {
  fileprivate var words: String {
    switch self {
    case .failed(let errno): errorText(errno)
    case .finished, .refused, .stopped, .misplaced, .unsplit, .starved, .limited: "\(self)"
    }
  }
}

/// Counts as they are printed.
struct CountsPart: Encodable {
  var batches: Int
  var completions: Int
  var bytes: UInt64
  var leases: UInt64
  var opened: Int
  var rejected: Int
  var refused: Int
  var pauses: Int
  var armed: Int
  /// By errno; "0" is the end of the data.
  var ends: [String: Int]
  var closed: [String: Int]
  var held: Int
  var gaveBack: Int
  var flushes: Int
  var sinkCompletions: Int
  var sinkFailures: Int
  var queueEvents: Int

  init(_ counts: FlightCounts) {
    (batches, completions, bytes) = (counts.batches, counts.completions, counts.bytes)
    (leases, opened, rejected) = (counts.leases, counts.opened, counts.rejected)
    (refused, pauses, armed) = (counts.refused, counts.pauses, counts.armed)
    ends = [:]
    for (errno, count) in counts.ends { ends["\(errno)"] = count }
    closed = [:]
    for (code, count) in counts.closed {
      let name = StreamEnd(code: code, errno: 0).map { "\($0)".prefix { $0 != "(" } }
      closed[name.map(String.init) ?? "\(code)"] = count
    }
    (held, gaveBack, flushes) = (counts.held, counts.gaveBack, counts.flushes)
    (sinkCompletions, sinkFailures) = (counts.sinkCompletions, counts.sinkFailures)
    queueEvents = counts.queueEvents
  }

  var rows: [(name: String, value: String)] {
    let counts: [(String, Int)] = [
      ("batches", batches), ("data completions", completions), ("bytes", Int(clamping: bytes)),
      ("leases", Int(clamping: leases)), ("opened", opened), ("turned away", rejected),
      ("refused by a stage", refused), ("pauses for buffers", pauses), ("receives armed", armed),
      ("receives ended", ends.values.reduce(0, +)),
      ("connections closed", closed.values.reduce(0, +)),
      ("leases held", held), ("leases given back", gaveBack), ("refill flushes", flushes),
      ("sink requests done", sinkCompletions), ("of them failed", sinkFailures),
      ("queue events", queueEvents),
    ]
    return counts.map { (name: $0.0, value: "\($0.1)") }
  }
}
