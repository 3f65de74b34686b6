#include "ik_fork.h"

#include <pthread.h>
#include <stdint.h>
#include <unistd.h>

// A bit for each: 128 KiB that are touched as far as descriptors go.
enum { WORDS = 1 << 14, BITS = 64 };
static uint64_t owned[WORDS];
static int used_words;
static pthread_once_t once = PTHREAD_ONCE_INIT;

// In the child, which has this thread only.
static void close_all(void) {
  const int words = __atomic_load_n(&used_words, __ATOMIC_RELAXED);
  for (int word = 0; word < words; word++) {
    for (uint64_t left = owned[word]; left != 0; left &= left - 1) {
      (void)close(word * BITS + __builtin_ctzll(left));
    }
    owned[word] = 0;
  }
}

static void arm(void) { (void)pthread_atfork(NULL, NULL, close_all); }

void ik_own(int descriptor) {
  const int word = descriptor / BITS;
  if (descriptor < 0 || word >= WORDS) return;
  (void)pthread_once(&once, arm);
  __atomic_fetch_or(&owned[word], (uint64_t)1 << (descriptor % BITS), __ATOMIC_RELAXED);
  int used = __atomic_load_n(&used_words, __ATOMIC_RELAXED);
  while (used <= word && !__atomic_compare_exchange_n(&used_words, &used, word + 1, 1,
                                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

void ik_disown(int descriptor) {
  const int word = descriptor / BITS;
  if (descriptor < 0 || word >= WORDS) return;
  __atomic_fetch_and(&owned[word], ~((uint64_t)1 << (descriptor % BITS)), __ATOMIC_RELAXED);
}

void ik_close_owned(int descriptor) {
  ik_disown(descriptor);
  (void)close(descriptor);
}
