// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "ingest-errors",
  dependencies: [.package(name: "ingest", path: "../../..")],
  targets: [
    .target(name: "ErrorLines", dependencies: [.product(name: "Ingest", package: "ingest")]),
    .executableTarget(
      name: "ingest-errors",
      dependencies: ["ErrorLines", .product(name: "IngestMain", package: "ingest")]),
    .testTarget(name: "ErrorLinesTests", dependencies: ["ErrorLines"]),
  ])
