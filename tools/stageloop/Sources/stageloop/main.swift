// stageloop WHAT KIND [key=number …]: one JSON object on standard output.
//
//   frame KIND     a parser over an area: raw fixed lines length described chunked wire
//   digest KIND    a digest over an area: crc32c crc32c-verify xxh3 xxh3-verify; crc32c-placed:
//                  behind a hand-over, as on a thread of its own
//                  keys of both: area, buffer, payload, repeats, bytes
//   loop KIND      the bare receive loop: swift-zcrx c-zcrx swift-pbuf c-pbuf
//   inline ENGINE  raw, three stages, null, behind that loop: zcrx pbuf
//   spread ENGINE  the same over two threads
//   both ENGINE    the same, one thread playing both
//                  keys of these: count, batch
import CFloor
import CTwin
import Glibc
import RingCore

func numbers(_ words: ArraySlice<String>) -> [String: Int]? {
  var found: [String: Int] = [:]
  for word in words {
    let parts = word.split(separator: "=")
    guard parts.count == 2, let number = Int(parts[1]), number > 0 else { return nil }
    found[String(parts[0])] = number
  }
  return found
}

func show(_ times: Times, _ job: Job) {
  print(
    """
    {"kind":"\(job.kind)","area":\(job.area),"buffer":\(job.buffer),"payload":\(job.payload),\
    "bytes":\(times.bytes),"records":\(times.records),"verified":\(times.verified),\
    "faults":\(times.faults),"ours":\(times.ours),"floor":\(times.floor),"read":\(times.read)}
    """)
}

func overMemory(_ what: String, _ kind: String, _ keys: [String: Int]) -> Bool {
  var job = Job()
  job.kind = kind
  job.area = keys["area"] ?? job.area
  job.buffer = keys["buffer"] ?? job.buffer
  job.payload = keys["payload"] ?? job.payload
  job.repeats = keys["repeats"] ?? job.repeats
  job.bytes = keys["bytes"] ?? job.bytes
  var source = kind
  if what == "digest" {
    source = kind.hasSuffix("-verify") ? "wire-" + kind.dropLast("-verify".count) : "raw"
    job.payload = job.buffer - (kind.hasSuffix("-verify") ? 32 : 0)
  }
  let memory = Memory(bytes: job.area, bufferSize: job.buffer)
  guard let stream = Streams.make(source, payload: job.payload, bytes: memory.layout.byteCount)
  else { return false }
  memory.fill(with: stream)
  guard let times = what == "frame" ? frame(job, memory) : digest(job, memory) else {
    return false
  }
  show(times, job)
  return true
}

func overRings(_ what: String, _ kind: String, _ keys: [String: Int]) -> Bool {
  let count = keys["count"] ?? 1_000_000
  let batch = UInt32(min(keys["batch"] ?? 256, 512))
  let outcome: Outcome
  if what == "loop" {
    guard let found = bare(kind, count, batch) else { return false }
    outcome = found
  } else {
    guard kind == "zcrx" || kind == "pbuf" else { return false }
    let zeroCopy = kind == "zcrx"
    switch what {
    case "inline": outcome = inline(count, zeroCopy: zeroCopy, batch: batch)
    case "spread": outcome = Spread().threads(count, zeroCopy: zeroCopy, batch: batch)
    case "both": outcome = Spread().alternating(count, zeroCopy: zeroCopy, batch: batch)
    default: return false
    }
  }
  print(
    """
    {"kind":"\(what) \(kind)","completions":\(outcome.completions),"leases":\(outcome.leases),\
    "nanoseconds":\(outcome.nanoseconds),"waits":\(outcome.waits)}
    """)
  return true
}

let words = CommandLine.arguments
var isDone = false
if words.count >= 3, let keys = numbers(words[3...]) {
  let places = ["frame", "digest"]
  isDone =
    places.contains(words[1])
    ? overMemory(words[1], words[2], keys) : overRings(words[1], words[2], keys)
}
if !isDone {
  print("usage: stageloop frame|digest|loop|inline|spread|both KIND [key=number …]")
  exit(2)
}
