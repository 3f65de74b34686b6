// What the sender needs of sockets beyond io_uring: MSG_ZEROCOPY, and how much is still queued.
#pragma once
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

// One send(2) with MSG_ZEROCOPY that does not wait and raises no SIGPIPE. Needs SO_ZEROCOPY.
// Returns the bytes taken (each call that takes any is one notification number) or a negative
// errno (EAGAIN: no room; ENOBUFS: net.core.optmem_max is full of outstanding notifications).
int64_t ik_send_zerocopy(int fd, const void *at, size_t length);

// Bytes handed to TCP that the peer has not acknowledged (SIOCOUTQ), or a negative errno.
int64_t ik_unsent_bytes(int fd);
// Send buffer memory charged to the socket (SK_MEMINFO_WMEM_QUEUED), or a negative errno.
int64_t ik_send_memory(int fd);
// The pending error of a socket (SO_ERROR), positive; reading it clears it.
int ik_socket_error(int fd);

// Ends the sending direction and waits until the peer has acknowledged everything, at most
// timeout_ms and only while *stop_waiting is 0. Returns 0, -ETIMEDOUT, or the negative errno by
// which the connection failed meanwhile.
int ik_tcp_finish(int fd, int timeout_ms, const uint64_t *stop_waiting);

#pragma clang assume_nonnull end
