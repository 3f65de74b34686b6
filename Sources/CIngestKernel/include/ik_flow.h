// What held a TCP sender back, as the kernel's own clocks tell (TCP_INFO).
#pragma once
#include <stdint.h>

#pragma clang assume_nonnull begin

// Times are in microseconds since the connection was made. Of the time that data waited to be sent
// or acknowledged (busy), some was for want of the peer's window, and some for want of room in the
// send buffer.
struct ik_flow {
  uint64_t busy_us;
  uint64_t window_us;
  uint64_t buffer_us;
  uint32_t round_trip_us;
  uint32_t retransmits;
};
// Returns 0 or a negative errno.
int ik_tcp_flow(int fd, struct ik_flow *flow);

#pragma clang assume_nonnull end
