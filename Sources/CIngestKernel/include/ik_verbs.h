// RDMA verbs, of a library that need not be there.
#pragma once
#include <stddef.h>

#pragma clang assume_nonnull begin

// Registers the first bytes of a dmabuf as memory of the RDMA device of that name, and deregisters
// it. Returns 0, -ELIBACC where libibverbs.so.1 cannot be loaded, -ENOSYS where it is too old to
// know dmabufs, -ENODEV where it lists no such device, or the device's negative errno.
int ik_verbs_take_dmabuf(const char *device, int dmabuf, size_t bytes);

#pragma clang assume_nonnull end
