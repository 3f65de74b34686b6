import CIngestKernel
public import RingCore

/// The shape of a flight recorder's file: all little-endian, whatever the machine.
///
///     0  "ingestfl"        24  u64 bytes of the file        64  for each track: u64 offset,
///     8  u32 version       32  u64 CLOCK_MONOTONIC and          u64 cells
///     12 u32 header bytes  40  u64 CLOCK_REALTIME at start  ..  JSON: machine, configuration
///     16 u32 cell bytes    48  u32 process
///     20 u32 tracks        52  u32 bytes of JSON
///
/// A track is 128 bytes of ``FlightTrack/Shape`` and counts, then its cells, a ring of 32-byte
/// events: event n is in cell n modulo their number.
enum FlightFormat {
  static let magic: [UInt8] = Array("ingestfl".utf8)
  static let version: UInt32 = 1
  static let cellBytes = 32
  static let trackHeader = 128
  static let trackMagic: UInt32 = 0x4b52_5446  // "FTRK"
  static let tableAt = Int(IK_FLIGHT_TABLE_AT)
  static let writtenAt = Int(IK_FLIGHT_WRITTEN_AT)
  static let afterAt = Int(IK_FLIGHT_AFTER_AT)
  /// More than any run has threads.
  static let mostTracks = 1024
  /// Of one ring; with 2^26 events a ring is 2 GiB.
  static let mostCells = 1 << 26

  static func headerBytes(tracks: Int, text: Int) -> Int {
    (tableAt + 16 * tracks + text + 4095) & ~4095
  }
}

extension FlightTrack {
  /// What an engine was made of.
  public struct Shape: Equatable, Sendable {
    public var engine: Engine
    public var layout: AreaLayout
    public var completionEntries: UInt32
    /// 0 of the copy engine.
    public var refillEntries: UInt32 = 0
    /// Of the copy engine.
    public var mode: CopyEngineOptions.Mode = .plain
    /// Whether one receive fills several buffers.
    public var bundles = false
    /// Whether the kernel can copy into the area what a NIC did not place.
    public var takesCopies = true
    public var holdLimit: Int
    public var maxConnections: Int
    /// The NIC's receive queue.
    public var queue: UInt32?

    public init(
      _ engine: Engine, layout: AreaLayout, completionEntries: UInt32, holdLimit: Int,
      maxConnections: Int
    ) {
      self.engine = engine
      self.layout = layout
      self.completionEntries = completionEntries
      self.holdLimit = holdLimit
      self.maxConnections = maxConnections
    }
  }

  public enum Engine: UInt32, Sendable {
    case copy = 1
    case nodev
    case zcrx

    public var name: String { "\(self)" }
  }

  /// The word of a track that is not a receiving thread's.
  static let control: UInt32 = 100

  /// Words 24 to 64 of a track's header.
  static func words(of shape: Shape) -> [UInt32] {
    var flags: UInt32 = shape.bundles ? 1 : 0
    if shape.takesCopies { flags |= 2 }
    flags |= UInt32(CopyEngineOptions.Mode.allCases.firstIndex(of: shape.mode) ?? 0) << 8
    return [
      shape.layout.bufferShift, shape.layout.bufferCount, shape.completionEntries,
      shape.refillEntries, flags, UInt32(clamping: shape.holdLimit),
      UInt32(clamping: shape.maxConnections), shape.queue ?? .max,
    ]
  }

  /// Nil for what no engine can have been made of.
  static func shape(engine: UInt32, _ words: [UInt32]) -> Shape? {
    guard let engine = Engine(rawValue: engine), words[0] < 31, words[2] <= 1 << 17,
      words[3] <= 1 << 16, words[5] <= 1 << 24, words[6] <= 1 << 20,
      words[2] != 0, words[2] & (words[2] - 1) == 0,
      words[3] & (words[3] &- 1) == 0,
      let layout = AreaLayout(bufferSize: 1 << Int(words[0]), bufferCount: Int(words[1]))
    else { return nil }
    let modes = CopyEngineOptions.Mode.allCases
    let mode = Int(words[4] >> 8)
    guard modes.indices.contains(mode), engine == .copy || words[3] != 0 else { return nil }
    var shape = Shape(
      engine, layout: layout, completionEntries: words[2], holdLimit: Int(words[5]),
      maxConnections: Int(words[6]))
    shape.refillEntries = words[3]
    shape.mode = modes[mode]
    shape.bundles = words[4] & 1 != 0
    shape.takesCopies = words[4] & 2 != 0
    shape.queue = words[7] == .max ? nil : words[7]
    return shape
  }
}
