import Glibc
import IngestTestSupport
import Testing

@testable import NICControl

@Suite("before a queue is registered")
struct PreflightTests {
  @Test(
    "each finding, by what was read",
    arguments: PreflightCase.interface + PreflightCase.area + PreflightCase.queue)
  func branches(one: PreflightCase) throws {
    var scene = try DiagnosisScene()
    var surroundings = Surroundings()
    try one.change(&scene, &surroundings)
    let all = scene.preflight(surroundings).everything
    let finding = try #require(all.first { $0.subject == one.subject }, "\(all)")
    #expect(finding.verdict == one.verdict, "\(finding)")
    #expect(finding.fact.contains(one.fact), "\(finding)")
    if let remedy = one.remedy {
      #expect(finding.remedy?.contains(remedy) == true, "\(finding)")
    } else {
      #expect(finding.remedy == nil, "\(finding)")
    }
  }

  private static let all =
    DiagnosisCase.kernel + DiagnosisCase.request + DiagnosisCase.area + DiagnosisCase.queue
    + DiagnosisCase.driver

  /// What a start is refused for blocks, in the same words; and nothing else does.
  @Test("blocks where, and only where, a start will be refused", arguments: all)
  func agreement(one: DiagnosisCase) throws {
    var scene = try DiagnosisScene()
    try one.spoil(&scene)
    // Of a queue, and of a kernel that has it: the others are told by the kernel's own rows.
    guard scene.wish.target != nil, kernelObstacle(scene) == nil else { return }
    let blocking = scene.preflight().everything.filter { $0.verdict == .blocks }
    let obstacle = RegistrationDiagnosis.obstacle(
      to: scene.wish, host: scene.host, state: scene.state)
    #expect(blocking.isEmpty == (obstacle == nil), "\(blocking) \(String(describing: obstacle))")
    guard let obstacle else { return }
    let told = blocking.contains { $0.fact == obstacle.what && $0.remedy == obstacle.remedy }
    #expect(told, "\(blocking) lacks \(obstacle)")
  }

  @Test("the same of several causes at once", arguments: 0..<40 as Range<UInt64>)
  func severalCauses(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<25 {
      var scene = try DiagnosisScene()
      for _ in 0..<Int.random(in: 0...4, using: &generator) {
        try PreflightTests.all.randomElement(using: &generator)?.spoil(&scene)
      }
      guard scene.wish.target != nil, kernelObstacle(scene) == nil else { continue }
      let all = scene.preflight().everything
      let obstacle = RegistrationDiagnosis.obstacle(
        to: scene.wish, host: scene.host, state: scene.state)
      #expect(all.contains { $0.verdict == .blocks } == (obstacle != nil), "\(all)")
      for finding in all {
        #expect(!finding.fact.isEmpty && !finding.fact.contains("  "), "\(finding)")
        #expect(finding.verdict != .blocks || finding.remedy != nil, "\(finding)")
        #expect((finding.remedy ?? "").count { $0 == "`" } % 2 == 0, "\(finding)")
      }
      #expect(Set(all.map(\.subject)).count == all.count, "a subject twice: \(all)")
    }
  }

  private func kernelObstacle(_ scene: DiagnosisScene) -> RegistrationDiagnosis? {
    RegistrationDiagnosis.obstacle(
      .kernel, to: scene.wish, host: scene.host, state: scene.state)
  }

  @Test("what the start sets by itself is nobody's task, unless the NIC cannot do it")
  func settled() throws {
    var scene = try DiagnosisScene()
    scene.rings {
      $0.tcpDataSplit = .disabled
      $0.headerSplitThreshold = 256
    }
    scene.table([3, 3])
    func finding(_ subject: String, _ settled: Set<RegistrationTopic>) throws -> Finding {
      var preflight = scene.preflight()
      preflight.settled = settled
      return try #require(preflight.everything.first { $0.subject == subject })
    }
    #expect(try finding("tcp-data-split", []).verdict == .blocks)
    let split = try finding("tcp-data-split", [.headerSplit])
    #expect(split.verdict == .ok && split.remedy == nil, "\(split)")
    #expect(split.fact == "header split of zc0 is off; `ingest run` sets it while it runs")
    #expect(try finding("hds-thresh", [.headerSplit]).verdict == .blocks)
    #expect(try finding("hds-thresh", [.threshold]).verdict == .ok)
    #expect(try finding("queue 3 RSS", []).verdict == .warning)
    #expect(try finding("queue 3 RSS", [.scaling]).fact.contains("sets it while it runs"))
    scene.rings { $0.tcpDataSplit = nil }
    #expect(try finding("tcp-data-split", [.headerSplit]).verdict == .blocks)
    // What is well is not touched.
    scene.table([0])
    #expect(try finding("queue 3 RSS", [.scaling]).fact == "no hash leads other connections to it")
  }

  @Test("of an interface that can never do it, only that is told")
  func hopeless() throws {
    var scene = try DiagnosisScene()
    scene.driver("ice")
    #expect(scene.preflight().interface().map(\.subject) == ["interface", "hardware", "driver"])
    #expect(scene.preflight().queue().isEmpty)
    scene.wish.target?.queue = 9
    #expect(scene.preflight().queue().map(\.verdict) == [.blocks])
    scene.state = nil
    #expect(scene.preflight().interface().map(\.verdict) == [.blocks])
    #expect(scene.preflight().queue().isEmpty)
  }
}
