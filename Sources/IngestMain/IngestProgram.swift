import CommandSupport
public import Ingest
public import Stages
import Synchronization

/// The command `ingest` as a library: a program of your own with all its flags, and your stage in
/// its chain.
///
/// ```swift
/// import Ingest
/// import IngestMain
///
/// IngestProgram.main { _ in Errors() }
/// ```
public enum IngestProgram {
  /// Reads the command line, runs the command named there, and ends the process with its exit code.
  public static func main() -> Never { CommandRunner.main(IngestTool.self) }

  /// As ``main()``, with a stage of your own between checksum and sink of `run`, `loopback` and
  /// `saturate`.
  ///
  /// `makeStage` is called once per receiving thread, on that thread.
  @inlinable
  public static func main<S: RecordStage & ~Copyable>(
    stage makeStage: @escaping @Sendable (StageContext) throws(IngestError) -> S
  ) -> Never {
    extend(stage: S.name) { configuration throws(IngestError) in
      try Receiver(configuration, recordStage: makeStage)
    }
    main()
  }

  @usableFromInline
  typealias Maker = @Sendable (ReceiveConfiguration) throws(IngestError) -> Receiver

  @usableFromInline
  static func extend(stage name: String, _ make: @escaping Maker) {
    own.withLock { $0 = Extension(name: name, make: make) }
  }

  private struct Extension: Sendable {
    var name: String
    var make: Maker
  }

  private static let own = Mutex<Extension?>(nil)

  /// The name of the program's own stage.
  static var stageName: String? { own.withLock { $0?.name } }

  /// A receiver with the program's own stage, where it has one.
  static func receiver(_ configuration: ReceiveConfiguration) throws(IngestError) -> Receiver {
    guard let stage = own.withLock({ $0 }) else { return try Receiver(configuration) }
    return try stage.make(configuration)
  }
}
