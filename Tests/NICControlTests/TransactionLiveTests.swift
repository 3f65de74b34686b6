import Glibc
import IngestTestSupport
import Testing

@testable import NICControl

/// The NIC that the environment names for tests, as "zc0:3".
enum VirtualNIC {
  static let ifname: String? = {
    guard let text = unsafe getenv("INGEST_TEST_QUEUE") else { return nil }
    return unsafe String(cString: text).split(separator: ":").first.map { String($0) }
  }()
}

/// Transactions on the virtual NIC: the kernel's own rules, and its own answers.
@Suite(
  .serialized,
  .enabled(
    if: VirtualNIC.ifname != nil,
    "needs the guest: INGEST_TEST_QUEUE names no queue of a NIC"))
struct TransactionLiveTests {
  private let access: NICAccess
  private let link: Link

  init() throws {
    access = try NICAccess()
    link = try access.link(named: try #require(VirtualNIC.ifname))
  }

  /// A state that an administrator may have left, made by the setters.
  private func make(_ model: ModelNIC) throws {
    try clear()
    for (setting, value) in model.observed.values.sorted(by: { $0.key < $1.key }) {
      if setting == .indirection && !model.isTableConfigured { continue }
      _ = try access.take(.set(setting, from: [], to: value), link)
    }
    for (number, table) in model.observed.contexts {
      let owned = NICJournal.OwnedContext(holder: 0, number: number, table: table)
      _ = try access.take(.createContext(owned), link)
    }
    for rule in model.observed.rules { _ = try access.insert(rule, on: link) }
  }

  private func clear() throws {
    for rule in try access.flowRules(of: link).rules {
      try access.deleteRule(at: rule.location, of: link)
    }
    for context in try access.contexts(of: link) {
      try access.deleteContext(context.context, of: link)
    }
    try access.setIndirection([], of: link)
    try access.setChannels(
      Channels.Counts(receive: 0, transmit: 0, combined: 8, other: 0), of: link)
    try access.setRings(
      RingChanges(receive: 256, tcpDataSplit: .unknown, headerSplitThreshold: 0), of: link)
    try access.setFeature("rx-ntuple-filter", false, of: link)
    try access.setFeature("rx-gro-hw", true, of: link)
  }

  /// All that is shown, keys and hash functions included.
  private struct Shown: Equatable {
    var channels: Channels
    var rings: Rings
    var features: Features
    var scaling: ReceiveSideScaling
    var contexts: [ReceiveSideScaling]
    var rules: FlowRules

    init(_ access: NICAccess, _ link: Link) throws {
      channels = try access.channels(of: link)
      rings = try access.rings(of: link)
      features = try access.features(of: link)
      scaling = try access.receiveSideScaling(of: link)
      contexts = try access.contexts(of: link).sorted { $0.context < $1.context }
      rules = try access.flowRules(of: link)
    }
  }

  @Test func twoHundredStatesAreLeftAndReachedAgain() throws {
    let directory = "/tmp/ingest-nic-\(getpid())"
    defer { try? clear() }
    var reached = 0
    for seed in 0..<200 {
      var generator = SeededGenerator(seed: UInt64(seed))
      let model = try ModelNIC.random(&generator, tableSize: 128)
      try make(model)
      let before = try Shown(access, link)
      let wish = PlanTests.wish(&generator, port: 5301)
      let transaction = NICTransaction(access, link, directory: directory)
      do throws(NICPlanError) {
        let plan = try transaction.acquire(wish)
        #expect(plan.kept.isEmpty)
      } catch {
        // All queues wished for. Nothing was changed then.
        #expect(error.kind == .usage, "seed \(seed): \(error)")
        #expect(try Shown(access, link) == before)
        continue
      }
      reached += 1
      PlanTests.expectReached(try access.observe(link), wish)
      #expect(try transaction.drift().isEmpty, "seed \(seed)")
      let again = try NICPlan(try access.observe(link), try transaction.journal(), .acquire)
      #expect(again.steps.isEmpty, "seed \(seed)")
      #expect(try transaction.release().isEmpty, "seed \(seed)")
      #expect(try Shown(access, link) == before, "seed \(seed)")
      #expect(try transaction.journal().isEmpty)
    }
    #expect(reached > 150)
  }

  /// Before Linux 6.17 there is only the ioctl.
  @Test func tablesAndContextsByTheIoctl() throws {
    try clear()
    defer { try? clear() }
    let size = try access.receiveSideScaling(of: link).indirection.count
    try access.setIndirection([1, 2], of: link, by: .ioctl)
    let table = try access.receiveSideScaling(of: link).indirection
    #expect(table == (0..<size).map { UInt32($0 % 2 + 1) })
    try access.setIndirection([], of: link, by: .ioctl)
    let standard = try access.receiveSideScaling(of: link).indirection
    #expect(IndirectionTable.isDefault(standard, queues: 8))
    let wanted = IndirectionTable.over([3], size: size)
    let context = try access.createContext(wanted, wanted: nil, of: link, by: .ioctl)
    #expect(try access.contexts(of: link).first { $0.context == context }?.indirection == wanted)
    try access.deleteContext(context, of: link, by: .ioctl)
    #expect(try access.contexts(of: link).isEmpty)
  }

  /// What the kernel refuses comes with its own words, and leaves nothing behind.
  @Test func aStepThatIsRefusedUndoesThoseBefore() throws {
    try clear()
    defer { try? clear() }
    let before = try Shown(access, link)
    let transaction = NICTransaction(access, link, directory: "/tmp/ingest-nic-\(getpid())")
    let wish = NICWish(
      queues: [5], flows: [NICWish.Flow(port: 5301, isIPv6: false)], receiveRing: 1 << 24)
    do throws(NICPlanError) {
      _ = try transaction.acquire(wish)
      Issue.record("a ring of 16 million entries was made")
    } catch {
      #expect(error.kind == .refused || error.kind == .notSupported)
      #expect(error.remedy?.contains("ethtool -G \(link.name) rx 16777216") == true)
    }
    #expect(try Shown(access, link) == before)
    #expect(try transaction.journal().isEmpty)
  }
}
