import Ingest
import IngestTestSupport
import RingCore
import Stages
import Testing

/// The stage that the plugin below is compared with: lets go of records that start with `#`,
/// refuses streams in which one starts with `!`, tells of those that start with `?`.
private struct SwiftJudge: RecordStage {
  static let name = "judge-in-swift"

  mutating func take(
    _ piece: Piece, payload: RawSpan, state: inout NoState, in batch: inout Batch
  ) throws(StageFault) -> StageAnswer {
    guard piece.first, payload.byteCount > 0 else { return .pass }
    switch unsafe payload.unsafeLoad(as: UInt8.self) {
    case UInt8(ascii: "#"): return .drop
    case UInt8(ascii: "!"): throw StageFault(33)
    case UInt8(ascii: "?"): return .flawed(9)
    default: return .pass
    }
  }
}

/// The same in C; it checks what it is given, too. `only=C` has it look for one of the three.
private let judge = """
  #include <stdlib.h>
  #include <stdio.h>
  typedef struct { char only; uint32_t most; long open; long wrong; uint64_t flushes; } judge;
  typedef struct { uint64_t connection; uint64_t last; int inside; } state;
  static int create(const ingest_stage_host *host, const char *options, void **instance,
                    char *error, size_t size) {
    judge *made = calloc(1, sizeof *made);
    char only[2] = "";
    if (ingest_stage_option(options, "refuse", NULL, 0) >= 0) {
      snprintf(error, size, "refuse was given: leave it out");
      return 5;
    }
    if (ingest_stage_option(options, "only", only, sizeof only) > 0) made->only = only[0];
    made->most = host->max_pieces;
    *instance = made;
    return 0;
  }
  static uint64_t open_one(void *instance, const ingest_stage_connection *at, void **user) {
    state *made = calloc(1, sizeof *made);
    made->connection = at->connection;
    ((judge *)instance)->open += 1;
    *user = made;
    return 0;
  }
  static void close_one(void *instance, const ingest_stage_end *end) {
    judge *self = instance;
    state *at = end->user;
    if (at == NULL || at->connection != end->connection) self->wrong += 1;
    self->open -= 1;
    free(at);
  }
  static void take(void *instance, const ingest_stage_batch *batch) {
    judge *self = instance;
    if (batch->count == 0 || batch->count > self->most) self->wrong += 1;
    for (uint32_t index = 0; index < batch->count; index += 1) {
      const ingest_stage_piece *piece = ingest_stage_piece_at(batch, index);
      ingest_stage_answer *answer = ingest_stage_answer_at(batch, index);
      state *at = piece->user;
      if (at->connection != piece->connection || answer->kind != INGEST_STAGE_PASS) {
        self->wrong += 1;
      }
      if (!(piece->flags & INGEST_STAGE_FIRST) || piece->length == 0) continue;
      const char first = *(const char *)piece->payload;
      if (self->only != 0 && self->only != first) continue;
      if (first == '#') answer->kind = INGEST_STAGE_DROP;
      if (first == '!') answer->kind = INGEST_STAGE_REFUSE, answer->code = 33;
      if (first == '?') answer->kind = INGEST_STAGE_FLAWED, answer->code = 9;
    }
  }
  static void flush(void *instance) { ((judge *)instance)->flushes += 1; }
  static void sentence(uint64_t code, char *text, size_t size) {
    snprintf(text, size, code == 9 ? "is this a question" : "must not shout");
  }
  static int failure(void *instance, char *text, size_t size) {
    const judge *self = instance;
    snprintf(text, size, "%ld open, %ld wrong, flushed %d", self->open, self->wrong,
             self->flushes > 0);
    return self->open != 0 || self->wrong != 0 || self->flushes == 0;
  }
  static void destroy(void *instance) { free(instance); }

  """
private let table = PluginSource.table(
  """
  .name = "judge", .open = open_one, .close = close_one, .flush = flush, .sentence = sentence,
  .failure = failure
  """)

/// One shared object for all tests of this file: a name belongs to one.
private let made = Result {
  try PluginSource(judge + table, flags: "-shared -fPIC -Wno-override-init")
}

private struct Told: Equatable {
  var record: UInt64
  var offset: UInt64
  var found: UInt64
}

