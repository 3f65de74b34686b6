import RingCore
public import Stages

/// The chain of a configuration, read from its spelling and checked against itself, before any
/// thread starts.
@usableFromInline
struct ChainPlan: Sendable {
  @usableFromInline let chain: ChainSpecification
  /// Connections at a time; fewer than asked for where carry buffers would not fit.
  @usableFromInline let place: PlaceSpecification
  @usableFromInline let maxConnections: Int
  @usableFromInline let remarks: [String]
  /// Stages from shared objects, loaded.
  @usableFromInline let plugins: PluginPlan?

  /// What carry buffers may take in all, unless the sink's own option says otherwise.
  static let carryBudget = 1 << 30

  @usableFromInline
  init(_ configuration: ReceiveConfiguration) throws(IngestError) {
    do {
      chain = try ChainSpecification(
        parse: configuration.parse, checksum: configuration.checksum, sink: configuration.sink,
        recordBound: configuration.maxRecord == 0 ? nil : configuration.maxRecord)
      place = try PlaceSpecification(configuration.place)
    } catch {
      throw IngestError(.usage, error.description, remedy: error.remedy)
    }
    // A write that a pipe has no room for waits midway, and another thread's goes in between.
    if case .stdout = chain.sink, configuration.threads > 1 {
      throw IngestError(
        .usage, "\(configuration.threads) threads would mix their bytes on standard output",
        remedy: "use --threads 1, or --sink file:PATH with %t (the thread's number) in PATH")
    }
    if case .raw = chain.parse, let sink = chain.sink.branches.first(where: \.needsRecords) {
      throw IngestError(
        .usage,
        "--sink \(sink): full=drop lets go of whole records, and --parse raw has none: whoever "
          + "reads the stream could not tell where some of it is missing",
        remedy: "name the records with --parse (`ingest stages` lists parsers), or take full=block"
          + (sink.takesSpill ? " or full=spill" : ""))
    }
    for path in chain.sink.threadPaths where configuration.threads > 1 && !path.contains("%t") {
      throw IngestError(
        .usage, "\(configuration.threads) threads cannot listen at one path, \(path)",
        remedy: "use --threads 1, or %t (the thread's number) in the path")
    }
    // Records that span leases are carried one per connection (Stages, CarryPool). The defaults
    // must start: a default number of connections gives way to the bound of a record.
    var connections = configuration.maxConnections
    var remarks: [String] = []
    for sink in chain.sink.branches {
      if let remark = sink.remark { remarks.append(remark) }
      guard configuration.maxConnections == ReceiveConfiguration().maxConnections else { continue }
      let limit = sink.connectionLimit(recordBound: chain.parse.recordBound)
      if let (fit, remark) = limit, fit < connections {
        connections = fit
        remarks.append("at most \(fit) connections at a time: " + remark)
      }
    }
    plugins = try PluginPlan(configuration)
    maxConnections = connections
    self.remarks = remarks
  }
}

extension SinkSpecification {
  /// Whether it drops records, to somebody who has to tell them apart.
  fileprivate var needsRecords: Bool {
    switch self {
    case .forward(let options): options.overflow.policy == .drop
    case .shared(let options): options.dropsRecords
    case .null, .stdout, .file, .unix, .tee: false
    }
  }

  fileprivate var takesSpill: Bool { if case .forward = self { true } else { false } }

  /// What is not as asked for; nil where all is.
  fileprivate var remark: String? {
    switch self {
    case .file(let options): FileSink.remark(options)
    case .forward(let options): ForwardSink.remark(options)
    case .null, .stdout, .shared, .unix, .tee: nil
    }
  }

  /// How many connections have room for what is carried for each, and why; nil is any number.
  fileprivate func connectionLimit(recordBound: Int?) -> (Int, String)? {
    guard let budget = carryBudget(default: ChainPlan.carryBudget),
      let bound = gathered ?? recordBound
    else { return nil }
    let size = ByteSize.spelled(bound)
    let what =
      gathered == nil
      ? "the sink carries records that span receives, up to \(size) for each (lower max= in "
        + "--parse for more)"
      : "the sink gathers blocks of \(size) for each (lower block= in --sink for more)"
    return (CarryPool.mostConnections(bound: bound, budget: budget), what)
  }

  /// The most bytes of carry buffers; nil where the sink carries nothing.
  func carryBudget(default standard: Int) -> Int? {
    switch self {
    case .null, .shared, .forward, .tee: nil
    case .stdout: standard
    case .unix(let options): options.mode == .stream ? standard : nil
    case .file(let options): options.layout == .one || options.direct ? options.carry : nil
    }
  }

  /// Bytes that are gathered for each connection whatever the parser's bound; nil where that bound
  /// counts.
  var gathered: Int? {
    guard case .file(let options) = self, options.direct, options.layout == .each else {
      return nil
    }
    return options.block
  }
}
