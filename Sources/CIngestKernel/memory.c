#include "ik_memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int ik_map_anonymous(size_t bytes, enum ik_pages pages, void **out) {
  void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return -errno;
  // Advice is best effort: a kernel without transparent huge pages answers EINVAL.
  (void)madvise(at, bytes, pages == IK_PAGES_THP ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  (void)madvise(at, bytes, MADV_DONTFORK);
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  for (size_t i = 0; i < bytes; i += page) ((volatile char *)at)[i] = 0;
  *out = at;
  return 0;
}

void ik_unmap(void *address, size_t bytes) { (void)munmap(address, bytes); }
