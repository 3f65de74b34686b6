// Hooks for checks on the finished binary and for failures that must be seen.
#pragma once
#include <stdint.h>

#pragma clang assume_nonnull begin

// Called by the deinit of a lease that nobody returned. tools/gates/drop lists the functions of
// the release binary that can reach it: only the lease types' own may. Counts the drop, and ends
// the process when ik_lease_drop_is_fatal(1) was called (tests do).
void ik_lease_dropped(uint64_t offset, uint32_t length);
uint64_t ik_lease_drops(void);
void ik_lease_drop_is_fatal(int fatal);

#pragma clang assume_nonnull end
