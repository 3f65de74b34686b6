import CIngestKernel
package import RingCore

/// A track as what a kernel has to do: completions, batch by batch.
package struct ReplayScript: Sendable {
  /// What one wait brought.
  package struct Batch: Sendable {
    package var completions: [FlightEvent] = []
    /// What became of accepted sockets, in order.
    var outcomes: [FlightEvent] = []
    /// A stop was asked for while it was handled.
    var stops = false
  }

  package private(set) var batches: [Batch] = []
  /// Slots of connections that were open when the recording begins.
  package private(set) var openBefore: [UInt32] = []
  /// Whether the recording goes on to the end of the run.
  package private(set) var isWhole = false

  package init(_ events: [FlightEvent]) {
    var index = events.firstIndex { $0.kind == .batch } ?? events.endIndex
    while index < events.endIndex, events[index].kind == .batch {
      var batch = Batch()
      let announced = Int(events[index].index)
      index += 1
      while index < events.endIndex, batch.completions.count < announced,
        events[index].operation != nil
      {
        batch.completions.append(events[index])
        index += 1
      }
      while index < events.endIndex, events[index].kind != .batch {
        switch events[index].kind {
        case .opened, .rejected, .handedOver: batch.outcomes.append(events[index])
        case .stopping: batch.stops = true
        case .ended: isWhole = true
        default: break
        }
        index += 1
      }
      batches.append(batch)
    }
    openBefore = ReplayScript.openBefore(batches)
  }

  /// Slots that receive before anything says that they were opened.
  private static func openBefore(_ batches: [Batch]) -> [UInt32] {
    var known: Set<UInt32> = []
    var open: [UInt32] = []
    for batch in batches {
      for event in batch.completions where event.operation == .receive {
        if known.insert(event.index).inserted { open.append(event.index) }
      }
      for event in batch.outcomes where event.kind == .opened { known.insert(event.index) }
    }
    return open
  }
}

/// Completions that only a replay has, where what is compared begins and ends.
package enum ReplayMark: UInt32, Sendable {
  case begins = 1
  case ends

  /// Engines have no request of this kind, so they pass over its completion.
  package var tag: OperationTag { OperationTag(.cancel, index: rawValue) }

  package init?(_ event: FlightEvent) {
    guard event.operation == .cancel, let mark = ReplayMark(rawValue: event.index) else {
      return nil
    }
    self = mark
  }
}
