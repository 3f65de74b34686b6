#include "ik_ethtool.h"

#include <errno.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>

int ik_ethtool(int fd, const char *interface, void *command) {
  struct ifreq request;
  memset(&request, 0, sizeof request);
  size_t length = strlen(interface);
  if (length == 0 || length >= sizeof request.ifr_name) return -ENODEV;
  memcpy(request.ifr_name, interface, length);
  request.ifr_data = command;
  return ioctl(fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}
