// Reads time-stamped records, from one TCP connection or from standard input, and says how old
// they were when they had been read.
#include "bench.h"
#include "stamps.h"

int main(int argc, char **argv) {
  const char *address = "127.0.0.1", *port = NULL;
  int cpu = -1;
  for (int option; (option = getopt(argc, argv, "a:p:c:")) != -1;) {
    switch (option) {
      case 'a': address = optarg; break;
      case 'p': port = optarg; break;
      case 'c': cpu = atoi(optarg); break;
      default:
        fprintf(stderr, "usage: stamp-read [-a ADDRESS -p PORT (else standard input)] [-c CPU]\n");
        return 2;
    }
  }
  pin(cpu);
  int fd = port ? accept_one(listen_at(address, port, 0)) : STDIN_FILENO;
  static unsigned char buffer[64 << 10];
  static struct ages ages;
  size_t kept = 0;
  uint64_t bytes = 0, next = 0;
  struct usage from = usage_now();
  for (ssize_t got; (got = read(fd, buffer + kept, sizeof buffer - kept)) != 0;) {
    if (got < 0) die("read");
    uint64_t now = now_ns();
    size_t there = kept + (size_t)got, at = 0;
    bytes += (uint64_t)got;
    for (; at + STAMP_SIZE <= there; at += STAMP_SIZE) {
      struct stamp record;
      memcpy(&record, buffer + at, sizeof record);
      if (record.magic != STAMP_MAGIC || record.number != next++) {
        fprintf(stderr, "stamp-read: not the record that was due\n");
        return 1;
      }
      ages_add(&ages, now - record.sent);
    }
    kept = there - at;
    memmove(buffer, buffer + at, kept);
  }
  printf("{\"read\":");
  ages_print(stdout, &ages);
  printf(",\"run\":");
  fflush(stdout);
  result("stamp-read", bytes, from, usage_now(), "");
  printf("}\n");
  return 0;
}
