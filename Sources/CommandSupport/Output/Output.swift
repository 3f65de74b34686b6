import Glibc

/// Whole lines to a descriptor, each at once: nothing waits in a buffer for the end of the run.
package struct Output: Sendable {
  package let descriptor: Int32

  package static let data = Output(descriptor: 1)
  package static let talk = Output(descriptor: 2)

  package init(descriptor: Int32) { self.descriptor = descriptor }

  package var isTerminal: Bool { isatty(descriptor) == 1 }

  /// Columns of the terminal, 0 where it does not say. The kernel call is `ioctl(TIOCGWINSZ)`.
  package var columns: Int {
    var size = winsize()
    guard unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 else { return 0 }
    return Int(size.ws_col)
  }

  /// Writes a line. False where the reader has gone (EPIPE) or the write failed.
  ///
  /// The kernel call is `write`.
  @discardableResult
  package func line(_ text: String) -> Bool { write(text + "\n") }

  @discardableResult
  package func write(_ text: String) -> Bool { failure(writing: text) == 0 }

  /// Writes a text; returns 0, or the errno of the write that failed.
  package func failure(writing text: String) -> Int32 {
    let bytes = Array(text.utf8)
    return unsafe bytes.withUnsafeBytes { buffer in
      var rest = unsafe buffer[...]
      while unsafe !rest.isEmpty {
        let slice = unsafe UnsafeRawBufferPointer(rebasing: rest)
        let done = unsafe Glibc.write(descriptor, slice.baseAddress, slice.count)
        if done < 0 && errno == EINTR { continue }
        if done < 0 && errno == EAGAIN {
          var poller = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
          _ = unsafe poll(&poller, 1, -1)
          continue
        }
        guard done > 0 else { return done < 0 ? errno : EIO }
        unsafe rest = rest.dropFirst(done)
      }
      return 0
    }
  }

  /// Keeps the numbers 0 to 2 from meaning something else where a command was started without
  /// them: a ring or the sink's file would be opened under such a number, and lines would go there.
  ///
  /// What stands in answers each use with EBADF, as the missing one would. The kernel calls are
  /// `fcntl` and `open`.
  package static func reserveStandardDescriptors() {
    for descriptor in Int32(0)...2 where fcntl(descriptor, F_GETFD) < 0 {
      // The lowest free number is taken, so this one.
      _ = unsafe open("/dev/null", descriptor == 0 ? O_WRONLY : O_RDONLY)
    }
  }
}

/// One line that is written over and over at the bottom of a terminal: how far the work is.
package struct Progress {
  private let out: Output
  package let isOn: Bool
  private var isShown = false

  /// Shows itself only on a terminal that can take a line back.
  package init(_ out: Output, bounded: Bool) {
    self.out = out
    let kind = unsafe getenv("TERM").map { unsafe String(cString: $0) } ?? "dumb"
    isOn = bounded && out.isTerminal && kind != "dumb"
  }

  /// Takes the line away, so that an ordinary line can be printed.
  package mutating func hide() {
    guard isShown else { return }
    isShown = false
    out.write("\r\u{1b}[K")
  }

  /// - Parameters:
  ///   - share: the part of the work done, 0 to 1.
  ///   - elapsed: seconds since the work began.
  package mutating func show(share: Double, bitsPerSecond: Double, elapsed: Double) {
    guard isOn else { return }
    let share = min(max(share, 0), 1)
    let filled = Int(share * 24)
    let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 24 - filled)
    let percent = Units.left(Units.fixed(share * 100, 0), 3)
    let left = share > 0.001 ? Units.coarse(elapsed * (1 - share) / share) + " left" : ""
    isShown = true
    let line = "[\(bar)] \(percent)%  \(Units.rate(bitsPerSecond))  \(left)"
    // A line that wraps could not be taken back; one that fills its row would wrap on some.
    let room = out.columns
    out.write("\r\u{1b}[K" + (room > 1 ? String(line.prefix(room - 1)) : line))
  }
}
