// Zero-copy receive: binding an interface queue to an area, its control operations, and what the
// kernel says it can do (io_uring/zcrx.c, io_uring/query.c).
#pragma once
#include <liburing.h>
#include <stddef.h>
#include <stdint.h>

#include "ik_abi.h"
#include "ik_ring.h"

#pragma clang assume_nonnull begin

// What to register, and what came of it. Sizes are bytes.
struct ik_zcrx_binding {
  // In.
  uint32_t interface;      // index; 0 with IK_ZCRX_REG_NODEV
  uint32_t queue;          // receive queue; 0 with IK_ZCRX_REG_NODEV
  uint32_t flags;          // IK_ZCRX_REG_*
  uint32_t entries;        // of the refill ring; out: rounded up to a power of two
  uint32_t buffer_length;  // 0: a page; out: what the kernel took
  int32_t dmabuf;          // -1: the area is memory at `area`
  uint64_t area;           // address
  uint64_t area_bytes;
  uint64_t region;         // address of memory for the refill ring; 0: the kernel provides it
  uint64_t region_bytes;
  uint64_t stats_offset;   // where in the region to keep ik_zcrx_stats; 0: nowhere
  uint64_t event_data;     // user_data of event completions
  uint32_t event_mask;     // 1 << IK_ZCRX_EVENT_*; 0: no events
  // Out.
  uint32_t id;
  struct ik_zcrx_offsets offsets;
  uint64_t area_token;
  uint64_t mmap_offset;
};

// Binds. Returns 0 or a negative errno; the causes stand in net/core/netdev_rx_queue.c,
// netif_mp_open_rxq, and io_uring/zcrx.c, io_register_zcrx.
int ik_zcrx_register(struct io_uring *ring, struct ik_zcrx_binding *binding);
// Binds this ring to what another one exported (6.19); fills in id and offsets.
int ik_zcrx_import(struct io_uring *ring, int exported, struct ik_zcrx_binding *binding);
// A descriptor that keeps the interface queue bound and lets other rings import it (6.19).
int ik_zcrx_export(struct io_uring *ring, uint32_t id);
// Has the kernel read the refill ring now (6.19).
int ik_zcrx_flush(struct io_uring *ring, uint32_t id);
// Enables one event again after it was delivered (7.2).
int ik_zcrx_arm_event(struct io_uring *ring, uint32_t id, uint32_t event);
// Maps the refill region that the kernel provided.
int ik_zcrx_map_region(struct io_uring *ring, const struct ik_zcrx_binding *binding,
                       void *_Nullable *_Nonnull out);

// What the kernel says of itself (IORING_REGISTER_QUERY, 6.18); words it does not know stay 0.
struct ik_kernel_query {
  uint32_t request_opcodes;
  uint32_t register_opcodes;
  uint64_t feature_flags;
  uint64_t setup_flags;
  uint64_t zcrx_register_flags;
  uint64_t zcrx_area_flags;
  uint32_t zcrx_control_opcodes;
  uint32_t zcrx_features;
  uint32_t refill_header_bytes;
  uint32_t stats_bytes;
  uint32_t stats_alignment;
};
// Returns 0 or a negative errno: -EINVAL before 6.18. Needs neither a ring nor a privilege.
int ik_kernel_query(struct ik_kernel_query *out);
// Whether ZCRX is compiled in: -ENXIO yes, -EOPNOTSUPP no, -EINVAL: older than 6.19, unknown.
int ik_zcrx_probe(struct io_uring *ring);

// A multishot zero-copy receive from a TCP socket through the interface queue `id` of this ring.
static inline void ik_prep_recv_zc(struct io_uring_sqe *sqe, int fd, uint32_t id) {
  ik_prep(sqe, IK_OP_RECV_ZC, fd, NULL, 0, 0);
  sqe->ioprio = IK_RECV_MULTISHOT;
  // io_uring_sqe.zcrx_ifq_idx, which shares its place with file_index.
  sqe->file_index = id;
}

#pragma clang assume_nonnull end
