#include "ik_area.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/mempolicy.h>
#include <linux/udmabuf.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// Newer than the distribution's headers.
enum { IK_MADV_COLLAPSE = 25 };       // 6.1
enum { IK_MFD_NOEXEC_SEAL = 0x0008 };  // 6.3

static int result_of(int status) { return status < 0 ? -errno : status; }

int ik_map(size_t bytes, size_t alignment, int protection, int huge_shift, int descriptor,
           struct ik_mapping *out) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  if (alignment < page) alignment = page;
  size_t total;
  if (__builtin_add_overflow(bytes, alignment + page + IK_TAIL_BYTES, &total)) return -ENOMEM;
  uint8_t *reserved =
      mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return -errno;
  uint8_t *at = (uint8_t *)(((uintptr_t)reserved + page + alignment - 1) & ~(alignment - 1));
  int flags = MAP_FIXED | MAP_SHARED;
  if (descriptor < 0) {
    flags = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS;
    if (huge_shift != 0) flags |= MAP_HUGETLB | (huge_shift << MAP_HUGE_SHIFT);
  }
  if (protection != PROT_NONE &&
      mmap(at, bytes, protection, flags, descriptor, 0) == MAP_FAILED) {
    const int error = errno;
    (void)munmap(reserved, total);
    return -error;
  }
  *out = (struct ik_mapping){at, bytes, reserved, total};
  return 0;
}

int ik_map_tail(const struct ik_mapping *mapping, size_t bytes) {
  if (bytes > IK_TAIL_BYTES) return -EINVAL;
  void *at = (uint8_t *)mapping->at + mapping->bytes;
  void *tail = mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1,
                    0);
  return tail == MAP_FAILED ? -errno : 0;
}

void ik_unmap(const struct ik_mapping *mapping) {
  (void)munmap(mapping->reserved, mapping->reserved_bytes);
}

// As many nodes as any kernel has (CONFIG_NODES_SHIFT is at most 10).
enum { NODES = 1024, NODE_BITS = 8 * sizeof(unsigned long) };
struct node_mask {
  unsigned long words[NODES / NODE_BITS];
};

static int only_node(int node, struct node_mask *mask) {
  if (node < 0 || node >= NODES - 1) return -EINVAL;
  *mask = (struct node_mask){{0}};
  mask->words[node / NODE_BITS] = 1UL << (node % NODE_BITS);
  return 0;
}

int ik_bind_memory(void *at, size_t bytes, int node) {
  struct node_mask mask;
  if (only_node(node, &mask) != 0) return -EINVAL;
  return result_of(
      (int)syscall(SYS_mbind, at, bytes, MPOL_BIND, mask.words, (unsigned long)NODES, 0));
}

void ik_keep_private(void *at, size_t bytes) {
  (void)madvise(at, bytes, MADV_DONTFORK);
  (void)madvise(at, bytes, MADV_DONTDUMP);
}

void ik_advise_huge(void *at, size_t bytes, int wanted) {
  (void)madvise(at, bytes, wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

void ik_collapse(void *at, size_t bytes) { (void)madvise(at, bytes, IK_MADV_COLLAPSE); }

int ik_populate(void *at, size_t bytes) {
  int status;
  do {
    status = madvise(at, bytes, MADV_POPULATE_WRITE);
  } while (status != 0 && errno == EINTR);
  return result_of(status);
}

static int sealed_memfd(const char *name, size_t bytes, unsigned flags, int seals) {
  // vm.memfd_noexec = 2 demands the seal; kernels before 6.3 do not know it.
  int memfd = memfd_create(name, flags | IK_MFD_NOEXEC_SEAL);
  if (memfd < 0 && errno == EINVAL) memfd = memfd_create(name, flags);
  if (memfd < 0) return -errno;
  if (ftruncate(memfd, (off_t)bytes) == 0 && fcntl(memfd, F_ADD_SEALS, seals) == 0) return memfd;
  const int error = errno;
  (void)close(memfd);
  return -error;
}

int ik_memfd(size_t bytes, int huge_shift) {
  unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  if (huge_shift != 0) flags |= MFD_HUGETLB | ((unsigned)huge_shift << MAP_HUGE_SHIFT);
  return sealed_memfd("ingest-area", bytes, flags, F_SEAL_SHRINK);
}

int ik_memfd_fixed(const char *name, size_t bytes) {
  return sealed_memfd(name, bytes, MFD_CLOEXEC | MFD_ALLOW_SEALING,
                      F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

int ik_memfd_empty(const char *name) {
  return sealed_memfd(name, 0, MFD_CLOEXEC | MFD_ALLOW_SEALING, 0);
}

int ik_memfd_finish(int memfd) {
  if (lseek(memfd, 0, SEEK_SET) < 0) return -errno;
  return result_of(fcntl(memfd, F_ADD_SEALS,
                         F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL));
}

int ik_memfd_share(int memfd) {
  if (fcntl(memfd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return -errno;
  }
  // Descriptors that are duplicates have one mode; another one takes another open.
  char path[64];
  (void)snprintf(path, sizeof path, "/proc/self/fd/%d", memfd);
  return result_of(open(path, O_RDONLY | O_CLOEXEC));
}

int ik_udmabuf(int device, int memfd, size_t bytes) {
  struct udmabuf_create create = {
      .memfd = (uint32_t)memfd, .flags = UDMABUF_FLAGS_CLOEXEC, .offset = 0, .size = bytes};
  return result_of(ioctl(device, UDMABUF_CREATE, &create));
}

int ik_heap_allocate(int heap, size_t bytes, int access, int node) {
  struct dma_heap_allocation_data request = {
      .len = bytes, .fd_flags = (uint32_t)(access | O_CLOEXEC)};
  // The heap's pages follow the policy of the thread that asks.
  int mode = MPOL_DEFAULT;
  struct node_mask before = {{0}};
  if (node >= 0) {
    struct node_mask mask;
    if (only_node(node, &mask) != 0) return -EINVAL;
    if (syscall(SYS_get_mempolicy, &mode, before.words, (unsigned long)NODES, NULL, 0) != 0 ||
        syscall(SYS_set_mempolicy, MPOL_BIND, mask.words, (unsigned long)NODES) != 0) {
      return -errno;
    }
  }
  const int status = result_of(ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &request));
  if (node >= 0) {
    (void)syscall(SYS_set_mempolicy, mode, mode == MPOL_DEFAULT ? NULL : before.words,
                  mode == MPOL_DEFAULT ? 0UL : (unsigned long)NODES);
  }
  return status < 0 ? status : (int)request.fd;
}

int ik_dmabuf_sync(int dmabuf, int begin) {
  struct dma_buf_sync sync = {
      .flags = DMA_BUF_SYNC_READ | (begin ? DMA_BUF_SYNC_START : DMA_BUF_SYNC_END)};
  int status;
  do {
    status = ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync);
  } while (status != 0 && (errno == EINTR || errno == EAGAIN));
  return result_of(status);
}

int ik_duplicate(int descriptor) { return result_of(fcntl(descriptor, F_DUPFD_CLOEXEC, 3)); }
