import Testing

@Suite struct HelpTests {
  @Test(
    arguments: [
      ("ingest", ["--help"], ["loopback", "saturate", "stages", "EXIT CODES"]),
      (
        "ingest", ["run", "--help"],
        ["EXAMPLES", "SIGNALS", "EXIT CODES", "--parse", "-J, --json", "end.exitCode"]
      ),
      ("ingest", ["loopback", "--help"], ["EXAMPLES", "CRC32C", "--congestion", "end.exitCode"]),
      (
        "ingest", ["saturate", "--help"],
        ["EXAMPLES", "soft-interrupts", "--mtu", "end.saturation", "EXIT CODES"]
      ),
      ("ingest", ["stages", "--help"], ["KIND:OPTIONS"]),
      ("ingest", ["doctor", "--help"], ["EXAMPLES", "--probe-bind", "blocks", "restarts"]),
      (
        "ingest-send", ["--help"],
        ["EXAMPLES", "EXIT CODES", "--method", "-P, --streams", "end.exitCode"]
      ),
    ])
  func helpTeaches(name: String, arguments: [String], words: [String]) throws {
    let result = try RunningCommand(name, arguments).finish()
    #expect(result.code == 0)
    #expect(result.error == "")
    for word in words { #expect(result.out.contains(word), "\(word) in \(name) \(arguments)") }
  }

  /// Each key of a configuration is a flag in the help of its command.
  @Test(arguments: [("ingest", ["run"]), ("ingest-send", [])])
  func everyKeyHasAFlag(name: String, command: [String]) throws {
    let help = try RunningCommand(name, command + ["--help-hidden"]).finish().out
    let shown = try RunningCommand(name, command + ["--show-config"]).finish().out
    var keys = 0
    for line in shown.split(separator: "\n") where line.contains("\" : ") {
      guard let key = line.split(separator: "\"").dropFirst().first, key != "command" else {
        continue
      }
      keys += 1
      #expect(help.contains("--" + (key == "host" ? "to" : HelpTests.flag(of: key))), "\(key)")
    }
    #expect(keys > 20)
  }

  /// `waitBatch` is `--wait-batch`.
  private static func flag(of key: Substring) -> String {
    var flag = ""
    for letter in key { flag += letter.isUppercase ? "-" + letter.lowercased() : String(letter) }
    return flag
  }

  @Test func versionsAgree() throws {
    let receive = try RunningCommand.run("ingest", "--version")
    let send = try RunningCommand.run("ingest-send", "--version")
    #expect(receive.code == 0 && send.code == 0)
    #expect(receive.out == send.out)
  }

  @Test func stagesAreListedForBoth() throws {
    let people = try RunningCommand.run("ingest", "stages")
    #expect(people.code == 0)
    for kind in ["raw", "lines", "length", "fixed", "wire", "crc32c", "xxh3", "file", "stdout"] {
      #expect(people.out.contains(kind))
    }
    let json = try RunningCommand.run("ingest", "stages", "--json")
    #expect(json.out.contains(#""schema" : "ingest/1""#))
  }
}
