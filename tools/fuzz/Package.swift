// swift-tools-version: 6.2
import PackageDescription

// The parsers of bytes from outside under libFuzzer: tools/fuzz/run. The product's own sources
// (symbolic links) are built with coverage counters; of large modules those files that read
// something, so that nothing is fetched and little is built.
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]
// Counters of edges and of what is compared with what; and decoders are no public functions.
let counted = strict + [.unsafeFlags(["-sanitize=fuzzer", "-enable-testing"])]

let package = Package(
  name: "fuzz",
  targets: [
    .target(
      name: "CIngestKernel", cSettings: [.define("_GNU_SOURCE")],
      linkerSettings: [.linkedLibrary("uring")]),
    .systemLibrary(name: "CISAL", pkgConfig: "libisal"),
    .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash"),
    .systemLibrary(name: "CNetlink", pkgConfig: "libnl-genl-3.0"),
    .systemLibrary(name: "CIngestShm"),
    .systemLibrary(name: "CIngestStage"),
    .target(name: "Trust", dependencies: ["CIngestKernel"], swiftSettings: counted),
    .target(name: "JSON5", dependencies: ["Trust"], swiftSettings: counted),
    .target(name: "RingCore", dependencies: ["CIngestKernel"], swiftSettings: counted),
    .target(name: "Wire", dependencies: ["CISAL", "CXXHash"], swiftSettings: counted),
    .target(
      name: "NICControl", dependencies: ["CIngestKernel", "CNetlink"], swiftSettings: counted),
    .target(name: "ZeroCopy", dependencies: ["RingCore", "CIngestKernel"], swiftSettings: counted),
    .target(
      name: "Stages",
      dependencies: [
        "JSON5", "RingCore", "Trust", "Wire", "CIngestKernel", "CIngestShm", "CIngestStage",
      ],
      swiftSettings: counted),
    .target(
      name: "Ingest", dependencies: ["CIngestKernel", "RingCore", "ZeroCopy"],
      sources: ["Configuration", "Flight/FlightText.swift", "IngestError.swift"],
      swiftSettings: counted),
    .target(
      name: "CommandSupport", dependencies: ["Ingest", "JSON5", "Stages"],
      sources: ["Settings", "Units.swift"], swiftSettings: counted),
    .target(
      name: "IngestMain", dependencies: ["CommandSupport", "RingCore", "ZeroCopy"],
      sources: ["FlightWords.swift"], swiftSettings: counted),

    // What tests hold parsers against, too.
    .target(
      name: "Decoders", dependencies: ["NICControl"],
      sources: [
        "EthtoolMessages.swift", "MessageDecoder.swift", "MessageDecoders.swift",
        "MessageSamples.swift", "NetdevMessages.swift",
      ],
      swiftSettings: strict + [.unsafeFlags(["-enable-testing"])]),
    .target(
      name: "References", dependencies: ["RingCore", "Stages"],
      sources: ["FramingReference.swift"],
      swiftSettings: strict + [.unsafeFlags(["-enable-testing"])]),

    .target(name: "CFuzzer"),
    .target(
      name: "FuzzTargets",
      dependencies: [
        "CFuzzer", "CIngestKernel", "CIngestShm", "CIngestStage", "CommandSupport", "Decoders",
        "Ingest", "IngestMain", "JSON5", "NICControl", "References", "RingCore", "Stages", "Wire",
        "ZeroCopy",
      ],
      swiftSettings: counted + [.treatAllWarnings(as: .error)]),
    .executableTarget(
      name: "fuzz", dependencies: ["FuzzTargets"],
      swiftSettings: strict + [.treatAllWarnings(as: .error)],
      linkerSettings: [.unsafeFlags(["-sanitize=fuzzer", "-use-ld=lld"])]),
  ])