/// The faults of stages, by connection: in order, or `sorted` as they stand in the stream. Several
/// plugins tell of a batch one after the other.
private func told(_ faults: [Fault], _ connections: Int, sorted: Bool) -> [[Told]] {
  var list = Array(repeating: [Told](), count: connections)
  for fault in faults where fault.kind == .stage {
    list[Int(fault.connection) - 1].append(
      Told(record: fault.record, offset: fault.offset, found: fault.found))
  }
  return sorted ? list.map { $0.sorted { $0.offset < $1.offset } } : list
}

/// Lines that the judge has something to say about; many and long enough to fill its batches.
private func streams(_ generator: inout SeededGenerator, shouts: Bool) -> [SimulatedStream] {
  (0..<4).map { index in
    var bytes: [UInt8] = []
    for _ in 0..<Int.random(in: 1...300, using: &generator) {
      let kind = Int.random(in: 0..<(shouts && index > 0 ? 200 : 199), using: &generator)
      let first: UInt8 =
        kind == 199 ? 33 : kind < 40 ? 35 : kind < 50 ? 63 : 97
      let length = generator.logUniform(upTo: Bool.random(using: &generator) ? 8 : 5000)
      bytes += [first] + Array(repeating: 120, count: length) + [10]
    }
    // The last line may lack its newline.
    if Bool.random(using: &generator) { bytes.removeLast() }
    return SimulatedStream(bytes)
  }
}

@Suite struct PluginStageTests {
  @Test(arguments: 0..<20 as Range<UInt64>, [0, 8])
  func answersAsTheSameStageInSwift(seed: UInt64, ring: Int) throws {
    let library = try PluginLibrary(made.get().path)
    var generator = SeededGenerator(seed: seed)
    let streams = streams(&generator, shouts: seed % 2 == 1)
    var simulation = Simulation(seed: seed)
    simulation.ringCapacity = ring
    // Batches of more pieces than are gathered at a time, too.
    simulation.longestBatch = seed % 3 == 0 ? 200 : 12
    simulation.bufferCount = seed % 3 == 0 ? 64 : 16
    simulation.holdLimit = 512
    let swift = simulation.run(streams, parse: LinesFramer(), stage: SwiftJudge())
    // One that says all, and three that say a third each.
    for options in [[""], ["only=#", "only=!", "only=?"]] {
      let plugins = options.map { (library, options: $0) }
      let outcome = try simulation.run(streams, parse: LinesFramer(), plugins: plugins)
      #expect(outcome.problems == [])
      #expect(outcome.records == swift.records)
      #expect(outcome.accounted == outcome.received)
      let sorted = options.count > 1
      #expect(told(outcome.faults, 4, sorted: sorted) == told(swift.faults, 4, sorted: sorted))
    }
  }

  @Test(arguments: 1...6 as ClosedRange<UInt64>)
  func withoutRecordsEachPieceIsDecided(seed: UInt64) throws {
    let library = try PluginLibrary(made.get().path)
    let streams = [SimulatedStream(Array(repeating: 97, count: 20_000))]
    let outcome = try Simulation(seed: seed).run(
      streams, parse: RawFramer(), plugins: [(library, options: "")])
    #expect(outcome.problems == [])
    #expect(outcome.records == [[streams[0].bytes]])
  }

  @Test func namesItselfInFaults() throws {
    let library = try PluginLibrary(made.get().path)
    let outcome = try Simulation(seed: 1).run(
      [SimulatedStream("ok\n!no\nnever\n")], parse: LinesFramer(),
      plugins: [(library, options: "")])
    let fault = try #require(outcome.faults.first)
    #expect(
      StageCatalog.sentence(fault.expected, code: fault.found) == "stage judge: must not shout")
    #expect(outcome.records == [[Array("ok".utf8)]])
  }

  @Test func refusesToStartWithItsOwnWords() throws {
    let library = try PluginLibrary(made.get().path)
    let streams = [SimulatedStream("ok\n")]
    do throws(SinkError) {
      _ = try Simulation(seed: 1).run(
        streams, parse: LinesFramer(), plugins: [(library, options: "refuse")])
      Issue.record("it started")
    } catch {
      #expect(error.what.contains("refuse was given: leave it out"))
      #expect(error.kind == .usage)
    }
  }
}
