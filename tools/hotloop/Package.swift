// swift-tools-version: 6.2
import PackageDescription

// The data path's loops over rings in memory, and C loops that do the same work, in one
// executable: what tools/gates/hotpath counts. RingCore and CIngestKernel are the product's own
// sources (symbolic links), built here as parts of this package, so that the loops can use what
// engines use (package access) and nothing is fetched.
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
  name: "hotloop",
  targets: [
    .target(
      name: "CIngestKernel", cSettings: [.define("_GNU_SOURCE")],
      linkerSettings: [.linkedLibrary("uring")]),
    .target(name: "RingCore", dependencies: ["CIngestKernel"], swiftSettings: strict),
    .target(name: "CTwin", dependencies: ["CIngestKernel"]),
    .executableTarget(
      name: "hotloop", dependencies: ["RingCore", "CIngestKernel", "CTwin"],
      swiftSettings: strict),
    // Drops a lease on purpose: tools/gates/drop must find it.
    .executableTarget(
      name: "dropper", dependencies: ["RingCore", "CIngestKernel"], swiftSettings: strict),
  ]
)
