import CommandSupport
import Glibc
import JSON5
import Testing

/// `ingest run` against stock clients on loopback.
@Suite struct ReceiveTests {
  @Test func endsAfterOneConnectionAndSaysWhatCame() throws {
    let receiver = try RunningCommand("ingest", ["-B", "127.0.0.1", "-p", "0", "-1", "-V"])
    let port = try receiver.port()
    do {
      let client = try Client(port: port)
      client.send([UInt8](repeating: 7, count: 3_000_000))
    }
    let result = try receiver.finish()
    #expect(result.code == 0, "\(result.error)")
    #expect(result.out.contains("[ ID] Interval           Transfer     Bitrate"))
    #expect(result.out.contains("2.86 MBytes"))
    #expect(result.out.contains("done: all was well"))
    #expect(result.error.contains("finished after 3000000 bytes"))
  }

  /// The kernel spreads connections over the threads; a number still names one of them.
  @Test func numbersOfConnectionsAreUniqueOverThreads() throws {
    let receiver = try RunningCommand(
      "ingest", ["-p", "0", "-V", "--threads", "3", "--connections", "24", "--json"])
    let port = try receiver.port()
    for _ in 0..<24 {
      let client = try Client(port: port)
      client.send([1])
    }
    let result = try receiver.finish()
    #expect(result.code == 0, "\(result.error)")
    guard case .array(let list)? = value(try object(result.out), "connections", "first") else {
      Issue.record("no connections in \(result.out)")
      return
    }
    var numbers: Set<UInt64> = []
    for case .object(let connection) in list {
      if case .whole(let number)? = connection["id"] { numbers.insert(number) }
    }
    #expect(list.count == 24)
    #expect(numbers.count == 24)
  }

  @Test(arguments: [SIGTERM, SIGINT])
  func firstSignalEndsWithTheResult(signal: Int32) throws {
    let receiver = try RunningCommand("ingest", ["-p", "0", "-V"])
    let client = try Client(port: try receiver.port())
    client.send([UInt8](repeating: 1, count: 100_000))
    try receiver.waitFor("connection 1 from 127.0.0.1:")
    receiver.signal(signal)
    let result = try receiver.finish()
    #expect(result.code == 0, "\(result.error)")
    #expect(result.error.contains("stopping: "))
    #expect(result.error.contains("stopped after 100000 bytes"), "\(result.error)")
    #expect(result.out.contains("receiver"))
    _ = client.send([])
  }

  @Test func userSignalShowsCountersAndGoesOn() throws {
    let receiver = try RunningCommand("ingest", ["-p", "0"])
    _ = try receiver.port()
    receiver.signal(SIGUSR1)
    try receiver.waitFor("\"perThread\"")
    receiver.signal(SIGTERM)
    #expect(try receiver.finish().code == 0)
  }

  @Test func portInUseNamesWhoToAsk() throws {
    let first = try RunningCommand("ingest", ["-p", "0"])
    let port = try first.port()
    let second = try RunningCommand.run("ingest", "-p", "\(port)")
    #expect(second.code == 1)
    #expect(second.error.contains("port \(port) is in use"), "\(second.error)")
    #expect(second.error.contains("ss -ltnp"))
    // A reader of JSON is told as well.
    let third = try RunningCommand.run("ingest", "-p", "\(port)", "--json")
    let document = try object(third.out)
    #expect(text(document, "end", "failure")?.contains("in use") == true)
    first.signal(SIGTERM)
    _ = try first.finish()
  }

  @Test func noSuchInterface() throws {
    let result = try RunningCommand.run("ingest", "-p", "0", "--ifname", "nosuch0")
    #expect([1, 5].contains(result.code))
    #expect(result.error.contains("interface"), "\(result.error)")
  }

  @Test func unknownHost() throws {
    let result = try RunningCommand.run("ingest", "-p", "0", "-B", "no-such-host.invalid")
    #expect(result.code != 0)
    #expect(result.error.contains("no-such-host.invalid"))
    #expect(result.error.contains("getent"))
  }

  @Test func resetIsThePeersFailure() throws {
    let receiver = try RunningCommand("ingest", ["-p", "0", "-1", "-V"])
    let port = try receiver.port()
    do {
      let client = try Client(port: port)
      client.send([1, 2, 3])
      try receiver.waitFor("connection 1 from")
      client.reset()
    }
    let result = try receiver.finish()
    #expect(result.code == 6, "\(result.error)")
    #expect(result.error.contains("Connection reset by peer"), "\(result.error)")
  }

