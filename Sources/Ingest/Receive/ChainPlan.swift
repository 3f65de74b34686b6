import RingCore
import Stages

/// The chain of a configuration, read from its spelling and checked against itself, before any
/// thread starts.
struct ChainPlan: Sendable {
  let chain: ChainSpecification
  /// Connections at a time; fewer than asked for where carry buffers would not fit.
  let maxConnections: Int
  let remark: String?

  /// What carry buffers may take in all, unless the sink's own option says otherwise.
  static let carryBudget = 1 << 30

  init(_ configuration: ReceiveConfiguration) throws(IngestError) {
    do {
      chain = try ChainSpecification(
        parse: configuration.parse, checksum: configuration.checksum, sink: configuration.sink)
    } catch {
      throw IngestError(.usage, error.description, remedy: error.remedy)
    }
    // A write that a pipe has no room for waits midway, and another thread's goes in between.
    if case .stdout = chain.sink, configuration.threads > 1 {
      throw IngestError(
        .usage, "\(configuration.threads) threads would mix their bytes on standard output",
        remedy: "use --threads 1, or --sink file:PATH with %t (the thread's number) in PATH")
    }
    // Records that span leases are carried one per connection (Stages, CarryPool). The defaults
    // must start: a default number of connections gives way to the bound of a record.
    var connections = configuration.maxConnections
    var remark: String?
    if let budget = chain.sink.carryBudget(default: ChainPlan.carryBudget),
      let bound = chain.parse.recordBound,
      configuration.maxConnections == ReceiveConfiguration().maxConnections
    {
      let fit = max(budget / bound - 1, 1)
      if fit < connections {
        connections = fit
        remark =
          "at most \(fit) connections at a time: the sink carries records that span receives, "
          + "up to \(ByteSize.spelled(bound)) for each (lower max= in --parse for more)"
      }
    }
    maxConnections = connections
    self.remark = remark
  }
}

extension SinkSpecification {
  /// The most bytes of carry buffers; nil where the sink carries nothing.
  func carryBudget(default standard: Int) -> Int? {
    switch self {
    case .null: nil
    case .stdout: standard
    case .file(let options): options.layout == .one ? options.carry : nil
    }
  }
}
