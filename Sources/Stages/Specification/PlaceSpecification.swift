/// What `--place` asks for: on which thread each part of the chain runs.
public struct PlaceSpecification: Equatable, Sendable, CustomStringConvertible {
  /// Where a part runs.
  public enum Place: Equatable, Sendable, CustomStringConvertible {
    /// On the thread that owns the ring.
    case own
    /// On a thread of its own, pinned to one of these CPUs: the first receiving thread's to the
    /// first, and so on around.
    case cpus([Int])

    public var description: String {
      guard case .cpus(let list) = self, let first = list.first, let last = list.last else {
        return "own"
      }
      return first == last ? "cpu\(first)" : "cpu\(first)-\(last)"
    }
  }

  public let checksum: Place
  public let sink: Place

  /// All of the chain on the thread that owns the ring.
  public static let inline = PlaceSpecification(checksum: .own, sink: .own)

  init(checksum: Place, sink: Place) {
    self.checksum = checksum
    self.sink = sink
  }

  /// Reads `PART=own|cpuN|cpuN-M`, with commas or spaces between; nothing is all on one thread.
  public init(_ text: String) throws(SpecificationError) {
    func refusal(_ problem: String, _ allowed: String) -> SpecificationError {
      SpecificationError(
        flag: "--place", text: text, problem: problem, allowed: allowed,
        example: "checksum=cpu2,sink=cpu3")
    }
    var places: [String: Place] = [:]
    for word in text.split(whereSeparator: { $0 == "," || $0 == " " }) {
      let sides = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard sides.count == 2, ["parse", "checksum", "sink"].contains(sides[0]) else {
        throw refusal("\(word) names no part of the chain", "parse=, checksum= and sink=")
      }
      guard let place = PlaceSpecification.place(sides[1]) else {
        throw refusal("\(sides[1]) is no place", "own, cpuN or cpuN-M")
      }
      guard places.updateValue(place, forKey: String(sides[0])) == nil else {
        throw refusal("\(sides[0]) is placed twice", "each part once")
      }
    }
    guard places["parse"] ?? .own == .own else {
      throw refusal("parse reads what the ring completes", "parse=own")
    }
    let checksum = places["checksum"] ?? .own
    // What goes to another thread stays there.
    let sink = places["sink"] ?? checksum
    if sink == .own && checksum != .own {
      throw refusal(
        "records do not come back from the checksum's thread", "sink= on a CPU as well")
    }
    self.init(checksum: checksum, sink: sink)
  }

  private static func place(_ text: Substring) -> Place? {
    if text == "own" { return .own }
    guard text.hasPrefix("cpu") else { return nil }
    let ends = text.dropFirst(3).split(separator: "-", omittingEmptySubsequences: false)
    let numbers = ends.compactMap { UInt16($0) }.map(Int.init)
    guard ends.count == numbers.count, let first = numbers.first, let last = numbers.last,
      numbers.count <= 2, first <= last
    else { return nil }
    return .cpus(Array(first...last))
  }

  public var description: String {
    self == .inline ? "" : "parse=own,checksum=\(checksum),sink=\(sink)"
  }
}
