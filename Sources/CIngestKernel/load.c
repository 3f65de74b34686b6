#include "ik_load.h"

#include <errno.h>
#include <link.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>

// The first object is the executable itself; one that needs a loader names it (PT_INTERP).
static int look(struct dl_phdr_info *info, size_t size, void *found) {
  (void)size;
  for (int index = 0; index < info->dlpi_phnum; index += 1) {
    if (info->dlpi_phdr[index].p_type == PT_INTERP) *(int *)found = 1;
  }
  return 1;
}

int ik_is_static(void) {
  int has_loader = 0;
  (void)dl_iterate_phdr(look, &has_loader);
  return !has_loader;
}

int ik_end_with_parent(int parent) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return -errno;
  (void)signal(SIGINT, SIG_IGN);
  (void)signal(SIGTERM, SIG_IGN);
  (void)signal(SIGHUP, SIG_IGN);
  // It may have ended before it was asked for.
  return getppid() == parent ? 0 : -ESRCH;
}

int ik_fork(void) {
  const pid_t child = fork();
  return child < 0 ? -errno : (int)child;
}
