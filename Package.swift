// swift-tools-version: 6.2
import PackageDescription

// One setting for every Swift target: Swift 6 mode, each use of unsafe memory marked where it
// stands, and no warning left standing.
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
  name: "ingest",
  products: [
    .library(name: "Ingest", targets: ["Ingest", "RingCore"]),
    .executable(name: "ingest", targets: ["IngestCommand"]),
    .executable(name: "ingest-send", targets: ["IngestSendCommand"]),
  ],
  dependencies: [
    // The commands alone use these two; the library brings no third-party Swift code along.
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
  ],
  targets: [
    // The only C: the kernel's ABI and what Swift cannot import.
    .target(
      name: "CIngestKernel",
      cSettings: [.define("_GNU_SOURCE")],
      linkerSettings: [.linkedLibrary("uring")]),
    // Digests come from the libraries that the distributions ship.
    .systemLibrary(
      name: "CISAL", path: "Sources/CISAL", pkgConfig: "libisal",
      providers: [.apt(["libisal-dev"])]),
    .systemLibrary(
      name: "CXXHash", path: "Sources/CXXHash", pkgConfig: "libxxhash",
      providers: [.apt(["libxxhash-dev"])]),

    // Netlink framing; what the messages say is read and written in Swift.
    .systemLibrary(
      name: "CNetlink", path: "Sources/CNetlink", pkgConfig: "libnl-genl-3.0",
      providers: [.apt(["libnl-3-dev", "libnl-genl-3-dev"])]),

    // Rings, leases and area arithmetic: memory only, no system call.
    .target(name: "RingCore", dependencies: ["CIngestKernel"], swiftSettings: strict),
    // The record format that ingest-send writes and ingest verifies.
    .target(name: "Wire", dependencies: ["CISAL", "CXXHash"], swiftSettings: strict),
    // Settings of network devices, and why the kernel refuses a queue.
    .target(
      name: "NICControl", dependencies: ["CIngestKernel", "CNetlink"], swiftSettings: strict),
    // Ring set-up, areas and engines: every io_uring system call is made here.
    .target(name: "ZeroCopy", dependencies: ["RingCore", "CIngestKernel"], swiftSettings: strict),
    // parse, checksum and sink.
    .target(
      name: "Stages", dependencies: ["RingCore", "Wire", "CIngestKernel"], swiftSettings: strict),
    // What people import: pipelines, threads, counters, the sender.
    .target(
      name: "Ingest",
      dependencies: [
        "RingCore", "ZeroCopy", "NICControl", "Stages", "Wire", "CIngestKernel",
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict),
    // What both commands share: units, tables, JSON, exit codes.
    .target(
      name: "CommandSupport",
      dependencies: [
        "Ingest", "Stages", "RingCore", "CIngestKernel",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "IngestCommand",
      dependencies: [
        "Ingest", "CommandSupport", "NICControl", "RingCore", "Stages", "CIngestKernel",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "IngestSendCommand",
      dependencies: [
        "Ingest", "CommandSupport", "CIngestKernel",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),

    // What tests of several modules share: kernels in memory, seeded randomness.
    .target(
      name: "IngestTestSupport", dependencies: ["RingCore", "CIngestKernel"],
      path: "Tests/IngestTestSupport", swiftSettings: strict),
    .testTarget(
      name: "RingCoreTests", dependencies: ["RingCore", "CIngestKernel", "IngestTestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "ZeroCopyTests",
      dependencies: ["ZeroCopy", "RingCore", "CIngestKernel", "IngestTestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "NICControlTests", dependencies: ["NICControl", "IngestTestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "IngestTests",
      dependencies: [
        "Ingest", "NICControl", "RingCore", "Wire", "ZeroCopy", "CIngestKernel",
        "IngestTestSupport",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "StagesTests",
      dependencies: [
        "Stages", "RingCore", "ZeroCopy", "Wire", "CIngestKernel", "IngestTestSupport",
      ],
      swiftSettings: strict),
    .testTarget(name: "WireTests", dependencies: ["Wire"], swiftSettings: strict),
    // Runs the built commands as users do.
    .testTarget(
      name: "CommandTests",
      dependencies: [
        "IngestCommand", "IngestSendCommand", "CommandSupport", "Ingest", "RingCore",
        "CIngestKernel",
      ],
      swiftSettings: strict),
  ]
)
