// A relay as people write it: takes one connection, opens another, and copies with recv() and
// send(); with -s splice() moves pages through a pipe instead.
#include "bench.h"

#include <fcntl.h>

static void send_all(int fd, const unsigned char *bytes, size_t count) {
  while (count) {
    ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
    if (sent < 0) die("send");
    bytes += sent;
    count -= (size_t)sent;
  }
}

static uint64_t copy(int from, int to) {
  static unsigned char buffer[64 << 10];
  uint64_t bytes = 0;
  for (ssize_t got; (got = recv(from, buffer, sizeof buffer, 0)) != 0;) {
    if (got < 0) die("recv");
    send_all(to, buffer, (size_t)got);
    bytes += (uint64_t)got;
  }
  return bytes;
}

static uint64_t move(int from, int to) {
  int ends[2];
  if (pipe(ends)) die("pipe");
  fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
  uint64_t bytes = 0;
  for (ssize_t got; (got = splice(from, NULL, ends[1], NULL, 1 << 20, SPLICE_F_MOVE)) != 0;) {
    if (got < 0) die("splice in");
    bytes += (uint64_t)got;
    for (ssize_t left = got; left > 0;) {
      ssize_t put = splice(ends[0], NULL, to, NULL, (size_t)left, SPLICE_F_MOVE);
      if (put < 0) die("splice out");
      left -= put;
    }
  }
  return bytes;
}

int main(int argc, char **argv) {
  const char *address = "127.0.0.1", *port = "5301", *onward = "5302";
  int cpu = -1, splices = 0;
  for (int option; (option = getopt(argc, argv, "a:p:P:c:s")) != -1;) {
    switch (option) {
      case 'a': address = optarg; break;
      case 'p': port = optarg; break;
      case 'P': onward = optarg; break;
      case 'c': cpu = atoi(optarg); break;
      case 's': splices = 1; break;
      default:
        fprintf(stderr, "usage: relay -a ADDRESS -p PORT -P PORT_ONWARD [-s (splice)] [-c CPU]\n");
        return 2;
    }
  }
  pin(cpu);
  int from = accept_one(listen_at(address, port, 0));
  int to = connect_to(address, onward, SOCK_STREAM, "reno", 0);
  struct usage start = usage_now();
  uint64_t bytes = splices ? move(from, to) : copy(from, to);
  shutdown(to, SHUT_WR);
  result("relay", bytes, start, usage_now(), ",\"splice\":%d", splices);
  return 0;
}
