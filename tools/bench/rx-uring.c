// The C twin of ingest's copy engine: multishot receive into a provided-buffer ring over an area,
// one connection, with the same set-up of the ring, the same wait, the same buffers, and the
// buffer returned last handed out first. What ingest costs above it is the price of being ingest.
#include "bench.h"

#include <isa-l.h>

#include "ingest_kernel.h"

enum mode { PLAIN, BUNDLE, INCREMENTAL };

struct options {
  const char *address, *port;
  size_t buffer, pool;
  enum mode mode;
  uint32_t batch, min_wait_us, posted;
  int low_water, receive_buffer, huge, cpu, crc, fifo, completions;
};

struct pool {
  struct ik_buf *ring;
  unsigned char *area;
  uint16_t *order, *place, *free;
  uint32_t *used;
  uint32_t size, mask, tail, in_ring, free_top, free_bottom, count, limit;
  int fifo;
};

static void publish(struct pool *p) {
  if (p->free_top == p->free_bottom || p->in_ring >= p->limit) return;
  while (p->free_top != p->free_bottom && p->in_ring < p->limit) {
    uint16_t id = p->fifo ? p->free[p->free_bottom++ & p->mask] : p->free[--p->free_top & p->mask];
    uint32_t place = p->tail++ & p->mask;
    p->ring[place].addr = (uint64_t)(uintptr_t)(p->area + (size_t)id * p->size);
    p->ring[place].len = p->size;
    p->ring[place].bid = id;
    p->order[place] = id;
    p->place[id] = (uint16_t)place;
    p->in_ring++;
  }
  ik_store_release_u16(&p->ring[0].resv, (uint16_t)p->tail);
}

static void pool_open(struct pool *p, const struct options *o) {
  uint32_t entries = 1;
  p->size = (uint32_t)o->buffer;
  p->count = (uint32_t)(o->pool / o->buffer);
  while (entries < p->count) entries <<= 1;
  p->mask = entries - 1;
  p->limit = o->posted && o->posted < p->count ? o->posted : p->count;
  p->fifo = o->fifo;
  p->area = map_memory(o->pool, o->huge);
  p->ring = map_memory(entries * sizeof *p->ring < 4096 ? 4096 : entries * sizeof *p->ring, 0);
  memset(p->ring, 0, entries * sizeof *p->ring);
  p->order = calloc(entries, sizeof *p->order);
  p->place = calloc(entries, sizeof *p->place);
  p->free = calloc(entries, sizeof *p->free);
  p->used = calloc(entries, sizeof *p->used);
  if (!p->order || !p->place || !p->free || !p->used) die("calloc");
  for (uint32_t i = 0; i < p->count; i++) p->free[i] = (uint16_t)(p->count - 1 - i);
  p->free_top = p->count;
}

static void parse(struct options *o, int argc, char **argv) {
  for (int option; (option = getopt(argc, argv, "a:p:b:W:m:w:u:P:L:R:Q:c:hkf")) != -1;) {
    switch (option) {
      case 'a': o->address = optarg; break;
      case 'p': o->port = optarg; break;
      case 'b': o->buffer = size_of(optarg); break;
      case 'W': o->pool = size_of(optarg); break;
      case 'm':
        o->mode = *optarg == 'i' ? INCREMENTAL : *optarg == 'b' ? BUNDLE : PLAIN;
        break;
      case 'w': o->batch = (uint32_t)atoi(optarg); break;
      case 'u': o->min_wait_us = (uint32_t)atoi(optarg); break;
      case 'P': o->posted = (uint32_t)atoi(optarg); break;
      case 'L': o->low_water = (int)size_of(optarg); break;
      case 'R': o->receive_buffer = (int)size_of(optarg); break;
      case 'Q': o->completions = atoi(optarg); break;
      case 'c': o->cpu = atoi(optarg); break;
      case 'h': o->huge = 1; break;
      case 'k': o->crc = 1; break;
      case 'f': o->fifo = 1; break;
      default:
        fprintf(stderr,
                "usage: rx-uring -a ADDRESS -p PORT [-b BUFFER] [-W POOL] [-m plain|bundle|inc]\n"
                "  [-w BATCH] [-u MIN_WAIT_US] [-P POSTED] [-L LOWAT] [-R SO_RCVBUF] [-c CPU]\n"
                "  [-h (huge pages)] [-k (CRC32C of all)] [-f (first returned first used)]\n");
        exit(2);
    }
  }
}

