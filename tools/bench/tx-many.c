// A sender with many connections and one thread: each connection that can take more gets one
// send(), by epoll. All connections stand before the first byte is sent, and the window of the
// measurement is counted in bytes after a warm-up, so that any number of connections carries the
// same bytes.
#include "watch.h"

#include <fcntl.h>
#include <sys/epoll.h>

struct options {
  const char *address, *port, *receiver;
  size_t length;
  uint64_t warm_up, bytes, buffers;
  int connections, cpu;
};

static void usage(void) {
  fprintf(stderr, "usage: tx-many -a ADDRESS -p PORT -P CONNECTIONS -n BYTES [-w WARM_UP_BYTES]\n"
                  "  [-l LENGTH] [-S SEND_BUFFERS_TOGETHER] [-r RECEIVER_PID] [-c CPU]\n");
  exit(2);
}

static struct options parse(int argc, char **argv) {
  struct options o = {.address = "127.0.0.1", .port = "5301", .length = 64 << 10,
                      .bytes = 1ull << 30, .buffers = 256 << 20, .connections = 1, .cpu = -1};
  for (int option; (option = getopt(argc, argv, "a:p:P:n:w:l:S:r:c:")) != -1;) {
    switch (option) {
      case 'a': o.address = optarg; break;
      case 'p': o.port = optarg; break;
      case 'P': o.connections = atoi(optarg); break;
      case 'n': o.bytes = size_of(optarg); break;
      case 'w': o.warm_up = size_of(optarg); break;
      case 'l': o.length = size_of(optarg); break;
      case 'S': o.buffers = size_of(optarg); break;
      case 'r': o.receiver = optarg; break;
      case 'c': o.cpu = atoi(optarg); break;
      default: usage();
    }
  }
  if (o.connections < 1 || o.length == 0) usage();
  return o;
}

// Send buffers are bounded together: ten thousand that grow by themselves would be all memory.
static int *connect_all(const struct options *o, int poll) {
  int *sockets = malloc((size_t)o->connections * sizeof *sockets);
  if (!sockets) die("malloc");
  uint64_t each = o->buffers / (uint64_t)o->connections;
  if (each < 32 << 10) each = 32 << 10;
  if (each > 2 << 20) each = 2 << 20;
  for (int i = 0; i < o->connections; i++) {
    int fd = connect_to(o->address, o->port, SOCK_STREAM, "reno", (int)each);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLOUT, .data.fd = fd};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
    sockets[i] = fd;
  }
  return sockets;
}

// Waits until the receiver has taken everything and closed.
static void finish(const int *sockets, int count) {
  for (int i = 0; i < count; i++) shutdown(sockets[i], SHUT_WR);
  for (int i = 0; i < count; i++) {
    struct timeval patience = {.tv_sec = 20};
    char rest[64];
    setsockopt(sockets[i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    fcntl(sockets[i], F_SETFL, fcntl(sockets[i], F_GETFL) & ~O_NONBLOCK);
    while (recv(sockets[i], rest, sizeof rest, 0) > 0) continue;
    close(sockets[i]);
  }
}

int main(int argc, char **argv) {
  struct options o = parse(argc, argv);
  pin(o.cpu);
  unsigned char *buffer = map_memory(o.length, 0);
  int poll = epoll_create1(0);
  if (poll < 0) die("epoll_create1");
  uint64_t began = now_ns();
  int *sockets = connect_all(&o, poll);
  uint64_t connected = now_ns();

  uint64_t bytes = 0, calls = 0, limit = o.warm_up + o.bytes;
  struct usage from = usage_now();
  struct moment start = {0}, end = {0};
  if (!o.warm_up) start = look(0, o.receiver);
  while (bytes < limit) {
    struct epoll_event ready[256];
    int count = epoll_wait(poll, ready, 256, 60000);
    if (count <= 0) die("epoll_wait: nobody takes more");
    for (int i = 0; i < count && bytes < limit; i++) {
      size_t wanted = limit - bytes < o.length ? (size_t)(limit - bytes) : o.length;
      ssize_t sent = send(ready[i].data.fd, buffer, wanted, MSG_NOSIGNAL);
      if (sent < 0 && errno == EAGAIN) continue;
      if (sent < 0) die("send");
      calls++;
      bytes += (uint64_t)sent;
      if (!start.at && bytes >= o.warm_up) start = look(bytes, o.receiver);
    }
  }
  end = look(bytes, o.receiver);
  finish(sockets, o.connections);
  printf("{\"window\":");
  print_window(&start, &end);
  printf(",\"run\":");
  fflush(stdout);
  result("tx-many", bytes, from, usage_now(), ",\"calls\":%llu,\"connections\":%d,\"connect\":%.6f",
         (unsigned long long)calls, o.connections, (double)(connected - began) / 1e9);
  printf("}\n");
  return 0;
}