  @Test func documentHasTheDocumentedKeys() throws {
    let receiver = try RunningCommand(
      "ingest", ["-B", "127.0.0.1", "-p", "0", "-1", "-V", "--json", "-i", "0.05"])
    let port = try receiver.port()
    do {
      let client = try Client(port: port)
      client.send([UInt8](repeating: 7, count: 1_000_000))
      usleep(200_000)
    }
    let result = try receiver.finish()
    #expect(result.code == 0, "\(result.error)")
    let document = try object(result.out)
    #expect(document["schema"] == .string("ingest/1"))
    #expect(
      Set(document.keys)
        == ["schema", "start", "intervals", "connections", "faults", "end"])
    #expect(text(document, "start", "command") == "ingest run")
    #expect(text(document, "start", "machine", "kernel")?.isEmpty == false)
    #expect(text(document, "start", "machine", "congestionDefault")?.isEmpty == false)
    #expect(value(document, "start", "configuration", "port") == .whole(0))
    #expect(value(document, "start", "listening") == .array([.string("127.0.0.1:\(port)")]))
    #expect(value(document, "end", "receive", "counters", "bytes") == .whole(1_000_000))
    #expect(value(document, "end", "exitCode") == .whole(0))
    #expect(value(document, "connections", "count") == .whole(1))
    #expect(value(document, "faults", "count") == .whole(0))
    guard case .array(let intervals)? = document["intervals"],
      case .object(let interval)? = intervals.first,
      case .array(let connections)? = value(document, "connections", "first"),
      case .object(let connection)? = connections.first
    else {
      Issue.record("no interval or connection in \(result.out)")
      return
    }
    #expect(value(interval, "receive", "bitsPerSecond") != nil)
    #expect(connection["bytes"] == .whole(1_000_000))
    #expect(connection["ended"] == .string("finished"))
  }

  @Test func everyLineOfTheStreamIsAnObject() throws {
    let receiver = try RunningCommand(
      "ingest", ["-B", "127.0.0.1", "-p", "0", "-1", "-V", "--json-stream", "-i", "0.05"])
    let port = try receiver.port()
    do {
      let client = try Client(port: port)
      client.send([UInt8](repeating: 7, count: 1_000_000))
      usleep(200_000)
    }
    let result = try receiver.finish()
    #expect(result.code == 0, "\(result.error)")
    var events: [String] = []
    for line in result.out.split(separator: "\n") {
      let object = try object(String(line))
      #expect(object["schema"] == .string("ingest/1"))
      #expect(object["data"] != nil)
      events.append(text(object, "event") ?? "")
    }
    #expect(events.first == "start")
    #expect(events.last == "end")
    #expect(events.contains("interval"))
    #expect(events.filter { $0 == "event" }.count == 2)
  }

  /// `-t` ends a receiver that nobody ever connects to.
  @Test func timeEndsAnIdleReceiver() throws {
    let result = try RunningCommand.run("ingest", "--port", "0", "--time", "0.2")
    #expect(result.code == 0)
    #expect(result.out.contains("0 connections"), "\(result.out)")
  }

  /// A result that nobody can read is no success.
  @Test(arguments: [[], ["--json"], ["--json-stream"]])
  func resultThatCannotBeWrittenIsAFailure(style: [String]) throws {
    let command = try RunningCommand(
      "ingest", ["--port", "0", "--time", "0.1"] + style, output: "/dev/full")
    let result = try command.finish()
    #expect(result.code == 1)
    #expect(result.error.contains("cannot write the result: No space left"), "\(result.error)")
  }

  /// Without standard output, its number must not come to mean the sink's file or a ring.
  @Test func closedStandardOutputIsNotMistaken() throws {
    let command = try RunningCommand("ingest", ["--port", "0", "--time", "0.1"], output: nil)
    let result = try command.finish()
    #expect(result.code == 1)
    #expect(result.error.contains("Bad file descriptor"), "\(result.error)")
  }

  /// More connections than there can be descriptors is told before it is met.
  @Test func tooFewDescriptorsAreTold() throws {
    var limit = rlimit()
    try #require(unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
    let result = try RunningCommand.run(
      "ingest", "--port", "0", "--time", "0.1", "--max-connections", "1048576")
    #expect(result.code == 0, "\(result.error)")
    let isShort = limit.rlim_max < 1_048_576 + 40
    #expect(result.out.contains("note: 1048576 connections may need") == isShort, "\(result.out)")
    let few = try RunningCommand.run("ingest", "--port", "0", "--time", "0.1")
    #expect(few.out.contains("connections may need") == (limit.rlim_max < 4096 + 40))
  }

  /// Standard input that cannot be read is named, and sends no empty file.
  @Test func unreadableStandardInputIsNamed() throws {
    let receiver = try RunningCommand("ingest", ["-B", "127.0.0.1", "-p", "0", "-1"])
    let target = "127.0.0.1:\(try receiver.port())"
    let sender = try RunningCommand(
      "ingest-send", ["--to", target, "--file", "-"], input: "/proc/self/mem")
    let result = try sender.finish()
    #expect(result.code == 1)
    #expect(result.error.contains("reading standard input failed after 0 bytes"), "\(result.error)")
    _ = try receiver.finish()
  }
}

/// A JSON object of a command's output.
func object(_ text: String) throws -> [String: JSONValue] {
  guard case .object(let object) = try JSONText.decode(json5: text) else {
    throw RunningCommand.Failure(text: "not an object: \(text)")
  }
  return object
}

func value(_ object: [String: JSONValue], _ path: String...) -> JSONValue? {
  var value: JSONValue = .object(object)
  for key in path {
    guard case .object(let inner) = value, let next = inner[key] else { return nil }
    value = next
  }
  return value
}

func text(_ object: [String: JSONValue], _ path: String...) -> String? {
  var value: JSONValue = .object(object)
  for key in path {
    guard case .object(let inner) = value, let next = inner[key] else { return nil }
    value = next
  }
  guard case .string(let text) = value else { return nil }
  return text
}
