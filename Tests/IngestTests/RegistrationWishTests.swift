import Glibc
import NICControl
import RingCore
import Testing

@testable import Ingest

@Suite struct RegistrationWishTests {
  private static func wish(buffer: Int, queue: UInt32? = 3) throws -> RegistrationWish {
    var configuration = ReceiveConfiguration()
    configuration.ifname = "eth1"
    configuration.memory = .huge2m
    let layout = try #require(AreaLayout(bufferSize: buffer, bufferCount: 64))
    return RegistrationWish(configuration, layout, queue: queue, refillEntries: 512)
  }

  /// A page is asked for as 0, which is not a choice that an old kernel could refuse.
  @Test func aPageIsNoChoiceOfLength() throws {
    #expect(try RegistrationWishTests.wish(buffer: Int(getpagesize())).bufferBytes == 0)
    #expect(try RegistrationWishTests.wish(buffer: 16384).bufferBytes == 16384)
    let host = RegistrationHost(kernel: KernelVersion(6, 18))
    let page = try RegistrationWishTests.wish(buffer: Int(getpagesize()))
    let longer = try RegistrationWishTests.wish(buffer: 16384)
    let said = [page, longer].map { wish in
      RegistrationDiagnosis(errno: EINVAL, wish: wish, host: host, state: nil).what
    }
    #expect(!said[0].contains("size of buffers") && said[1].contains("size of buffers"), "\(said)")
  }

  @Test func itIsOfTheQueueThatIsNamed() throws {
    let wish = try RegistrationWishTests.wish(buffer: 4096)
    #expect(wish.target == RegistrationWish.Target(interface: "eth1", queue: 3))
    #expect(wish.areaBytes == 64 * 4096 && wish.refillEntries == 512)
    #expect(wish.memory == .hugePages(2 << 20))
    #expect(try RegistrationWishTests.wish(buffer: 4096, queue: nil).target == nil)
  }
}
