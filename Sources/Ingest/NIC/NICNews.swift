import CIngestKernel
import NICControl

/// Something that happened at the NIC while a receiver used it.
public struct NICNews: Equatable, Sendable {
  public enum Kind: String, Sendable {
    /// A setting is no longer as it was set up, or an XDP program came or went.
    case drift
    /// The link went down or came up.
    case link
    /// The interface is gone, or in another network namespace: nothing can come any more.
    case removed
    /// The process that is to put it back is gone.
    case keeper
  }

  public var kind: Kind
  /// One sentence, without the interface's name.
  public var text: String
}

/// Follows one interface: by the kernel's notifications, and by reading what has none.
final class NICFollower {
  // Nil where the interface is not set up, but only received from.
  private let transaction: NICTransaction?
  // Nil where the kernel refuses the sockets: then reading once in a while must do.
  private let watch: NICWatch?
  private var link: Link
  private var drift: [String] = []
  private var readAt: UInt64 = 0

  /// N-tuple rules change without a notification, so everything is read this often, in nanoseconds.
  private static let rereading: UInt64 = 1_000_000_000

  init(_ link: Link, _ transaction: NICTransaction? = nil) {
    self.transaction = transaction
    self.link = link
    watch = try? NICWatch(interface: link.index)
  }

  /// What happened since the last call, each said once.
  func news() -> [NICNews] {
    let changes = (try? watch?.read()) ?? []
    var news: [NICNews] = []
    var isDue = ik_clock_ns() - readAt >= NICFollower.rereading
    for change in changes {
      switch change {
      case .link(let now):
        news += NICFollower.news(from: link, to: now)
        link = now
      case .removed:
        news.append(
          NICNews(kind: .removed, text: "the interface is gone, or in another network namespace"))
      default: isDue = true
      }
    }
    if isDue, let transaction { news += drifted(transaction) }
    return news
  }

  private func drifted(_ transaction: NICTransaction) -> [NICNews] {
    readAt = ik_clock_ns()
    // An interface that is gone cannot be read, which is told by the notification.
    let now = (try? transaction.drift()) ?? []
    defer { drift = now }
    return now.filter { !drift.contains($0) }.map { NICNews(kind: .drift, text: $0) }
  }

  static func news(from old: Link, to new: Link) -> [NICNews] {
    var news: [NICNews] = []
    if old.isUp != new.isUp {
      news.append(NICNews(kind: .link, text: new.isUp ? "it was set up" : "it was set down"))
    }
    if old.hasCarrier != new.hasCarrier {
      let text = new.hasCarrier ? "the link is up" : "the link is down: no carrier"
      news.append(NICNews(kind: .link, text: text))
    } else if new.hasCarrier, old.isUp, old.carrierLosses != new.carrierLosses {
      // It came back before the kernel told that it was gone.
      news.append(NICNews(kind: .link, text: "the link was down for a moment"))
    }
    if old.name != new.name {
      news.append(NICNews(kind: .link, text: "its name is \(new.name) now"))
    }
    if old.mtu != new.mtu {
      news.append(NICNews(kind: .drift, text: "its MTU is \(new.mtu); it was \(old.mtu)"))
    }
    if old.xdp != new.xdp {
      let text = new.xdp == nil ? "the XDP program was detached" : "an XDP program was attached"
      news.append(NICNews(kind: .drift, text: text))
    }
    return news
  }
}
