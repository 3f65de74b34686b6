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

// A connection, behind its user word: what it carries, and the start of a record whose rest is in
// the next piece. Connections share buffers, so that a piece can end anywhere.
struct connection {
  enum { UNKNOWN, STAMPS, OTHER } kind;
  uint32_t kept;
  unsigned char start[STAMP_SIZE];
};

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
  *user = calloc(1, sizeof(struct connection));
  return *user ? 0 : 1;
}

static void closed(void *instance, const ingest_stage_end *end) {
  (void)instance;
  free(end->user);
}

static void add(struct stage *stage, const void *bytes, uint64_t now, uint64_t began) {
  struct stamp record;
  memcpy(&record, bytes, sizeof record);
  ages_add(&stage->arrival, now - record.sent);
  ages_add(&stage->batch, now - began);
}

// Looks at the records that a piece ends; one in two pieces is as old as its last byte.
static void look(struct stage *stage, struct connection *from, const ingest_stage_piece *piece,
                 uint64_t began) {
  const unsigned char *bytes = piece->payload;
  uint64_t now = stamp_now(), at = 0;
  if (from->kept) {
    uint64_t rest = STAMP_SIZE - from->kept;
    at = piece->length < rest ? piece->length : rest;
    memcpy(from->start + from->kept, bytes, at);
    from->kept += (uint32_t)at;
    if (from->kept < STAMP_SIZE) return;
    add(stage, from->start, now, began);
  }
  for (; at + STAMP_SIZE <= piece->length; at += STAMP_SIZE) add(stage, bytes + at, now, began);
  from->kept = (uint32_t)(piece->length - at);
  memcpy(from->start, bytes + at, from->kept);
}

// By the bytes that the first piece has of a stamp's first word, one at least.
static int starts_as_stamps(const ingest_stage_piece *piece) {
  const uint64_t magic = STAMP_MAGIC;
  return memcmp(piece->payload, &magic, piece->length < 8 ? piece->length : 8) == 0;
}

static void take(void *instance, const ingest_stage_batch *batch) {
  for (uint32_t index = 0; index < batch->count; index++) {
    const ingest_stage_piece *piece = ingest_stage_piece_at(batch, index);
    struct connection *from = piece->user;
    if (from->kind == UNKNOWN && piece->length)
      from->kind = starts_as_stamps(piece) ? STAMPS : OTHER;
    if (from->kind == STAMPS) look(instance, from, piece, batch->now);
    if (from->kind == OTHER) ingest_stage_answer_at(batch, index)->kind = INGEST_STAGE_DROP;
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
