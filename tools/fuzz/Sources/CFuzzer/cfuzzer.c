#include "cfuzzer.h"

#include <malloc.h>
#include <sys/resource.h>

extern int LLVMFuzzerRunDriver(int *argc, char ***argv, cfuzzer_input input);

int cfuzzer_run(int argc, char **argv, cfuzzer_input input) {
  return LLVMFuzzerRunDriver(&argc, &argv, input);
}

size_t cfuzzer_allocated(void) {
  const struct mallinfo2 all = mallinfo2();
  return all.uordblks + all.hblkhd;
}

int cfuzzer_limit(size_t bytes) {
  const struct rlimit limit = {.rlim_cur = bytes, .rlim_max = bytes};
  return setrlimit(RLIMIT_AS, &limit);
}
