// A stage of your own for `ingest`, as a shared object: `ingest --stage ./libmine.so?key=value`.
//
// It stands between checksum and sink, sees the pieces of every record where they were received,
// and says what becomes of each record. One header, C11 or C++17, no library to link with:
//
//     cc -shared -fPIC -O2 -I Sources/CIngestStage/include mine.c -o libmine.so
//
// The shared object exports one symbol, ingest_stage_entry; all else goes through the table that it
// returns. tools/samples/plugins has stages in C, Swift and Python.
//
// Threads: each receiving thread (--place: each thread of the sink) makes an instance of its own
// and calls it from that thread only, never two calls at a time. Two instances are called at the
// same time, so what is static needs care. `sentence` alone may be called from any thread.
//
// Memory: what a call is given is valid until that call returns, unless the comment says more.
// Payload lies wherever the bytes arrived: it has no alignment, must not be written, and is
// overwritten once the call is over. Copy what must last.
//
// Growth: every struct begins with its size as its maker knew it. Look at a member only if the size
// covers it (INGEST_STAGE_HAS); arrays are walked in steps of the size that came along, which
// ingest_stage_piece_at and ingest_stage_answer_at do. INGEST_STAGE_VERSION changes only when
// something that was there gets another meaning.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define INGEST_STAGE_VERSION 1u
#define INGEST_STAGE_SYMBOL "ingest_stage_entry"

// Whether a struct that came from the other side has this member.
#define INGEST_STAGE_HAS(pointer, type, member) \
  ((pointer)->size >= offsetof(type, member) + sizeof((pointer)->member))

// What a stage may know of where it runs. Valid until `destroy` has returned.
typedef struct ingest_stage_host {
  uint32_t size;
  uint32_t version;          // INGEST_STAGE_VERSION of the host
  uint32_t thread;           // the receiving thread that this instance is for, from 0
  uint32_t threads;          // how many there are
  uint32_t max_connections;  // most connections open at a time
  uint32_t max_pieces;       // most pieces of one `take`
} ingest_stage_host;

typedef struct ingest_stage_connection {
  uint32_t size;
  uint32_t family;      // AF_INET, AF_INET6, or 0 where the peer has no address
  uint64_t connection;  // names the connection for as long as the host runs
  uint8_t address[16];  // of the peer, in network order; the first 4 bytes with AF_INET
  uint32_t port;        // of the peer
} ingest_stage_connection;

// How a connection ended.
enum {
  INGEST_STAGE_FINISHED = 0,  // the peer finished (FIN)
  INGEST_STAGE_FAILED = 1,    // the connection broke
  INGEST_STAGE_REFUSED = 2,   // a stage, the parser or the sink refused it
  INGEST_STAGE_STOPPED = 3    // the run was stopped
};

typedef struct ingest_stage_end {
  uint32_t size;
  uint32_t reason;
  uint64_t connection;
  void *user;  // as `open` set it; free what is behind it
  // 1: the record at hand is complete because the stream is (a last line without a newline). No
  // piece of it had INGEST_STAGE_LAST.
  uint32_t record_ended;
} ingest_stage_end;

enum {
  INGEST_STAGE_FIRST = 1,  // the piece starts a record
  INGEST_STAGE_LAST = 2    // the piece ends one; a record in one piece has both
};

// A run of bytes of one record. A record that spans receives comes in several pieces, in order,
// in one batch or in several. With --parse raw there are no records: no flag is ever set.
typedef struct ingest_stage_piece {
  uint32_t size;
  uint32_t flags;
  uint64_t connection;
  void *user;           // as `open` set it
  const void *payload;  // NULL unless the table has INGEST_STAGE_READS_PAYLOAD
  uint64_t length;      // of the payload, in bytes; may be 0
  uint32_t lead;        // bytes of framing before the payload, and after it; not shown
  uint32_t trail;
} ingest_stage_piece;

// What becomes of a piece. What stands there before is INGEST_STAGE_PASS.
enum {
  INGEST_STAGE_PASS = 0,
  // The record goes no further. Only the answer to its first piece counts; without records (raw)
  // each piece is decided on its own.
  INGEST_STAGE_DROP = 1,
  // The record is told of as a fault with `code`, which makes the run a failed one, and goes on.
  INGEST_STAGE_FLAWED = 2,
  // The connection is ended with a fault with `code`; no other connection is touched. This piece
  // and later ones of the connection go no further. Later ones may still be in the same batch:
  // their answers are not heard.
  INGEST_STAGE_REFUSE = 3
};

typedef struct ingest_stage_answer {
  uint32_t size;
  uint32_t kind;
  uint64_t code;  // what `sentence` explains
} ingest_stage_answer;

// Pieces of many connections; those of one connection in the order of its stream.
typedef struct ingest_stage_batch {
  uint32_t size;
  uint32_t count;
  uint32_t piece_size;   // bytes from one piece to the next
  uint32_t answer_size;  // and from one answer to the next
  const ingest_stage_piece *pieces;
  ingest_stage_answer *answers;  // one for each piece, to be written
  uint64_t now;                  // CLOCK_MONOTONIC in nanoseconds, read once for the batch
} ingest_stage_batch;

// The stage looks at payload. Without it `payload` is NULL and areas that the CPU cannot read
// (device memory) are allowed.
#define INGEST_STAGE_READS_PAYLOAD 1u

// The stage's side. Valid, and the same, for as long as the process runs: the shared object is
// never unloaded. Members marked (optional) may be NULL.
typedef struct ingest_stage_table {
  uint32_t size;     // sizeof(ingest_stage_table)
  uint32_t version;  // INGEST_STAGE_VERSION that it was built with
  uint32_t flags;
  uint32_t reserved;  // 0
  const char *name;   // names the stage in faults: a word of at most 63 bytes

  // Makes an instance. `options` is what follows the `?` of --stage, "key=value,key=value", checked
  // for that form, "" where there is nothing; ingest_stage_option takes it apart. Returns 0, or
  // anything else after writing a sentence (at most error_size bytes with its NUL) that says what
  // is wrong and what to do: the run does not start.
  int (*create)(const ingest_stage_host *host, const char *options, void **instance, char *error,
                size_t error_size);

  // (optional) A connection was accepted. What is written to *user (NULL before) comes along with
  // its pieces. Returns 0, or a code other than 0 to refuse the connection; `close` comes anyway.
  uint64_t (*open)(void *instance, const ingest_stage_connection *connection, void **user);
  // (optional) The connection has ended; every piece of it was taken.
  void (*close)(void *instance, const ingest_stage_end *end);

  // Pieces, each of which wants an answer. On the way of every record: whatever waits here (a lock,
  // a file, the network) holds the receiving thread, and TCP the senders. A child that is forked
  // here has neither the payload's memory nor the run's ring and sockets.
  void (*take)(void *instance, const ingest_stage_batch *batch);

  // (optional) A wake-up of the thread is over, after its `take` calls; also where there were none.
  void (*flush)(void *instance);

  // (optional) What a code means, as a sentence without a full stop and without the stage's name;
  // at most `size` bytes with its NUL. Called from any thread, at any time, with codes that
  // `take` and `open` gave.
  void (*sentence)(uint64_t code, char *text, size_t size);

  // (optional) What went wrong in the stage itself, as a sentence that tells what to do; called
  // once, before `destroy`. Returns 1 where there is something, which makes the run a failed one.
  int (*failure)(void *instance, char *text, size_t size);

  // The end of an instance; every connection was closed before, unless the run was forced to end.
  void (*destroy)(void *instance);
} ingest_stage_table;

// The one symbol that the shared object exports. `host_version` is the host's
// INGEST_STAGE_VERSION, for shared objects that serve several; NULL: none that fits.
#if defined(__cplusplus) || defined(__GNUC__)
__attribute__((visibility("default")))
#endif
const ingest_stage_table *ingest_stage_entry(uint32_t host_version);
typedef const ingest_stage_table *(*ingest_stage_entry_function)(uint32_t host_version);

static inline const ingest_stage_piece *ingest_stage_piece_at(const ingest_stage_batch *batch,
                                                              uint32_t index) {
  return (const ingest_stage_piece *)(const void *)((const char *)batch->pieces +
                                                    (size_t)index * batch->piece_size);
}

static inline ingest_stage_answer *ingest_stage_answer_at(const ingest_stage_batch *batch,
                                                          uint32_t index) {
  return (ingest_stage_answer *)(void *)((char *)batch->answers +
                                         (size_t)index * batch->answer_size);
}

// The value of an option: copies it with a NUL and returns its length, which may be more than fits
// (it is cut then); -1 where it is not given. `key` alone is an empty value.
static inline ptrdiff_t ingest_stage_option(const char *options, const char *key, char *value,
                                            size_t size) {
  const size_t key_length = strlen(key);
  while (*options != '\0') {
    const size_t length = strcspn(options, ",");
    const size_t name = strcspn(options, "=,");
    if (name == key_length && strncmp(options, key, name) == 0) {
      const char *start = options + name + (name < length ? 1 : 0);
      const size_t found = (size_t)(options + length - start);
      if (size > 0) {
        const size_t kept = found < size ? found : size - 1;
        memcpy(value, start, kept);
        value[kept] = '\0';
      }
      return (ptrdiff_t)found;
    }
    options += length;
    if (*options == ',') options += 1;
  }
  return -1;
}

#ifdef __cplusplus
}
#endif
