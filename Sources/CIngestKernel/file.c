#include "ik_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

int ik_rename(const char *from, const char *to, int replace) {
  if (renameat2(AT_FDCWD, from, AT_FDCWD, to, replace ? 0 : RENAME_NOREPLACE) == 0) return 0;
  if (replace || errno != EINVAL) return -errno;
  if (link(from, to) != 0) return -errno;
  return unlink(from) == 0 ? 0 : -errno;
}

int ik_set_direct(int descriptor, int on) {
  return fcntl(descriptor, F_SETFL, on ? O_DIRECT : 0) == 0 ? 0 : -errno;
}

int ik_open_nameless(const char *directory) {
  int descriptor = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  return descriptor < 0 ? -errno : descriptor;
}

void ik_punch(int descriptor, int64_t start, int64_t bytes) {
  (void)fallocate(descriptor, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, start, bytes);
}

int64_t ik_write_now(int descriptor, const struct iovec *runs, int count) {
  ssize_t written = pwritev2(descriptor, runs, count, -1, RWF_NOWAIT);
  if (written >= 0) return written;
  if (errno != EOPNOTSUPP) return -errno;
  // A terminal: it takes what there is when it takes anything.
  struct pollfd room = {.fd = descriptor, .events = POLLOUT};
  if (poll(&room, 1, 0) == 0) return -EAGAIN;
  written = writev(descriptor, runs, count);
  return written < 0 ? -errno : written;
}

int ik_refuses_direct(const char *directory) {
  // A file without a name, gone when it is closed.
  int descriptor = open(directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
  if (descriptor < 0) return 0;
  int refused = ik_set_direct(descriptor, 1) == -EINVAL;
  close(descriptor);
  return refused;
}
