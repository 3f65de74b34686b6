// A stage for `ingest` in C: counts the words of each record, lets go of records with a prefix, and
// tells of records with more words than allowed.
//
//     cc -std=c11 -O2 -shared -fPIC -I Sources/CIngestStage/include words.c -o libwords.so
//     ingest --parse lines --stage './libwords.so?drop=DEBUG,most=100,counts=/tmp/words' …
//
// drop=PREFIX   records that start so go no further; the prefix must lie in their first piece
// most=N        records with more words are told of
// counts=FILE   where "connection records words" is written when a connection ends
#include "ingest_stage.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
  char drop[64];
  size_t drop_length;
  uint64_t most;
  FILE *counts;
} words;

// What is remembered of a connection: records come in pieces, and words may lie in two.
typedef struct {
  uint64_t records;
  uint64_t words;
  uint64_t in_record;
  int inside_word;
  int is_dropped;
} counter;

static int create(const ingest_stage_host *host, const char *options, void **instance, char *error,
                  size_t error_size) {
  (void)host;
  char number[32], path[256], *end = number;
  words *made = calloc(1, sizeof *made);
  if (made == NULL) return snprintf(error, error_size, "no memory"), 1;
  const ptrdiff_t length = ingest_stage_option(options, "drop", made->drop, sizeof made->drop);
  if (length > 0 && (size_t)length < sizeof made->drop) made->drop_length = (size_t)length;
  if (ingest_stage_option(options, "most", number, sizeof number) >= 0) {
    made->most = strtoull(number, &end, 10);
    if (end == number || *end != '\0' || made->most == 0) {
      free(made);
      return snprintf(error, error_size, "most=%s is no number of words: give 1 or more", number);
    }
  }
  if (ingest_stage_option(options, "counts", path, sizeof path) >= 0) {
    made->counts = fopen(path, "a");
    if (made->counts == NULL) {
      free(made);
      return snprintf(error, error_size, "cannot write counts=%s: give another file", path);
    }
  }
  *instance = made;
  return 0;
}

static uint64_t open_connection(void *instance, const ingest_stage_connection *connection,
                                void **user) {
  (void)instance;
  (void)connection;
  *user = calloc(1, sizeof(counter));
  return *user == NULL ? 1 : 0;
}

static void close_connection(void *instance, const ingest_stage_end *end) {
  const words *stage = instance;
  counter *at = end->user;
  if (at == NULL) return;
  if (end->record_ended) at->records += 1;
  if (stage->counts != NULL) {
    fprintf(stage->counts, "%llu %llu %llu\n", (unsigned long long)end->connection,
            (unsigned long long)at->records, (unsigned long long)at->words);
  }
  free(at);
}

static void count(counter *at, const unsigned char *bytes, uint64_t length) {
  for (uint64_t index = 0; index < length; index += 1) {
    const int is_space = bytes[index] <= ' ';
    if (!is_space && !at->inside_word) {
      at->words += 1;
      at->in_record += 1;
    }
    at->inside_word = !is_space;
  }
}

static void take(void *instance, const ingest_stage_batch *batch) {
  const words *stage = instance;
  for (uint32_t index = 0; index < batch->count; index += 1) {
    const ingest_stage_piece *piece = ingest_stage_piece_at(batch, index);
    ingest_stage_answer *answer = ingest_stage_answer_at(batch, index);
    counter *at = piece->user;
    if (piece->flags & INGEST_STAGE_FIRST) {
      at->in_record = 0;
      at->inside_word = 0;
      at->is_dropped = stage->drop_length > 0 && piece->length >= stage->drop_length &&
                       memcmp(piece->payload, stage->drop, stage->drop_length) == 0;
      if (at->is_dropped) answer->kind = INGEST_STAGE_DROP;
    }
    count(at, piece->payload, piece->length);
    if (piece->flags & INGEST_STAGE_LAST) {
      at->records += 1;
      if (stage->most != 0 && at->in_record > stage->most && !at->is_dropped) {
        answer->kind = INGEST_STAGE_FLAWED;
        answer->code = at->in_record;
      }
    }
  }
}

static void sentence(uint64_t code, char *text, size_t size) {
  if (code == 1) {
    snprintf(text, size, "no memory for another connection");
  } else {
    snprintf(text, size, "a record of %llu words, more than most= allows",
             (unsigned long long)code);
  }
}

static int failure(void *instance, char *text, size_t size) {
  words *stage = instance;
  if (stage->counts == NULL || (fflush(stage->counts) == 0 && !ferror(stage->counts))) return 0;
  snprintf(text, size, "counts= could not be written: is the disk full (`df -h`)?");
  return 1;
}

static void destroy(void *instance) {
  words *stage = instance;
  if (stage->counts != NULL) fclose(stage->counts);
  free(stage);
}

const ingest_stage_table *ingest_stage_entry(uint32_t host_version) {
  (void)host_version;
  static const ingest_stage_table table = {
      .size = sizeof(ingest_stage_table),
      .version = INGEST_STAGE_VERSION,
      .flags = INGEST_STAGE_READS_PAYLOAD,
      .name = "words",
      .create = create,
      .open = open_connection,
      .close = close_connection,
      .take = take,
      .sentence = sentence,
      .failure = failure,
      .destroy = destroy,
  };
  return &table;
}
