// What the machine and the libraries do by themselves, over the same memory in the same order.
#pragma once
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

// Places in memory: `count` buffers of `stride` bytes from `base` on, visited as `order` says; of
// each, `length` bytes after the first `skip`.
struct floor_walk {
  const uint8_t *base;
  const uint32_t *order;
  size_t count;
  size_t stride;
  size_t skip;
  size_t length;
};

// Each returns something made of all it read, so that no reading is left out.
uint64_t floor_crc32c(const struct floor_walk *walk);
uint64_t floor_xxh3(const struct floor_walk *walk);
uint64_t floor_read(const struct floor_walk *walk);
// Newlines, found with memchr.
uint64_t floor_newlines(const struct floor_walk *walk);

// CLOCK_MONOTONIC in nanoseconds.
uint64_t floor_clock(void);
// The calling thread runs on this CPU alone; 0, or an errno.
int floor_pin(int cpu);

#pragma clang assume_nonnull end
