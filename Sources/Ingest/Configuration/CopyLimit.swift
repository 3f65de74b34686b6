/// The largest share of received bytes that may be copied, or not be known to be zero-copy; spelled
/// `5%` or `0.05`. `100%` allows all.
public struct CopyLimit: RawRepresentable, Codable, Equatable, Sendable {
  /// 0 to 1.
  public let share: Double
  /// As it was spelled.
  public let rawValue: String

  public static let none = CopyLimit(share: 1, rawValue: "100%")

  private init(share: Double, rawValue: String) {
    self.share = share
    self.rawValue = rawValue
  }

  /// Nil for what is not a number from 0 to 1, or from 0 to 100 with a percent sign.
  public init?(rawValue: String) {
    let isPercent = rawValue.hasSuffix("%")
    guard let number = Double(isPercent ? rawValue.dropLast() : rawValue[...]) else { return nil }
    let share = isPercent ? number / 100 : number
    guard share >= 0, share <= 1 else { return nil }
    self.init(share: share, rawValue: rawValue)
  }
}
