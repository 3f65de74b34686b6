#include "ctwin.h"

#define TAG_RECEIVE 1

__attribute__((noinline)) void c_zcrx_loop(struct twin_rings *rings, struct twin_sum *sum) {
  uint32_t head = *rings->cq_head;
  uint32_t tail = ik_load_acquire_u32(rings->cq_tail);
  uint32_t out = *rings->rq_tail;
  uint32_t room = rings->rq_mask + 1 - (out - ik_load_acquire_u32(rings->rq_head));
  struct ik_cqe *cqes = rings->cqes;
  struct ik_zcrx_rqe *rqes = rings->rqes;
  uint32_t cq_mask = rings->cq_mask;
  uint32_t rq_mask = rings->rq_mask;
  const uint8_t *area = rings->area;
  if (tail - head > room) tail = head + room;
  for (; head != tail; head++) {
    const struct ik_cqe *entry = &cqes[head & cq_mask];
    if (entry->user_data >> 56 != TAG_RECEIVE || entry->res <= 0) continue;
    uint64_t offset = entry->zcrx_offset;
    sum->bytes += (uint32_t)entry->res;
    sum->first_bytes += area[offset & (((uint64_t)1 << 48) - 1)];
    struct ik_zcrx_rqe *refill = &rqes[out++ & rq_mask];
    refill->off = offset;
    refill->len = 0;
    refill->pad = 0;
  }
  ik_store_release_u32(rings->cq_head, head);
  ik_store_release_u32(rings->rq_tail, out);
}

__attribute__((noinline)) void c_pbuf_loop(struct twin_rings *rings, struct twin_pool *pool,
                                           struct twin_sum *sum) {
  uint32_t head = *rings->cq_head;
  uint32_t tail = ik_load_acquire_u32(rings->cq_tail);
  struct ik_cqe *cqes = rings->cqes;
  uint32_t cq_mask = rings->cq_mask;
  const uint8_t *area = rings->area;
  uint16_t *order = pool->order;
  uint16_t *slot = pool->slot;
  uint32_t *claims = pool->claims;
  uint32_t *used = pool->used;
  uint16_t *free = pool->free;
  uint32_t free_top = pool->free_top;
  uint32_t in_ring = pool->in_ring;
  uint32_t mask = rings->buf_mask;
  uint32_t shift = rings->buffer_shift;
  uint32_t count = rings->buffer_count;
  uint32_t size = 1u << shift;
  for (; head != tail; head++) {
    const struct ik_cqe *entry = &cqes[head & cq_mask];
    if (entry->user_data >> 56 != TAG_RECEIVE || entry->res <= 0) continue;
    uint32_t first = entry->flags >> IK_CQE_BUFFER_SHIFT;
    if (first >= count) __builtin_trap();
    uint32_t place = slot[first];
    uint32_t left = (uint32_t)entry->res;
    do {
      uint32_t buffer = order[place++ & mask];
      uint32_t start = used[buffer];
      uint32_t length = size - start < left ? size - start : left;
      left -= length;
      uint32_t end = start + length;
      if (end == size || (left == 0 && !(entry->flags & IK_CQE_F_BUF_MORE))) {
        used[buffer] = 0;
        in_ring--;
      } else {
        used[buffer] = end;
        claims[buffer]++;
      }
      sum->bytes += length;
      sum->first_bytes += area[((uint64_t)buffer << shift) + start];
      uint32_t claimed = claims[buffer] - 1;
      if (claimed == UINT32_MAX) __builtin_trap();
      claims[buffer] = claimed;
      if (claimed == 0) free[free_top++] = (uint16_t)buffer;
    } while (left);
  }
  ik_store_release_u32(rings->cq_head, head);
  pool->free_top = free_top;
  pool->in_ring = in_ring;
  if (!free_top || in_ring >= pool->post_limit) return;
  uint32_t out = pool->tail;
  do {
    uint16_t buffer = free[--free_top];
    struct ik_buf *entry = &rings->bufs[out & mask];
    entry->addr = (uint64_t)(uintptr_t)area + ((uint64_t)buffer << shift);
    entry->len = size;
    entry->bid = buffer;
    order[out & mask] = buffer;
    slot[buffer] = (uint16_t)(out & mask);
    claims[buffer] = 1;
    out++;
    in_ring++;
  } while (free_top && in_ring < pool->post_limit);
  pool->free_top = free_top;
  pool->in_ring = in_ring;
  pool->tail = out;
  ik_store_release_u16(&rings->bufs[0].resv, (uint16_t)out);
}
