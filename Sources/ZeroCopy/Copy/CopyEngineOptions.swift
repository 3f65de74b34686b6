public import RingCore

/// How a ``CopyEngine`` receives.
public struct CopyEngineOptions: Sendable {
  /// The area: buffers of a power of two, at least 4096 bytes, at most 32768 of them.
  public var layout: AreaLayout
  /// What kind of memory the area is; it must be writable by the CPU, which is what copies here.
  public var memory = AreaMemoryKind.pages
  /// Whether another process may map the area, to read it.
  public var isShared = false
  /// The way buffers are taken; nil takes the best the kernel has.
  public var mode: Mode?
  public var engine = EngineOptions()
  /// The kernel of a replay.
  package var script: ReplayKernel?

  public init(layout: AreaLayout) { self.layout = layout }

  public enum Mode: String, Sendable, CaseIterable {
    /// One receive, one buffer (6.0).
    case plain
    /// One receive fills as many buffers as it has bytes for (6.10).
    case bundle
    /// Receives share buffers: each goes on where the last one ended (6.12), in bundles (6.15).
    case incremental

    /// Whether a receive may fill several buffers. Bundles and incremental buffers go together
    /// from 6.15 on; before, each receive of an incremental ring takes one.
    func usesBundles(with features: Ring.Features) -> Bool {
      switch self {
      case .plain: false
      case .bundle: features.bundles
      case .incremental: features.incrementalBundles
      }
    }

    /// The first kernel that has this mode.
    var kernel: String {
      switch self {
      case .plain: "6.0"
      case .bundle: "6.10"
      case .incremental: "6.12"
      }
    }
  }
}
