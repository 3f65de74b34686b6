import CIngestKernel
import Glibc
import IngestTestSupport
import RingCore
import Stages
import Testing
import ZeroCopy

/// What an engine does for a sink: leases out of an area, a real ring, completions, returns. It
/// packs leases into buffers as incremental consumption does, so that neighbours may touch, and
/// checks that each claim comes back once.
struct SinkDriver: ~Copyable {
  var ring: Ring
  var batch: Batch
  let area: FakeArea
  private var free: [UInt32]
  private var filling: UInt32?
  private var filled = 0
  private var claims: [UInt32: Int] = [:]
  private(set) var out: Set<UInt64> = []
  var faults: [Fault] = []
  var refusals: [UInt32] = []
  /// Answers to give instead of the kernel's, by the number of the completion from 1.
  var answers: [Int: Int32] = [:]
  private(set) var completions = 0
  /// Bytes that the sink was given.
  private(set) var delivered: UInt64 = 0

  init(
    bufferSize: Int = 16384, buffers: Int = 32, entries: UInt32 = 64, withRing: Bool = true,
    isShared: Bool = false, holdLimit: Int = 4096
  ) throws {
    let layout = try #require(AreaLayout(bufferSize: bufferSize, bufferCount: buffers))
    let made = try Ring(entries: entries, completionEntries: 1024)
    area = isShared ? try #require(FakeArea(shared: layout)) : FakeArea(layout: layout)
    batch = Batch(
      area: area.memory, submissions: withRing ? made.submissions : nil, holdLimit: holdLimit)
    ring = made
    free = Array(0..<UInt32(buffers))
  }

  /// Hands the next bytes of a stream to the sink, at most `count`, in one lease.
  mutating func deliver<S: Sink & ~Copyable>(
    _ count: Int, of stream: inout SampleStream, to sink: inout S
  ) throws {
    let count = min(count, stream.left, Int(area.layout.bufferSize))
    let offset = try place(count, &sink)
    delivered += UInt64(count)
    unsafe stream.bytes.withUnsafeBytes { bytes in
      unsafe (area.base + Int(offset)).copyMemory(
        from: bytes.baseAddress! + stream.cursor, byteCount: count)
    }
    let lease = Lease(
      offset: offset, length: UInt32(count), connection: stream.connection.slot)
    var start: UInt32 = 0
    for piece in stream.advance(count) {
      sink.take(piece, of: lease, at: start, in: &batch)
      start += piece.count
    }
    if let released = sink.finish(lease, in: &batch).take() { returned(released) }
    if batch.refused {
      batch.refused = false
      refusals.append(stream.connection.slot)
    }
  }

  /// A place for a lease; waits for writes when every buffer is out.
  private mutating func place<S: Sink & ~Copyable>(_ count: Int, _ sink: inout S) throws -> UInt64 {
    if let buffer = filling, filled + count > Int(area.layout.bufferSize) {
      filling = nil
      if claims[buffer] == 0 { free.append(buffer) }
    }
    while filling == nil {
      if let buffer = free.popLast() {
        filling = buffer
        filled = 0
        claims[buffer] = 0
      } else {
        // What the sink gave back since the last batch may be enough.
        endBatch(&sink)
        guard free.isEmpty else { continue }
        try #require(sink.pending > 0, "buffers are out, and the sink has nothing under way")
        reap(&sink, .one)
      }
    }
    let buffer = try #require(filling)
    let offset = area.layout.offset(of: buffer) + UInt64(filled)
    filled += count
    claims[buffer, default: 0] += 1
    out.insert(offset)
    return offset
  }

  private mutating func returned(_ offset: UInt64) {
    #expect(out.remove(offset) != nil, "a claim came back that was not out")
    let buffer = area.layout.buffer(at: offset)
    claims[buffer, default: 0] -= 1
    // What lay there must not be written any more: overwrite it.
    if claims[buffer] == 0, filling != buffer {
      free.append(buffer)
      unsafe memset(
        area.base + Int(area.layout.offset(of: buffer)), 0x5a, Int(area.layout.bufferSize))
    }
  }

