// A stage that looks at time-stamped records where they were received: how old they are, and how
// long ago the batch of completions that brought them began. Connections that do not start with a
// stamp go no further, so that a sink behind it sees stamps alone.
//
//     ingest --parse raw --stage './stamp-stage.so?to=FILE' …
#include "ingest_stage.h"
#include "stamps.h"

#include <stdlib.h>

struct stage {
  struct ages arrival;  // from the sender's clock to the verdict
  struct ages batch;    // from the batch's completions to the verdict
  FILE *to;
};

// What a connection is, in its user word.
enum { UNKNOWN, STAMPS, OTHER };

static int create(const ingest_stage_host *host, const char *options, void **instance, char *error,
                  size_t error_size) {
  (void)host;
  char path[512];
  struct stage *made = calloc(1, sizeof *made);
  ptrdiff_t length = ingest_stage_option(options, "to", path, sizeof path);
  if (!made || length <= 0 || length >= (ptrdiff_t)sizeof path || !(made->to = fopen(path, "w"))) {
    snprintf(error, error_size, "give a file that can be written with to=FILE");
    free(made);
    return 1;
  }
  *instance = made;
  return 0;
}

static uint64_t opened(void *instance, const ingest_stage_connection *connection, void **user) {
  (void)instance, (void)connection;
  *user = calloc(1, sizeof(int));
  return *user ? 0 : 1;
}

static void closed(void *instance, const ingest_stage_end *end) {
  (void)instance;
  free(end->user);
}

// A record that lies in two pieces is not looked at: pieces end where buffers do, in whole records.
static void look(struct stage *stage, const ingest_stage_piece *piece, uint64_t began) {
  const unsigned char *bytes = piece->payload;
  uint64_t now = stamp_now();
  for (uint64_t at = 0; at + STAMP_SIZE <= piece->length; at += STAMP_SIZE) {
    struct stamp record;
    memcpy(&record, bytes + at, sizeof record);
    if (record.magic != STAMP_MAGIC) return;
    ages_add(&stage->arrival, now - record.sent);
    ages_add(&stage->batch, now - began);
  }
}

static void take(void *instance, const ingest_stage_batch *batch) {
  for (uint32_t index = 0; index < batch->count; index++) {
    const ingest_stage_piece *piece = ingest_stage_piece_at(batch, index);
    int *kind = piece->user;
    if (*kind == UNKNOWN && piece->length >= STAMP_SIZE) {
      uint64_t magic;
      memcpy(&magic, piece->payload, sizeof magic);
      *kind = magic == STAMP_MAGIC ? STAMPS : OTHER;
    }
    if (*kind == STAMPS) look(instance, piece, batch->now);
    if (*kind != STAMPS) ingest_stage_answer_at(batch, index)->kind = INGEST_STAGE_DROP;
  }
}

static void destroy(void *instance) {
  struct stage *stage = instance;
  fprintf(stage->to, "{\"arrival\":");
  ages_print(stage->to, &stage->arrival);
  fprintf(stage->to, ",\"batch\":");
  ages_print(stage->to, &stage->batch);
  fprintf(stage->to, "}\n");
  fclose(stage->to);
  free(stage);
}

const ingest_stage_table *ingest_stage_entry(uint32_t host_version) {
  static const ingest_stage_table table = {
      .size = sizeof table,
      .version = INGEST_STAGE_VERSION,
      .flags = INGEST_STAGE_READS_PAYLOAD,
      .name = "stamp",
      .create = create,
      .open = opened,
      .close = closed,
      .take = take,
      .destroy = destroy,
  };
  return host_version == INGEST_STAGE_VERSION ? &table : NULL;
}
