// Acquire loads and release stores on words shared with the kernel: liburing's are macros, which
// Swift does not import.
#pragma once
#include <stdint.h>

#pragma clang assume_nonnull begin

static inline uint32_t ik_load_acquire_u32(const uint32_t *word) {
  return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void ik_store_release_u32(uint32_t *word, uint32_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static inline uint16_t ik_load_acquire_u16(const uint16_t *word) {
  return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void ik_store_release_u16(uint16_t *word, uint16_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

// Orders what came before it against what comes after, loads and stores alike: for a thread that
// says it will sleep and then looks for work, and one that leaves work and then looks who sleeps.
static inline void ik_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

static inline uint32_t ik_load_relaxed_u32(const uint32_t *word) {
  return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void ik_store_relaxed_u32(uint32_t *word, uint32_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline uint32_t ik_exchange_u32(uint32_t *word, uint32_t value) {
  return __atomic_exchange_n(word, value, __ATOMIC_ACQ_REL);
}

// Asks for the cache line at an address, to be read soon: a hint, which never faults.
static inline void ik_prefetch(const void *at) { __builtin_prefetch(at); }

// Tells the CPU that this thread spins.
static inline void ik_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Counters have one writer; readers on other threads need whole words, no ordering.
static inline uint64_t ik_load_relaxed_u64(const uint64_t *word) {
  return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void ik_store_relaxed_u64(uint64_t *word, uint64_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

// A count of what was written before it.
static inline void ik_store_release_u64(uint64_t *word, uint64_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

#pragma clang assume_nonnull end
