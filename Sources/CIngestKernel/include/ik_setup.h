// Ring set-up and the io_uring system calls. Set-up and mapping are liburing's; entering is a
// direct system call, because liburing 2.3 has no minimum wait.
#pragma once
#include <liburing.h>
#include <stdint.h>

#include "ik_abi.h"

#pragma clang assume_nonnull begin

// Makes a ring with completions of 16 or 32 bytes in *ring: SINGLE_ISSUER and DEFER_TASKRUN where
// the kernel has them (6.1), COOP_TASKRUN on 6.0; without an index array from 6.6 on. Returns 0 or
// a negative errno.
int ik_ring_open(struct io_uring *ring, uint32_t entries, uint32_t completion_entries,
                 uint32_t completion_size);
void ik_ring_close(struct io_uring *ring);

// Publishes the prepared requests and enters the kernel once.
//   wait_for      completions to wait for; 0 returns after submitting and running task work
//   min_wait_us   with IK_FEAT_MIN_TIMEOUT: wait this long for all of them, then for one
//   timeout_ns    give up after this long; UINT64_MAX waits for ever
// Returns the number of requests taken, or a negative errno (-ETIME: the timeout passed).
int ik_ring_enter(struct io_uring *ring, uint32_t wait_for, uint32_t min_wait_us,
                  uint64_t timeout_ns);
// Publishes the prepared requests and enters the kernel for them alone: it neither waits nor, with
// DEFER_TASKRUN, runs task work. Returns as ik_ring_enter().
int ik_ring_submit(struct io_uring *ring);
// Requests prepared and not yet taken by the kernel.
uint32_t ik_ring_unsubmitted(const struct io_uring *ring);

// Lets later enters skip the file table look-up (IORING_REGISTER_RING_FDS, 5.18); best effort.
void ik_ring_register_descriptor(struct io_uring *ring);

// Registers buffers in one call. Returns 0 or a negative errno (ENOMEM: RLIMIT_MEMLOCK).
int ik_ring_register_buffers(struct io_uring *ring, const struct iovec *buffers, uint32_t count);

// Registers a provided-buffer ring of entries (a power of two) at ring_memory, page-aligned.
int ik_ring_register_pbufs(struct io_uring *ring, struct ik_buf *ring_memory, uint32_t entries,
                           uint16_t group, uint16_t flags);

// Lets waits poll NAPI instances for up to microseconds (capped at 10 ms by the kernel). Returns 0
// or a negative errno.
int ik_ring_register_napi(struct io_uring *ring, uint32_t microseconds);

// Whether the kernel of this ring knows an opcode.
int ik_ring_has_opcode(struct io_uring *ring, int opcode);

#pragma clang assume_nonnull end
