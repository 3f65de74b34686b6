#include "cfloor.h"

#include <errno.h>
#include <isa-l.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

static const uint8_t *at(const struct floor_walk *walk, size_t index) {
  return walk->base + (size_t)walk->order[index] * walk->stride + walk->skip;
}

uint64_t floor_crc32c(const struct floor_walk *walk) {
  uint64_t sum = 0;
  for (size_t i = 0; i < walk->count; i++)
    sum += ~crc32_iscsi((unsigned char *)at(walk, i), (int)walk->length, 0xffffffffu);
  return sum;
}

uint64_t floor_xxh3(const struct floor_walk *walk) {
  uint64_t sum = 0;
  for (size_t i = 0; i < walk->count; i++) sum += XXH3_64bits(at(walk, i), walk->length);
  return sum;
}

uint64_t floor_read(const struct floor_walk *walk) {
  uint64_t sum = 0;
  for (size_t i = 0; i < walk->count; i++) {
    const uint8_t *bytes = at(walk, i);
    for (size_t place = 0; place + 8 <= walk->length; place += 8) {
      uint64_t word;
      memcpy(&word, bytes + place, sizeof word);
      sum += word;
    }
  }
  return sum;
}

uint64_t floor_newlines(const struct floor_walk *walk) {
  uint64_t found = 0;
  for (size_t i = 0; i < walk->count; i++) {
    const uint8_t *bytes = at(walk, i), *end = bytes + walk->length;
    while (bytes < end) {
      const uint8_t *line = memchr(bytes, '\n', (size_t)(end - bytes));
      if (!line) break;
      found++;
      bytes = line + 1;
    }
  }
  return found;
}

uint64_t floor_clock(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

int floor_pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return sched_setaffinity(0, sizeof set, &set) ? errno : 0;
}
