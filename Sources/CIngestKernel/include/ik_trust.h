// Who may write a file, beyond what its mode says.
#pragma once

#include <stdint.h>

#pragma clang assume_nonnull begin

// Whether a group is this user's own: the process's group, called like its user, with nobody else
// in it; where the system has no name for it, of the same number.
int ik_is_own_group(uint32_t group);

// Whether more than owner, group and others have rights to a file (setfacl(1)): the rights of the
// group are then the most that any of them has.
int ik_has_access_list(const char *path);

#pragma clang assume_nonnull end
