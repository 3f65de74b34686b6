#include "ik_send.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int64_t ik_send_zerocopy(int fd, const void *at, size_t length) {
  ssize_t sent;
  do sent = send(fd, at, length, MSG_ZEROCOPY | MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

int64_t ik_unsent_bytes(int fd) {
  int bytes = 0;
  return ioctl(fd, SIOCOUTQ, &bytes) == 0 ? bytes : -errno;
}

int64_t ik_send_memory(int fd) {
  uint32_t values[SK_MEMINFO_VARS];
  socklen_t length = sizeof values;
  if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, values, &length) != 0) return -errno;
  return values[SK_MEMINFO_WMEM_QUEUED];
}

int ik_socket_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

int ik_tcp_finish(int fd, int timeout_ms, const uint64_t *stop_waiting) {
  if (shutdown(fd, SHUT_WR) != 0) {
    // ENOTCONN: both sides have closed already; a reset would have left its error behind.
    int refused = errno;
    int error = ik_socket_error(fd);
    return error ? -error : (refused == ENOTCONN ? 0 : -refused);
  }
  const int step_ms = 2;
  for (int waited = 0;; waited += step_ms) {
    int error = ik_socket_error(fd);
    if (error) return -error;
    int64_t queued = ik_unsent_bytes(fd);
    if (queued <= 0) return queued < 0 ? (int)queued : 0;
    if (__atomic_load_n(stop_waiting, __ATOMIC_RELAXED)) return -ETIMEDOUT;
    if (waited >= timeout_ms) return -ETIMEDOUT;
    // Errors and hang-ups end the sleep early; acknowledgements do not wake a poller.
    struct pollfd poller = {.fd = fd, .events = 0};
    (void)poll(&poller, 1, step_ms);
  }
}
