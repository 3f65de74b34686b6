// Unix sockets between processes of one machine, and the descriptors that go through them.
#pragma once
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

// Listens at a path, non-blocking, mode 0600; type is SOCK_STREAM or SOCK_SEQPACKET. A socket that
// a dead process left there is replaced; EADDRINUSE: somebody listens, or it is no socket. Returns
// the descriptor or a negative errno.
int ik_unix_listen(const char *path, int type);
// Connects to a path; blocking. A send_buffer other than 0 bounds what waits for the peer. Returns
// the descriptor or a negative errno.
int ik_unix_connect(const char *path, int type, int send_buffer);
// The next connection, and the process at its other end (0: unknown); never waits.
int ik_unix_accept(int listener, int *pid);

// Sends bytes with descriptors beside them, at most 4; flags are MSG_ flags. Returns the bytes sent
// or a negative errno. A peer that is gone is EPIPE, no signal.
int64_t ik_send_descriptors(int fd, const void *bytes, size_t count, const int *descriptors,
                            int descriptor_count, int flags);

// Waits for a message and the descriptor that may come with it (else -1), which is closed on exec.
// Bytes, 0 where the other side is gone, or -errno.
int64_t ik_receive_descriptor(int fd, void *bytes, size_t count, int *descriptor);

// Sends a byte that says "look"; never waits. Where the socket is full the peer has one to read.
void ik_unix_wake(int fd);
// Takes such bytes; never waits. 0 when the peer is gone.
int ik_unix_drain(int fd);

#pragma clang assume_nonnull end
