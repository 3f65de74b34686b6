// Shared objects, loaded while the process runs.
#pragma once

#pragma clang assume_nonnull begin

// Whether this executable was linked without a dynamic loader, which dlopen needs.
int ik_is_static(void);

// Has the kernel end this process with SIGKILL when the thread that started it ends, until ids are
// changed, and has it ignore what asks for a polite end. 0, or -ESRCH where `parent` is gone.
int ik_end_with_parent(int parent);

// fork(2), which Swift does not import: 0 in the child, which has one thread, this one; its number
// in the parent, or -errno.
int ik_fork(void);

#pragma clang assume_nonnull end
