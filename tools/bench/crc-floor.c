// What ISA-L's CRC32C costs by itself over memory like ours: buffers of an area in the order in
// which a last-in first-out pool or a ring hands them out, or at random.
#include "bench.h"

#include <isa-l.h>

int main(int argc, char **argv) {
  size_t area = 8 << 20, block = 64 << 10;
  uint64_t total = 4ull << 30;
  int cpu = -1, random_order = 0, huge = 0;
  for (int option; (option = getopt(argc, argv, "W:b:n:c:rh")) != -1;) {
    switch (option) {
      case 'W': area = size_of(optarg); break;
      case 'b': block = size_of(optarg); break;
      case 'n': total = size_of(optarg); break;
      case 'c': cpu = atoi(optarg); break;
      case 'r': random_order = 1; break;
      case 'h': huge = 1; break;
      default:
        fprintf(stderr, "usage: crc-floor [-W AREA] [-b BLOCK] [-n BYTES] [-r (random order)] "
                        "[-h (huge pages)] [-c CPU]\n");
        return 2;
    }
  }
  if (block == 0 || area < block) {
    fprintf(stderr, "crc-floor: the area holds no block\n");
    return 2;
  }
  pin(cpu);
  unsigned char *memory = map_memory(area, huge);
  size_t blocks = area / block;
  uint32_t *order = malloc(blocks * sizeof *order);
  if (!order) die("malloc");
  for (size_t i = 0; i < blocks; i++) order[i] = (uint32_t)i;
  uint64_t seed = 1;
  for (size_t i = blocks - 1; random_order && i > 0; i--) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    size_t j = (size_t)(seed >> 33) % (i + 1);
    uint32_t swap = order[i];
    order[i] = order[j];
    order[j] = swap;
  }

  uint32_t crc = 0xffffffffu;
  uint64_t bytes = 0;
  struct usage from = usage_now();
  for (size_t i = 0; bytes < total; i = i + 1 == blocks ? 0 : i + 1) {
    crc = crc32_iscsi(memory + (size_t)order[i] * block, (int)block, crc);
    bytes += block;
  }
  struct usage to = usage_now();
  double seconds = (double)(to.wall_ns - from.wall_ns) / 1e9;
  result("crc-floor", bytes, from, to, ",\"seconds_per_gb\":%.6f,\"crc32c\":\"%08x\"",
         seconds / ((double)bytes / 1e9), ~crc);
  return 0;
}
