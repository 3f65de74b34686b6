import Glibc

// races SEEDS HANDOVERS: simulations with a stage on another thread, each against the same one on
// one thread; then leases handed to a thread and taken back, both sides asleep as often as not.
// Ends with 1 where something differs or does not end; ThreadSanitizer has its own word.
// races --racy: a queue whose reader does not look at the tail, which the sanitizer must tell.
if CommandLine.arguments.dropFirst() == ["--racy"] {
  race()
  exit(0)
}
let words = CommandLine.arguments.dropFirst().compactMap { Int($0) }
guard words.count == 2 else {
  print("usage: races SEEDS HANDOVERS")
  exit(2)
}
var failures = 0
for seed in 0..<UInt64(words[0]) where !simulate(seed: seed) {
  print("seed \(seed): what comes out differs")
  failures += 1
}
print("\(words[0]) simulations")
let handOvers = HandOvers(count: words[1])
alarm(500)  // A lost wake-up is a thread that sleeps for ever.
print(handOvers.run())
exit(failures == 0 ? 0 : 1)
