/*
 * Ends a process by SIGKILL right before its Nth call that changes a NIC or a journal.
 *
 * For LD_PRELOAD. KILLPOINT is N, counted from 1; 0 only counts. At a normal end the number of such
 * calls is written to the file that KILLPOINT_COUNT names. Such calls are requests of the ethtool
 * family that set something, ethtool ioctls that do, and fsync, rename and unlink.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct nl_sock;

static int count;

static void point(void)
{
  const char *wanted = getenv("KILLPOINT");

  count++;
  if (wanted && atoi(wanted) == count)
    kill(getpid(), SIGKILL);
}

static __attribute__((destructor)) void tell(void)
{
  const char *path = getenv("KILLPOINT_COUNT");
  FILE *file = path ? fopen(path, "w") : NULL;

  if (file) {
    fprintf(file, "%d\n", count);
    fclose(file);
  }
}

/* ETHTOOL_MSG_*_SET and _ACT of include/uapi/linux/ethtool_netlink_generated.h */
static int changes(unsigned char command)
{
  return command == 12 || command == 16 || command == 18 || (command >= 48 && command <= 50);
}

int nl_send_simple(struct nl_sock *socket, int type, int flags, void *payload, size_t size)
{
  int (*real)(struct nl_sock *, int, int, void *, size_t) = dlsym(RTLD_NEXT, __func__);

  /* Numbers of families start above those of netlink itself and of rtnetlink's messages. */
  if (type > 16 && type != 18 && !(flags & 0x300) && size > 4 &&
      changes(*(unsigned char *)payload))
    point();
  return real(socket, type, flags, payload, size);
}

int ioctl(int descriptor, unsigned long request, ...)
{
  int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, __func__);
  va_list arguments;
  void *argument;

  va_start(arguments, request);
  argument = va_arg(arguments, void *);
  va_end(arguments);
  if (request == SIOCETHTOOL) {
    switch (*(__u32 *)((struct ifreq *)argument)->ifr_data) {
    case ETHTOOL_SRXCLSRLINS:
    case ETHTOOL_SRXCLSRLDEL:
    case ETHTOOL_SRSSH:
      point();
    }
  }
  return real(descriptor, request, argument);
}

int fsync(int descriptor)
{
  int (*real)(int) = dlsym(RTLD_NEXT, __func__);

  point();
  return real(descriptor);
}

int rename(const char *from, const char *to)
{
  int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, __func__);

  point();
  return real(from, to);
}

int unlink(const char *path)
{
  int (*real)(const char *) = dlsym(RTLD_NEXT, __func__);

  point();
  return real(path);
}
