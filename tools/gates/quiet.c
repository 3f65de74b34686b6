// Counts what the data path must not do: allocations and reference counting, on every thread but
// the main one. Preloaded (LD_PRELOAD); at the end of the process the counts go to the file named
// by QUIET_COUNTS, as "allocations frees retains releases".
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_ulong allocations, frees, retains, releases;

// 0: not asked yet. The main thread's number is the process's.
static _Thread_local int worker __attribute__((tls_model("initial-exec")));

static int counts(void) {
  if (worker == 0) worker = syscall(SYS_gettid) == getpid() ? -1 : 1;
  return worker > 0;
}

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static void allocated(void) {
  if (counts()) atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
}

void *malloc(size_t size) {
  allocated();
  return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
  allocated();
  return __libc_calloc(count, size);
}
void *realloc(void *memory, size_t size) {
  allocated();
  return __libc_realloc(memory, size);
}
int posix_memalign(void **memory, size_t alignment, size_t size) {
  allocated();
  *memory = __libc_memalign(alignment, size);
  return *memory ? 0 : 12;
}
void *aligned_alloc(size_t alignment, size_t size) {
  allocated();
  return __libc_memalign(alignment, size);
}
void free(void *memory) {
  if (memory && counts()) atomic_fetch_add_explicit(&frees, 1, memory_order_relaxed);
  __libc_free(memory);
}

// libswiftCore's own, whatever calling convention it keeps registers by: the object goes through.
#define PASS(name, counter)                                                                \
  void *name(void *object) {                                                               \
    static void *(*real)(void *);                                                          \
    if (!real) real = (void *(*)(void *))dlsym(RTLD_NEXT, #name);                          \
    if (counts()) atomic_fetch_add_explicit(&counter, 1, memory_order_relaxed);            \
    return real(object);                                                                   \
  }
PASS(swift_retain, retains)
PASS(swift_release, releases)
PASS(swift_bridgeObjectRetain, retains)
PASS(swift_bridgeObjectRelease, releases)

__attribute__((destructor)) static void tell(void) {
  const char *path = getenv("QUIET_COUNTS");
  int file = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;
  if (file < 0) return;
  dprintf(file, "%lu %lu %lu %lu\n", allocations, frees, retains, releases);
  close(file);
}
