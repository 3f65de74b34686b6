// Descriptors that must not live on in a child which a stage forks in this process. Close-on-exec
// is not enough: a child that goes on without exec would keep the NIC's queue bound, the port
// taken, and each connection open whose end its peer waits for.
#pragma once
#pragma clang assume_nonnull begin

// Has a child that is forked from now on close the descriptor. Descriptors of 2^20 and above are
// left out. Any thread; async-signal-safe but for the first call.
void ik_own(int descriptor);
// Forgets it; before somebody else closes it, because its number may be another's right after.
void ik_disown(int descriptor);
// Forgets it and closes it.
void ik_close_owned(int descriptor);

#pragma clang assume_nonnull end