  mutating func open<S: Sink & ~Copyable>(_ stream: SampleStream, _ sink: inout S) {
    sink.opened(stream.connection, in: &batch)
    if batch.refused {
      batch.refused = false
      refusals.append(stream.connection.slot)
    }
  }

  mutating func close<S: Sink & ~Copyable>(
    _ stream: SampleStream, _ sink: inout S, _ end: StreamEnd = .finished
  ) {
    if stream.openEnd, end == .finished { sink.endRecord(of: stream.connection, in: &batch) }
    sink.closed(stream.connection, end, in: &batch)
  }

  mutating func endBatch<S: Sink & ~Copyable>(_ sink: inout S) {
    sink.endBatch(in: &batch)
    while let slot = batch.takeRefusal() { refusals.append(slot) }
    var back: [UInt64] = []
    batch.takeReturns { back.append($0) }
    for offset in back { returned(offset) }
    var found: [Fault] = []
    batch.drainFaults { found.append($0) }
    faults += found
  }

  mutating func reap<S: Sink & ~Copyable>(_ sink: inout S, _ wait: Ring.Wait = .none) {
    var wait = wait
    wait.timeoutNanoseconds = 10_000_000_000
    let code = ring.enter(wait)
    #expect([0, EINTR, EAGAIN, EBUSY].contains(code), "the ring answered \(code)")
    let ready = ring.completions.available()
    for index in 0..<ready {
      let entry = unsafe ring.completions.entry(index)
      let tag = OperationTag(rawValue: unsafe entry.pointee.user_data)
      #expect(tag.kindByte == OperationTag.Kind.stage.rawValue)
      completions += 1
      let result = answers[completions] ?? (unsafe entry.pointee.res)
      let flags = unsafe entry.pointee.flags
      sink.completed(tag.index, result: result, flags: flags, in: &batch)
    }
    ring.completions.advance(ready)
  }

  /// A sink that writes all bytes and has nothing under way has counted each once.
  func expectAccounted(_ counters: SinkCounters) {
    let counted = counters.bytes + counters.lostBytes + counters.droppedBytes
    let delivered = delivered
    #expect(counted == delivered)
  }

  /// Runs the ring until the sink has nothing under way.
  mutating func drain<S: Sink & ~Copyable>(_ sink: inout S) {
    endBatch(&sink)
    while sink.pending > 0 {
      reap(&sink, .one)
      endBatch(&sink)
    }
  }
}

/// A directory of a test's own, removed with what is in it.
@safe
final class TemporaryDirectory {
  let path: String

  init() throws {
    var template = Array("/tmp/ingest-sink-XXXXXX".utf8CString)
    let made = unsafe template.withUnsafeMutableBufferPointer { unsafe mkdtemp($0.baseAddress!) }
    path = unsafe String(cString: try #require(unsafe made))
  }

  deinit {
    for name in names { unsafe unlink(path + "/" + name) }
    unsafe rmdir(path)
  }

  var names: [String] {
    guard let directory = unsafe opendir(path) else { return [] }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    while let entry = unsafe readdir(directory) {
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
        unsafe String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names
  }
}

/// Everything in a file; nil when it cannot be opened.
func contents(_ path: String) -> [UInt8]? {
  let descriptor = unsafe open(path, O_RDONLY)
  guard descriptor >= 0 else { return nil }
  defer { close(descriptor) }
  return readToEnd(descriptor)
}

func readToEnd(_ descriptor: Int32) -> [UInt8] {
  var result: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 65536)
  while true {
    let count = unsafe read(descriptor, &chunk, chunk.count)
    if count <= 0 { return result }
    result += chunk[..<count]
  }
}

/// A pipe's two ends, not inherited by what other tests start.
func makePipe() throws -> (reader: Int32, writer: Int32) {
  var ends: [Int32] = [0, 0]
  try #require(unsafe pipe(&ends) == 0)
  for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
  return (ends[0], ends[1])
}
