#include "ik_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

static socklen_t to_sockaddr(const struct ik_endpoint *from, struct sockaddr_storage *to) {
  memset(to, 0, sizeof *to);
  if (from->family == AF_INET6) {
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(from->port);
    six->sin6_scope_id = from->scope;
    memcpy(&six->sin6_addr, from->address, 16);
    return sizeof *six;
  }
  struct sockaddr_in *four = (struct sockaddr_in *)to;
  four->sin_family = AF_INET;
  four->sin_port = htons(from->port);
  memcpy(&four->sin_addr, from->address, 4);
  return sizeof *four;
}

uint32_t ik_sockaddr_of(const struct ik_endpoint *from, struct sockaddr_storage *to) {
  return to_sockaddr(from, to);
}

static int from_sockaddr(const struct sockaddr_storage *from, struct ik_endpoint *to) {
  memset(to, 0, sizeof *to);
  to->family = from->ss_family;
  if (from->ss_family == AF_INET6) {
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;
    to->port = ntohs(six->sin6_port);
    to->scope = six->sin6_scope_id;
    memcpy(to->address, &six->sin6_addr, 16);
    return 0;
  }
  if (from->ss_family != AF_INET) return -EAFNOSUPPORT;
  const struct sockaddr_in *four = (const struct sockaddr_in *)from;
  to->port = ntohs(four->sin_port);
  memcpy(to->address, &four->sin_addr, 4);
  return 0;
}

static int set_int(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value) == 0 ? 0 : -errno;
}

static int close_with(int fd, int error) {
  close(fd);
  return error;
}

int ik_listen(const struct ik_endpoint *at, int backlog, int flags, int receive_buffer,
              const char *interface) {
  int fd = socket(at->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (at->family == AF_INET6)
    set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, (flags & IK_LISTEN_V6_ONLY) != 0);
  if ((flags & IK_LISTEN_SHARE) && set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1) != 0)
    return close_with(fd, -errno);
  // Set on the listener, so that accepted sockets inherit it before the window is announced.
  if (receive_buffer > 0) set_int(fd, SOL_SOCKET, SO_RCVBUF, receive_buffer);
  if (interface && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface,
                              (socklen_t)strlen(interface)) != 0)
    return close_with(fd, -errno);
  struct sockaddr_storage address;
  socklen_t length = to_sockaddr(at, &address);
  if (bind(fd, (struct sockaddr *)&address, length) != 0) return close_with(fd, -errno);
  if (listen(fd, backlog) != 0) return close_with(fd, -errno);
  return fd;
}

int ik_endpoint_of(int fd, int peer, struct ik_endpoint *out) {
  struct sockaddr_storage address;
  socklen_t length = sizeof address;
  int error = peer ? getpeername(fd, (struct sockaddr *)&address, &length)
                   : getsockname(fd, (struct sockaddr *)&address, &length);
  return error ? -errno : from_sockaddr(&address, out);
}

int ik_connect(const struct ik_endpoint *to, int type, int timeout_ms, const char *congestion,
               int send_buffer) {
  int fd = socket(to->family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  if (congestion && type == SOCK_STREAM) {
    int error = ik_set_congestion(fd, congestion);
    if (error) return close_with(fd, error);
  }
  if (send_buffer > 0) set_int(fd, SOL_SOCKET, SO_SNDBUF, send_buffer);
  struct sockaddr_storage address;
  socklen_t length = to_sockaddr(to, &address);
  if (connect(fd, (struct sockaddr *)&address, length) != 0) {
    if (errno != EINPROGRESS) return close_with(fd, -errno);
    struct pollfd poller = {.fd = fd, .events = POLLOUT};
    int ready;
    do ready = poll(&poller, 1, timeout_ms);
    while (ready < 0 && errno == EINTR);
    if (ready <= 0) return close_with(fd, ready == 0 ? -ETIMEDOUT : -errno);
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error) return close_with(fd, -error);
  }
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0) return close_with(fd, -errno);
  return fd;
}

