import CIngestKernel
import RingCore
import Testing

@testable import Stages

@Suite("names of files")
struct FileTemplateTests {
  @Test("files of a later run have other names, and those of one run the same start")
  func starts() throws {
    let options = FileSinkOptions(path: "%s-%c")
    let connection = Connection(slot: 0, serial: 7, peer: Endpoint(raw: ik_endpoint()))
    let names = try (0..<2).map { _ in
      try FileTemplate(options, thread: nil).path(for: connection)
    }
    #expect(names[0] == names[1])
    let name = try #require(names.first)
    #expect(name.wholeMatch(of: /2\d{7}T\d{6}Z-7/) != nil, "\(name)")
  }
}
