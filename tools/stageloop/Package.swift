// swift-tools-version: 6.2
import PackageDescription

// What parts of the chain cost by themselves, with nothing received: parsers, digests, the receive
// loop with stages behind it, the hand-over to another thread. The product's own sources (symbolic
// links), of Stages those that do not open files; and C loops that do the same over the same
// memory. The suites `hotloop` and `stages` of tools/bench run this.
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
  name: "stageloop",
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
        "Checksum", "Parse", "Sink/Sink.swift", "Sink/SinkReport.swift", "Sink/NullSink.swift",
      ], swiftSettings: strict),
    .target(name: "CTwin", dependencies: ["CIngestKernel"]),
    .target(
      name: "CFloor", cSettings: [.define("_GNU_SOURCE")],
      linkerSettings: [.linkedLibrary("isal"), .linkedLibrary("xxhash")]),
    .executableTarget(
      name: "stageloop",
      dependencies: ["RingCore", "Stages", "Wire", "CIngestKernel", "CTwin", "CFloor"],
      swiftSettings: strict),
  ]
)
