import Glibc
import IngestTestSupport
import Stages
import Testing

/// Shared objects that must not be taken, each with what is said of it.
@Suite struct PluginLibraryTests {
  /// What loading a shared object says; fails where it is loaded.
  private func refusal(
    _ path: String, sourceLocation: SourceLocation = #_sourceLocation
  ) -> String {
    do throws(SinkError) {
      _ = try PluginLibrary(path)
      Issue.record("\(path) was loaded", sourceLocation: sourceLocation)
      return ""
    } catch {
      return error.description
    }
  }

  private func refusal(
    of source: String, flags: String = "-shared -fPIC",
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> String {
    let made = try PluginSource(source, flags: flags)
    return refusal(made.path, sourceLocation: sourceLocation)
  }

  private let whole = PluginSource.functions + "\n"

  @Test func wrongPath() {
    let said = refusal("/no/such/libstage.so")
    #expect(said.contains("No such file"))
    #expect(said.contains("not searched for"))
  }

  @Test func noSharedObject() throws {
    let text = try PluginSource(file: "#!/bin/sh\n# long enough for a header\n")
    #expect(refusal(text.path).contains("is not a shared object"))
    let short = try PluginSource(file: "x")
    #expect(refusal(short.path).contains("is not a shared object"))
    let object = try refusal(of: whole + PluginSource.table(""), flags: "-c -fPIC")
    #expect(object.contains("is not a shared object"))
    #expect(object.contains("cc -shared -fPIC"))
    let program = try refusal(of: "int main(void) { return 0; }", flags: "-pie -fPIE")
    #expect(program.contains("could not load"))
  }

  @Test func symbols() throws {
    #expect(try refusal(of: "int other(void) { return 0; }").contains("has no stage in it"))
    let missing = try refusal(
      of: "void nowhere(void); " + whole + "static void f(void *i) { nowhere(); }"
        + PluginSource.table(".flush = f"))
    #expect(missing.contains("undefined symbol: nowhere"))
    #expect(missing.contains("ldd -r"))
  }

  @Test func versions() throws {
    let none = "const ingest_stage_table *ingest_stage_entry(uint32_t v) { return NULL; }"
    #expect(try refusal(of: none).contains("no stage for version 1"))
    let stale = try refusal(of: whole + PluginSource.table(".version = 0"), flags: lenient)
    #expect(stale.contains("built for version 0"))
    #expect(stale.contains("rebuild it"))
    let newer = try refusal(of: whole + PluginSource.table(".version = 7"), flags: lenient)
    #expect(newer.contains("built for version 7"))
    #expect(newer.contains("use a newer ingest"))
  }

  /// The members of a table are given twice in these tests.
  private let lenient = "-shared -fPIC -Wno-override-init -Wno-initializer-overrides"

  @Test func tables() throws {
    let small = try refusal(of: whole + PluginSource.table(".size = 40"), flags: lenient)
    #expect(small.contains("has 40 bytes"))
    let mute = try refusal(of: whole + PluginSource.table(".take = NULL"), flags: lenient)
    #expect(mute.contains("has no `take`"))
    for name in ["NULL", "\"\"", "\"two words\""] {
      let unnamed = try refusal(of: whole + PluginSource.table(".name = \(name)"), flags: lenient)
      #expect(unnamed.contains("names no stage"))
    }
  }

  @Test func othersCouldHaveWrittenIt() throws {
    let made = try PluginSource(whole + PluginSource.table(".name = \"writable\""), flags: lenient)
    unsafe chmod(made.path, 0o757)
    let file = refusal(made.path)
    #expect(file.contains("\(made.path) can be written by every user (mode 757)"))
    #expect(file.contains("chmod o-w \(made.path)"))
    unsafe chmod(made.path, 0o755)
    unsafe chmod(made.directory, 0o777)
    #expect(refusal(made.path).contains("\(made.directory) can be written by every user"))
    // As /tmp is: nobody else can put another file in its place.
    unsafe chmod(made.directory, 0o1777)
    #expect(try PluginLibrary(made.path).name == "writable")
  }

  @Test(.enabled(if: geteuid() == 0, "only root gives files away"))
  func somebodyElsesFile() throws {
    let made = try PluginSource(whole + PluginSource.table(""), flags: lenient)
    unsafe chown(made.path, 12345, 0)
    #expect(refusal(made.path).contains("belongs to user 12345"))
  }

  @Test func namesAreTaken() throws {
    let one = try PluginSource(whole + PluginSource.table(".name = \"twin\""), flags: lenient)
    let other = try PluginSource(whole + PluginSource.table(".name = \"twin\""), flags: lenient)
    #expect(try PluginLibrary(one.path).name == "twin")
    #expect(try PluginLibrary(one.path).readsPayload)
    #expect(refusal(other.path).contains("both call their stage twin"))
  }

  @Test func spelling() throws {
    let one = try PluginSpecification("./a.so?x=1,y,z=a=b")
    #expect(one.path == "./a.so")
    #expect(one.options == "x=1,y,z=a=b")
    #expect(try PluginSpecification("a.so").options == "")
    let apart = try PluginSpecification("isolated:./a.so?x")
    #expect(apart.isIsolated && apart.path == "./a.so" && apart.options == "x")
    #expect(apart.description == "isolated:./a.so?x")
    #expect(!one.isIsolated)
    for (text, problem) in [
      ("", "the path is missing"), ("isolated:", "the path is missing"),
      ("?a=1", "the path is missing"),
      ("a.so?", "an option is empty"), ("a.so?=1", "an option is empty"),
      ("a.so?a=1,,b=2", "an option is empty"), ("a.so?a=1,a=2", "a is given twice"),
    ] {
      #expect(throws: SpecificationError.self) { try PluginSpecification(text) }
      do throws(SpecificationError) { _ = try PluginSpecification(text) } catch {
        #expect(error.problem == problem)
      }
    }
    let nine = Array(repeating: "a.so", count: 9)
    #expect(throws: SpecificationError.self) { try PluginSpecification.list(nine) }
    #expect(try PluginSpecification.list(Array(nine.dropFirst())).count == 8)
  }
}
