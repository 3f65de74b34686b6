#include "ik_flight.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int new_file(const char *path) {
  struct stat status;
  if (lstat(path, &status) == 0) {
    if (!S_ISREG(status.st_mode)) return -EEXIST;
    // Another process may still have the old file mapped: cutting it short would end that one.
    if (unlink(path) != 0) return -errno;
  }
  int descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  return descriptor < 0 ? -errno : descriptor;
}

int ik_flight_map(const char *path, uint64_t bytes, void **out) {
  int descriptor = path ? new_file(path) : memfd_create("ingest-flight", MFD_CLOEXEC);
  if (descriptor < 0) return path ? descriptor : -errno;
  int error = posix_fallocate(descriptor, 0, (off_t)bytes);
  if (error == 0) {
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor, 0);
    if (at != MAP_FAILED) {
      (void)madvise(at, bytes, MADV_DONTFORK);
      *out = at;
      return descriptor;
    }
    error = errno;
  }
  if (path) (void)unlink(path);
  close(descriptor);
  return -error;
}

static int write_all(int descriptor, const char *at, uint64_t bytes) {
  while (bytes) {
    ssize_t done = write(descriptor, at, bytes);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return done < 0 ? -errno : -EIO;
    at += done;
    bytes -= (uint64_t)done;
  }
  return 0;
}

// Events that were written over while the cells were copied are told apart by the later count.
static int write_counts(int descriptor, const char *at) {
  uint32_t tracks;
  memcpy(&tracks, at + IK_FLIGHT_TRACKS_AT, sizeof tracks);
  for (uint32_t track = 0; track < tracks; track++) {
    uint64_t offset;
    memcpy(&offset, at + IK_FLIGHT_TABLE_AT + 16 * track, sizeof offset);
    const uint64_t *written = (const uint64_t *)(const void *)(at + offset + IK_FLIGHT_WRITTEN_AT);
    uint64_t count = __atomic_load_n(written, __ATOMIC_ACQUIRE);
    if (pwrite(descriptor, &count, sizeof count, (off_t)(offset + IK_FLIGHT_AFTER_AT)) !=
        sizeof count)
      return errno ? -errno : -EIO;
  }
  return 0;
}

int ik_flight_write(const void *at, uint64_t bytes, const char *path) {
  // Others may write to the folder, too: what has the name is removed, never written to.
  (void)unlink(path);
  int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor < 0) return -errno;
  int error = write_all(descriptor, at, bytes);
  if (error == 0) error = write_counts(descriptor, at);
  if (close(descriptor) != 0 && error == 0) error = -errno;
  return error;
}

static const int SIGNALS[] = {SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS};
enum { SIGNAL_COUNT = sizeof SIGNALS / sizeof SIGNALS[0], ROOM = 1024 };

static struct {
  const void *at;
  uint64_t bytes;
  int is_file;
  int is_installed;
  int has_crashed;
  char path[ROOM];
  char message[ROOM];
  struct sigaction before[SIGNAL_COUNT];
} crash;

static void crashed(int signal, siginfo_t *info, void *context) {
  (void)context;
  int first = !__atomic_exchange_n(&crash.has_crashed, 1, __ATOMIC_ACQ_REL);
  const void *at = __atomic_load_n(&crash.at, __ATOMIC_ACQUIRE);
  if (first && at) {
    if (crash.is_file || ik_flight_write(at, crash.bytes, crash.path) == 0)
      (void)write_all(2, crash.message, strlen(crash.message));
  }
  for (int index = 0; index < SIGNAL_COUNT; index++)
    if (SIGNALS[index] == signal) (void)sigaction(signal, &crash.before[index], NULL);
  // The instruction at fault is met again; a signal that somebody sent is not.
  if (info->si_code <= 0) (void)raise(signal);
}

void ik_flight_unmap(void *at, uint64_t bytes) {
  const void *watched = at;
  (void)__atomic_compare_exchange_n(&crash.at, &watched, NULL, 0, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED);
  (void)munmap(at, bytes);
}

void ik_flight_on_crash(const void *at, uint64_t bytes, const char *path, int is_file,
                        const char *message) {
  __atomic_store_n(&crash.at, NULL, __ATOMIC_RELEASE);
  if (!at) return;
  crash.bytes = bytes;
  crash.is_file = is_file;
  (void)snprintf(crash.path, ROOM, "%s", path);
  (void)snprintf(crash.message, ROOM, "%s\n", message);
  __atomic_store_n(&crash.at, at, __ATOMIC_RELEASE);
  if (crash.is_installed) return;
  crash.is_installed = 1;
  struct sigaction action = {.sa_sigaction = crashed, .sa_flags = SA_SIGINFO | SA_NODEFER};
  for (int index = 0; index < SIGNAL_COUNT; index++)
    (void)sigaction(SIGNALS[index], &action, &crash.before[index]);
}
