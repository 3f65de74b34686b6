import Wire
import ZeroCopy

/// A send configuration, checked, and what follows from it.
struct SendPlan: Sendable {
  let configuration: SendConfiguration
  /// Of the ring or socket loop, the same on every thread.
  let options: SendOptions
  let budget: SendBudget
  let content: Content

  /// Where the bytes come from.
  enum Content: Equatable, Sendable {
    case pattern
    case record(ChecksumKind)
    case packed(ChecksumKind, ClosedRange<Int>)
    case file(String)
  }

  /// The largest UDP payload over IPv4 (65535 - 20 - 8 bytes).
  static let largestDatagram = 65507
  /// One send, and one record.
  static let largestSend = 32 << 20
  static let largestRecord = 1 << 30
  static let mostStreams = 4096
  /// Slots that a vectored send gathers at most.
  static let mostGathered = 8
  /// Seconds to run when nothing else ends the run.
  static let defaultTime = 10.0

  init(_ configuration: SendConfiguration) throws(IngestError) {
    try SendPlan.checkAmounts(configuration)
    try SendPlan.checkCombinations(configuration)
    content = try SendPlan.content(configuration)
    self.configuration = configuration
    var options = SendOptions()
    options.mode = configuration.method.mode
    options.ordered = configuration.transport == .tcp
    options.length = configuration.length
    options.pool = configuration.pool
    options.batch = configuration.batch
    options.generation = configuration.generation
    options.constant = content == .pattern
    if configuration.vectored {
      // One request with many buffers takes the place of a chain of requests with one each.
      options.gather = min(max(configuration.batch, 2), SendPlan.mostGathered)
      options.batch = 1
    }
    options.byteRate =
      configuration.bitrate == 0
      ? 0 : max(configuration.bitrate / 8 / UInt64(configuration.threads), 1)
    let unlimited =
      configuration.bytes == 0 && configuration.records == 0 && configuration.file == nil
    let time = configuration.time == 0 && unlimited ? SendPlan.defaultTime : configuration.time
    options.duration = UInt64(time * 1e9)
    self.options = options
    budget = SendBudget(
      bytes: configuration.bytes == 0 ? .max : configuration.bytes,
      records: configuration.records == 0 ? .max : configuration.records)
  }

  private static func checkAmounts(_ wanted: SendConfiguration) throws(IngestError) {
    let smallest =
      wanted.source == .wire && wanted.file == nil && wanted.recordMaximum == 0
      ? WireHeader.size : 1
    try require(
      wanted.length >= smallest && wanted.length <= largestSend,
      "-l \(wanted.length): a send takes \(smallest) to \(largestSend) bytes",
      smallest == 1 ? nil : "a wire record has a header of 32 bytes; --source pattern has none")
    try require(wanted.port != 0, "port 0 cannot be sent to", "give one, as in --to HOST:5301")
    try require(
      wanted.streams >= 1 && wanted.streams <= mostStreams,
      "-P \(wanted.streams): 1 to \(mostStreams) streams")
    try require(
      wanted.threads >= 1 && wanted.threads <= wanted.streams,
      "\(wanted.threads) threads for \(wanted.streams) streams: each needs at least one",
      "more streams: -P \(max(wanted.threads, 1))")
    try require(wanted.batch >= 1 && wanted.batch <= 4096, "--batch takes 1 to 4096 sends")
    try require(
      wanted.generation >= 1 && wanted.generation <= 1024,
      "--generation takes 1 to 1024 notifications")
    try require(
      wanted.pool >= 4096 && wanted.pool <= SendPool.limit, "--pool takes 4K to 1G per thread")
    try require(wanted.time >= 0 && wanted.time < 1e9, "-t takes seconds, 0 or more")
    try require(
      wanted.socketBuffer >= 0 && wanted.socketBuffer < 1 << 31, "--socket-buffer takes 0 to 2G")
    try require(
      wanted.connectTimeout > 0 && wanted.connectTimeout <= 86400,
      "--connect-timeout takes seconds, more than 0")
  }

  private static func checkCombinations(_ wanted: SendConfiguration) throws(IngestError) {
    if wanted.transport == .udp {
      try require(
        wanted.length <= largestDatagram,
        "-l \(wanted.length): a datagram takes at most \(largestDatagram) bytes",
        "-l 1472 fits an Ethernet frame, -l 65507 is the largest")
      try require(
        !wanted.vectored, "vectored sends gather the bytes of a stream: there is no --vectored -u")
    }
    try require(
      !(wanted.vectored && wanted.method == .msgZerocopy),
      "--vectored is for the io_uring methods: send, send-zc, send-zc-fixed, auto")
    if wanted.file != nil {
      try require(
        wanted.streams == 1, "a file goes over one stream, not \(wanted.streams)",
        "leave -P out, or start one sender for each file")
      try require(
        wanted.recordMaximum == 0 && wanted.recordMinimum == 0 && wanted.records == 0,
        "a file is sent as it is: it has no record sizes and no record limit")
    }
    try require(
      wanted.records == 0 || wanted.source == .wire, "only wire records can be counted",
      "--source wire, or limit by -n BYTES or -t SECONDS")
  }

  private static func content(_ wanted: SendConfiguration) throws(IngestError) -> Content {
    if let file = wanted.file { return .file(file) }
    guard wanted.source == .wire else {
      try require(
        wanted.recordMaximum == 0 && wanted.recordMinimum == 0,
        "a bare pattern has no records to give a size", "--source wire has")
      return .pattern
    }
    let low = wanted.recordMinimum
    let high = wanted.recordMaximum
    if low == 0 && high == 0 { return .record(wanted.checksum.kind) }
    try require(
      low != 0 && high != 0, "a record size has a \(low == 0 ? "largest" : "smallest") value only",
      "give both --record-minimum and --record-maximum; equal ones make records of one size")
    try require(
      low <= high && high <= largestRecord,
      "record sizes from \(low) to \(high) bytes: both from 1 to \(largestRecord), in order")
    try require(
      wanted.transport == .tcp || high + WireHeader.size <= wanted.length,
      "a record of \(high) bytes and its header do not fit a datagram of \(wanted.length)",
      "-l \(high + WireHeader.size), or smaller records")
    return .packed(wanted.checksum.kind, low...high)
  }

  private static func require(
    _ holds: Bool, _ text: String, _ remedy: String? = nil
  ) throws(IngestError) {
    if !holds { throw IngestError(.usage, text, remedy: remedy) }
  }

  /// The streams of each thread: round robin, as numbers from 0.
  func streams(of thread: Int) -> [Int] {
    Array(stride(from: thread, to: configuration.streams, by: configuration.threads))
  }

  /// A thread's part of the limits, by the number of its streams.
  func budget(of thread: Int) -> SendBudget {
    var share = SendBudget(
      bytes: budget.bytes == .max ? .max : 0, records: budget.records == .max ? .max : 0)
    for stream in streams(of: thread) {
      let one = budget.share(stream, of: configuration.streams)
      if share.bytes != .max { share.bytes += one.bytes }
      if share.records != .max { share.records += one.records }
    }
    return share
  }
}

extension SendMethod {
  var mode: SendMode {
    switch self {
    case .auto: .trial
    case .send: .plain
    case .msgZerocopy: .messageZeroCopy
    case .sendZC: .zeroCopy
    case .sendZCFixed: .zeroCopyFixed
    }
  }

  init(_ mode: SendMode) {
    self =
      switch mode {
      case .plain: .send
      case .zeroCopy: .sendZC
      case .zeroCopyFixed: .sendZCFixed
      case .trial: .auto
      case .messageZeroCopy: .msgZerocopy
      }
  }
}

extension WireChecksum {
  var kind: ChecksumKind {
    switch self {
    case .none: .none
    case .crc32c: .crc32c
    case .xxh3: .xxh3
    }
  }
}
