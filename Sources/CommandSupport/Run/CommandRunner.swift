package import ArgumentParser
import Glibc
import Ingest

/// Runs a command and ends the process with the exit code that scripts rely on.
package enum CommandRunner {
  /// Parses the command line, runs the command named there, and exits.
  package static func main<Command: ParsableCommand>(_ command: Command.Type) -> Never {
    Output.reserveStandardDescriptors()
    let name = command._commandName
    do {
      var parsed = try command.parseAsRoot()
      try parsed.run()
      exit(0)
    } catch let error as IngestError {
      Output.talk.line("\(name): error: \(error)")
      exit(error.kind.rawValue)
    } catch let code as ExitCode {
      exit(code.rawValue)
    } catch {
      let text = command.fullMessage(for: error)
      if command.exitCode(for: error).isSuccess {
        // Help and version are what was asked for: data.
        Output.data.line(text)
        exit(0)
      }
      Output.talk.line(text)
      if text.hasPrefix("Error: Missing value"), let value = negativeNumber() {
        Output.talk.line("  \(value) was read as a flag: no value here may be negative")
      }
      exit(IngestError.Kind.usage.rawValue)
    }
  }

  /// The first argument that looks like a number below zero; `-4`, `-6` and `-1` are flags, too.
  private static func negativeNumber() -> String? {
    CommandLine.arguments.dropFirst().first { argument in
      argument.hasPrefix("-") && Double(argument) != nil
    }
  }
}

/// Text that every command's help ends with.
package enum HelpText {
  package static let version = "0.1.0"

  package static let exitCodes = """
    EXIT CODES
      0  done, and all was well
      1  failed: the sink could not write, or a second signal cut the run short
      2  usage: a flag or a configuration file is wrong
      3  not supported here: the kernel lacks something
      4  refused by the kernel, for example memory that may not be pinned
      5  no privilege
      6  a peer failed: reset, not what --parse expects, beyond a limit, or cut off
      7  verification failed: a digest or a sequence number does not fit
      8  more was copied than --max-copied allows
      9  the NIC is not as it was: somebody else has changed it, or undoing failed
    """

  package static let signals = """
    SIGNALS
      INT, TERM  finish what was begun and print the result;
                 a second one forces the end
      USR1       print counters to standard error, write the flight recorder's
                 file (ingest run) and go on
    """

  package static let json = """
    JSON
      --json prints one document: schema, start (command, machine, configuration),
      intervals, connections and faults (count, first), end.
      --json-stream prints these parts as they come, each as {schema, event, data}.
      Rates are bits or records per second, times seconds, shares 0 to 1, and what
      is ...PerGB is per 10^9 bytes. end.receive and end.send hold the totals,
      end.exitCode the exit code, end.failure why it is not 0.
        ... --json | jq .end.exitCode
        ... --json-stream | jq -c 'select(.event == "interval").data'
    """

  package static let units = """
    UNITS
      sizes      4096, 64K, 8M, 1G (powers of 1024)
      rates      500M, 10G (bits per second, powers of 1000)
      durations  200us, 5s, 2m
    """
}
