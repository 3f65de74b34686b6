import Glibc
import Testing

@testable import Stages

/// How processes of stages ended, and codes of stages that look as if they said so.
@Suite struct PluginEndTests {
  @Test func endsAreToldInWords() {
    #expect(PluginEnd(status: SIGSEGV).words.hasPrefix("was ended by signal 11 ("))
    #expect(PluginEnd(status: 3 << 8).words == "ended with exit code 3")
    #expect(PluginEnd.late(milliseconds: 20).words == "took longer than 20 ms")
    #expect(PluginEnd.sentence(for: 7) == nil)
  }

  /// The stage chooses its codes: any may come.
  @Test(arguments: [0xffff_ff00_ffff_ffff, 0xffff_ff00_8000_0000, .max, 0xffff_ffff_0000_0000])
  func aCodeThatIsNoEndHasASentence(code: UInt64) {
    #expect(!PluginSentences.sentence(of: "none", code: code).isEmpty)
  }
}
