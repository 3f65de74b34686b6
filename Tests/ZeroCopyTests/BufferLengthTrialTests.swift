import Glibc
import Testing

@testable import ZeroCopy

@Suite struct BufferLengthTrialTests {
  private static let all = [65536, 32768, 16384, 8192, 4096]

  private struct Refusal: Error {}

  /// Answers each length from a table, and notes what was asked.
  private static func run(
    _ answers: [Int: Int32], of candidates: [Int] = all, contiguous: Int = 2 << 20
  ) -> (trial: BufferLengthTrial, asked: [Int]) {
    var asked: [Int] = []
    let trial = BufferLengthTrial.run(candidates, contiguousBytes: contiguous, page: 4096) {
      length in
      asked.append(length)
      return answers[length] ?? 0
    }
    return (trial, asked)
  }

  @Test func candidatesLeaveTheAreaItsBuffers() {
    #expect(BufferLengthTrial.candidates(page: 4096) == Self.all)
    #expect(BufferLengthTrial.candidates(areaBytes: 1 << 20, page: 4096) == Self.all)
    #expect(BufferLengthTrial.candidates(areaBytes: 1 << 18, page: 4096) == [16384, 8192, 4096])
    #expect(BufferLengthTrial.candidates(areaBytes: 4096, page: 4096) == [4096])
    #expect(BufferLengthTrial.candidates(page: 16384) == [65536, 32768, 16384])
    #expect(BufferLengthTrial.candidates(page: 65536) == [65536])
    #expect(BufferLengthTrial.candidates(areaBytes: 4096, fixed: 131072) == [131072])
  }

  @Test func theFirstThatIsTakenIsTaken() {
    let (trial, asked) = Self.run([:])
    #expect(asked == [65536])
    #expect(trial.chosen == 65536)
    #expect(trial.attempts == [BufferLengthTrial.Attempt(length: 65536, errno: 0, why: nil)])
    #expect(trial.remark == nil)
  }

  /// As bnxt answers, which takes 32 KiB at most.
  @Test func aDriversRangeIsFound() {
    let (trial, asked) = Self.run([65536: ERANGE])
    #expect(asked == [65536, 32768])
    #expect(trial.chosen == 32768)
    #expect(
      trial.remark
        == "buffers of 32 KiB, for longer ones were refused: 64 KiB: the driver takes no such "
        + "length")
  }

  /// Ordinary pages: nothing but a page fits, and the memory is named as a reason.
  @Test func memoryThatIsNotContiguousEndsAtAPage() {
    let answers = Dictionary(uniqueKeysWithValues: Self.all.dropLast().map { ($0, ERANGE) })
    let (trial, asked) = Self.run(answers, contiguous: 4096)
    #expect(asked == Self.all)
    #expect(trial.chosen == 4096)
    #expect(trial.attempts.map(\.errno) == [ERANGE, ERANGE, ERANGE, ERANGE, 0])
    #expect(
      trial.remark
        == "buffers of 4 KiB, for longer ones were refused: 64 KiB, 32 KiB, 16 KiB, 8 KiB: memory "
        + "that is contiguous by 4 KiB only cannot hold it, or the driver takes no such length; "
        + "huge pages hold up to 2 MiB")
  }

  @Test(arguments: [(EOPNOTSUPP, "a page only"), (EINVAL, "older than 7.0")])
  func eachRefusalHasItsReason(errno: Int32, words: String) {
    let (trial, _) = Self.run([65536: errno, 32768: errno])
    #expect(trial.chosen == 16384)
    #expect(trial.attempts[0].why?.contains(words) == true)
    #expect(trial.attempts[0].why == trial.attempts[1].why)
  }

  /// No right, no device, a queue that is taken, no memory: no length changes that.
  @Test(arguments: [EPERM, EEXIST, EBUSY, ENODEV, ENETDOWN, ENOMEM, EFAULT])
  func whatNoLengthChangesEndsTheTrial(errno: Int32) {
    let (trial, asked) = Self.run([65536: errno])
    #expect(asked == [65536])
    #expect(trial.chosen == nil)
    #expect(trial.attempts.last?.errno == errno)
    #expect(trial.remark == nil)
  }

  /// A page refused with EINVAL is not about its length: header split, most likely.
  @Test func aRefusedPageIsTheEnd() {
    let answers = Dictionary(uniqueKeysWithValues: Self.all.map { ($0, EINVAL) })
    let (trial, asked) = Self.run(answers)
    #expect(asked == Self.all)
    #expect(trial.chosen == nil)
    #expect(trial.attempts.last?.why == "Invalid argument")
  }

  @Test func aFixedLengthIsTheOnlyOne() {
    let (taken, _) = Self.run([:], of: [32768])
    #expect(taken.chosen == 32768)
    let (refused, asked) = Self.run([32768: ERANGE], of: [32768])
    #expect(asked == [32768])
    #expect(refused.chosen == nil)
    #expect(refused.attempts.map(\.errno) == [ERANGE])
  }

  @Test func whatTheAttemptThrowsGoesThrough() {
    #expect(throws: Refusal.self) {
      try BufferLengthTrial.run(Self.all, contiguousBytes: 4096) { length throws(Refusal) in
        if length < 65536 { throw Refusal() }
        return ERANGE
      }
    }
  }
}
