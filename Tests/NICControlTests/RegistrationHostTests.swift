import Glibc
import Testing

@testable import NICControl

@Suite("kernel and rights")
struct RegistrationHostTests {
  @Test("releases, with what distributions append")
  func releases() {
    #expect(KernelVersion(release: "7.2.13+deb14-amd64") == KernelVersion(7, 2))
    #expect(KernelVersion(release: "6.18.44-fc-v445\n") == KernelVersion(6, 18))
    #expect(KernelVersion(release: "7.3-rc1") == KernelVersion(7, 3))
    #expect(KernelVersion(release: "6") == nil)
    #expect(KernelVersion(release: "") == nil)
    #expect(KernelVersion(release: "x.y") == nil)
    #expect(KernelVersion(6, 9) < KernelVersion(6, 15))
    #expect(KernelVersion(6, 15) < KernelVersion(7, 0))
    #expect(KernelVersion(7, 1).description == "7.1")
  }

  @Test("features by version, each from its first release on")
  func features() {
    let before = RegistrationHost(kernel: KernelVersion(6, 14))
    let after = RegistrationHost(kernel: KernelVersion(7, 2))
    for feature in ZeroCopyFeature.allCases {
      #expect(!before.has(feature) && after.has(feature))
      #expect(RegistrationHost(kernel: feature.since).has(feature))
    }
  }

  @Test("the initial user namespace maps all numbers to themselves")
  func namespaces() {
    #expect(RegistrationHost.isIdentity("         0          0 4294967295\n"))
    #expect(!RegistrationHost.isIdentity("         0     100000      65536\n"))
    #expect(!RegistrationHost.isIdentity("0 0 1\n1 1 4294967294\n"))
    #expect(!RegistrationHost.isIdentity(""))
  }

  @Test("the soft limit of locked memory")
  func limits() {
    let text = """
      Limit                     Soft Limit           Hard Limit           Units
      Max processes             95898                95898                processes
      Max locked memory         8388608              unlimited            bytes
      """
    #expect(RegistrationHost.lockLimit(text) == 8 << 20)
    let unlimited = "Max locked memory         unlimited            unlimited            bytes\n"
    #expect(RegistrationHost.lockLimit(unlimited) == nil)
    #expect(RegistrationHost.lockLimit("") == nil)
  }

  @Test("this machine, as the C library sees it")
  func current() {
    let host = RegistrationHost.current()
    #expect(host.kernel >= KernelVersion(6, 0))
    #expect(host.pageBytes == UInt64(getpagesize()))
    #expect(host.features == nil && host.isCompiledIn == nil && host.owners.isEmpty)
    // Root outside of containers has every capability; others have none unless given.
    if geteuid() != 0 { #expect(!host.hasNetAdmin || !host.isInitialUserNamespace) }
  }

  @Test("sizes are told in the unit in which they are round")
  func sizes() {
    #expect(sizeText(4096) == "4 KiB")
    #expect(sizeText(5000) == "5000 bytes")
    #expect(sizeText(3 << 30) == "3 GiB")
    #expect(sizeText((1 << 30) + (1 << 20)) == "1025 MiB")
    #expect(sizeText(0) == "0 bytes")
  }
}
