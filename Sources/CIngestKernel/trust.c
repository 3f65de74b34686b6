#include "ik_trust.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

int ik_is_own_group(uint32_t group) {
  if (group != getegid()) return 0;
  char of_group[16384], of_user[16384];
  struct group entry, *found = NULL;
  if (getgrgid_r(group, &entry, of_group, sizeof of_group, &found) != 0) return 0;
  if (!found) return group == geteuid();
  struct passwd user, *owner = NULL;
  if (getpwuid_r(geteuid(), &user, of_user, sizeof of_user, &owner) != 0 || !owner) return 0;
  if (strcmp(found->gr_name, owner->pw_name) != 0) return 0;
  for (char **member = found->gr_mem; *member; member++) {
    if (strcmp(*member, owner->pw_name) != 0) return 0;
  }
  return 1;
}

int ik_has_access_list(const char *path) {
  return getxattr(path, "system.posix_acl_access", NULL, 0) > 0;
}
