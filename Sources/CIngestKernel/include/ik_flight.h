// The memory of a flight recorder: a file's pages, written out whole, by a crash as well.
#pragma once
#include <stdint.h>

#pragma clang assume_nonnull begin

// What of the file's shape (ZeroCopy, FlightFormat) is needed here.
#define IK_FLIGHT_TRACKS_AT 20    // u32: how many tracks
#define IK_FLIGHT_TABLE_AT 64     // for each track: u64 offset, u64 cells
#define IK_FLIGHT_WRITTEN_AT 8    // in a track: u64, events written
#define IK_FLIGHT_AFTER_AT 16     // in a track: u64, the same after its cells were copied

// Maps `bytes` of a new file at `path`, which replaces a regular file of that name, or of memory
// (memfd) without one. Its room is taken at once: a full disk is an error now, not a signal later.
// Returns a descriptor, or a negative errno (EEXIST: something there that is no regular file).
int ik_flight_map(const char *_Nullable path, uint64_t bytes,
                  void *_Nullable *_Nonnull out);
void ik_flight_unmap(void *at, uint64_t bytes);

// Writes the memory to a file while others go on writing into it. Calls nothing that a signal
// handler may not. Returns 0 or a negative errno.
int ik_flight_write(const void *at, uint64_t bytes, const char *path);

// From now on a crash of this process (a failed invariant, a bad address, abort) writes the memory
// to `path` first, or leaves that to the kernel where the memory is a file's (`is_file`), and says
// `message` on standard error. The signal then does what it did before. One recorder a process;
// a null pointer ends it. What `message` and `path` have no room for (1023 bytes) is cut off.
void ik_flight_on_crash(const void *_Nullable at, uint64_t bytes, const char *path, int is_file,
                        const char *message);

#pragma clang assume_nonnull end
