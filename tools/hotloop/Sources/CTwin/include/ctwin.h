// The same loops in C, as a C programmer would write them: pointers, masks and positions in
// locals, one acquire and one release per batch. And the fake kernel that feeds both languages.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "ingest_kernel.h"

#pragma clang assume_nonnull begin

// Rings in memory. Sizes are powers of two.
struct twin_rings {
  uint32_t *cq_head;
  uint32_t *cq_tail;
  struct ik_cqe *cqes;
  uint32_t cq_mask;
  uint32_t *rq_head;
  uint32_t *rq_tail;
  struct ik_zcrx_rqe *rqes;
  uint32_t rq_mask;
  struct ik_buf *bufs;
  uint32_t buf_mask;
  uint8_t *area;
  uint32_t buffer_shift;
  uint32_t buffer_count;
};

struct twin_sum {
  uint64_t bytes;
  uint64_t first_bytes;
};

// What an owner of provided buffers remembers: the twin of RingCore's ProvidedBuffers.
struct twin_pool {
  uint16_t *order;
  uint16_t *slot;
  uint32_t *claims;
  uint32_t *used;
  uint16_t *free;
  uint32_t tail;
  uint32_t in_ring;
  uint32_t free_top;
  uint32_t post_limit;
};

struct twin_rings twin_rings_make(uint32_t completions, uint32_t buffer_shift,
                                  uint32_t buffer_count);
struct twin_pool twin_pool_make(const struct twin_rings *rings);

// Fake kernel: posts count completions of length bytes each, from buffer after buffer.
void fake_zcrx_fill(struct twin_rings *rings, uint32_t count, uint32_t length);
// Takes all refill entries, as the page pool would.
void fake_zcrx_drain(struct twin_rings *rings);
// Posts count completions of length bytes each out of the provided-buffer ring. Incremental when
// length is below the buffer size: BUF_MORE on all but a buffer's last.
void fake_pbuf_fill(struct twin_rings *rings, uint32_t count, uint32_t length);

// The loops that are counted.
void c_zcrx_loop(struct twin_rings *rings, struct twin_sum *sum);
void c_pbuf_loop(struct twin_rings *rings, struct twin_pool *pool, struct twin_sum *sum);

#pragma clang assume_nonnull end
