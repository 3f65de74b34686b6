#include "ik_zcrx.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint64_t address(const void *at) { return (uint64_t)(uintptr_t)at; }

static int registered(struct io_uring *ring, unsigned opcode, void *argument, unsigned count) {
  int error = io_uring_register((unsigned)ring->ring_fd, opcode, argument, count);
  return error < 0 ? error : 0;
}

int ik_zcrx_register(struct io_uring *ring, struct ik_zcrx_binding *binding) {
  struct ik_zcrx_area_reg area = {
      .addr = binding->dmabuf >= 0 ? 0 : binding->area,
      .len = binding->area_bytes,
      .flags = binding->dmabuf >= 0 ? IK_ZCRX_AREA_DMABUF : 0,
      .dmabuf_fd = binding->dmabuf >= 0 ? (uint32_t)binding->dmabuf : 0,
  };
  struct ik_region_desc region = {
      .user_addr = binding->region,
      .size = binding->region_bytes,
      .flags = binding->region ? IK_MEM_REGION_TYPE_USER : 0,
  };
  struct ik_zcrx_event_desc events = {
      .user_data = binding->event_data,
      .type_mask = binding->event_mask,
      .flags = binding->stats_offset ? IK_ZCRX_EVENT_DESC_FLAG_STATS : 0,
      .stats_offset = binding->stats_offset,
  };
  struct ik_zcrx_ifq_reg queue = {
      .if_idx = binding->interface,
      .if_rxq = binding->queue,
      .rq_entries = binding->entries,
      .flags = binding->flags,
      .area_ptr = address(&area),
      .region_ptr = address(&region),
      .rx_buf_len = binding->buffer_length,
      .event_desc = binding->event_mask || binding->stats_offset ? address(&events) : 0,
  };
  int error = registered(ring, IK_REGISTER_ZCRX_IFQ, &queue, 1);
  if (error) return error;
  binding->id = queue.zcrx_id;
  binding->entries = queue.rq_entries;
  // Kernels before 7.0 leave it alone: then a buffer is a page.
  if (queue.rx_buf_len) binding->buffer_length = queue.rx_buf_len;
  binding->offsets = queue.offsets;
  binding->area_token = area.rq_area_token;
  binding->mmap_offset = region.mmap_offset;
  return 0;
}

int ik_zcrx_import(struct io_uring *ring, int exported, struct ik_zcrx_binding *binding) {
  struct ik_zcrx_ifq_reg queue = {
      .if_idx = (uint32_t)exported,
      .flags = IK_ZCRX_REG_IMPORT,
  };
  int error = registered(ring, IK_REGISTER_ZCRX_IFQ, &queue, 1);
  if (error) return error;
  binding->id = queue.zcrx_id;
  binding->offsets = queue.offsets;
  return 0;
}

int ik_zcrx_export(struct io_uring *ring, uint32_t id) {
  struct ik_zcrx_ctrl control = {.zcrx_id = id, .op = IK_ZCRX_CTRL_EXPORT};
  int error = registered(ring, IK_REGISTER_ZCRX_CTRL, &control, 0);
  return error ? error : (int)control.argument.export_fd.zcrx_fd;
}

int ik_zcrx_flush(struct io_uring *ring, uint32_t id) {
  struct ik_zcrx_ctrl control = {.zcrx_id = id, .op = IK_ZCRX_CTRL_FLUSH_RQ};
  return registered(ring, IK_REGISTER_ZCRX_CTRL, &control, 0);
}

int ik_zcrx_arm_event(struct io_uring *ring, uint32_t id, uint32_t event) {
  struct ik_zcrx_ctrl control = {.zcrx_id = id, .op = IK_ZCRX_CTRL_ARM_EVENT};
  control.argument.arm_event.event_type = event;
  return registered(ring, IK_REGISTER_ZCRX_CTRL, &control, 0);
}

int ik_zcrx_map_region(struct io_uring *ring, const struct ik_zcrx_binding *binding, void **out) {
  void *at = mmap(NULL, binding->region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                  ring->ring_fd, (off_t)binding->mmap_offset);
  if (at == MAP_FAILED) return -errno;
  (void)madvise(at, binding->region_bytes, MADV_DONTFORK);
  *out = at;
  return 0;
}

int ik_zcrx_probe(struct io_uring *ring) { return ik_zcrx_flush(ring, UINT32_MAX); }

static int query(uint32_t operation, void *into, uint32_t bytes) {
  struct ik_query_hdr header = {
      .query_data = address(into),
      .query_op = operation,
      .size = bytes,
  };
  // Ring descriptor -1: the kernel answers for itself.
  long result = syscall(__NR_io_uring_register, -1, IK_REGISTER_QUERY, &header, 0);
  if (result < 0) return -errno;
  return header.result;
}

int ik_kernel_query(struct ik_kernel_query *out) {
  memset(out, 0, sizeof *out);
  struct ik_query_opcode opcodes = {0};
  int error = query(IK_QUERY_OPCODES, &opcodes, sizeof opcodes);
  if (error) return error;
  out->request_opcodes = opcodes.nr_request_opcodes;
  out->register_opcodes = opcodes.nr_register_opcodes;
  out->feature_flags = opcodes.feature_flags;
  out->setup_flags = opcodes.ring_setup_flags;
  struct ik_query_zcrx zcrx = {0};
  if (query(IK_QUERY_ZCRX, &zcrx, sizeof zcrx) == 0) {
    out->zcrx_register_flags = zcrx.register_flags;
    out->zcrx_area_flags = zcrx.area_flags;
    out->zcrx_control_opcodes = zcrx.nr_ctrl_opcodes;
    out->zcrx_features = zcrx.features;
    out->refill_header_bytes = zcrx.rq_hdr_size;
  }
  struct ik_query_zcrx_event event = {0};
  if (query(IK_QUERY_ZCRX_EVENT, &event, sizeof event) == 0) {
    out->stats_bytes = event.stats_size;
    out->stats_alignment = event.stats_off_alignment;
  }
  return 0;
}
