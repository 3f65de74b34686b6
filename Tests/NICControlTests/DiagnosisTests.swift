import Glibc
import IngestTestSupport
import Testing

@testable import NICControl

@Suite("why a queue cannot be registered")
struct DiagnosisTests {
  private func check(_ one: DiagnosisCase) throws {
    var scene = try DiagnosisScene()
    try one.spoil(&scene)
    let diagnosis = scene.diagnosis(one.errno)
    #expect(diagnosis.what.contains(one.what), "\(diagnosis)")
    #expect(diagnosis.remedy.contains(one.remedy), "\(diagnosis)")
    #expect(diagnosis.kind == one.kind, "\(diagnosis)")
  }

  @Test("the kernel and the right to it", arguments: DiagnosisCase.kernel)
  func kernel(one: DiagnosisCase) throws { try check(one) }

  @Test("what was asked for", arguments: DiagnosisCase.request)
  func request(one: DiagnosisCase) throws { try check(one) }

  @Test("the area", arguments: DiagnosisCase.area)
  func area(one: DiagnosisCase) throws { try check(one) }

  @Test("the queue", arguments: DiagnosisCase.queue)
  func queue(one: DiagnosisCase) throws { try check(one) }

  @Test("the driver", arguments: DiagnosisCase.driver)
  func driver(one: DiagnosisCase) throws { try check(one) }

  @Test("faults of the program and surprises", arguments: DiagnosisCase.faults)
  func faults(one: DiagnosisCase) throws { try check(one) }

  /// Two causes of the same errno: the one that the kernel checks first must be told.
  @Test("the first of two causes is told")
  func order() throws {
    func first(
      _ errno: Int32, _ what: String, _ spoil: (inout DiagnosisScene) throws -> Void,
      sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      var scene = try DiagnosisScene()
      try spoil(&scene)
      let diagnosis = scene.diagnosis(errno)
      #expect(diagnosis.what.contains(what), "\(diagnosis)", sourceLocation: sourceLocation)
    }
    try first(EPERM, "switched off") {
      $0.host.ioUringDisabled = 2
      $0.host.hasNetAdmin = false
    }
    try first(EPERM, "needs the capability") {
      $0.host.hasNetAdmin = false
      $0.host.isInitialUserNamespace = false
    }
    try first(EINVAL, "buffer of 3000") {
      $0.wish.bufferBytes = 3000
      $0.rings { $0.tcpDataSplit = .disabled }
    }
    try first(EINVAL, "header split of zc0 is off") {
      $0.rings {
        $0.tcpDataSplit = .disabled
        $0.headerSplitThreshold = 256
      }
    }
    try first(EEXIST, "XDP program") {
      try $0.xdp(1, program: 1)
      try $0.queue { $0.nest(6) { _ in } }
    }
    try first(EBUSY, "leased") {
      try $0.queue {
        $0.nest(7) { _ in }
        $0.nest(8) { $0.add(1, UInt32(12)) }
      }
    }
    try first(ENODEV, "no interface") { $0.state = nil }
    try first(EOPNOTSUPP, "built without") {
      $0.host.isCompiledIn = false
      $0.driver("ice")
    }
    try first(EOPNOTSUPP, "driver ice") {
      $0.driver("ice")
      $0.wish.bufferBytes = 16_384
    }
    // What is known goes before what is only possible.
    try first(ERANGE, "has no queue") {
      $0.wish.target?.queue = 8
      $0.wish.bufferBytes = 16_384
      $0.wish.memory = .transparentHugePages
    }
  }

  @Test("what the kernel says of itself goes before its version")
  func features() throws {
    var scene = try DiagnosisScene()
    scene.host.kernel = KernelVersion(6, 12)
    scene.host.features = [.interfaceQueues, .largeBuffers]
    scene.rings { $0.tcpDataSplit = .disabled }
    #expect(scene.diagnosis(EINVAL).what.contains("header split"))
    scene.host.kernel = KernelVersion(7, 2)
    scene.host.features = [.interfaceQueues]
    scene.wish.bufferBytes = 16_384
    #expect(scene.diagnosis(EINVAL).what.contains("does not let the size of buffers"))
  }

  @Test("nothing is in the way of what works, and the first thing of what does not")
  func obstacle() throws {
    var scene = try DiagnosisScene()
    func obstacle() -> RegistrationDiagnosis? {
      RegistrationDiagnosis.obstacle(to: scene.wish, host: scene.host, state: scene.state)
    }
    #expect(obstacle() == nil)
    scene.wish.memory = .dmabuf
    scene.host.lockLimit = 1 << 30
    scene.host.hasLockRight = false
    #expect(obstacle() == nil)
    scene.rings { $0.headerSplitThreshold = 256 }
    #expect(obstacle()?.what.contains("more than 256 bytes") == true)
    scene.rings { $0.tcpDataSplit = .disabled }
    #expect(obstacle()?.what.contains("header split of zc0 is off") == true)
    scene.driver("ice")
    #expect(obstacle()?.what.contains("driver ice") == true)
    scene.host.hasNetAdmin = false
    #expect(obstacle()?.kind == .noPrivilege)
    scene.host.kernel = KernelVersion(6, 1)
    #expect(obstacle()?.what == "Linux 6.1 has no zero-copy receive")
    var deviceless = try DiagnosisScene()
    deviceless.wish.target = nil
    deviceless.state = nil
    #expect(
      RegistrationDiagnosis.obstacle(to: deviceless.wish, host: deviceless.host, state: nil) == nil)
  }

  @Test("every errno of every scene has two whole sentences", arguments: 0..<8 as Range<UInt64>)
  func everything(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let all =
      DiagnosisCase.kernel + DiagnosisCase.request + DiagnosisCase.area + DiagnosisCase.queue
      + DiagnosisCase.driver + DiagnosisCase.faults
    for _ in 0..<15 {
      var scene = try DiagnosisScene()
      for _ in 0..<Int.random(in: 0...4, using: &generator) {
        try all.randomElement(using: &generator)?.spoil(&scene)
      }
      for errno in Int32(1)...133 {
        let diagnosis = scene.diagnosis(errno)
        #expect(!diagnosis.what.isEmpty && !diagnosis.what.hasSuffix("."), "errno \(errno)")
        #expect(!diagnosis.remedy.isEmpty && !diagnosis.remedy.hasSuffix("."), "errno \(errno)")
        #expect(diagnosis.remedy.count { $0 == "`" } % 2 == 0, "errno \(errno): \(diagnosis)")
        let sentences = diagnosis.what + " " + diagnosis.remedy
        #expect(!sentences.contains("  "), "a name that is not there: \(diagnosis)")
      }
    }
  }
}
