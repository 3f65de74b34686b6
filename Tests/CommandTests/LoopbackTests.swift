import CommandSupport
import Glibc
import JSON5
import Testing

/// Both ends, as `ingest loopback` and as two commands.
@Suite struct LoopbackTests {
  @Test func oneResultForBothEnds() throws {
    let result = try RunningCommand.run("ingest", "loopback", "-n", "64M")
    #expect(result.code == 0, "\(result.error)")
    #expect(result.out.contains("Result: every byte sent arrived, every record verified"))
    #expect(result.out.contains("1,024 verified (crc32c:verify), 0 lost, 0 damaged"))
    for word in ["sender", "receiver", "throughput", "wake-ups", "CPU", "Next:"] {
      #expect(result.out.contains(word))
    }
  }

  @Test(arguments: ["-4", "-6"])
  func everyRecordIsCountedAtBothEnds(family: String) throws {
    let result = try RunningCommand.run(
      "ingest", "loopback", family, "-P", "3", "--records", "20000", "--record-minimum", "1",
      "--record-maximum", "64K", "--json")
    #expect(result.code == 0, "\(result.error)")
    let document = try object(result.out)
    #expect(value(document, "end", "receive", "counters", "records") == .whole(20000))
    #expect(value(document, "end", "send", "counters", "records") == .whole(20000))
    #expect(
      value(document, "end", "receive", "counters", "bytes")
        == value(document, "end", "send", "counters", "bytes"))
    #expect(value(document, "connections", "count") == .whole(3))
    #expect(value(document, "faults", "count") == .whole(0))
    guard case .number(let cost)? = value(document, "end", "receive", "cpuSecondsPerGB") else {
      Issue.record("no CPU cost in \(result.out)")
      return
    }
    #expect(cost > 0)
  }

  @Test func firstSignalEndsBothEndsWell() throws {
    let command = try RunningCommand("ingest", ["loopback", "-t", "60", "-b", "1G"])
    try command.waitFor("[SUM]")
    command.signal(SIGINT)
    let result = try command.finish()
    #expect(result.code == 0, "\(result.error)")
    #expect(result.out.contains("Result: every byte sent arrived"))
  }

  @Test func senderReportsItsMethod() throws {
    let receiver = try RunningCommand(
      "ingest",
      ["-B", "127.0.0.1", "-p", "0", "-V", "-1", "--parse", "wire", "--checksum", "crc32c:verify"])
    let port = try receiver.port()
    let sender = try RunningCommand.run(
      "ingest-send", "--to", "127.0.0.1:\(port)", "-n", "8M", "-C", "reno", "--method", "send-zc",
      "--json")
    #expect(sender.code == 0, "\(sender.error)")
    let document = try object(sender.out)
    #expect(text(document, "start", "command") == "ingest-send")
    #expect(text(document, "end", "send", "method") == "send-zc")
    // Loopback copies all of it, whatever was asked for.
    #expect(value(document, "end", "send", "copiedShare") == .whole(1))
    guard case .array(let streams)? = value(document, "end", "send", "streams") else {
      Issue.record("no streams in \(sender.out)")
      return
    }
    #expect(streams.count == 1)
    #expect(try receiver.finish().code == 0)
  }

  @Test func nobodyThereIsThePeersFailure() throws {
    let first = try RunningCommand("ingest", ["-p", "0"])
    let port = try first.port()
    first.signal(SIGTERM)
    _ = try first.finish()
    let sender = try RunningCommand.run("ingest-send", "--to", "127.0.0.1:\(port)", "-n", "1M")
    #expect(sender.code == 6)
    #expect(sender.error.contains("127.0.0.1:\(port)"), "\(sender.error)")
  }

  /// Garbage ends one connection with a sentence and exit code 6; damage is exit code 7.
  @Test func garbageIsTold() throws {
    let receiver = try RunningCommand(
      "ingest",
      ["-B", "127.0.0.1", "-p", "0", "-V", "-1", "--parse", "wire", "--checksum", "crc32c:verify"])
    let port = try receiver.port()
    do {
      let client = try Client(port: port)
      client.send(Array("GET / HTTP/1.1\r\nHost: somebody.else\r\n\r\n".utf8))
    }
    let result = try receiver.finish()
    #expect(result.code == 6, "\(result.error)")
    #expect(result.error.contains("does not send wire records"), "\(result.error)")
    #expect(result.error.contains("record 0, byte 0"))
  }

  /// SIGTERM under load: what was received before is in the file, to the byte.
  @Test func whatWasReceivedIsInTheSink() throws {
    let directory = try RunningCommand.temporaryDirectory()
    defer { RunningCommand.remove(directory: directory) }
    let receiver = try RunningCommand(
      "ingest", ["-B", "127.0.0.1", "-p", "0", "-V", "--sink", "file:\(directory)"])
    let port = try receiver.port()
    let client = try Client(port: port)
    // Numbered words, so that a hole or a repetition shows.
    var next: UInt32 = 0
    func words(_ count: Int) -> [UInt8] {
      var bytes: [UInt8] = []
      for _ in 0..<count {
        bytes += [UInt8(next & 255), UInt8(next >> 8 & 255), UInt8(next >> 16 & 255), 0]
        next += 1
      }
      return bytes
    }
    for round in 0..<2000 {
      if round == 200 { receiver.signal(SIGTERM) }
      if !client.send(words(16384)) { break }
    }
    let result = try receiver.finish()
    #expect(result.code == 0, "\(result.error)")
    guard let words = result.error.split(separator: "stopped after ").last?.split(separator: " "),
      let told = words.first.flatMap({ Int($0) })
    else {
      Issue.record("no count in \(result.error)")
      return
    }
    #expect(told > 0)
    let stored = RunningCommand.bytes(of: directory + "/connection-1")
    #expect(stored.count == told)
    let isInOrder = stride(from: 0, to: stored.count - 3, by: 4).allSatisfy { place in
      let word =
        Int(stored[place]) | Int(stored[place + 1]) << 8 | Int(stored[place + 2]) << 16
      return word == place / 4
    }
    #expect(isInOrder)
  }

  /// Bytes on standard output are the sink's alone; the result goes to standard error.
  @Test func standardOutputIsForData() throws {
    let receiver = try RunningCommand(
      "ingest", ["-B", "127.0.0.1", "-p", "0", "-1", "--parse", "lines", "--sink", "stdout"])
    let port = try receiver.port()
    do {
      let client = try Client(port: port)
      client.send(Array("one\ntwo\n".utf8))
    }
    let result = try receiver.finish()
    #expect(result.code == 0, "\(result.error)")
    #expect(result.out == "one\ntwo\n")
    #expect(result.error.contains("done: all was well"))
  }

  /// The flag means both ends: one makes the digests that the other verifies.
  @Test func checksumIsThatOfBothEnds() throws {
    let result = try RunningCommand.run(
      "ingest", "loopback", "--records", "100", "--checksum", "xxh3:verify")
    #expect(result.code == 0, "\(result.error)")
    #expect(result.out.contains("100 verified (xxh3:verify)"), "\(result.out)")
  }

  /// What a few bytes cost is start-up time; per GB it would be a number that means nothing.
  @Test func hardlyAnyBytesHaveNoCosts() throws {
    let result = try RunningCommand.run("ingest", "loopback", "--bytes", "1")
    #expect(result.code == 0, "\(result.error)")
    #expect(result.out.contains(" 1 send of ") && result.out.contains(" 1 record"))
    #expect(!result.out.contains("per GB") && !result.out.contains("s/GB"), "\(result.out)")
    #expect(result.out.contains("32 bytes: too few to tell"))
    #expect(result.out.contains("\nNext:\n  ingest "))
  }
}
