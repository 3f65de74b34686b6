// Sends time-stamped records of 64 bytes over one TCP connection at an even rate.
#include "bench.h"
#include "stamps.h"

int main(int argc, char **argv) {
  const char *address = "127.0.0.1", *port = "5301";
  double rate = 10000, seconds = 1;
  int cpu = -1;
  for (int option; (option = getopt(argc, argv, "a:p:r:t:c:")) != -1;) {
    switch (option) {
      case 'a': address = optarg; break;
      case 'p': port = optarg; break;
      case 'r': rate = atof(optarg); break;
      case 't': seconds = atof(optarg); break;
      case 'c': cpu = atoi(optarg); break;
      default:
        fprintf(stderr, "usage: stamp-send -a ADDRESS -p PORT [-r RECORDS_PER_SECOND] "
                        "[-t SECONDS] [-c CPU]\n");
        return 2;
    }
  }
  pin(cpu);
  int fd = connect_to(address, port, SOCK_STREAM, "reno", 0), one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct usage from = usage_now();
  uint64_t count = (uint64_t)(rate * seconds), start = now_ns(), late = 0;
  for (uint64_t number = 0; number < count; number++) {
    uint64_t due = start + (uint64_t)((double)number * 1e9 / rate);
    struct timespec until = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)};
    if (due > now_ns()) clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    struct stamp record = {.magic = STAMP_MAGIC, .sent = now_ns(), .number = number};
    if (record.sent - due > 1000000u) late++;
    if (send(fd, &record, sizeof record, MSG_NOSIGNAL) != sizeof record) die("send");
  }
  shutdown(fd, SHUT_WR);
  struct timeval patience = {.tv_sec = 10};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  char rest[64];
  while (recv(fd, rest, sizeof rest, 0) > 0) continue;
  result("stamp-send", count * STAMP_SIZE, from, usage_now(),
         ",\"records\":%llu,\"late\":%llu", (unsigned long long)count, (unsigned long long)late);
  return 0;
}
