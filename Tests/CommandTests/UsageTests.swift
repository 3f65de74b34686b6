import Glibc
import Testing

@Suite struct UsageTests {
  /// Each is refused with exit code 2 and says what was expected.
  @Test(
    arguments: [
      (
        "ingest", ["--port", "99999"],
        "--port: expected a whole number from 0 to 65535, found 99999"
      ),
      ("ingest", ["--prt", "1"], "--port"),
      ("ingest", ["--buffer", "3K"], "--buffer: expected a power of two"),
      ("ingest", ["--min-wait", "2h"], "microseconds"),
      ("ingest", ["--memory", "gold"], "\"pages\", \"thp\""),
      ("ingest", ["--memory", "dmabuf-fd:x"], "\"dmabuf-fd:N\""),
      ("ingest", ["--memory", "thp", "--dmabuf-fd", "7"], "together"),
      ("ingest", ["--dmabuf-fd", "seven"], "--dmabuf-fd seven: expected the number"),
      ("ingest", ["--dmabuf-fd", "0"], "--memory dmabuf-fd:0: could not use descriptor 0"),
      ("ingest", ["--dmabuf-fd", "999"], "without close-on-exec"),
      ("ingest", ["--cpus", "3-1"], "[1, 3]"),
      ("ingest", ["-t", "soon"], "seconds"),
      ("ingest", ["--parse", "words"], "--parse: \"words\": "),
      ("ingest", ["--parse", "lines:max=much"], "max=much is no size"),
      ("ingest", ["--sink", "flie:/x"], "file"),
      ("ingest", ["--checksum", "crc32c:verify", "--parse", "lines"], "--parse wire"),
      ("ingest", ["-4", "-6"], "together"),
      ("ingest", ["--allow", "10.0.0/8"], "--allow: 10.0.0/8: \"10.0.0\" is no address"),
      ("ingest", ["--allow", "::1", "--allow", "10.0.0.0/40"], "\"40\" is no length of a prefix"),
      ("ingest", ["--allow", "10.0.0.1/8"], "10.0.0.0/8 is that network"),
      ("ingest", ["--connections-per-peer", "many"], "whole number from 0 to 1048576"),
      ("ingest", ["--max-bytes-per-peer", "lots"], "--max-bytes-per-peer: expected a size"),
      ("ingest", ["--max-record", "1M"], "no records that --max-record could bound"),
      ("ingest", ["--max-record", "1K", "--parse", "fixed:size=2K"], "than --max-record 1K"),
      ("ingest", ["--json", "--json-stream"], "together"),
      ("ingest", ["--format", "x"], "k, m, g, t"),
      ("ingest", ["--interval", "0.001"], "0.01"),
      ("ingest", ["loopback", "--affinity", "1"], "two CPU numbers"),
      ("ingest", ["saturate", "--rate", "fast"], "--rate fast: expected bits per second"),
      ("ingest", ["saturate", "--mtu", "4096"], "give its --rate, too"),
      ("ingest", ["saturate", "--rate", "1G", "--mtu", "9"], "expected bytes from 576"),
      ("ingest", ["saturate", "--headroom", "0.5"], "expected a factor from 1 to 10"),
      ("ingest", ["saturate", "--buffer", "3K"], "--buffer: expected a power of two"),
      ("ingest", ["doctor", "--memory", "thp"], "--memory is about a queue, and none is named"),
      ("ingest", ["doctor", "--probe-bind"], "--probe-bind is about a queue"),
      ("ingest", ["doctor", "--queue", "3"], "for example --ifname eth1 --queue 8"),
      ("ingest", ["doctor", "--ifname", "lo", "--queue", "x"], "--queue: expected a list"),
      ("ingest", ["doctor", "--ifname", "lo", "--queue", "0", "--buffer", "3K"], "--buffer"),
      ("ingest-send", [], "--to HOST[:PORT]"),
      ("ingest-send", ["--to", "[::1", "-t", "1"], "[IPV6]:PORT"),
      ("ingest-send", ["--to", "a:99999999"], "65535"),
      ("ingest-send", ["--to", "h", "--bitrate", "fast"], "bits per second"),
      ("ingest-send", ["--to", "h", "--method", "magic"], "\"send-zc-fixed\""),
      ("ingest-send", ["--to", "::1", "--record-minimum", "9"], "give both --record-minimum"),
      ("ingest-send", ["--to", "::1", "--record-maximum", "9"], "give both --record-minimum"),
      ("ingest-send", ["--to", "h", "--length", "0"], "from 1 byte to 64 MiB"),
      ("ingest", ["--port", "-1"], "-1 was read as a flag: no value here may be negative"),
      ("ingest-send", ["--to", "h", "-t", "-0.5"], "-0.5 was read as a flag"),
      ("ingest", ["--config", ""], "--config: expected a path"),
    ])
  func isRefused(name: String, arguments: [String], words: String) throws {
    let result = try RunningCommand(name, arguments).finish()
    #expect(result.code == 2)
    #expect(result.out == "")
    #expect(result.error.contains(words), "\(result.error)")
  }

