// The ethtool ioctl: flow classification rules, driver information and driver statistics have no
// netlink messages.
#pragma once

#pragma clang assume_nonnull begin

// SIOCETHTOOL on any socket, for the interface of that name in the socket's network namespace.
// command starts with the 32-bit command number; the kernel reads and writes the rest as the
// command says, so its size is the caller's affair. Returns 0 or a negative errno.
int ik_ethtool(int fd, const char *interface, void *command);

#pragma clang assume_nonnull end
