// The C twin of ingest-send's loop: batches of send, SEND_ZC or SEND_ZC from registered buffers on
// one socket, usage reports on, every slot used again only after the kernel's last word on it, and
// the slot that came back last sent from first.
#include "bench.h"

#include "ingest_kernel.h"

struct options {
  const char *address, *port, *congestion;
  size_t length, pool;
  double duration;
  uint32_t batch;
  int tcp, zero_copy, fixed, cpu;
};

struct sender {
  struct io_uring ring;
  unsigned char *memory;
  uint32_t *free;
  size_t stride;
  uint32_t slots, top, in_flight, unnotified;
  uint64_t bytes, sends, failures, copied, notifications, enters;
};

static void parse(struct options *o, int argc, char **argv) {
  for (int option; (option = getopt(argc, argv, "a:p:l:W:t:n:m:C:c:T")) != -1;) {
    switch (option) {
      case 'a': o->address = optarg; break;
      case 'p': o->port = optarg; break;
      case 'l': o->length = size_of(optarg); break;
      case 'W': o->pool = size_of(optarg); break;
      case 't': o->duration = atof(optarg); break;
      case 'n': o->batch = (uint32_t)atoi(optarg); break;
      case 'm':
        o->zero_copy = strcmp(optarg, "send") != 0;
        o->fixed = !strcmp(optarg, "send-zc-fixed");
        break;
      case 'C': o->congestion = optarg; break;
      case 'c': o->cpu = atoi(optarg); break;
      case 'T': o->tcp = 1; break;
      default:
        fprintf(stderr, "usage: tx-uring -a ADDRESS -p PORT [-T (TCP)] [-l LENGTH] [-W POOL]\n"
                        "  [-t SECONDS] [-n BATCH] [-m send|send-zc|send-zc-fixed]\n"
                        "  [-C CONGESTION] [-c CPU]\n");
        exit(2);
    }
  }
}

static void sender_open(struct sender *s, const struct options *o, int fd) {
  s->stride = (o->length + 4095) & ~(size_t)4095;
  s->slots = (uint32_t)(o->pool / s->stride);
  if (s->slots < o->batch) s->slots = o->batch;
  s->memory = map_memory(s->stride * s->slots, 0);
  s->free = calloc(s->slots, sizeof *s->free);
  if (!s->free) die("calloc");
  for (uint32_t i = 0; i < s->slots; i++) s->free[s->top++] = s->slots - 1 - i;
  uint32_t entries = s->slots < 4096 ? s->slots + 8 : 4096;
  errno = -ik_ring_open(&s->ring, entries, 2 * s->slots + 64, 16);
  if (errno) die("io_uring_setup");
  ik_ring_register_descriptor(&s->ring);
  if (io_uring_register_files(&s->ring, &fd, 1)) die("register the socket");
  struct iovec all = {.iov_base = s->memory, .iov_len = s->stride * s->slots};
  errno = o->fixed ? -ik_ring_register_buffers(&s->ring, &all, 1) : 0;
  if (errno) die("register buffers");
}

static void prepare(struct sender *s, const struct options *o) {
  // Bytes of a stream must not overtake each other: a linked chain, and the next one when it is
  // through.
  if (o->tcp && s->in_flight) return;
  uint16_t kind = IK_SEND_ZC_REPORT_USAGE | (o->fixed ? IK_RECVSEND_FIXED_BUF : 0);
  uint32_t flags = MSG_NOSIGNAL | (o->tcp ? MSG_WAITALL : 0);
  struct io_uring_sqe *before = NULL;
  while (s->in_flight < o->batch && s->top) {
    uint32_t slot = s->free[--s->top];
    struct io_uring_sqe *sqe = ik_sq_next(&s->ring);
    const void *at = s->memory + (size_t)slot * s->stride;
    if (o->zero_copy)
      ik_prep_send_zc(sqe, 0, at, (uint32_t)o->length, flags, kind, 0);
    else
      ik_prep_send(sqe, 0, at, (uint32_t)o->length, flags);
    sqe->flags = IK_SQE_FIXED_FILE;
    sqe->user_data = slot;
    if (before && o->tcp) before->flags |= IK_SQE_IO_LINK;
    before = sqe;
    s->in_flight++;
  }
}

static void reap(struct sender *s) {
  uint32_t head = *s->ring.cq.khead, tail = ik_load_acquire_u32(s->ring.cq.ktail);
  for (; head != tail; head++) {
    const struct io_uring_cqe *entry = &s->ring.cq.cqes[head & *s->ring.cq.kring_mask];
    if (entry->flags & IK_CQE_F_NOTIF) {
      s->notifications++;
      s->unnotified--;
      if ((uint32_t)entry->res & IK_NOTIF_USAGE_ZC_COPIED) s->copied++;
      s->free[s->top++] = (uint32_t)entry->user_data;
      continue;
    }
    s->in_flight--;
    if (entry->res < 0)
      s->failures++;
    else
      s->sends++, s->bytes += (uint32_t)entry->res;
    if (entry->flags & IK_CQE_F_MORE)
      s->unnotified++;
    else
      s->free[s->top++] = (uint32_t)entry->user_data;
  }
  ik_store_release_u32(s->ring.cq.khead, head);
}

int main(int argc, char **argv) {
  struct options o = {.address = "127.0.0.1", .port = "5301", .length = 4000, .pool = 4 << 20,
                      .duration = 1, .batch = 32, .cpu = -1};
  parse(&o, argc, argv);
  pin(o.cpu);
  int fd = connect_to(o.address, o.port, o.tcp ? SOCK_STREAM : SOCK_DGRAM, o.congestion, 0);
  struct sender s = {0};
  sender_open(&s, &o, fd);

  struct usage from = usage_now();
  uint64_t until = from.wall_ns + (uint64_t)(o.duration * 1e9);
  while (now_ns() < until) {
    prepare(&s, &o);
    s.enters++;
    ik_ring_enter(&s.ring, s.in_flight ? s.in_flight : 1, 0, UINT64_MAX);
    reap(&s);
  }
  struct usage to = usage_now();
  uint64_t sends = s.sends;
  while (s.in_flight || s.unnotified) {
    ik_ring_enter(&s.ring, 1, 0, UINT64_MAX);
    reap(&s);
  }
  result("tx-uring", s.bytes, from, to,
         ",\"sends\":%llu,\"failures\":%llu,\"notifications\":%llu,\"copied\":%llu,"
         "\"enters\":%llu",
         (unsigned long long)sends, (unsigned long long)s.failures,
         (unsigned long long)s.notifications, (unsigned long long)s.copied,
         (unsigned long long)s.enters);
  return 0;
}
