#include "ik_thread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

int ik_thread_pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (cpu < 0 || cpu >= CPU_SETSIZE) return -EINVAL;
  CPU_SET(cpu, &set);
  return -pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

void ik_thread_name(const char *name) { (void)pthread_setname_np(pthread_self(), name); }

int ik_thread_number(void) { return gettid(); }

int ik_allowed_cpus(int *cpus, int capacity) { return ik_thread_cpus(0, cpus, capacity); }

int ik_thread_cpus(int thread, int *cpus, int capacity) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(thread, sizeof set, &set) != 0) return 0;
  int count = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &set)) continue;
    if (count < capacity) cpus[count] = cpu;
    count++;
  }
  return count;
}

struct start {
  void (*body)(void *);
  void *context;
};

static void *run(void *argument) {
  struct start start = *(struct start *)argument;
  free(argument);
  start.body(start.context);
  return NULL;
}

int ik_thread_start(uint64_t *thread, void (*body)(void *), void *context) {
  struct start *start = malloc(sizeof *start);
  if (!start) return -ENOMEM;
  *start = (struct start){body, context};
  pthread_t handle;
  int error = pthread_create(&handle, NULL, run, start);
  if (error) {
    free(start);
    return -error;
  }
  *thread = (uint64_t)handle;
  return 0;
}

int ik_thread_join(uint64_t thread) { return -pthread_join((pthread_t)thread, NULL); }

int ik_signal_descriptor(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGUSR1);
  int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
  if (error) return -error;
  struct sigaction ignore = {.sa_handler = SIG_IGN};
  if (sigaction(SIGPIPE, &ignore, NULL) != 0) return -errno;
  int descriptor = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  return descriptor < 0 ? -errno : descriptor;
}

int ik_signal_wait(int descriptor, int timeout_ms, bool *was_sent) {
  struct pollfd poller = {.fd = descriptor, .events = POLLIN};
  int ready = poll(&poller, 1, timeout_ms);
  if (ready < 0) return errno == EINTR ? 0 : -errno;
  if (ready == 0) return 0;
  struct signalfd_siginfo info;
  ssize_t got = read(descriptor, &info, sizeof info);
  if (got != (ssize_t)sizeof info) return 0;
  // signal(7), sigaction(2): what a process sent has a code of zero or less.
  *was_sent = info.ssi_code <= 0;
  return (int)info.ssi_signo;
}

int ik_event_descriptor(void) {
  int descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return descriptor < 0 ? -errno : descriptor;
}

void ik_event_signal(int descriptor) {
  uint64_t one = 1;
  ssize_t done = write(descriptor, &one, sizeof one);
  (void)done;  // EAGAIN: the counter is full, so the reader is already signalled
}

int ik_event_wait(int descriptor, int timeout_ms) {
  struct pollfd poll_for = {.fd = descriptor, .events = POLLIN};
  if (poll(&poll_for, 1, timeout_ms) <= 0) return 0;
  uint64_t count;
  return read(descriptor, &count, sizeof count) == sizeof count;
}

static uint64_t clock_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t ik_clock_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
uint64_t ik_thread_cpu_ns(void) { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }
uint64_t ik_process_cpu_ns(void) { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }
