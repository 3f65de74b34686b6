// What the programs of the benchmark share: clocks, sockets, options, one JSON line of result.
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline _Noreturn void die(const char *what) {
  fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
  exit(1);
}

static inline uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// What the process has used so far.
struct usage {
  uint64_t wall_ns;
  double user, system;
  long sleeps;
};

static inline struct usage usage_now(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return (struct usage){
      .wall_ns = now_ns(),
      .user = (double)r.ru_utime.tv_sec + (double)r.ru_utime.tv_usec / 1e6,
      .system = (double)r.ru_stime.tv_sec + (double)r.ru_stime.tv_usec / 1e6,
      .sleeps = r.ru_nvcsw,
  };
}

// Prints the result; more is further JSON members, each led by a comma.
static inline void result(const char *program, uint64_t bytes, struct usage from, struct usage to,
                          const char *more, ...) {
  double seconds = (double)(to.wall_ns - from.wall_ns) / 1e9;
  printf("{\"program\":\"%s\",\"bytes\":%llu,\"seconds\":%.6f,\"user\":%.6f,\"system\":%.6f,"
         "\"cpu\":%.6f,\"sleeps\":%ld",
         program, (unsigned long long)bytes, seconds, to.user - from.user, to.system - from.system,
         to.user - from.user + to.system - from.system, to.sleeps - from.sleeps);
  va_list list;
  va_start(list, more);
  vprintf(more, list);
  va_end(list);
  printf("}\n");
}

// A size with an optional k, m or g (powers of two).
static inline uint64_t size_of(const char *text) {
  char *end;
  uint64_t value = strtoull(text, &end, 0);
  switch (*end | 0x20) {
    case 'k': value <<= 10; break;
    case 'm': value <<= 20; break;
    case 'g': value <<= 30; break;
    default: break;
  }
  return value;
}

static inline void pin(int cpu) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set)) die("pin");
}

// Memory that is there before the first byte arrives, of base pages or huge ones.
static inline void *map_memory(size_t bytes, int huge) {
  void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) die("mmap");
  madvise(at, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  memset(at, 1, bytes);
  return at;
}

static inline struct addrinfo *resolve(const char *host, const char *port, int type) {
  struct addrinfo hints = {.ai_socktype = type, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
  struct addrinfo *found;
  if (getaddrinfo(host, port, &hints, &found)) {
    fprintf(stderr, "%s: no such address: %s port %s\n", program_invocation_short_name, host, port);
    exit(2);
  }
  return found;
}

static inline int listen_at(const char *host, const char *port, int receive_buffer) {
  struct addrinfo *at = resolve(host, port, SOCK_STREAM);
  int one = 1;
  int fd = socket(at->ai_family, SOCK_STREAM, 0);
  if (fd < 0) die("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (receive_buffer)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  if (bind(fd, at->ai_addr, at->ai_addrlen)) die("bind");
  if (listen(fd, 16)) die("listen");
  return fd;
}

static inline void set_low_water(int fd, int bytes) {
  if (bytes && setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes)) die("SO_RCVLOWAT");
}

static inline int accept_one(int listener) {
  int fd = accept(listener, NULL, NULL);
  if (fd < 0) die("accept");
  return fd;
}

// Connects; a listener that is not there yet is waited for.
static inline int connect_to(const char *host, const char *port, int type, const char *congestion,
                             int send_buffer) {
  struct addrinfo *at = resolve(host, port, type);
  for (int attempt = 0;; attempt++) {
    int fd = socket(at->ai_family, type, 0);
    if (fd < 0) die("socket");
    if (congestion && type == SOCK_STREAM &&
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, (socklen_t)strlen(congestion)))
      die("congestion control");
    if (send_buffer) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    if (!connect(fd, at->ai_addr, at->ai_addrlen)) return fd;
    if (errno != ECONNREFUSED || attempt == 500) die("connect");
    close(fd);
    usleep(10000);
  }
}
