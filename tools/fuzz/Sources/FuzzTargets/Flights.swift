import RingCore

@testable import Ingest
@testable import IngestMain
@testable import ZeroCopy

extension Target {
  static let flight = Target(
    "flight", "recordings of the flight recorder", longest: 2048,
    seeds: {
      let events = [
        FlightEvent(.batch, index: 2, 1_000_000, 3, 8),
        FlightEvent(
          completion: OperationTag(.accept, index: 0), result: 9, flags: 2, offset: 0),
        FlightEvent(
          completion: OperationTag(.receive, index: 1), result: 4096, flags: 2, offset: 8192),
        FlightEvent(.opened, index: 1, 7), FlightEvent(.armed, index: 1),
        FlightEvent(.held, index: 1, 8192, 4096), FlightEvent(.gaveBack, detail: 1, 8192),
        FlightEvent(.ended, 0, 0, 8),
      ]
      let note = [
        FlightEvent(.note, index: FlightNote.stall.rawValue, 5, 3), FlightEvent(.text, 0x61_6263),
      ]
      return [recording(events, written: 8, note), recording(events, written: 13, note)]
    },
    run: { bytes in
      var bytes = bytes
      // Where it is not the size itself that is wrong, it fits.
      if let first = bytes.popLast(), first & 1 == 0, bytes.count >= 32 {
        for place in 0..<8 { bytes[24 + place] = UInt8(bytes.count >> (8 * place) & 0xff) }
      }
      guard let file = try? FlightFile(bytes: bytes) else { return }
      read(file)
    })

  private static func read(_ file: FlightFile) {
    var last: FlightCounts?
    for track in file.tracks {
      let script = ReplayScript(track.events)
      let counts = FlightCounts(of: track)
      require(
        script.batches.reduce(0) { $0 + $1.completions.count } <= track.events.count,
        "more completions than events")
      for event in track.events { _ = (event.word, event.sentence) }
      _ = last?.differences(from: counts)
      last = counts
    }
    if let text = try? FlightText(decoding: file.text) {
      require((try? FlightText(decoding: text.encoded)) != nil, "\(text) is not read again")
    }
  }

  /// A file of one thread with eight cells, and the control thread's with two.
  private static func recording(
    _ events: [FlightEvent], written: UInt64, _ notes: [FlightEvent]
  ) -> [UInt8] {
    let text = Array(FlightText(ReceiveConfiguration()).encoded.utf8)
    let header = (FlightFormat.tableAt + 32 + text.count + 7) & ~7
    let first = header + FlightFormat.trackHeader + 8 * FlightFormat.cellBytes
    let size = first + FlightFormat.trackHeader + 2 * FlightFormat.cellBytes
    var bytes = FlightFormat.magic
    func put(_ words: UInt32...) {
      for word in words { for shift in 0..<4 { bytes.append(UInt8(word >> (8 * shift) & 0xff)) } }
    }
    func put(_ event: FlightEvent) {
      for word in [event.tag.rawValue, event.first, event.second, event.third] {
        put(UInt32(truncatingIfNeeded: word), UInt32(word >> 32))
      }
    }
    put(FlightFormat.version, UInt32(header), UInt32(FlightFormat.cellBytes), 2, UInt32(size), 0)
    put(1, 0, 2, 0, 77, UInt32(text.count), 0, 0)
    put(UInt32(header), 0, 8, 0, UInt32(first), 0, 2, 0)
    bytes += text
    bytes += [UInt8](repeating: 0, count: header - bytes.count)
    let shape = FlightTrack.words(of: recordedShape)
    func put(track engine: UInt32, written: UInt32, _ words: [UInt32], _ events: [FlightEvent]) {
      put(FlightFormat.trackMagic, engine, written, 0, 0, 0)
      for word in words { put(word) }
      for _ in words.count..<26 { put(0) }
      for event in events { put(event) }
    }
    put(track: shape.isEmpty ? 0 : 1, written: UInt32(written), shape, events)
    put(track: FlightTrack.control, written: 2, [], notes)
    return bytes + [0]
  }

  private static var recordedShape: FlightTrack.Shape {
    guard let layout = AreaLayout(bufferSize: 4096, bufferCount: 16) else {
      fatalError("sixteen pages are an area")
    }
    return FlightTrack.Shape(
      .copy, layout: layout, completionEntries: 64, holdLimit: 8, maxConnections: 4)
  }
}
