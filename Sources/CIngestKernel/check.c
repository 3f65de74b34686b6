#include "ik_check.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t drops;
static int drop_is_fatal;

void ik_lease_dropped(uint64_t offset, uint32_t length) {
  __atomic_add_fetch(&drops, 1, __ATOMIC_RELAXED);
  if (!__atomic_load_n(&drop_is_fatal, __ATOMIC_RELAXED)) return;
  fprintf(stderr, "lease dropped without being returned: offset %llu, %u bytes\n",
          (unsigned long long)offset, length);
  abort();
}

uint64_t ik_lease_drops(void) { return __atomic_load_n(&drops, __ATOMIC_RELAXED); }

void ik_lease_drop_is_fatal(int fatal) {
  __atomic_store_n(&drop_is_fatal, fatal, __ATOMIC_RELAXED);
}