// Takes one completion's bytes out of the buffers it filled.
static uint32_t take(struct pool *p, uint32_t bytes, uint32_t flags, int crc_wanted, uint32_t crc,
                     uint64_t *buffers) {
  uint32_t place = p->place[flags >> IK_CQE_BUFFER_SHIFT];
  while (bytes) {
    uint16_t id = p->order[place++ & p->mask];
    uint32_t start = p->used[id], length = p->size - start;
    if (length > bytes) length = bytes;
    bytes -= length;
    (*buffers)++;
    if (crc_wanted)
      crc = crc32_iscsi(p->area + (size_t)id * p->size + start, (int)length, crc);
    if (start + length == p->size || (!bytes && !(flags & IK_CQE_F_BUF_MORE))) {
      p->used[id] = 0;
      p->in_ring--;
      p->free[p->free_top++ & p->mask] = id;
    } else {
      p->used[id] = start + length;
    }
  }
  return crc;
}

int main(int argc, char **argv) {
  struct options o = {.address = "127.0.0.1", .port = "5301", .buffer = 64 << 10,
                      .pool = 8 << 20, .mode = INCREMENTAL, .batch = 32, .min_wait_us = 200,
                      .cpu = -1, .completions = 4096};
  parse(&o, argc, argv);
  pin(o.cpu);
  struct pool pool = {0};
  pool_open(&pool, &o);
  struct io_uring ring;
  errno = -ik_ring_open(&ring, 512, (uint32_t)o.completions, 32);
  if (errno) die("io_uring_setup");
  ik_ring_register_descriptor(&ring);
  errno = -ik_ring_register_pbufs(&ring, pool.ring, pool.mask + 1, 0,
                                  o.mode == INCREMENTAL ? IK_PBUF_RING_INC : 0);
  if (errno) die("register provided buffers");
  publish(&pool);
  int fd = accept_one(listen_at(o.address, o.port, o.receive_buffer));
  set_low_water(fd, o.low_water);

  uint64_t bytes = 0, enters = 0, completions = 0, buffers = 0, rearms = 0, starved = 0;
  uint32_t crc = 0xffffffffu;
  const struct ik_cqe *entries = (const struct ik_cqe *)(const void *)ring.cq.cqes;
  int armed = 0, ended = 0;
  struct usage from = usage_now();
  while (!ended) {
    if (!armed) {
      struct io_uring_sqe *sqe = ik_sq_next(&ring);
      ik_prep_recv_select(sqe, fd, 0,
                          IK_RECV_MULTISHOT | (o.mode == PLAIN ? 0 : IK_RECVSEND_BUNDLE), 0);
      armed = 1;
    }
    enters++;
    ik_ring_enter(&ring, o.batch, o.min_wait_us, UINT64_MAX);
    uint32_t head = *ring.cq.khead, tail = ik_load_acquire_u32(ring.cq.ktail);
    for (; head != tail; head++) {
      const struct ik_cqe *entry = &entries[head & *ring.cq.kring_mask];
      completions++;
      if (entry->res > 0) {
        bytes += (uint32_t)entry->res;
        crc = take(&pool, (uint32_t)entry->res, entry->flags, o.crc, crc, &buffers);
      } else if (entry->res == -ENOBUFS) {
        starved++;
      } else {
        errno = -entry->res;
        if (errno) die("receive");
        ended = 1;
      }
      if (!(entry->flags & IK_CQE_F_MORE)) {
        armed = 0;
        rearms++;
      }
    }
    ik_store_release_u32(ring.cq.khead, head);
    publish(&pool);
  }
  struct usage to = usage_now();
  close(fd);
  result("rx-uring", bytes, from, to,
         ",\"enters\":%llu,\"completions\":%llu,\"buffers\":%llu,\"rearms\":%llu,"
         "\"starved\":%llu,\"crc32c\":\"%08x\"",
         (unsigned long long)enters, (unsigned long long)completions,
         (unsigned long long)buffers, (unsigned long long)rearms, (unsigned long long)starved,
         o.crc ? ~crc : 0);
  return 0;
}
