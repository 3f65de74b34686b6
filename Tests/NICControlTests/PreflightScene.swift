import Testing

@testable import NICControl

/// A branch of a finding: how a scene that would succeed is changed, and what must be said.
struct PreflightCase: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let subject: String
  let verdict: Finding.Verdict
  /// Parts of the fact and of the remedy; no remedy where the latter is nil.
  let fact: String
  let remedy: String?
  let change: @Sendable (inout DiagnosisScene, inout Surroundings) throws -> Void

  init(
    _ subject: String, _ verdict: Finding.Verdict, _ fact: String, _ remedy: String? = nil,
    _ change: @escaping @Sendable (inout DiagnosisScene, inout Surroundings) throws -> Void = {
      _, _ in
    }
  ) {
    testDescription = "\(subject) \(verdict): \(fact)"
    self.subject = subject
    self.verdict = verdict
    self.fact = fact
    self.remedy = remedy
    self.change = change
  }
}

extension DiagnosisScene {
  func preflight(_ surroundings: Surroundings = Surroundings()) -> Preflight {
    Preflight(wish: wish, host: host, state: state, surroundings: surroundings)
  }

  mutating func features(active: Set<String>, changeable: Set<String> = []) {
    state?.features = .value(
      Features(changeable: changeable, wanted: [], active: active, fixed: []))
  }

  mutating func table(_ indirection: [UInt32]) {
    state?.scaling = .value(
      ReceiveSideScaling(context: 0, hashFunction: 1, indirection: indirection, key: []))
  }

  mutating func rules(_ actions: [(FlowRule.Action, context: UInt32?)]) {
    let rules = actions.enumerated().map { index, rule in
      FlowRule(
        location: 1000 + UInt32(index), flow: .tcp4, matches: [], action: rule.0,
        context: rule.context)
    }
    state?.flowRules = .value(FlowRules(rules: rules, capacity: 1024, picksLocations: true))
  }

  /// NAPI instance 8200, which serves queue 3, has this interrupt.
  mutating func interrupt(_ number: UInt32, node: UInt32?) {
    var napi = NAPI(identifier: 8200)
    napi.interrupt = number
    state?.napis = .value([napi])
    state?.numaNode = node
  }

  mutating func mtu(_ bytes: UInt32) throws {
    state?.link = try Link(
      message: LinkMessages.message(flags: 1 | 1 << 16, mtu: bytes) {
        $0.add(56, text: "0000:3b:00.0")
        $0.add(57, text: "pci")
      })
  }
}

extension Preflight {
  /// All that it says, the rights included.
  var everything: [Finding] {
    Preflight.rights(host, isRoot: true) + area() + interface() + queue() + [rdma()]
  }
}
