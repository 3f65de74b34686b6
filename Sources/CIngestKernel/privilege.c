#include "ik_privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static int result_of(long status) { return status < 0 ? -errno : (int)status; }

int ik_no_new_privileges(void) { return result_of(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); }

int ik_has_no_new_privileges(void) { return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1; }

int ik_bound_capabilities(uint64_t kept) {
  // Those that the kernel does not know are EINVAL.
  for (int number = 0; number < 64; number++) {
    const int is_there = prctl(PR_CAPBSET_READ, number, 0, 0, 0);
    if (is_there < 0) break;
    if (is_there == 0 || (kept >> number & 1) != 0) continue;
    if (prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0) return -errno;
  }
  return 0;
}

int ik_keep_capabilities(uint64_t kept) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct now[2], wanted[2];
  if (syscall(SYS_capget, &header, now) != 0) return -errno;
  for (int half = 0; half < 2; half++) {
    const uint32_t bits = now[half].permitted & (uint32_t)(kept >> (32 * half));
    wanted[half] = (struct __user_cap_data_struct){.effective = bits, .permitted = bits};
  }
  // Ambient ones go with the inheritable.
  return result_of(syscall(SYS_capset, &header, wanted));
}

int ik_capabilities(uint64_t *own, uint64_t *bounding) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct now[2];
  if (syscall(SYS_capget, &header, now) != 0) return -errno;
  *own = 0;
  for (int half = 0; half < 2; half++) {
    const uint32_t bits = now[half].effective | now[half].permitted | now[half].inheritable;
    *own |= (uint64_t)bits << (32 * half);
  }
  *bounding = 0;
  for (int number = 0; number < 64; number++) {
    const int is_there = prctl(PR_CAPBSET_READ, number, 0, 0, 0);
    if (is_there < 0) break;
    *bounding |= (uint64_t)is_there << number;
  }
  return 0;
}

int ik_change_user(uint32_t user, uint32_t group) {
  if (syscall(SYS_setgroups, 0, NULL) != 0) return -errno;
  if (syscall(SYS_setresgid, group, group, group) != 0) return -errno;
  return result_of(syscall(SYS_setresuid, user, user, user));
}

// include/uapi/linux/landlock.h of Linux 6.12, whose numbers every architecture shares.
enum { LANDLOCK_CREATE = 444, LANDLOCK_ADD = 445, LANDLOCK_RESTRICT = 446 };
enum { LANDLOCK_VERSION_FLAG = 1, RULE_PATH = 1, RULE_PORT = 2 };
struct landlock_rules {
  uint64_t files;
  uint64_t network;
  uint64_t scopes;
};
struct landlock_path {
  uint64_t rights;
  int32_t parent;
} __attribute__((packed));
struct landlock_port {
  uint64_t rights;
  uint64_t port;
};
_Static_assert(sizeof(struct landlock_rules) == 24, "as the kernel has it");
_Static_assert(sizeof(struct landlock_path) == 12, "as the kernel has it");
_Static_assert(sizeof(struct landlock_port) == 16, "as the kernel has it");

int ik_landlock_version(void) {
  return result_of(syscall(LANDLOCK_CREATE, NULL, 0, LANDLOCK_VERSION_FLAG));
}

int ik_landlock_rules(uint64_t files, uint64_t network, uint64_t scopes) {
  const struct landlock_rules rules = {files, network, scopes};
  // An older kernel takes a shorter structure, and a longer one when what it lacks is 0.
  return result_of(syscall(LANDLOCK_CREATE, &rules, sizeof rules, 0));
}

int ik_landlock_allow_path(int rules, const char *path, uint64_t rights) {
  const int parent = open(path, O_PATH | O_CLOEXEC);
  if (parent < 0) return -errno;
  const struct landlock_path rule = {rights, parent};
  const int status = result_of(syscall(LANDLOCK_ADD, rules, RULE_PATH, &rule, 0));
  (void)close(parent);
  return status;
}

int ik_landlock_allow_port(int rules, uint16_t port, uint64_t rights) {
  const struct landlock_port rule = {rights, port};
  return result_of(syscall(LANDLOCK_ADD, rules, RULE_PORT, &rule, 0));
}

int ik_landlock_enter(int rules) { return result_of(syscall(LANDLOCK_RESTRICT, rules, 0)); }

int ik_seccomp_mode(void) { return result_of(prctl(PR_GET_SECCOMP, 0, 0, 0, 0)); }
