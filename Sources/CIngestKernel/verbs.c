#include "ik_verbs.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

// The library's objects stay opaque, so its header is not needed either.
struct verbs {
  void **(*list)(int *count);
  void (*free_list)(void **list);
  const char *(*name)(void *device);
  void *(*open)(void *device);
  int (*close)(void *context);
  void *(*allocate)(void *context);
  int (*deallocate)(void *domain);
  void *(*take)(void *domain, uint64_t offset, size_t length, uint64_t iova, int fd, int access);
  int (*drop)(void *region);
};

enum { LOCAL_WRITE = 1 };  // IBV_ACCESS_LOCAL_WRITE

static int load(struct verbs *verbs) {
  // Not unloaded: the drivers that it loads in turn are not made for that.
  void *library = dlopen("libibverbs.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) return -ELIBACC;
  const struct { const char *name; void *at; } symbols[] = {
      {"ibv_get_device_list", &verbs->list}, {"ibv_free_device_list", &verbs->free_list},
      {"ibv_get_device_name", &verbs->name}, {"ibv_open_device", &verbs->open},
      {"ibv_close_device", &verbs->close},   {"ibv_alloc_pd", &verbs->allocate},
      {"ibv_dealloc_pd", &verbs->deallocate}, {"ibv_reg_dmabuf_mr", &verbs->take},
      {"ibv_dereg_mr", &verbs->drop},
  };
  for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
    void *symbol = dlsym(library, symbols[i].name);
    if (!symbol) return -ENOSYS;
    memcpy(symbols[i].at, &symbol, sizeof symbol);
  }
  return 0;
}

// The library sets errno, but not in every driver.
static int failure(void) { return errno ? -errno : -EIO; }

static int take(const struct verbs *verbs, void *device, int dmabuf, size_t bytes) {
  errno = 0;
  void *context = verbs->open(device);
  if (!context) return failure();
  int result = 0;
  void *domain = verbs->allocate(context);
  if (domain) {
    void *region = verbs->take(domain, 0, bytes, 0, dmabuf, LOCAL_WRITE);
    if (region)
      verbs->drop(region);
    else
      result = failure();
    verbs->deallocate(domain);
  } else {
    result = failure();
  }
  verbs->close(context);
  return result;
}

int ik_verbs_take_dmabuf(const char *device, int dmabuf, size_t bytes) {
  struct verbs verbs;
  int result = load(&verbs);
  if (result) return result;
  int count = 0;
  errno = 0;
  void **list = verbs.list(&count);
  if (!list) return failure();
  result = -ENODEV;
  for (int i = 0; i < count; i++) {
    const char *name = verbs.name(list[i]);
    if (!name || strcmp(name, device) != 0) continue;
    result = take(&verbs, list[i], dmabuf, bytes);
    break;
  }
  verbs.free_list(list);
  return result;
}
