// The receiver of many connections that people write today: epoll, and one recv() into one hot
// buffer for each connection that has something; with -t nothing is copied (MSG_TRUNC): what
// is left is waking up and TCP. Ends when all have ended.
#include "bench.h"

#include <sys/epoll.h>

int main(int argc, char **argv) {
  const char *address = "127.0.0.1", *port = "5301";
  size_t length = 64 << 10;
  int connections = 1, cpu = -1, flags = MSG_DONTWAIT;
  for (int option; (option = getopt(argc, argv, "a:p:P:b:tc:")) != -1;) {
    switch (option) {
      case 'a': address = optarg; break;
      case 'p': port = optarg; break;
      case 'P': connections = atoi(optarg); break;
      case 'b': length = size_of(optarg); break;
      case 't': flags |= MSG_TRUNC; break;
      case 'c': cpu = atoi(optarg); break;
      default:
        fprintf(stderr, "usage: rx-epoll -a ADDRESS -p PORT [-P CONNECTIONS] [-b BUFFER] [-t] "
                        "[-c CPU]\n");
        return 2;
    }
  }
  pin(cpu);
  unsigned char *buffer = map_memory(length, 0);
  int listener = listen_at(address, port, 0), poll = epoll_create1(0);
  // Thousands knock at a time.
  if (listen(listener, 4096)) die("listen");
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
  if (poll < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event)) die("epoll");
  uint64_t bytes = 0, calls = 0;
  struct usage from = usage_now();
  for (int ended = 0; ended < connections;) {
    struct epoll_event ready[256];
    int count = epoll_wait(poll, ready, 256, -1);
    for (int i = 0; i < count; i++) {
      int fd = ready[i].data.fd;
      if (fd == listener) {
        event.data.fd = accept_one(listener);
        if (epoll_ctl(poll, EPOLL_CTL_ADD, event.data.fd, &event)) die("epoll_ctl");
        continue;
      }
      ssize_t got = recv(fd, buffer, length, flags);
      calls++;
      if (got < 0 && errno == EAGAIN) continue;
      if (got < 0) die("recv");
      bytes += (uint64_t)got;
      if (got == 0) {
        close(fd);
        ended++;
      }
    }
  }
  result("rx-epoll", bytes, from, usage_now(), ",\"calls\":%llu", (unsigned long long)calls);
  return 0;
}
