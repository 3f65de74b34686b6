// Files: what Swift does not see of fcntl(2) and rename(2).
#pragma once

#include <stdint.h>

struct iovec;

#pragma clang assume_nonnull begin

/// Gives a file its name: renameat2(2), by link(2) and unlink(2) where the file system cannot.
/// Without `replace` a file that has the name already is EEXIST. Returns 0 or -errno.
int ik_rename(const char *from, const char *to, int replace);

/// Sets or clears O_DIRECT, and every other flag that fcntl(2) can change is cleared. 0 or -errno;
/// -EINVAL is a file system that has no direct writes.
int ik_set_direct(int descriptor, int on);

/// Whether the file system of a directory refuses files with O_DIRECT. 0 also where that cannot be
/// found out without leaving a file there.
int ik_refuses_direct(const char *directory);

/// Opens a file without a name in a directory, gone when it is closed; -errno where that fails
/// (EOPNOTSUPP: the file system has no O_TMPFILE).
int ik_open_nameless(const char *directory);

/// Gives a part of a file back to the file system; best effort.
void ik_punch(int descriptor, int64_t start, int64_t bytes);

/// Writes what a pipe, a socket or a terminal takes without waiting: a count, or -errno, of which
/// -EAGAIN says that it is full.
int64_t ik_write_now(int descriptor, const struct iovec *runs, int count);

#pragma clang assume_nonnull end
