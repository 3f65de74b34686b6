// Receivers that people write today: recv() in a loop, one connection, until its end.
//
//   rx-plain   into one hot buffer
//   rx-lowat   woken per MiB (SO_RCVLOWAT), into a pool, as one who keeps the data would
//   rx-trunc   the same without the copy (MSG_TRUNC): what would be left if copying were free
//   rx-udp     takes datagrams and throws them away, until told to end (SIGTERM): the far end of
//              senders that are measured over a wire
//
// One program; the name it is called by chooses.
#include "bench.h"

#include <isa-l.h>
#include <signal.h>

static volatile sig_atomic_t ended;

static void end(int number) {
  (void)number;
  ended = 1;
}

static int discard_datagrams(const char *address, const char *port) {
  struct addrinfo *at = resolve(address, port, SOCK_DGRAM);
  int fd = socket(at->ai_family, SOCK_DGRAM, 0);
  if (fd < 0) die("socket");
  if (bind(fd, at->ai_addr, at->ai_addrlen)) die("bind");
  sigaction(SIGTERM, &(struct sigaction){.sa_handler = end}, NULL);
  static unsigned char buffer[64 << 10];
  uint64_t bytes = 0, calls = 0;
  struct usage from = usage_now();
  while (!ended) {
    ssize_t got = recv(fd, buffer, sizeof buffer, MSG_TRUNC);
    if (got > 0) bytes += (uint64_t)got, calls++;
  }
  result("rx-udp", bytes, from, usage_now(), ",\"calls\":%llu", (unsigned long long)calls);
  return 0;
}

static void usage(void) {
  fprintf(stderr,
          "usage: rx-plain|rx-lowat|rx-trunc|rx-udp -a ADDRESS -p PORT [-b BUFFER] "
          "[-W POOL] [-L LOWAT] [-R SO_RCVBUF] [-k (CRC32C of all)] [-c CPU]\n");
  exit(2);
}

int main(int argc, char **argv) {
  const char *program = program_invocation_short_name;
  const char *address = "127.0.0.1", *port = "5301";
  size_t buffer = 64 << 10, pool = 0;
  int low_water = 0, receive_buffer = 0, cpu = -1, crc_wanted = 0;
  int flags = strcmp(program, "rx-trunc") ? 0 : MSG_TRUNC;
  if (strcmp(program, "rx-plain")) low_water = 1 << 20;
  if (!strcmp(program, "rx-lowat")) pool = 8 << 20;

  for (int option; (option = getopt(argc, argv, "a:p:b:W:L:R:c:k")) != -1;) {
    switch (option) {
      case 'a': address = optarg; break;
      case 'p': port = optarg; break;
      case 'b': buffer = size_of(optarg); break;
      case 'W': pool = size_of(optarg); break;
      case 'L': low_water = (int)size_of(optarg); break;
      case 'R': receive_buffer = (int)size_of(optarg); break;
      case 'c': cpu = atoi(optarg); break;
      case 'k': crc_wanted = 1; break;
      default: usage();
    }
  }
  if (pool < buffer) pool = buffer;
  pin(cpu);
  if (!strcmp(program, "rx-udp")) return discard_datagrams(address, port);
  unsigned char *memory = map_memory(pool, 0);
  int fd = accept_one(listen_at(address, port, receive_buffer));
  set_low_water(fd, low_water);

  uint64_t bytes = 0, calls = 0;
  uint32_t crc = 0xffffffffu;
  size_t at = 0;
  struct usage from = usage_now();
  for (;;) {
    ssize_t got = recv(fd, memory + at, buffer, flags);
    calls++;
    if (got <= 0) {
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) die("recv");
      break;
    }
    bytes += (uint64_t)got;
    if (crc_wanted) crc = crc32_iscsi(memory + at, (int)got, crc);
    at += buffer;
    if (at + buffer > pool) at = 0;
  }
  struct usage to = usage_now();
  result(program, bytes, from, to, ",\"calls\":%llu,\"crc32c\":\"%08x\"",
         (unsigned long long)calls, crc_wanted ? ~crc : 0);
  return 0;
}
