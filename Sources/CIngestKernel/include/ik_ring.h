// Requests: the next free submission entry and the preparations that both engines and the sender
// use. An entry handed out is zeroed; its user_data is the caller's.
#pragma once
#include <liburing.h>
#include <stddef.h>
#include <string.h>

#include "ik_abi.h"

#pragma clang assume_nonnull begin

// Submission entries that can be claimed before the next enter.
static inline uint32_t ik_sq_room(const struct io_uring *ring) {
  const struct io_uring_sq *queue = &ring->sq;
  unsigned head = __atomic_load_n(queue->khead, __ATOMIC_ACQUIRE);
  return *queue->kring_mask + 1 - (queue->sqe_tail - head);
}

// The next submission entry where ik_sq_room() said that there is one. It holds what it
// held the last time, at first zeroes.
static inline struct io_uring_sqe *ik_sq_claim(struct io_uring *ring) {
  struct io_uring_sq *queue = &ring->sq;
  return &queue->sqes[queue->sqe_tail++ & *queue->kring_mask];
}

// The next submission entry, or NULL when the queue is full until the next enter.
static inline struct io_uring_sqe *_Nullable ik_sq_next(struct io_uring *ring) {
  if (!ik_sq_room(ring)) return NULL;
  struct io_uring_sqe *entry = ik_sq_claim(ring);
  memset(entry, 0, sizeof *entry);
  return entry;
}

static inline void ik_prep(struct io_uring_sqe *sqe, int opcode, int fd, const void *_Nullable at,
                           uint32_t length, uint64_t offset) {
  sqe->opcode = (uint8_t)opcode;
  sqe->fd = fd;
  sqe->addr = (uint64_t)(uintptr_t)at;
  sqe->len = length;
  sqe->off = offset;
}

// Receive into the buffers of a provided-buffer group.
static inline void ik_prep_recv_select(struct io_uring_sqe *sqe, int fd, uint16_t group,
                                       uint16_t recv_flags, uint32_t message_flags) {
  ik_prep(sqe, IORING_OP_RECV, fd, NULL, 0, 0);
  sqe->flags = IK_SQE_BUFFER_SELECT;
  sqe->buf_group = group;
  sqe->ioprio = recv_flags;
  sqe->msg_flags = message_flags;
}

static inline void ik_prep_accept(struct io_uring_sqe *sqe, int fd, uint32_t flags) {
  ik_prep(sqe, IORING_OP_ACCEPT, fd, NULL, 0, 0);
  sqe->accept_flags = flags;
}

static inline void ik_prep_accept_multishot(struct io_uring_sqe *sqe, int fd, uint32_t flags) {
  ik_prep(sqe, IORING_OP_ACCEPT, fd, NULL, 0, 0);
  sqe->ioprio = IK_ACCEPT_MULTISHOT;
  sqe->accept_flags = flags;
}

static inline void ik_prep_poll_multishot(struct io_uring_sqe *sqe, int fd, uint32_t events) {
  ik_prep(sqe, IORING_OP_POLL_ADD, fd, NULL, IORING_POLL_ADD_MULTI, 0);
  sqe->poll32_events = events;
}

// Completes once, with the first of the events.
static inline void ik_prep_poll(struct io_uring_sqe *sqe, int fd, uint32_t events) {
  ik_prep(sqe, IORING_OP_POLL_ADD, fd, NULL, 0, 0);
  sqe->poll32_events = events;
}

static inline void ik_prep_write(struct io_uring_sqe *sqe, int fd, const void *at, uint32_t length,
                                 uint64_t offset) {
  ik_prep(sqe, IORING_OP_WRITE, fd, at, length, offset);
}

static inline void ik_prep_writev(struct io_uring_sqe *sqe, int fd, const struct iovec *vectors,
                                  uint32_t count, uint64_t offset) {
  ik_prep(sqe, IORING_OP_WRITEV, fd, vectors, count, offset);
}

static inline void ik_prep_fsync(struct io_uring_sqe *sqe, int fd) {
  ik_prep(sqe, IORING_OP_FSYNC, fd, NULL, 0, 0);
}

static inline void ik_prep_send(struct io_uring_sqe *sqe, int fd, const void *at, uint32_t length,
                                uint32_t message_flags) {
  ik_prep(sqe, IORING_OP_SEND, fd, at, length, 0);
  sqe->msg_flags = message_flags;
}

// SEND_ZC; send_flags are IK_SEND_ZC_REPORT_USAGE, IK_RECVSEND_FIXED_BUF (with buffer),
// IK_SEND_VECTORIZED.
static inline void ik_prep_send_zc(struct io_uring_sqe *sqe, int fd, const void *at,
                                   uint32_t length, uint32_t message_flags, uint16_t send_flags,
                                   uint16_t buffer) {
  ik_prep(sqe, IORING_OP_SEND_ZC, fd, at, length, 0);
  sqe->msg_flags = message_flags;
  sqe->ioprio = send_flags;
  sqe->buf_index = buffer;
}

// A request like another one but for its socket and bytes. Writes the entry up to user_data: what
// follows says which registered buffer, and is 0 in every request of a ring that only sends.
static inline void ik_prep_like(struct io_uring_sqe *sqe, const struct io_uring_sqe *like, int fd,
                                const void *at, uint32_t length, uint64_t user_data) {
  memcpy(sqe, like, offsetof(struct io_uring_sqe, user_data));
  sqe->fd = fd;
  sqe->addr = (uint64_t)(uintptr_t)at;
  sqe->len = length;
  sqe->user_data = user_data;
}

#pragma clang assume_nonnull end
