// The receiver that maps the pages of the socket's queue instead of copying them
// (TCP_ZEROCOPY_RECEIVE), one connection, until its end. Woken per chunk (SO_RCVLOWAT). What does
// not fill a whole page is copied by recv().
#include "bench.h"

#include <isa-l.h>
#include <poll.h>

struct mapped {
  int fd;
  size_t chunk;
  unsigned char *window, *rest;
  int crc_wanted;
  uint32_t crc;
  uint64_t mapped, copied, calls;
};

static void digest(struct mapped *m, const unsigned char *at, size_t bytes) {
  if (m->crc_wanted) m->crc = crc32_iscsi((unsigned char *)at, (int)bytes, m->crc);
}

// Takes `hint` bytes (or what there is) by copying. Returns 0 at the end of the stream.
static int copy_rest(struct mapped *m, size_t hint) {
  while (hint) {
    size_t wanted = hint < m->chunk ? hint : m->chunk;
    ssize_t got = recv(m->fd, m->rest, wanted, MSG_DONTWAIT);
    if (got == 0) return 0;
    if (got < 0) {
      if (errno == EAGAIN || errno == EINTR) return 1;
      die("recv");
    }
    digest(m, m->rest, (size_t)got);
    m->copied += (uint64_t)got;
    hint -= (size_t)got;
  }
  return 1;
}

static void receive_all(struct mapped *m) {
  for (;;) {
    struct tcp_zerocopy_receive zc = {
        .address = (uint64_t)(uintptr_t)m->window, .length = (uint32_t)m->chunk};
    socklen_t size = sizeof zc;
    m->calls++;
    // What the last call mapped there is unmapped by this one.
    if (getsockopt(m->fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &size)) {
      if (errno == EIO) return;  // the stream has ended and nothing is left
      die("TCP_ZEROCOPY_RECEIVE");
    }
    digest(m, m->window, zc.length);
    m->mapped += zc.length;
    if (zc.recv_skip_hint && !copy_rest(m, zc.recv_skip_hint)) return;
    if (zc.length || zc.recv_skip_hint) continue;
    struct pollfd ready = {.fd = m->fd, .events = POLLIN};
    if (poll(&ready, 1, -1) < 0 && errno != EINTR) die("poll");
  }
}

int main(int argc, char **argv) {
  const char *address = "127.0.0.1", *port = "5301";
  int cpu = -1, low_water = 1 << 20;
  struct mapped m = {.chunk = 1 << 20, .crc = 0xffffffffu};
  for (int option; (option = getopt(argc, argv, "a:p:b:L:c:k")) != -1;) {
    switch (option) {
      case 'a': address = optarg; break;
      case 'p': port = optarg; break;
      case 'b': m.chunk = size_of(optarg); break;
      case 'L': low_water = (int)size_of(optarg); break;
      case 'c': cpu = atoi(optarg); break;
      case 'k': m.crc_wanted = 1; break;
      default:
        fprintf(stderr, "usage: rx-mmap -a ADDRESS -p PORT [-b CHUNK] [-L LOWAT] "
                        "[-k (CRC32C of all)] [-c CPU]\n");
        return 2;
    }
  }
  pin(cpu);
  m.fd = accept_one(listen_at(address, port, 0));
  set_low_water(m.fd, low_water);
  m.window = mmap(NULL, m.chunk, PROT_READ, MAP_SHARED, m.fd, 0);
  if (m.window == MAP_FAILED) die("mmap of the socket");
  m.rest = map_memory(m.chunk, 0);

  struct usage from = usage_now();
  receive_all(&m);
  struct usage to = usage_now();
  result("rx-mmap", m.mapped + m.copied, from, to,
         ",\"calls\":%llu,\"mapped\":%llu,\"copied\":%llu,\"crc32c\":\"%08x\"",
         (unsigned long long)m.calls, (unsigned long long)m.mapped, (unsigned long long)m.copied,
         m.crc_wanted ? ~m.crc : 0);
  return 0;
}
