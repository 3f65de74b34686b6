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
    .library(name: "Ingest", targets: ["Ingest", "RingCore", "Stages"]),
    .library(name: "IngestMain", targets: ["IngestMain"]),
    .library(name: "IngestNIO", targets: ["IngestNIO"]),
    .library(name: "IngestConsumer", targets: ["IngestConsumer"]),
    .executable(name: "ingest", targets: ["IngestCommand"]),
    .executable(name: "ingest-send", targets: ["IngestSendCommand"]),
  ],
  traits: [
    // `import IngestNIO`: an asynchronous sequence of batches for SwiftNIO. Off, nothing of NIO is
    // fetched or built.
    .trait(name: "NIO")
  ],
  dependencies: [
    // The commands alone use these two; `import Ingest` brings no third-party Swift code along.
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
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

    // What processes that share memory agree on: one header, for C and C++ as well.
    .systemLibrary(name: "CIngestShm", path: "Sources/CIngestShm"),

    // A stage as a shared object: one header, for C and C++ as well.
    .systemLibrary(name: "CIngestStage", path: "Sources/CIngestStage"),

    // Netlink framing; what the messages say is read and written in Swift.
    .systemLibrary(
      name: "CNetlink", path: "Sources/CNetlink", pkgConfig: "libnl-genl-3.0",
      providers: [.apt(["libnl-3-dev", "libnl-genl-3-dev"])]),

    // Filters of system calls.
    .systemLibrary(
      name: "CSeccomp", path: "Sources/CSeccomp", pkgConfig: "libseccomp",
      providers: [.apt(["libseccomp-dev"])]),

    // Which files may be relied on: those that no other user can change.
    .target(name: "Trust", dependencies: ["CIngestKernel"], swiftSettings: strict),
    // JSON5 files as people write them, with the lines for errors.
    .target(name: "JSON5", dependencies: ["Trust"], swiftSettings: strict),
    // Rings, leases and area arithmetic: memory only, no system call.
    .target(name: "RingCore", dependencies: ["CIngestKernel"], swiftSettings: strict),
    // The record format that ingest-send writes and ingest verifies.
    .target(name: "Wire", dependencies: ["CISAL", "CXXHash"], swiftSettings: strict),
    // Settings of network devices, and why the kernel refuses a queue.
    .target(
      name: "NICControl", dependencies: ["CIngestKernel", "CNetlink"], swiftSettings: strict),
    // What a process may still do once it is set up.
    .target(
      name: "Privilege", dependencies: ["CIngestKernel", "CSeccomp"], swiftSettings: strict),
    // Ring set-up, areas and engines: every io_uring system call is made here.
    .target(name: "ZeroCopy", dependencies: ["RingCore", "CIngestKernel"], swiftSettings: strict),
    // parse, checksum and sink.
    .target(
      name: "Stages",
      dependencies: [
        "JSON5", "RingCore", "Trust", "Wire", "CIngestKernel", "CIngestShm", "CIngestStage",
      ],
      swiftSettings: strict),
    // For a process that consumes what `ingest --sink shm:PATH` received.
    .target(name: "IngestConsumer", dependencies: ["CIngestShm"], swiftSettings: strict),
    // What people import: pipelines, threads, counters, the sender.
    .target(
      name: "Ingest",
      dependencies: [
        "RingCore", "ZeroCopy", "NICControl", "Privilege", "Stages", "Wire", "CIngestKernel",
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict),
    // How it is used: the Swift twin of tools/samples/shm-consumer.
    .executableTarget(
      name: "shm-consumer", dependencies: ["IngestConsumer"],
      path: "tools/samples/shm-consumer-swift", swiftSettings: strict),
    // What both commands share: units, tables, JSON, exit codes.
    .target(
      name: "CommandSupport",
      dependencies: [
        "Ingest", "JSON5", "Privilege", "Stages", "RingCore", "ZeroCopy", "CIngestKernel",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),
    // `ingest` as a library, for programs with stages of their own.
    .target(
      name: "IngestMain",
      dependencies: [
        "Ingest", "CommandSupport", "JSON5", "NICControl", "Privilege", "RingCore", "Stages",
        "ZeroCopy",
        "CIngestKernel",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),
    .executableTarget(name: "IngestCommand", dependencies: ["IngestMain"], swiftSettings: strict),
    .executableTarget(
      name: "IngestSendCommand",
      dependencies: [
        "Ingest", "CommandSupport", "JSON5", "CIngestKernel",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),

    // Empty without the trait.
    .target(
      name: "IngestNIO",
      dependencies: [
        "Ingest", "RingCore", "Stages", "ZeroCopy", "CIngestKernel",
        .product(name: "NIOCore", package: "swift-nio", condition: .when(traits: ["NIO"])),
      ],
      swiftSettings: strict),

    // What tests of several modules share: kernels in memory, seeded randomness.
    .target(
      name: "IngestTestSupport", dependencies: ["ZeroCopy", "RingCore", "CIngestKernel"],
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
        "Ingest", "NICControl", "Privilege", "RingCore", "Stages", "Wire", "ZeroCopy",
        "CIngestKernel", "IngestTestSupport",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "StagesTests",
      dependencies: [
        "Stages", "RingCore", "ZeroCopy", "Wire", "CIngestKernel", "CIngestShm",
        "IngestConsumer", "IngestTestSupport",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "IngestNIOTests",
      dependencies: [
        "IngestNIO", "Ingest", "RingCore", "CIngestKernel", "IngestTestSupport",
        .product(name: "NIOCore", package: "swift-nio", condition: .when(traits: ["NIO"])),
      ],
      swiftSettings: strict),
    .testTarget(name: "WireTests", dependencies: ["Wire"], swiftSettings: strict),
    .testTarget(
      name: "TrustTests", dependencies: ["Trust", "CIngestKernel"], swiftSettings: strict),
    // Runs the built commands as users do.
    .testTarget(
      name: "CommandTests",
      dependencies: [
        "IngestCommand", "IngestMain", "IngestSendCommand", "CommandSupport", "Ingest", "JSON5",
        "RingCore",
        "CIngestKernel",
      ],
      swiftSettings: strict),
  ]
)
