// Records with a time stamp, and how old they were when someone saw them.
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define STAMP_MAGIC 0x504d41545347u  // "GSTAMP"

enum { STAMP_SIZE = 64 };

// A record; the rest of its 64 bytes is nothing.
struct stamp {
  uint64_t magic;
  uint64_t sent;  // CLOCK_MONOTONIC, nanoseconds
  uint64_t number;
  uint8_t rest[STAMP_SIZE - 24];
};

static inline uint64_t stamp_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// Counts in classes: 64 to an octave, so that what is read back is at most 1.6 % too large.
struct ages {
  uint64_t classes[3776];
  uint64_t count, most;
};

static inline void ages_add(struct ages *ages, uint64_t age) {
  unsigned index = (unsigned)age;
  if (age >= 64) {
    unsigned shift = 57 - (unsigned)__builtin_clzll(age);
    index = (shift << 6) + (unsigned)(age >> shift);
  }
  ages->classes[index]++;
  ages->count++;
  if (age > ages->most) ages->most = age;
}

// The largest age of a class.
static inline uint64_t ages_bound(unsigned index) {
  if (index < 128) return index;
  unsigned shift = (index >> 6) - 1;
  return ((uint64_t)(index - (shift << 6)) << shift) + (((uint64_t)1 << shift) - 1);
}

// The age that the given share of records did not exceed.
static inline uint64_t ages_at(const struct ages *ages, double share) {
  uint64_t wanted = (uint64_t)(share * (double)ages->count + 0.999999), seen = 0;
  for (unsigned i = 0; i < 3776; i++) {
    seen += ages->classes[i];
    if (seen >= wanted && seen) return ages_bound(i) < ages->most ? ages_bound(i) : ages->most;
  }
  return ages->most;
}

// As a JSON object.
static inline void ages_print(FILE *to, const struct ages *ages) {
  fprintf(to, "{\"count\":%llu,\"p50\":%llu,\"p90\":%llu,\"p99\":%llu,\"p999\":%llu,"
              "\"p9999\":%llu,\"max\":%llu}",
          (unsigned long long)ages->count, (unsigned long long)ages_at(ages, 0.5),
          (unsigned long long)ages_at(ages, 0.9), (unsigned long long)ages_at(ages, 0.99),
          (unsigned long long)ages_at(ages, 0.999), (unsigned long long)ages_at(ages, 0.9999),
          (unsigned long long)ages->most);
}
