// What a thread may do: capabilities, ids and Landlock. Each call is about the calling thread
// alone, unlike glibc's, which have all threads follow. All return 0 or -errno.
#pragma once
#include <stdint.h>

#pragma clang assume_nonnull begin

// Programs that are executed gain nothing any more (no_new_privs); for good.
int ik_no_new_privileges(void);
int ik_has_no_new_privileges(void);

// Takes all but the capabilities in `kept` out of the bounding set, for good. -EPERM without
// CAP_SETPCAP.
int ik_bound_capabilities(uint64_t kept);

// Gives up all but the capabilities in `kept`: effective and permitted are these then, inheritable
// and ambient none.
int ik_keep_capabilities(uint64_t kept);

// Capabilities that the thread has or could take, and those that its bounding set has.
int ik_capabilities(uint64_t *own, uint64_t *bounding);

// Becomes another user in all ids, without supplementary groups.
int ik_change_user(uint32_t user, uint32_t group);

// The kernel's version of Landlock; -ENOSYS or -EOPNOTSUPP where it has none or has it off.
int ik_landlock_version(void);

// A set of rules for what a thread may do of these kinds; a descriptor. Rights that the kernel's
// version does not know must not be named. (<linux/landlock.h> is older than the network rules.)
int ik_landlock_rules(uint64_t files, uint64_t network, uint64_t scopes);
// Allows these rights on a file, or on all below a directory.
int ik_landlock_allow_path(int rules, const char *path, uint64_t rights);
// Allows these rights for a TCP port.
int ik_landlock_allow_port(int rules, uint16_t port, uint64_t rights);
// Only what the rules allow is allowed from now on; for good. Wants no_new_privs.
int ik_landlock_enter(int rules);

// The filter of system calls that the thread is under, as in /proc/PID/status: 0 none, 2 a filter.
int ik_seccomp_mode(void);

#pragma clang assume_nonnull end
