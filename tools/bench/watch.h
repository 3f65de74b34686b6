// What a sender notes at the two ends of its window: bytes, the clock, and what the machine's CPUs
// and the receiver used so far.
#pragma once
#include "bench.h"

#include <dirent.h>

enum { WATCHED_CPUS = 64 };

// Nanoseconds since some start, and bytes.
struct moment {
  uint64_t at, bytes, idle[WATCHED_CPUS], stolen, receiver, sender;
  int cpus;
};

// Idle and iowait of each CPU: the kernel keeps these two exactly, user and system it samples.
static inline void read_machine(struct moment *m) {
  FILE *stat = fopen("/proc/stat", "r");
  if (!stat) die("/proc/stat");
  uint64_t tick = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
  char line[512];
  while (fgets(line, sizeof line, stat)) {
    unsigned cpu;
    unsigned long long word[8];
    if (sscanf(line, "cpu%u %llu %llu %llu %llu %llu %llu %llu %llu", &cpu, &word[0], &word[1],
               &word[2], &word[3], &word[4], &word[5], &word[6], &word[7]) != 9 ||
        cpu >= WATCHED_CPUS)
      continue;
    m->idle[cpu] = (word[3] + word[4]) * tick;
    m->stolen += word[7] * tick;
    if ((int)cpu >= m->cpus) m->cpus = (int)cpu + 1;
  }
  fclose(stat);
}

// CPU time of all threads of a process; 0 where it is gone.
static inline uint64_t read_process(const char *pid) {
  char path[300];
  uint64_t sum = 0;
  snprintf(path, sizeof path, "/proc/%s/task", pid);
  DIR *tasks = opendir(path);
  if (!tasks) return 0;
  for (struct dirent *task; (task = readdir(tasks));) {
    unsigned long long ran;
    snprintf(path, sizeof path, "/proc/%s/task/%.20s/schedstat", pid, task->d_name);
    FILE *file = task->d_name[0] == '.' ? NULL : fopen(path, "r");
    if (!file) continue;
    if (fscanf(file, "%llu", &ran) == 1) sum += ran;
    fclose(file);
  }
  closedir(tasks);
  return sum;
}

static inline struct moment look(uint64_t bytes, const char *receiver) {
  struct moment m = {.at = now_ns(), .bytes = bytes};
  read_machine(&m);
  m.receiver = receiver ? read_process(receiver) : 0;
  m.sender = read_process("self");
  return m;
}

// As an object: bytes, and seconds of everything else.
static inline void print_window(const struct moment *from, const struct moment *to) {
  double wall = (double)(to->at - from->at) / 1e9;
  printf("{\"bytes\":%llu,\"seconds\":%.6f,\"stolen\":%.3f,\"receiver\":%.6f,\"sender\":%.6f,"
         "\"busy\":[",
         (unsigned long long)(to->bytes - from->bytes), wall,
         (double)(to->stolen - from->stolen) / 1e9, (double)(to->receiver - from->receiver) / 1e9,
         (double)(to->sender - from->sender) / 1e9);
  for (int cpu = 0; cpu < to->cpus; cpu++) {
    double busy = wall - (double)(to->idle[cpu] - from->idle[cpu]) / 1e9;
    printf("%s%.3f", cpu ? "," : "", busy > 0 ? busy : 0);
  }
  printf("]}");
}
