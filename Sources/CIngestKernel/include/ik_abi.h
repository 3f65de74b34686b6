// Kernel ABI newer than the distribution's headers: zero-copy receive (ZCRX), provided-buffer
// rings with incremental consumption, bundles, minimum wait.
//
// Names are private (ik_), so that a newer <linux/io_uring.h> may define its own. Layouts were
// taken from include/uapi/linux/io_uring.h and io_uring/zcrx.h of Linux 7.2 and are the same on
// every 64-bit little-endian target; the assertions below hold them in place.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Opcodes and register opcodes (include/uapi/linux/io_uring.h).
enum {
  IK_OP_RECV_ZC = 58,                // 6.15
  IK_REGISTER_PBUF_RING = 22,        // 5.19
  IK_UNREGISTER_PBUF_RING = 23,      // 5.19
  IK_REGISTER_NAPI = 27,             // 6.9
  IK_REGISTER_ZCRX_IFQ = 32,         // 6.15
  IK_REGISTER_QUERY = 35,            // 6.18
  IK_REGISTER_ZCRX_CTRL = 36,        // 6.19
};

// Ring set-up flags.
enum {
  IK_SETUP_CQSIZE = 1U << 3,
  IK_SETUP_CLAMP = 1U << 4,
  IK_SETUP_SUBMIT_ALL = 1U << 7,
  IK_SETUP_COOP_TASKRUN = 1U << 8,
  IK_SETUP_TASKRUN_FLAG = 1U << 9,
  IK_SETUP_CQE32 = 1U << 11,
  IK_SETUP_SINGLE_ISSUER = 1U << 12,
  IK_SETUP_DEFER_TASKRUN = 1U << 13,  // 6.1
  IK_SETUP_NO_SQARRAY = 1U << 16,     // 6.6
  IK_SETUP_CQE_MIXED = 1U << 18,      // 6.18
};

// io_uring_params.features.
enum {
  IK_FEAT_NODROP = 1U << 1,
  IK_FEAT_EXT_ARG = 1U << 8,
  IK_FEAT_RECVSEND_BUNDLE = 1U << 14,  // 6.10
  IK_FEAT_MIN_TIMEOUT = 1U << 15,      // 6.12
  IK_FEAT_NO_IOWAIT = 1U << 17,        // 6.15, the version that also joins bundles with
                                       // incremental buffers (no feature bit of their own)
};

// Words shared through the rings.
enum {
  IK_SQ_NEED_WAKEUP = 1U << 0,
  IK_SQ_CQ_OVERFLOW = 1U << 1,
  IK_SQ_TASKRUN = 1U << 2,
  IK_ENTER_GETEVENTS = 1U << 0,
  IK_ENTER_EXT_ARG = 1U << 3,
  IK_ENTER_REGISTERED_RING = 1U << 4,
};

// Request flags (sqe.flags), which the header spells as shifts Swift does not import.
enum {
  IK_SQE_FIXED_FILE = 1U << 0,
  IK_SQE_IO_LINK = 1U << 2,
  IK_SQE_BUFFER_SELECT = 1U << 5,
  IK_SQE_CQE_SKIP_SUCCESS = 1U << 6,
};

// sqe.ioprio of receive and send.
enum {
  IK_RECVSEND_POLL_FIRST = 1U << 0,
  IK_RECV_MULTISHOT = 1U << 1,
  IK_RECVSEND_FIXED_BUF = 1U << 2,
  IK_SEND_ZC_REPORT_USAGE = 1U << 3,  // 6.2
  IK_RECVSEND_BUNDLE = 1U << 4,       // 6.10
  IK_SEND_VECTORIZED = 1U << 5,       // 6.17
  IK_ACCEPT_MULTISHOT = 1U << 0,
};

// Completion flags; the buffer id is flags >> 16.
enum {
  IK_CQE_F_BUFFER = 1U << 0,
  IK_CQE_F_MORE = 1U << 1,
  IK_CQE_F_SOCK_NONEMPTY = 1U << 2,
  IK_CQE_F_NOTIF = 1U << 3,
  IK_CQE_F_BUF_MORE = 1U << 4,  // 6.12
  IK_CQE_F_SKIP = 1U << 5,      // 6.18
  IK_CQE_F_32 = 1U << 15,       // 6.18
};
#define IK_CQE_BUFFER_SHIFT 16
#define IK_NOTIF_USAGE_ZC_COPIED 0x80000000U  // 6.2

// io_uring_buf_reg.flags.
enum {
  IK_PBUF_RING_MMAP = 1,  // 6.4
  IK_PBUF_RING_INC = 2,   // 6.12
};

