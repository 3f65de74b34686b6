// The memory behind areas and send pools: mappings between guard pages, NUMA binding, memfds and
// dmabufs. Every call returns 0 (or a descriptor) or a negative errno.
#pragma once
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

// What ik_map made. The usable bytes lie inside a reservation that nothing may touch.
struct ik_mapping {
  void *_Nullable at;
  size_t bytes;
  void *_Nullable reserved;
  size_t reserved_bytes;
};

// Maps bytes (a multiple of the page size) at an address that is a multiple of alignment, a power
// of two, with at least one inaccessible page on either side.
//   protection  PROT_ flags; PROT_NONE reserves addresses and maps nothing
//   huge_shift  anonymous memory in hugetlb pages of 1 << huge_shift bytes; 0: ordinary pages
//   descriptor  what to map, shared; -1: private anonymous memory
int ik_map(size_t bytes, size_t alignment, int protection, int huge_shift, int descriptor,
           struct ik_mapping *out);
// Maps ordinary memory right behind what ik_map mapped, at most IK_TAIL_BYTES (a multiple of the
// page size); it goes with the mapping.
enum { IK_TAIL_BYTES = 2 << 20 };
int ik_map_tail(const struct ik_mapping *mapping, size_t bytes);
void ik_unmap(const struct ik_mapping *mapping);

// Pages that are not faulted in yet come from this NUMA node only (mbind, MPOL_BIND).
int ik_bind_memory(void *at, size_t bytes, int node);

// Keeps a range out of forked children and of core dumps; best effort.
void ik_keep_private(void *at, size_t bytes);
// Asks for transparent huge pages, or for none; best effort, kernels without them answer EINVAL.
void ik_advise_huge(void *at, size_t bytes, int wanted);
// Makes huge pages of what is on base pages, now (MADV_COLLAPSE, 6.1); best effort.
void ik_collapse(void *at, size_t bytes);
// Faults every page in for writing (MADV_POPULATE_WRITE, 5.14): want of memory is an error here,
// a signal with the first touch later.
int ik_populate(void *at, size_t bytes);

// A memfd of bytes that cannot shrink any more, in hugetlb pages where huge_shift is not 0.
int ik_memfd(size_t bytes, int huge_shift);
// No mapping made from now on can write the memfd, and its size stays. Returns a descriptor of it
// that is open for reading only, to hand to another process. Mappings that are there may write on.
int ik_memfd_share(int memfd);
// A memfd of bytes whose size stays, for another process to write to.
int ik_memfd_fixed(const char *name, size_t bytes);
// An empty memfd to write to, and its end: from then on nobody can change it. Its offset is 0 then.
int ik_memfd_empty(const char *name);
int ik_memfd_finish(int memfd);
// The dmabuf of the first bytes of a memfd; device is /dev/udmabuf.
int ik_udmabuf(int device, int memfd, size_t bytes);
// A dmabuf of bytes from an open DMA heap. access is O_RDWR, O_RDONLY or O_WRONLY; a node of -1
// takes memory wherever it is.
int ik_heap_allocate(int heap, size_t bytes, int access, int node);
// Begins (or ends) reading a dmabuf with the CPU. ENOTTY: the descriptor is no dmabuf.
int ik_dmabuf_sync(int dmabuf, int begin);
// A second descriptor, close-on-exec, of the same file.
int ik_duplicate(int descriptor);

#pragma clang assume_nonnull end
