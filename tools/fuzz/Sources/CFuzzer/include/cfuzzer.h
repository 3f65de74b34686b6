// What libFuzzer and the C library have no Swift names for.
#ifndef CFUZZER_H
#define CFUZZER_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

typedef int (*cfuzzer_input)(const uint8_t *data, size_t size);

// Runs libFuzzer with these arguments; its exit code, where it returns.
int cfuzzer_run(int argc, char *_Nullable *_Nonnull argv, cfuzzer_input input);

// Bytes of the heap that are allocated.
size_t cfuzzer_allocated(void);

// Bounds the address space: an allocation beyond it fails.
int cfuzzer_limit(size_t bytes);

#pragma clang assume_nonnull end

#endif