// ZCRX flags and control operations.
enum {
  IK_ZCRX_AREA_SHIFT = 48,
  IK_ZCRX_AREA_DMABUF = 1,      // 6.16
  IK_ZCRX_REG_IMPORT = 1,       // 6.19
  IK_ZCRX_REG_NODEV = 2,        // 7.1
  IK_ZCRX_CTRL_FLUSH_RQ = 0,    // 6.19
  IK_ZCRX_CTRL_EXPORT = 1,      // 6.19
  IK_ZCRX_CTRL_ARM_EVENT = 2,   // 7.2
  IK_ZCRX_FEATURE_RX_PAGE_SIZE = 1,  // 7.0
  IK_ZCRX_FEATURE_EVENT = 2,         // 7.2
  IK_ZCRX_EVENT_ALLOC_FAIL = 0,      // 7.2
  IK_ZCRX_EVENT_COPY = 1,            // 7.2
  IK_ZCRX_EVENT_DESC_FLAG_STATS = 1, // 7.2
  IK_MEM_REGION_TYPE_USER = 1,
  IK_QUERY_OPCODES = 0,              // 6.18
  IK_QUERY_ZCRX = 1,                 // 6.19
  IK_QUERY_ZCRX_EVENT = 3,           // 7.2
};

// A completion of an IORING_SETUP_CQE32 ring. Swift sees io_uring_cqe as 16 bytes (its big_cqe[]
// is not imported), so pointer arithmetic needs a type of its own. Bytes 16-31 of a RECV_ZC
// completion are the kernel's io_uring_zcrx_cqe.
struct ik_cqe {
  uint64_t user_data;
  int32_t res;
  uint32_t flags;
  uint64_t zcrx_offset;
  uint64_t zcrx_pad;
};

// A completion of a ring without IORING_SETUP_CQE32.
struct ik_short_cqe {
  uint64_t user_data;
  int32_t res;
  uint32_t flags;
};

// A refill entry (io_uring_zcrx_rqe). pad must be 0.
struct ik_zcrx_rqe {
  uint64_t off;
  uint32_t len;
  uint32_t pad;
};

struct ik_zcrx_offsets {
  uint32_t head;
  uint32_t tail;
  uint32_t rqes;
  uint32_t resv2;
  uint64_t resv[2];
};

struct ik_zcrx_area_reg {
  uint64_t addr;
  uint64_t len;
  uint64_t rq_area_token;
  uint32_t flags;
  uint32_t dmabuf_fd;
  uint64_t resv2[2];
};

struct ik_zcrx_ifq_reg {
  uint32_t if_idx;
  uint32_t if_rxq;
  uint32_t rq_entries;
  uint32_t flags;
  uint64_t area_ptr;
  uint64_t region_ptr;
  struct ik_zcrx_offsets offsets;
  uint32_t zcrx_id;
  uint32_t rx_buf_len;
  uint64_t event_desc;
  uint64_t resv[2];
};

struct ik_region_desc {
  uint64_t user_addr;
  uint64_t size;
  uint32_t flags;
  uint32_t id;
  uint64_t mmap_offset;
  uint64_t resv[4];
};

struct ik_zcrx_event_desc {
  uint64_t user_data;
  uint32_t type_mask;
  uint32_t flags;
  uint64_t stats_offset;
  uint64_t resv2[9];
};

struct ik_zcrx_stats {
  uint64_t copy_count;
  uint64_t copy_bytes;
};

struct ik_zcrx_ctrl {
  uint32_t zcrx_id;
  uint32_t op;
  uint64_t resv[2];
  union {
    struct {
      uint32_t zcrx_fd;
      uint32_t resv1[11];
    } export_fd;
    struct {
      uint64_t resv[6];
    } flush_rq;
    struct {
      uint32_t event_type;
      uint32_t resv1[11];
    } arm_event;
  } argument;
};

struct ik_query_hdr {
  uint64_t next_entry;
  uint64_t query_data;
  uint32_t query_op;
  uint32_t size;
  int32_t result;
  uint32_t resv[3];
};

struct ik_query_opcode {
  uint32_t nr_request_opcodes;
  uint32_t nr_register_opcodes;
  uint64_t feature_flags;
  uint64_t ring_setup_flags;
  uint64_t enter_flags;
  uint64_t sqe_flags;
  uint32_t nr_query_opcodes;
  uint32_t pad;
};

