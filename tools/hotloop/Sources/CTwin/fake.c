#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctwin.h"

static void *zeroed(size_t bytes) {
  void *at = NULL;
  if (posix_memalign(&at, 4096, (bytes + 4095) & ~(size_t)4095)) {
    fputs("hotloop: out of memory\n", stderr);
    exit(1);
  }
  memset(at, 0, bytes);
  return at;
}

static uint32_t power_of_two(uint32_t at_least) {
  uint32_t size = 1;
  while (size < at_least) size *= 2;
  return size;
}

struct twin_rings twin_rings_make(uint32_t completions, uint32_t buffer_shift,
                                  uint32_t buffer_count) {
  uint32_t entries = power_of_two(buffer_count);
  struct twin_rings rings = {
      .cq_head = zeroed(64),
      .cq_tail = zeroed(64),
      .cqes = zeroed(completions * sizeof(struct ik_cqe)),
      .cq_mask = completions - 1,
      .rq_head = zeroed(64),
      .rq_tail = zeroed(64),
      .rqes = zeroed(completions * sizeof(struct ik_zcrx_rqe)),
      .rq_mask = completions - 1,
      .bufs = zeroed(entries * sizeof(struct ik_buf)),
      .buf_mask = entries - 1,
      .area = zeroed((size_t)buffer_count << buffer_shift),
      .buffer_shift = buffer_shift,
      .buffer_count = buffer_count,
  };
  for (size_t at = 0; at < (size_t)buffer_count << buffer_shift; at += 256) {
    rings.area[at] = (uint8_t)(at >> 8);
  }
  return rings;
}

struct twin_pool twin_pool_make(const struct twin_rings *rings) {
  uint32_t count = rings->buffer_count;
  struct twin_pool pool = {
      .order = zeroed((rings->buf_mask + 1) * sizeof(uint16_t)),
      .slot = zeroed(count * sizeof(uint16_t)),
      .claims = zeroed(count * sizeof(uint32_t)),
      .used = zeroed(count * sizeof(uint32_t)),
      .free = zeroed(count * sizeof(uint16_t)),
      .free_top = count,
      .post_limit = count,
  };
  for (uint32_t i = 0; i < count; i++) pool.free[i] = (uint16_t)(count - 1 - i);
  return pool;
}

void fake_zcrx_fill(struct twin_rings *rings, uint32_t count, uint32_t length) {
  static uint32_t next;
  uint32_t tail = *rings->cq_tail;
  for (uint32_t i = 0; i < count; i++, tail++) {
    uint64_t buffer = next++ % rings->buffer_count;
    rings->cqes[tail & rings->cq_mask] = (struct ik_cqe){
        .user_data = (uint64_t)1 << 56 | (next & 63),
        .res = (int32_t)length,
        .flags = IK_CQE_F_MORE,
        .zcrx_offset = buffer << rings->buffer_shift,
    };
  }
  __atomic_store_n(rings->cq_tail, tail, __ATOMIC_RELEASE);
}

void fake_zcrx_drain(struct twin_rings *rings) {
  uint32_t tail = __atomic_load_n(rings->rq_tail, __ATOMIC_ACQUIRE);
  __atomic_store_n(rings->rq_head, tail, __ATOMIC_RELEASE);
}

void fake_pbuf_fill(struct twin_rings *rings, uint32_t count, uint32_t length) {
  static uint16_t head;
  uint32_t tail = *rings->cq_tail;
  for (uint32_t i = 0; i < count; i++, tail++) {
    uint16_t posted = __atomic_load_n(&rings->bufs[0].resv, __ATOMIC_ACQUIRE);
    if (posted == head) {
      fputs("hotloop: the fake kernel has no buffer\n", stderr);
      exit(1);
    }
    struct ik_buf *buffer = &rings->bufs[head & rings->buf_mask];
    uint32_t flags = IK_CQE_F_MORE | IK_CQE_F_BUFFER | (uint32_t)buffer->bid << 16;
    buffer->len -= length;
    if (buffer->len >= length) {
      flags |= IK_CQE_F_BUF_MORE;
    } else {
      head++;
    }
    rings->cqes[tail & rings->cq_mask] = (struct ik_cqe){
        .user_data = (uint64_t)1 << 56 | (i & 63), .res = (int32_t)length, .flags = flags};
  }
  __atomic_store_n(rings->cq_tail, tail, __ATOMIC_RELEASE);
}
