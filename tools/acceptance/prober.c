// A stage that tries what it must not be able to do once data flow, and writes what came of it: a
// line for each try, with its name and the errno, 0 where it succeeded.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ingest_stage.h"

struct prober {
  FILE *report;
  struct io_uring ring;  // made while that is allowed, as code that bides its time would
  int socket;
  struct sockaddr_in address;
  char other[256];
  int is_gentle;  // where tries may succeed, those that would end or stop a process are left out
};

static void tell(struct prober *probe, const char *name, long result) {
  fprintf(probe->report, "%s %d\n", name, result < 0 ? errno : 0);
}

// What no filter of system calls sees.
static void tell_request(struct prober *probe, const char *name) {
  struct io_uring_cqe *completion;
  int result = io_uring_submit_and_wait(&probe->ring, 1);
  if (result >= 0 && io_uring_peek_cqe(&probe->ring, &completion) == 0) {
    result = completion->res;
    io_uring_cqe_seen(&probe->ring, completion);
  }
  fprintf(probe->report, "%s %d\n", name, result < 0 ? -result : 0);
}

static void try_ring(struct prober *probe) {
  io_uring_prep_openat(io_uring_get_sqe(&probe->ring), AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
  tell_request(probe, "ring-openat");
  io_uring_prep_openat(io_uring_get_sqe(&probe->ring), AT_FDCWD, "/tmp/ingest-prober",
                       O_WRONLY | O_CREAT, 0600);
  tell_request(probe, "ring-create");
  io_uring_prep_connect(io_uring_get_sqe(&probe->ring), probe->socket,
                        (struct sockaddr *)&probe->address, sizeof probe->address);
  tell_request(probe, "ring-connect");
  // That a ring as such works is what makes the others worth something.
  io_uring_prep_nop(io_uring_get_sqe(&probe->ring));
  tell_request(probe, "allowed-ring-nop");
}

static void try_all(struct prober *probe) {
  char *const words[] = {"/bin/true", NULL};
  struct io_uring ring;
  tell(probe, "open", open("/etc/passwd", O_RDONLY));
  tell(probe, "create", open("/tmp/ingest-prober", O_WRONLY | O_CREAT, 0600));
  tell(probe, "socket", socket(AF_INET, SOCK_DGRAM, 0));
  tell(probe, "connect",
       connect(probe->socket, (struct sockaddr *)&probe->address, sizeof probe->address));
  errno = EACCES;
  tell(probe, "dlopen", dlopen(probe->other, RTLD_NOW) ? 0 : -1);
  void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  tell(probe, "mprotect-exec", mprotect(page, 4096, PROT_READ | PROT_EXEC));
  const pid_t child = fork();
  if (child == 0) _exit(0);
  tell(probe, "fork", child);
  errno = -io_uring_queue_init(8, &ring, 0);
  tell(probe, "io_uring_setup", errno ? -1 : 0);
  tell(probe, "setuid", setuid(0) == 0 && geteuid() == 0 ? 0 : (errno = EPERM, -1));
  tell(probe, "kill", kill(getppid(), 0));
  if (!probe->is_gentle) tell(probe, "ptrace", ptrace(PTRACE_ATTACH, getppid(), 0, 0));
  if (!probe->is_gentle) tell(probe, "execve", execve(words[0], words, NULL));
  try_ring(probe);
  fflush(probe->report);
}

static int create(const ingest_stage_host *host, const char *options, void **instance, char *error,
                  size_t error_size) {
  (void)host;
  char path[256], port[16];
  struct prober *probe = calloc(1, sizeof *probe);
  if (ingest_stage_option(options, "report", path, sizeof path) < 0 ||
      ingest_stage_option(options, "port", port, sizeof port) < 0 ||
      ingest_stage_option(options, "other", probe->other, sizeof probe->other) < 0)
    return snprintf(error, error_size, "report=, port= and other= are needed");
  probe->is_gentle = ingest_stage_option(options, "gentle", NULL, 0) >= 0;
  probe->report = fopen(path, "w");
  if (!probe->report) return snprintf(error, error_size, "cannot write %s", path);
  if (io_uring_queue_init(8, &probe->ring, 0) != 0) return snprintf(error, error_size, "no ring");
  probe->socket = socket(AF_INET, SOCK_STREAM, 0);
  probe->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  probe->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  *instance = probe;
  return 0;
}

static void take(void *instance, const ingest_stage_batch *batch) {
  for (uint32_t index = 0; index < batch->count; index += 1) {
    const ingest_stage_piece *piece = ingest_stage_piece_at(batch, index);
    if (piece->length >= 5 && memcmp(piece->payload, "PROBE", 5) == 0) try_all(instance);
  }
}

static void destroy(void *instance) { fclose(((struct prober *)instance)->report); }

const ingest_stage_table *ingest_stage_entry(uint32_t host) {
  (void)host;
  static const ingest_stage_table table = {
      .size = sizeof(ingest_stage_table), .version = INGEST_STAGE_VERSION, .name = "prober",
      .flags = INGEST_STAGE_READS_PAYLOAD, .create = create, .take = take, .destroy = destroy};
  return &table;
}
