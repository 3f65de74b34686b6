import Glibc
import NICControl
import RingCore
import ZeroCopy

/// What the kernel itself says to binding a queue.
enum ProbeFinding {
  /// Twice a common ring's worth of pages: what a driver posts when the queue starts, and what its
  /// page pool keeps.
  static let bytes = 16 << 20

  static func bind(_ preflight: Preflight) -> Finding {
    guard let link = preflight.state?.link, let target = preflight.wish.target else {
      return Finding(.warning, "probe", "there is no queue to bind")
    }
    let subject = "queue \(target.queue) probe"
    do throws(RingError) {
      let backing = try ProbeFinding.dmabuf(bytes)
      guard let descriptor = backing.dmabufDescriptor else {
        return Finding(.warning, subject, "not bound: there is no dmabuf")
      }
      return bind(link, target.queue, descriptor, preflight, subject)
    } catch {
      return Finding(
        .warning, subject, "not bound: could not \(error.step)", remedy: error.remedy)
    }
  }

  private static func bind(
    _ link: Link, _ queue: UInt32, _ descriptor: Int32, _ preflight: Preflight,
    _ subject: String
  ) -> Finding {
    do throws(NetlinkError) {
      try BindProbe.run(link, queue: queue, dmabuf: descriptor)
      return Finding(.ok, subject, "bound and released: kernel and driver take it")
    } catch {
      // The checks are those of a registration, so its remedies fit.
      let known = RegistrationDiagnosis(
        errno: error.errno, wish: preflight.wish, host: preflight.host, state: preflight.state)
      let fact = "the kernel says: \(error.message ?? "nothing but the errno")"
      return Finding(.blocks, subject, "\(fact) (errno \(error.errno))", remedy: known.remedy)
    }
  }

  static func dmabuf(_ bytes: Int) throws(RingError) -> AreaBacking {
    let page = Int(getpagesize())
    guard let layout = AreaLayout(bufferSize: page, bufferCount: bytes / page) else {
      throw RingError("make a dmabuf of \(bytes) bytes", errno: EINVAL)
    }
    return try AreaBacking(layout, kind: .udmabuf(hugePages: false))
  }
}

/// What the RDMA device of an interface makes of a dmabuf.
enum RDMAFinding {
  static func ask(_ interface: String) -> RDMADevice.Answer {
    guard let device = RDMADevice.of(interface) else { return .none }
    do throws(RingError) {
      let backing = try ProbeFinding.dmabuf(1 << 20)
      guard let descriptor = backing.dmabufDescriptor else {
        return .notAsked(device, why: "there is no dmabuf")
      }
      return device.answer(dmabuf: descriptor, bytes: backing.byteCount)
    } catch {
      return .notAsked(device, why: "\(error)")
    }
  }
}
