#include "ik_setup.h"

#include "ik_fork.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// io_uring_queue_init_params() of liburing 2.3 writes the index array even where there is none.
static int open_with(struct io_uring *ring, uint32_t entries, uint32_t completion_entries,
                     uint32_t flags) {
  struct io_uring_params params;
  memset(&params, 0, sizeof params);
  params.flags = flags | IK_SETUP_CQSIZE | IK_SETUP_CLAMP | IK_SETUP_SUBMIT_ALL;
  params.cq_entries = completion_entries;
  int fd = (int)syscall(__NR_io_uring_setup, entries, &params);
  if (fd < 0) return -errno;
  int error = io_uring_queue_mmap(fd, &params, ring);
  if (error) {
    close(fd);
    return error;
  }
  ring->features = params.features;
  // The index array always says "in order"; written once, it need not be touched again.
  if (!(flags & IK_SETUP_NO_SQARRAY)) {
    for (uint32_t i = 0; i <= *ring->sq.kring_mask; i++) ring->sq.array[i] = i;
  }
  return 0;
}

int ik_ring_open(struct io_uring *ring, uint32_t entries, uint32_t completion_entries,
                 uint32_t completion_size) {
  const uint32_t deferred = IK_SETUP_SINGLE_ISSUER | IK_SETUP_DEFER_TASKRUN;
  const uint32_t ways[] = {deferred | IK_SETUP_NO_SQARRAY, deferred, IK_SETUP_COOP_TASKRUN};
  uint32_t size = completion_size == 32 ? IK_SETUP_CQE32 : 0;
  int error = -EINVAL;
  for (size_t i = 0; error == -EINVAL && i < sizeof ways / sizeof *ways; i++)
    error = open_with(ring, entries, completion_entries, ways[i] | size);
  if (error) return error;
  // A child must not keep the ring alive: its mappings would keep the memory pinned, its
  // descriptor the queue bound.
  (void)io_uring_ring_dontfork(ring);
  ik_own(ring->ring_fd);
  return 0;
}

void ik_ring_close(struct io_uring *ring) {
  ik_disown(ring->ring_fd);
  io_uring_queue_exit(ring);
}

void ik_ring_register_descriptor(struct io_uring *ring) { (void)io_uring_register_ring_fd(ring); }

uint32_t ik_ring_unsubmitted(const struct io_uring *ring) {
  return ring->sq.sqe_tail - __atomic_load_n(ring->sq.khead, __ATOMIC_ACQUIRE);
}

// One wake-up an hour in an idle process.
#define IDLE_WAIT_NS 3600000000000u

// liburing's own call: without the errno of syscall(2), which is put away and fetched again.
static int enter(struct io_uring *ring, uint32_t submit, uint32_t wait_for, uint32_t flags,
                 void *argument, size_t size) {
  if (ring->enter_ring_fd != ring->ring_fd) flags |= IK_ENTER_REGISTERED_RING;
  return io_uring_enter2((unsigned)ring->enter_ring_fd, submit, wait_for, flags, argument, size);
}

static uint32_t publish(struct io_uring *ring) {
  __atomic_store_n(ring->sq.ktail, ring->sq.sqe_tail, __ATOMIC_RELEASE);
  return ik_ring_unsubmitted(ring);
}

int ik_ring_submit(struct io_uring *ring) { return enter(ring, publish(ring), 0, 0, NULL, 0); }

int ik_ring_enter(struct io_uring *ring, uint32_t wait_for, uint32_t min_wait_us,
                  uint64_t timeout_ns) {
  uint32_t submit = publish(ring);
  if (!wait_for || (!min_wait_us && timeout_ns == UINT64_MAX))
    return enter(ring, submit, wait_for, IK_ENTER_GETEVENTS, NULL, 0);

  // A minimum wait alone would end the wait when it passes, with or without completions
  // (io_uring/wait.c, io_cqring_min_timer_wakeup): it needs a timeout behind it.
  if (timeout_ns == UINT64_MAX) timeout_ns = IDLE_WAIT_NS;
  struct __kernel_timespec until = {
      .tv_sec = (int64_t)(timeout_ns / 1000000000u),
      .tv_nsec = (long long)(timeout_ns % 1000000000u),
  };
  struct ik_getevents_arg argument = {
      .min_wait_usec = min_wait_us,
      .ts = (uint64_t)(uintptr_t)&until,
  };
  return enter(ring, submit, wait_for, IK_ENTER_GETEVENTS | IK_ENTER_EXT_ARG, &argument,
               sizeof argument);
}

int ik_ring_register_buffers(struct io_uring *ring, const struct iovec *buffers, uint32_t count) {
  return io_uring_register_buffers(ring, buffers, count);
}

int ik_ring_register_pbufs(struct io_uring *ring, struct ik_buf *ring_memory, uint32_t entries,
                           uint16_t group, uint16_t flags) {
  struct ik_buf_reg registration = {
      .ring_addr = (uint64_t)(uintptr_t)ring_memory,
      .ring_entries = entries,
      .bgid = group,
      .flags = flags,
  };
  int error = io_uring_register((unsigned)ring->ring_fd, IK_REGISTER_PBUF_RING, &registration, 1);
  return error < 0 ? error : 0;
}

int ik_ring_register_napi(struct io_uring *ring, uint32_t microseconds) {
  struct ik_napi wanted = {.busy_poll_to = microseconds, .prefer_busy_poll = 1};
  int error = io_uring_register((unsigned)ring->ring_fd, IK_REGISTER_NAPI, &wanted, 1);
  return error < 0 ? error : 0;
}

int ik_ring_has_opcode(struct io_uring *ring, int opcode) {
  struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
  if (!probe) return 0;
  int known = opcode <= probe->last_op && (probe->ops[opcode].flags & IO_URING_OP_SUPPORTED) != 0;
  io_uring_free_probe(probe);
  return known;
}
