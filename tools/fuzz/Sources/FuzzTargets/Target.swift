import Glibc

/// A parser, with what is held against its results.
public struct Target: Sendable {
  public let name: String
  /// What it reads.
  public let about: String
  /// Bytes of the longest input that says anything new.
  public let longest: Int
  /// Whole samples, to start from.
  let seeds: @Sendable () -> [[UInt8]]
  let run: @Sendable ([UInt8]) -> Void

  init(
    _ name: String, _ about: String, longest: Int,
    seeds: @escaping @Sendable () -> [[UInt8]] = { [] },
    run: @escaping @Sendable ([UInt8]) -> Void
  ) {
    self.name = name
    self.about = about
    self.longest = longest
    self.seeds = seeds
    self.run = run
  }

  public static let all: [Target] = [
    records, header, chunked, described, wire, configuration, specifications, netlink, journal,
    plugin, claims, flight,
  ]

  /// Also those with a planted fault, which are not listed.
  public static func named(_ name: String) -> Target? {
    (all + planted).first { $0.name == name }
  }

  /// One file for each sample; false where that fails.
  public func writeSeeds(into directory: String) -> Bool {
    for (index, seed) in seeds().enumerated() {
      let file = unsafe open("\(directory)/sample-\(index)", O_WRONLY | O_CREAT | O_TRUNC, 0o644)
      guard file >= 0 else { return false }
      defer { close(file) }
      let wrote = unsafe seed.withUnsafeBytes { unsafe write(file, $0.baseAddress, $0.count) }
      guard wrote == seed.count else { return false }
    }
    return true
  }
}

/// Numbers that an input chooses, from its front; zeros once it has no more.
struct Input {
  private(set) var rest: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { rest = bytes[...] }

  mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }
  mutating func short() -> UInt16 { UInt16(byte()) | UInt16(byte()) << 8 }
  mutating func word() -> UInt32 { UInt32(short()) | UInt32(short()) << 16 }
  mutating func long() -> UInt64 { UInt64(word()) | UInt64(word()) << 32 }
  mutating func flag() -> Bool { byte() & 1 == 1 }

  /// 0 up to `limit`, at most 65535; without a byte where there is no choice.
  mutating func below(_ limit: Int) -> Int {
    limit <= 1 ? 0 : Int(limit <= 256 ? UInt16(byte()) : short()) % limit
  }

  mutating func bytes(_ count: Int) -> [UInt8] {
    let taken = Array(rest.prefix(count))
    rest = rest.dropFirst(count)
    return taken
  }

  /// What comes before a zero byte, and after it the rest.
  mutating func text() -> String {
    let taken = rest.prefix { $0 != 0 }
    rest = rest.dropFirst(taken.count + 1)
    return String(decoding: taken, as: UTF8.self)
  }

  /// A bound: mostly small, now and then as large as can be.
  mutating func bound(upTo limit: Int, atLeast least: Int = 1) -> Int {
    let choice = byte()
    if choice < 200 { return min(max(Int(choice), least), limit) }
    if choice < 210 { return limit }
    return least + Int(long() % UInt64(limit - least + 1))
  }
}

// MARK: - Planted faults

extension Target {
  nonisolated(unsafe) private static var forgotten: UnsafeMutableRawPointer?

  /// What tools/fuzz/run --self-test must find.
  static let planted = [
    Target("planted-crash", "reads behind its end", longest: 16) { bytes in
      // Byte by byte, so that only coverage leads there.
      if bytes.count > 3, bytes[0] == 0x7b, bytes[1] == 0x5d, bytes[2] == 0x21 {
        _ = bytes[Int(bytes[3]) + bytes.count]
      }
    },
    Target("planted-hang", "never ends", longest: 16) { bytes in
      guard bytes.count > 1, bytes[0] == 0x7b, bytes[1] == 0x5d else { return }
      while getpid() != 0 {}
    },
    Target("planted-growth", "forgets memory", longest: 16) { bytes in
      if bytes.count > 1, bytes[0] == 0x7b { unsafe forgotten = malloc(64) }
    },
    Target("planted-length", "believes a length", longest: 16) { bytes in
      var input = Input(bytes)
      guard input.byte() == 0x7b else { return }
      let memory = [UInt8](repeating: 0, count: Int(input.long() & 0xff_ffff_ffff))
      require(memory.count < 1 << 40, "a length was read")
    },
  ]
}