struct ik_query_zcrx {
  uint64_t register_flags;
  uint64_t area_flags;
  uint32_t nr_ctrl_opcodes;
  uint32_t features;
  uint32_t rq_hdr_size;
  uint32_t rq_hdr_alignment;
  uint64_t resv2;
};

struct ik_query_zcrx_event {
  uint32_t event_flags;
  uint32_t stats_size;
  uint32_t stats_off_alignment;
  uint32_t resv1;
  uint64_t resv2[4];
};

// One entry of a provided-buffer ring. The ring's tail is the u16 at offset 14 of entry 0.
struct ik_buf {
  uint64_t addr;
  uint32_t len;
  uint16_t bid;
  uint16_t resv;
};

struct ik_buf_reg {
  uint64_t ring_addr;
  uint32_t ring_entries;
  uint16_t bgid;
  uint16_t flags;
  uint32_t min_left;
  uint32_t resv[5];
};

struct ik_napi {
  uint32_t busy_poll_to;
  uint8_t prefer_busy_poll;
  uint8_t opcode;
  uint8_t pad[2];
  uint32_t op_param;
  uint32_t resv;
};

struct ik_getevents_arg {
  uint64_t sigmask;
  uint32_t sigmask_sz;
  uint32_t min_wait_usec;
  uint64_t ts;
};

#define IK_LAYOUT(type, bytes) _Static_assert(sizeof(type) == (bytes), #type)
#define IK_FIELD(type, field, at) _Static_assert(offsetof(type, field) == (at), #type "." #field)

IK_LAYOUT(struct ik_cqe, 32);
IK_LAYOUT(struct ik_short_cqe, 16);
IK_FIELD(struct ik_cqe, res, 8);
IK_FIELD(struct ik_cqe, flags, 12);
IK_FIELD(struct ik_cqe, zcrx_offset, 16);
IK_LAYOUT(struct ik_zcrx_rqe, 16);
IK_FIELD(struct ik_zcrx_rqe, len, 8);
IK_FIELD(struct ik_zcrx_rqe, pad, 12);
IK_LAYOUT(struct ik_zcrx_offsets, 32);
IK_FIELD(struct ik_zcrx_offsets, rqes, 8);
IK_LAYOUT(struct ik_zcrx_area_reg, 48);
IK_FIELD(struct ik_zcrx_area_reg, rq_area_token, 16);
IK_FIELD(struct ik_zcrx_area_reg, flags, 24);
IK_FIELD(struct ik_zcrx_area_reg, dmabuf_fd, 28);
IK_LAYOUT(struct ik_zcrx_ifq_reg, 96);
IK_FIELD(struct ik_zcrx_ifq_reg, area_ptr, 16);
IK_FIELD(struct ik_zcrx_ifq_reg, offsets, 32);
IK_FIELD(struct ik_zcrx_ifq_reg, zcrx_id, 64);
IK_FIELD(struct ik_zcrx_ifq_reg, rx_buf_len, 68);
IK_FIELD(struct ik_zcrx_ifq_reg, event_desc, 72);
IK_LAYOUT(struct ik_region_desc, 64);
IK_FIELD(struct ik_region_desc, flags, 16);
IK_FIELD(struct ik_region_desc, mmap_offset, 24);
IK_LAYOUT(struct ik_zcrx_event_desc, 96);
IK_FIELD(struct ik_zcrx_event_desc, stats_offset, 16);
IK_LAYOUT(struct ik_zcrx_stats, 16);
IK_LAYOUT(struct ik_zcrx_ctrl, 72);
IK_FIELD(struct ik_zcrx_ctrl, argument, 24);
IK_LAYOUT(struct ik_query_hdr, 40);
IK_FIELD(struct ik_query_hdr, size, 20);
IK_FIELD(struct ik_query_hdr, result, 24);
IK_LAYOUT(struct ik_query_opcode, 48);
IK_LAYOUT(struct ik_query_zcrx, 40);
IK_LAYOUT(struct ik_query_zcrx_event, 48);
IK_LAYOUT(struct ik_buf, 16);
IK_FIELD(struct ik_buf, bid, 12);
IK_FIELD(struct ik_buf, resv, 14);
IK_LAYOUT(struct ik_buf_reg, 40);
IK_FIELD(struct ik_buf_reg, flags, 14);
IK_FIELD(struct ik_buf_reg, min_left, 16);
IK_LAYOUT(struct ik_napi, 16);
IK_LAYOUT(struct ik_getevents_arg, 24);
IK_FIELD(struct ik_getevents_arg, min_wait_usec, 12);
IK_FIELD(struct ik_getevents_arg, ts, 16);
