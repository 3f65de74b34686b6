// swift-tools-version: 6.2
import PackageDescription

// The threads of a spread chain with nothing around them, for ThreadSanitizer: the product's own
// sources (symbolic links), of Stages those that do not write files. The compiler of Swift 6.3
// cannot instrument the rest (an invalid bitcast in its own output).
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
  name: "races",
  targets: [
    .target(
      name: "CIngestKernel", cSettings: [.define("_GNU_SOURCE")],
      linkerSettings: [.linkedLibrary("uring")]),
    .systemLibrary(name: "CISAL", pkgConfig: "libisal"),
    .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash"),
    .target(name: "RingCore", dependencies: ["CIngestKernel"], swiftSettings: strict),
    .target(name: "Wire", dependencies: ["CISAL", "CXXHash"], swiftSettings: strict),
    .target(
      name: "Stages", dependencies: ["RingCore", "Wire", "CIngestKernel"],
      sources: [
        "Spread", "User", "Downstream.swift", "RecordChain.swift", "ChainCounts.swift",
        "Checksum/Checksum.swift", "Parse/Flaw.swift", "Parse/Framer.swift",
        "Parse/LinesFramer.swift", "Parse/Piece.swift", "Parse/RawFramer.swift",
        "Parse/WireFramer.swift", "Sink/Sink.swift", "Sink/SinkReport.swift", "Sink/NullSink.swift",
      ], swiftSettings: strict),
    // Counted by tools/gates/chain.
    .executableTarget(
      name: "chainloop", dependencies: ["RingCore", "Stages", "Wire", "CIngestKernel"],
      swiftSettings: strict),
    .executableTarget(
      name: "races", dependencies: ["RingCore", "Stages", "CIngestKernel"], swiftSettings: strict),
  ])
