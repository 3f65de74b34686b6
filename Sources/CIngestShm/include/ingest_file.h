// Finished connections as files in memory: the messages of `ingest --sink unix:PATH,mode=fd`.
//
// The reader listens on a unix socket of type SOCK_SEQPACKET; each receiving thread connects once.
// When a connection ends, one message comes: this struct, and beside it (SCM_RIGHTS) a memfd that
// holds the connection's bytes. It is sealed (F_SEAL_WRITE, GROW, SHRINK): neither side can change
// it any more, so it may be mapped and trusted. The reader closes it; its memory goes with the last
// descriptor and mapping. The socket's end is the end of the thread.
//
// stdint.h is all it needs.
#ifndef INGEST_FILE_H
#define INGEST_FILE_H
#include <stdint.h>

// "ingstfil", and the number of this format.
#define INGEST_FILE_MAGIC 0x6c69667473676e69ull
#define INGEST_FILE_VERSION 1u

// How a connection ended: by its peer, by an error, refused here, stopped here.
enum {
  INGEST_FILE_FINISHED = 0,
  INGEST_FILE_FAILED = 1,
  INGEST_FILE_REFUSED = 2,
  INGEST_FILE_STOPPED = 3,
};

struct ingest_file_message {
  uint64_t magic;
  uint32_t version;
  uint32_t end;
  uint64_t serial;   // names one connection of the run, from 1
  uint64_t length;   // bytes in the file
  uint64_t records;  // that ended in it
};

#endif
