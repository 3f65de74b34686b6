// Threads and signals: GNU-only calls that Swift's Glibc module does not show.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

// Pins the calling thread. Returns 0 or a negative errno (EINVAL: no such CPU for this process).
int ik_thread_pin(int cpu);
void ik_thread_name(const char *name);
// The kernel's number of the calling thread.
int ik_thread_number(void);
// CPUs this process may run on, lowest first; returns how many there are, of which at most
// capacity are written.
int ik_allowed_cpus(int *cpus, int capacity);
// The same for a thread of this process, by its number.
int ik_thread_cpus(int thread, int *cpus, int capacity);

// Starts body(context) on a new joinable thread. Returns 0 or a negative errno.
int ik_thread_start(uint64_t *thread, void (*body)(void *), void *context);
int ik_thread_join(uint64_t thread);

// A pollable descriptor for SIGINT, SIGTERM and SIGUSR1, blocked in the calling thread and those
// it starts later. SIGPIPE is ignored: writers see EPIPE. Returns a negative errno on failure.
int ik_signal_descriptor(void);
// The signal number waiting in the descriptor, 0 when timeout_ms passed, or a negative errno.
// Sets *was_sent to whether a process sent it, and not a terminal to all that run there.
int ik_signal_wait(int descriptor, int timeout_ms, bool *was_sent);

int ik_event_descriptor(void);
void ik_event_signal(int descriptor);
// Waits until it was signalled, then resets it. Returns 0 when timeout_ms passed, else 1.
int ik_event_wait(int descriptor, int timeout_ms);

// A counter that runs at a steady rate, cheaper to read than a clock: the CPU's time-stamp counter,
// else the clock.
static inline uint64_t ik_ticks(void) {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  uint64_t ticks;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
#else
  extern uint64_t ik_clock_ns(void);
  return ik_clock_ns();
#endif
}

uint64_t ik_clock_ns(void);        // CLOCK_MONOTONIC
uint64_t ik_thread_cpu_ns(void);   // CPU time of the calling thread
uint64_t ik_process_cpu_ns(void);  // CPU time of the process

#pragma clang assume_nonnull end