  @Test(
    arguments: [
      ("{ port: 1, bufer: 4096 }", ":1: bufer: unknown key", "did you mean \"buffer\"?"),
      ("{\n  // words\n  port: \"x\",\n}", ":3: port: expected a whole number", "found \"x\""),
      ("{\n  port: 70000 }", ":2: port: expected a whole number from 0 to 65535", "found 70000"),
      ("{\n\n  cpus: [0, 'a'] }", ":3: cpus: expected a list of CPU numbers", "a list"),
      ("{ latency: 1 }", ":1: latency: expected true or false", "found 1"),
      ("{ port: 1,\n port: 2 }", ":2: port: given twice", ""),
      ("[1]", ":1: expected an object", "a list"),
      ("{ command: \"ingest-send\" }", ":1: command: this file is for", "ingest-send"),
      ("{ /* a\n comment */ sink: 5 }", ":2: sink: expected", "found 5"),
      ("{\n  parse: 'lenght' }", ":2: parse: \"lenght\": ", "length"),
    ])
  func configurationErrorSaysWhere(text: String, place: String, detail: String) throws {
    let path = try RunningCommand.temporaryFile(text)
    defer { unsafe unlink(path) }
    let result = try RunningCommand.run("ingest", "--config", path, "--show-config")
    #expect(result.code == 2)
    #expect(result.error.contains(path + place), "\(result.error)")
    #expect(result.error.contains(detail), "\(result.error)")
  }

  @Test(
    arguments: [
      ("{\n  port: }\n", ":2: expected a value"),
      ("{\n  port: 1\n  buffer: 2 }", ":3: expected , or }"),
      ("{\n\n  port 1 }", ":3: expected : after the key port"),
      ("{ port: 1,\n  sink: \"null\n }", ":2: a text that is not closed"),
      ("{ port: 1,", ":1: expected } before the end"),
      ("{ port: 1 }\n}", ":2: expected the end of the file"),
      ("{ port: 1 }\n/* and", ":2: a comment that is not closed"),
      ("{ port: yes }", ":1: expected a value, found yes"),
      ("", ":1: expected a value, found none"),
    ])
  func syntaxErrorSaysWhere(text: String, place: String) throws {
    let path = try RunningCommand.temporaryFile(text)
    defer { unsafe unlink(path) }
    let result = try RunningCommand.run("ingest", "--config", path, "--show-config")
    #expect(result.code == 2)
    #expect(result.error.contains(path + place), "\(result.error)")
    #expect(result.error.contains("not JSON5"))
  }

  @Test func errorInsideASectionNamesItsPath() throws {
    let path = try RunningCommand.temporaryFile("{\n receive: {},\n send: {\n  lenght: 1 } }")
    defer { unsafe unlink(path) }
    let result = try RunningCommand.run("ingest", "loopback", "--config", path, "--show-config")
    #expect(result.code == 2)
    #expect(result.error.contains(path + ":4: send.lenght: unknown key"), "\(result.error)")
    #expect(result.error.contains("did you mean \"length\"?"))
  }

  /// UDP without a length takes one that a frame carries; a given one stands.
  @Test func datagramsFitAFrame() throws {
    let plain = try RunningCommand.run("ingest-send", "-u", "--show-config")
    #expect(plain.out.contains("\"length\" : 1452"), "\(plain.out)")
    let given = try RunningCommand.run("ingest-send", "-u", "-l", "600", "--show-config")
    #expect(given.out.contains("\"length\" : 600"), "\(given.out)")
  }

  @Test func datagramsToNobodySayWhatReceivesThem() throws {
    let result = try RunningCommand.run("ingest-send", "--to", "127.0.0.1:1", "-u", "-t", "1")
    #expect(result.code == 6)
    #expect(result.error.contains("nothing receives at 127.0.0.1:1"), "\(result.error)")
    #expect(result.error.contains("ingest itself receives TCP"))
  }

  @Test func missingFileIsNamed() throws {
    let result = try RunningCommand.run("ingest", "--config", "/no/such/file")
    #expect(result.code == 2)
    #expect(result.error.contains("cannot open /no/such/file: No such file or directory"))
  }
}
