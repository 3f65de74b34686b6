// Socket options and addresses whose constants or layouts Swift does not import.
#pragma once
#include <stdint.h>
#include <sys/socket.h>

#pragma clang assume_nonnull begin

// An address without the sockaddr family tree: IPv4 uses the first 4 bytes of address.
struct ik_endpoint {
  uint16_t family;  // AF_INET or AF_INET6
  uint16_t port;    // host order
  uint32_t scope;   // IPv6 scope id
  uint8_t address[16];
};

enum {
  IK_LISTEN_SHARE = 1,    // SO_REUSEPORT
  IK_LISTEN_V6_ONLY = 2,  // an IPv6 socket takes no IPv4 (else it does, whatever the sysctl says)
};

// Listens for TCP. Returns the descriptor or a negative errno.
int ik_listen(const struct ik_endpoint *at, int backlog, int flags, int receive_buffer,
              const char *_Nullable interface);
// The address a socket is bound to (peer 0) or connected to (peer 1).
int ik_endpoint_of(int fd, int peer, struct ik_endpoint *out);
// Connects; type is SOCK_STREAM or SOCK_DGRAM. Blocks for at most timeout_ms. Returns the
// descriptor (blocking mode) or a negative errno.
int ik_connect(const struct ik_endpoint *to, int type, int timeout_ms,
               const char *_Nullable congestion, int send_buffer);
// An address as connect(2) wants it; returns its length.
uint32_t ik_sockaddr_of(const struct ik_endpoint *from, struct sockaddr_storage *to);
// Resolves a host name or literal. family AF_UNSPEC, AF_INET or AF_INET6. Returns the number of
// endpoints found, of which at most capacity are written, or a negative EAI_ code.
int ik_resolve(const char *_Nullable host, uint16_t port, int family, struct ik_endpoint *out,
               int capacity);
const char *ik_resolve_error(int code);

// Ends connections whose peer has answered nothing for so many seconds (ETIMEDOUT, or what ICMP
// said last), the second half of them in probes. Accepted sockets take it over from the listener.
int ik_watch_peer(int fd, int seconds);
int ik_set_congestion(int fd, const char *name);
int ik_get_congestion(int fd, char *name, int capacity);
int ik_set_zerocopy(int fd);     // SO_ZEROCOPY, for MSG_ZEROCOPY
int ik_abort(int fd);            // SO_LINGER 0: close() then sends a reset
// The NAPI instance that the socket's last packet came through (SO_INCOMING_NAPI_ID); 0: none.
uint32_t ik_incoming_napi(int fd);
// Whether the peer of a TCP socket may still be sending: no FIN of its was received.
int ik_peer_may_send(int fd);
int64_t ik_unread_bytes(int fd); // FIONREAD
// A new descriptor that is readable while either of two is; the caller closes it, before or after
// them. A negative errno otherwise.
int ik_poll_either(int one, int other);

// TCP retransmitted segments so far (tcpi_total_retrans), or a negative errno.
int64_t ik_tcp_retransmits(int fd);

// Reads MSG_ZEROCOPY notifications from the error queue. Returns the number of notification
// messages read (0: none) or a negative errno; each gives an inclusive range of send numbers.
struct ik_zerocopy_range {
  uint32_t low;
  uint32_t high;
  uint32_t copied;  // SO_EE_CODE_ZEROCOPY_COPIED
};
int ik_zerocopy_notifications(int fd, struct ik_zerocopy_range *out, int capacity);

// Whether this process may have so many descriptors more (at most 64): makes them, as copies of
// `descriptor`, and closes them again.
int ik_descriptor_room(int descriptor, int count);

#pragma clang assume_nonnull end
