import Testing

@testable import NICControl

/// A registration that would succeed, to be spoilt in one way or several.
struct DiagnosisScene {
  var wish = RegistrationWish(
    target: RegistrationWish.Target(interface: "zc0", queue: 3), areaBytes: 64 << 20,
    memory: .hugePages(2 << 20), refillEntries: 4096)
  var host = RegistrationHost(kernel: KernelVersion(7, 2), isCompiledIn: true)
  var state: NICState?

  init() throws { state = try StateSamples.capable() }

  mutating func link(_ fill: (inout AttributeWriter) -> Void) throws {
    state?.link = try Link(message: LinkMessages.message(flags: 1, fill))
  }

  mutating func queue(_ fill: (inout AttributeWriter) -> Void) throws {
    // Another change may have taken the interface away.
    guard var queues = state?.queues.value, queues.count > 3 else { return }
    queues[3] = try Queue(Attributes(NetdevMessages.queue(3, fill)[...]))
    state?.queues = .value(queues)
  }

  mutating func rings(_ change: (inout Rings) -> Void) {
    guard var rings = state?.rings.value else { return }
    change(&rings)
    state?.rings = .value(rings)
  }

  mutating func driver(_ name: String) {
    state?.driver = .value(DriverInfo(driver: name, version: "", firmware: "", bus: ""))
  }

  func diagnosis(_ errno: Int32) -> RegistrationDiagnosis {
    RegistrationDiagnosis(errno: errno, wish: wish, host: host, state: state)
  }
}

/// A cause, the errno it gives, and what the diagnosis must say.
struct DiagnosisCase: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let errno: Int32
  let kind: RegistrationDiagnosis.Kind
  /// Parts of the two sentences.
  let what: String
  let remedy: String
  let spoil: @Sendable (inout DiagnosisScene) throws -> Void

  init(
    _ name: String, _ errno: Int32, _ kind: RegistrationDiagnosis.Kind, _ what: String,
    _ remedy: String, _ spoil: @escaping @Sendable (inout DiagnosisScene) throws -> Void = { _ in }
  ) {
    testDescription = name
    self.errno = errno
    self.kind = kind
    self.what = what
    self.remedy = remedy
    self.spoil = spoil
  }
}

extension DiagnosisScene {
  mutating func xdp(_ mode: UInt8, program: UInt32?) throws {
    try link {
      $0.nest(43) {
        $0.add(2, mode)
        if let program { $0.add(4, program) }
      }
      $0.add(56, text: "0000:3b:00.0")
      $0.add(57, text: "pci")
    }
  }

  mutating func down() throws {
    state?.link = try Link(
      message: LinkMessages.message(flags: 0) {
        $0.add(56, text: "0000:3b:00.0")
        $0.add(57, text: "pci")
      })
  }
}
