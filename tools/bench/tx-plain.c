// The sender that every receiver is measured with: send() of one hot buffer over one TCP
// connection. Ends when the receiver has taken everything and closed.
//
// It also watches: after a warm-up, for the given time, it notes bytes, the clock, and what the
// machine's CPUs and the receiver used. So every receiver is measured alike, in its steady state:
// the first tenths of a second go into memory that a virtual machine first has to get from its
// host.
#include "watch.h"

#include <poll.h>

// Takes the notifications of MSG_ZEROCOPY from the socket: they are counted against its memory. The
// buffer never changes, so nothing waits for them.
static void drain_notifications(int fd) {
  char control[256];
  struct msghdr message = {.msg_control = control};
  do message.msg_controllen = sizeof control;
  while (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0);
}

// send() that is asked for zero-copy: full accounts are emptied and the call made again.
static ssize_t send_from_pages(int fd, const void *at, size_t bytes) {
  for (;;) {
    ssize_t sent = send(fd, at, bytes, MSG_NOSIGNAL | MSG_ZEROCOPY);
    if (sent >= 0 || errno != ENOBUFS) return sent;
    struct pollfd full = {.fd = fd};
    poll(&full, 1, 1000);
    drain_notifications(fd);
  }
}

int main(int argc, char **argv) {
  const char *address = "127.0.0.1", *port = "5301", *congestion = NULL;
  size_t length = 128 << 10;
  uint64_t limit = UINT64_MAX;
  double duration = 1, warm_up = 0;
  const char *receiver = NULL;
  int cpu = -1, zero_copy = 0, one = 1;
  for (int option; (option = getopt(argc, argv, "a:p:l:n:t:w:r:C:c:z")) != -1;) {
    switch (option) {
      case 'a': address = optarg; break;
      case 'p': port = optarg; break;
      case 'l': length = size_of(optarg); break;
      case 'n': limit = size_of(optarg); break;
      case 't': duration = atof(optarg); break;
      case 'w': warm_up = atof(optarg); break;
      case 'r': receiver = optarg; break;
      case 'C': congestion = optarg; break;
      case 'c': cpu = atoi(optarg); break;
      case 'z': zero_copy = 1; break;
      default:
        fprintf(stderr, "usage: tx-plain -a ADDRESS -p PORT [-l LENGTH] [-t SECONDS | -n BYTES]\n"
                        "  [-w WARM_UP_SECONDS] [-r RECEIVER_PID] [-C CONGESTION] [-c CPU]\n"
                        "  [-z (MSG_ZEROCOPY)]\n");
        return 2;
    }
  }
  if (limit != UINT64_MAX) duration = 1e6;
  pin(cpu);
  unsigned char *buffer = map_memory(length, 0);
  // Not periodic in any power of two, so that a receiver's digest shows bytes out of order.
  for (size_t i = 0; i < length; i++) buffer[i] = (unsigned char)(i * 2654435761u >> 13);
  int fd = connect_to(address, port, SOCK_STREAM, congestion, 0);

  if (zero_copy && setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof one)) die("SO_ZEROCOPY");

  uint64_t bytes = 0, calls = 0;
  struct usage from = usage_now();
  uint64_t warm = from.wall_ns + (uint64_t)(warm_up * 1e9);
  uint64_t until = warm + (uint64_t)(duration * 1e9);
  struct moment start = {0}, end = {0};
  for (uint64_t now = from.wall_ns; bytes < limit && now < until; now = now_ns()) {
    if (!start.at && now >= warm) start = look(bytes, receiver);
    size_t wanted = limit - bytes < length ? (size_t)(limit - bytes) : length;
    ssize_t sent = zero_copy ? send_from_pages(fd, buffer, wanted)
                             : send(fd, buffer, wanted, MSG_NOSIGNAL);
    if (zero_copy && calls % 16 == 0) drain_notifications(fd);
    calls++;
    if (sent < 0) die("send");
    bytes += (uint64_t)sent;
  }
  end = look(bytes, receiver);
  shutdown(fd, SHUT_WR);
  struct timeval patience = {.tv_sec = 10};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  char rest[64];
  while (recv(fd, rest, sizeof rest, 0) > 0) continue;
  struct usage to = usage_now();
  printf("{\"window\":");
  print_window(&start, &end);
  printf(",\"run\":");
  fflush(stdout);
  result("tx-plain", bytes, from, to, ",\"calls\":%llu", (unsigned long long)calls);
  printf("}\n");
  return 0;
}
