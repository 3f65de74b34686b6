#include "ik_unix.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 8, DESCRIPTORS = 4 };

static int close_with(int fd, int error) {
  (void)close(fd);
  return -error;
}

static int address_of(const char *path, struct sockaddr_un *out) {
  const size_t length = strlen(path);
  *out = (struct sockaddr_un){.sun_family = AF_UNIX};
  if (length == 0) return -EINVAL;
  if (length >= sizeof out->sun_path) return -ENAMETOOLONG;
  memcpy(out->sun_path, path, length);
  return 0;
}

// Whether a dead process left the socket behind: ECONNREFUSED. A probe of another type than the
// living one's is EPROTOTYPE there, and not a connection that somebody would have to serve.
static int is_stale(const char *path, const struct sockaddr_un *address) {
  struct stat found;
  if (lstat(path, &found) != 0 || !S_ISSOCK(found.st_mode)) return 0;
  const int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return 0;
  const int refused =
      connect(probe, (const struct sockaddr *)address, sizeof *address) != 0 &&
      errno == ECONNREFUSED;
  (void)close(probe);
  return refused;
}

int ik_unix_listen(const char *path, int type) {
  struct sockaddr_un address;
  const int wrong = address_of(path, &address);
  if (wrong != 0) return wrong;
  const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  // What bind makes in the file system has the mode of the socket (net/unix/af_unix.c,
  // unix_bind_bsd): nobody else can connect at any time.
  if (fchmod(fd, 0600) != 0) return close_with(fd, errno);
  int status = bind(fd, (const struct sockaddr *)&address, sizeof address);
  if (status != 0 && errno == EADDRINUSE) {
    if (is_stale(path, &address) && unlink(path) == 0) {
      status = bind(fd, (const struct sockaddr *)&address, sizeof address);
    } else {
      errno = EADDRINUSE;
    }
  }
  if (status != 0 || listen(fd, BACKLOG) != 0) return close_with(fd, errno);
  return fd;
}

int ik_unix_connect(const char *path, int type, int send_buffer) {
  struct sockaddr_un address;
  const int wrong = address_of(path, &address);
  if (wrong != 0) return wrong;
  const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  if (send_buffer != 0 &&
      setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer) != 0) {
    return close_with(fd, errno);
  }
  int status;
  do {
    status = connect(fd, (const struct sockaddr *)&address, sizeof address);
  } while (status != 0 && errno == EINTR);
  return status == 0 ? fd : close_with(fd, errno);
}

int ik_unix_accept(int listener, int *pid) {
  const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return -errno;
  struct ucred peer = {0};
  socklen_t length = sizeof peer;
  *pid = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 ? (int)peer.pid : 0;
  return fd;
}

int64_t ik_send_descriptors(int fd, const void *bytes, size_t count, const int *descriptors,
                            int descriptor_count, int flags) {
  union {
    char bytes[CMSG_SPACE(DESCRIPTORS * sizeof(int))];
    struct cmsghdr aligned;
  } control = {{0}};
  if (descriptor_count < 0 || descriptor_count > DESCRIPTORS) return -EINVAL;
  const size_t payload = (size_t)descriptor_count * sizeof(int);
  struct iovec vector = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = count};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
  if (descriptor_count > 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(payload);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(payload);
    memcpy(CMSG_DATA(header), descriptors, payload);
  }
  ssize_t sent;
  do {
    sent = sendmsg(fd, &message, flags | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

int64_t ik_receive_descriptor(int fd, void *bytes, size_t count, int *descriptor) {
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr aligned;
  } control = {{0}};
  struct iovec vector = {.iov_base = bytes, .iov_len = count};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes,
                           .msg_controllen = sizeof control.bytes};
  ssize_t got;
  do {
    got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  *descriptor = -1;
  if (got < 0) return -errno;
  const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
      header->cmsg_len == CMSG_LEN(sizeof(int))) {
    memcpy(descriptor, CMSG_DATA(header), sizeof *descriptor);
  }
  return got;
}

void ik_unix_wake(int fd) {
  const char byte = 1;
  (void)send(fd, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int ik_unix_drain(int fd) {
  char bytes[256];
  const ssize_t got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
  return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}
