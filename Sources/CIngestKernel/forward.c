#include "ik_forward.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

int ik_tcp_open(int family) {
  const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  const int on = 1;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

int64_t ik_send_runs(int fd, const struct iovec *runs, size_t count) {
  const struct msghdr message = {
      .msg_iov = (struct iovec *)(uintptr_t)runs, .msg_iovlen = count};
  ssize_t sent;
  do sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

int ik_gathers_zerocopy(void) {
  struct io_uring ring;
  if (io_uring_queue_init(2, &ring, 0) != 0) return 0;
  // On no file at all: a request that is understood fails with EBADF.
  const struct msghdr message = {0};
  int answer = -EINVAL;
  struct io_uring_sqe *entry = ik_sq_next(&ring);
  if (entry) {
    ik_prep_send_message_zc(entry, -1, &message, 0, IK_SEND_ZC_REPORT_USAGE);
    struct io_uring_cqe *completion;
    if (io_uring_submit(&ring) == 1 && io_uring_wait_cqe(&ring, &completion) == 0)
      answer = completion->res;
  }
  io_uring_queue_exit(&ring);
  return answer != -EINVAL && answer != -EOPNOTSUPP;
}
