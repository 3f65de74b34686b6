// What a sink needs that sends on: sockets that connect through a ring, and sends that gather.
#pragma once
#include <liburing.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "ik_ring.h"
#include "ik_socket.h"

#pragma clang assume_nonnull begin

// A TCP socket that sends small pieces at once (TCP_NODELAY), in blocking mode: a request on a
// non-blocking one would not wait in the ring. Returns the descriptor or a negative errno.
int ik_tcp_open(int family);

// Sends runs of bytes without waiting and without a signal. Returns the bytes taken or a negative
// errno (EAGAIN: no room).
int64_t ik_send_runs(int fd, const struct iovec *runs, size_t count);

// Whether this kernel gathers several runs in one zero-copy send and says what it copied (6.2).
// Asks a ring of its own.
int ik_gathers_zerocopy(void);

static inline void ik_prep_connect(struct io_uring_sqe *sqe, int fd,
                                   const struct sockaddr_storage *to, uint32_t length) {
  ik_prep(sqe, IORING_OP_CONNECT, fd, to, 0, length);
}

// Completes with -ETIME when the time is over.
static inline void ik_prep_timeout(struct io_uring_sqe *sqe, const struct __kernel_timespec *time) {
  ik_prep(sqe, IORING_OP_TIMEOUT, -1, time, 1, 0);
}

static inline void ik_prep_send_message(struct io_uring_sqe *sqe, int fd,
                                        const struct msghdr *message, uint32_t message_flags) {
  ik_prep(sqe, IORING_OP_SENDMSG, fd, message, 1, 0);
  sqe->msg_flags = message_flags;
}

static inline void ik_prep_send_message_zc(struct io_uring_sqe *sqe, int fd,
                                           const struct msghdr *message, uint32_t message_flags,
                                           uint16_t send_flags) {
  ik_prep(sqe, IORING_OP_SENDMSG_ZC, fd, message, 1, 0);
  sqe->msg_flags = message_flags;
  sqe->ioprio = send_flags;
}

#pragma clang assume_nonnull end
