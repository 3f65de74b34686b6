#include "ik_flow.h"

#include <errno.h>
#include <linux/tcp.h>  // longer than the one of <netinet/tcp.h>, which ends before the clocks
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

int ik_tcp_flow(int fd, struct ik_flow *flow) {
  struct tcp_info info;
  // An older kernel fills less: what it does not know stays 0.
  memset(&info, 0, sizeof info);
  socklen_t length = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return -errno;
  *flow = (struct ik_flow){
      .busy_us = info.tcpi_busy_time,
      .window_us = info.tcpi_rwnd_limited,
      .buffer_us = info.tcpi_sndbuf_limited,
      .round_trip_us = info.tcpi_rtt,
      .retransmits = info.tcpi_total_retrans,
  };
  return 0;
}