int ik_resolve(const char *host, uint16_t port, int family, struct ik_endpoint *out,
               int capacity) {
  struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
  hints.ai_flags = AI_NUMERICSERV | (host ? 0 : AI_PASSIVE);
  char service[8];
  snprintf(service, sizeof service, "%u", port);
  struct addrinfo *list = NULL;
  int error = getaddrinfo(host, service, &hints, &list);
  if (error) return error;  // EAI_ codes are negative on Linux
  int count = 0;
  for (struct addrinfo *entry = list; entry; entry = entry->ai_next) {
    struct sockaddr_storage address;
    memset(&address, 0, sizeof address);
    memcpy(&address, entry->ai_addr, entry->ai_addrlen);
    struct ik_endpoint endpoint;
    if (from_sockaddr(&address, &endpoint) != 0) continue;
    if (count < capacity) out[count] = endpoint;
    count++;
  }
  freeaddrinfo(list);
  return count;
}

const char *ik_resolve_error(int code) { return gai_strerror(code); }

int ik_watch_peer(int fd, int seconds) {
  const int idle = seconds < 2 ? 1 : seconds / 2;
  const int between = seconds < 16 ? 1 : seconds / 8;
  // With a user timeout the kernel counts time, not probes (net/ipv4/tcp_timer.c,
  // tcp_keepalive_timer). Nothing is sent here that a window could hold back, so it ends no
  // connection whose peer is merely slow.
  int error = set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle);
  if (!error) error = set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, between);
  if (!error) error = set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, seconds * 1000);
  return error ? error : set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

int ik_set_congestion(int fd, const char *name) {
  return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) == 0 ? 0
                                                                                         : -errno;
}

int ik_get_congestion(int fd, char *name, int capacity) {
  socklen_t length = (socklen_t)capacity;
  return getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length) == 0 ? 0 : -errno;
}

int ik_set_zerocopy(int fd) { return set_int(fd, SOL_SOCKET, SO_ZEROCOPY, 1); }

int ik_abort(int fd) {
  struct linger now = {.l_onoff = 1, .l_linger = 0};
  return setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0 ? 0 : -errno;
}

int ik_peer_may_send(int fd) {
  struct tcp_info info;
  socklen_t length = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return 0;
  return info.tcpi_state == TCP_ESTABLISHED || info.tcpi_state == TCP_FIN_WAIT1 ||
         info.tcpi_state == TCP_FIN_WAIT2;
}

uint32_t ik_incoming_napi(int fd) {
  unsigned id = 0;
  socklen_t length = sizeof id;
  return getsockopt(fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &id, &length) == 0 ? id : 0;
}

int64_t ik_unread_bytes(int fd) {
  int bytes = 0;
  return ioctl(fd, FIONREAD, &bytes) == 0 ? bytes : -errno;
}

int64_t ik_tcp_retransmits(int fd) {
  struct tcp_info info;
  socklen_t length = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return -errno;
  return info.tcpi_total_retrans;
}

int ik_poll_either(int one, int other) {
  int both = epoll_create1(EPOLL_CLOEXEC);
  if (both < 0) return -errno;
  const int fds[] = {one, other};
  for (int at = 0; at < 2; at++) {
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_ctl(both, EPOLL_CTL_ADD, fds[at], &event) == 0) continue;
    int error = errno;
    close(both);
    return -error;
  }
  return both;
}

int ik_zerocopy_notifications(int fd, struct ik_zerocopy_range *out, int capacity) {
  int count = 0;
  while (count < capacity) {
    char control[128];
    struct msghdr message = {.msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
      return errno == EAGAIN || errno == EINTR ? count : -errno;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
      int ours = (part->cmsg_level == SOL_IP && part->cmsg_type == IP_RECVERR) ||
                 (part->cmsg_level == SOL_IPV6 && part->cmsg_type == IPV6_RECVERR);
      if (!ours) continue;
      const struct sock_extended_err *error = (const void *)CMSG_DATA(part);
      if (error->ee_origin != SO_EE_ORIGIN_ZEROCOPY) continue;
      out[count].low = error->ee_info;
      out[count].high = error->ee_data;
      out[count].copied = (error->ee_code & SO_EE_CODE_ZEROCOPY_COPIED) != 0;
      count++;
      break;
    }
  }
  return count;
}

int ik_descriptor_room(int descriptor, int count) {
  int made[64], number = 0;
  const int wanted = count < 64 ? count : 64;
  while (number < wanted) {
    made[number] = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    if (made[number] < 0) break;
    number += 1;
  }
  for (int index = 0; index < number; index += 1) (void)close(made[index]);
  return number == wanted;
}
