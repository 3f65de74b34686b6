import FuzzTargets
import Glibc

// fuzz TARGET [libFuzzer's arguments]: feeds one target; tools/fuzz/run chooses the arguments.
// fuzz --list: names and what they read. fuzz --seeds TARGET DIRECTORY: writes whole samples.

let words = CommandLine.arguments
switch (words.count, words.dropFirst().first) {
case (2, "--list"):
  for target in Target.all { print("\(target.name)\t\(target.longest)\t\(target.about)") }
case (4, "--seeds"):
  guard let target = Target.named(words[2]) else { exit(2) }
  exit(target.writeSeeds(into: words[3]) ? 0 : 1)
default:
  guard let target = words.dropFirst().first.flatMap({ Target.named($0) }) else {
    print("fuzz: no such target; --list names them")
    exit(2)
  }
  exit(Driver.run(target, arguments: [words[0]] + words.dropFirst(2)))
}
