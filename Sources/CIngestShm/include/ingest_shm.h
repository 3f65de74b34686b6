// Records of another process, read where they were received: the format of
// `ingest --sink shm:PATH`.
//
// The producer (ingest) listens on a unix stream socket, mode 0600. A consumer connects and reads
// one struct ingest_shm_hello, with two descriptors beside it (SCM_RIGHTS):
//   1. the area, a memfd of area_bytes: what the network sent. It maps with PROT_READ alone.
//   2. the ring, a memfd of ring_bytes: this header, then records, then give-backs. Both map
//      MAP_SHARED from offset 0, the ring with PROT_READ | PROT_WRITE.
//
// The producer writes records: what happened to connections, where in the area their bytes lie,
// and a claim number after each received range. The consumer gives claims back, in any order;
// until it does, the bytes of a claim stay as they are. Claims not given back are memory that the
// producer lacks: when it has none left, TCP holds the senders back. So a give-back must not wait
// for records that come later: they may be waiting for it.
//
// A side that has nothing to do sets its `waits` word and sleeps in poll(2) on the socket; the
// other side sends a byte (any value) when it has seen that word. The socket's end is the other
// side's end: the producer has ended well where `ended` is set, else it died. There is no eventfd:
// whether a write to one waits is a flag of the file, which every holder of it can change.
//
// Each side keeps its own positions in memory of its own, and reads from the shared words only what
// the other side writes. The producer believes nothing that it reads there; a consumer that gives
// back what it does not have is disconnected. All numbers have the byte order of the machine.
//
// C11, C17, C++11 and later, with GCC or clang (the __atomic builtins). stdint.h is all it needs.
#ifndef INGEST_SHM_H
#define INGEST_SHM_H
#include <stdint.h>

#if defined(__clang__)
#pragma clang assume_nonnull begin
#define INGEST_SHM_NULLABLE _Nullable
#else
#define INGEST_SHM_NULLABLE
#endif

#ifdef __cplusplus
#define INGEST_SHM_ASSERT(condition, text) static_assert(condition, text)
extern "C" {
#else
#define INGEST_SHM_ASSERT(condition, text) _Static_assert(condition, text)
#endif

// "ingstshm", and the number of this format. A consumer refuses other ones.
#define INGEST_SHM_MAGIC 0x6d68737473676e69ull
#define INGEST_SHM_VERSION 1u

struct ingest_shm_hello {
  uint64_t magic;
  uint32_t version;
  uint32_t hello_bytes;  // of this struct; descriptors: the area, then the ring
  uint64_t area_bytes;
  uint64_t ring_bytes;
};
INGEST_SHM_ASSERT(sizeof(struct ingest_shm_hello) == 32, "hello: 32 bytes");

// What a record tells.
enum {
  // A connection: serial, slot, peer, detail = address family | port << 16.
  INGEST_SHM_OPENED = 1,
  // Bytes of one record of a connection, in the order of its stream: lead, payload and trail follow
  // each other from offset on. The bytes stay until the claim of the next INGEST_SHM_CLAIM of the
  // same ring is given back.
  INGEST_SHM_PIECE = 2,
  // No more of this connection will come; detail = one of the ends below.
  INGEST_SHM_CLOSED = 3,
  // The pieces since the last one of these lie under `claim`, which is owed back once.
  INGEST_SHM_CLAIM = 4,
};

// Flags of a piece; a stream without records has neither. A piece without bytes may end a record.
enum {
  INGEST_SHM_FIRST = 1,    // starts a record
  INGEST_SHM_LAST = 2,     // ends one
  INGEST_SHM_RESUMED = 4,  // of INGEST_SHM_OPENED: earlier bytes went to another consumer
};

// How a connection ended: by its peer, by an error, refused here, stopped here.
enum {
  INGEST_SHM_FINISHED = 0,
  INGEST_SHM_FAILED = 1,
  INGEST_SHM_REFUSED = 2,
  INGEST_SHM_STOPPED = 3,
};

// One cache line.
struct ingest_shm_record {
  uint64_t serial;   // names one connection of the run, from 1
  uint64_t offset;   // of the piece, in bytes from the start of the area
  uint64_t claim;    // what to give back
  uint32_t slot;     // a small number for the connection, used again after its end
  uint32_t lead;     // bytes of framing before the payload
  uint32_t payload;  // bytes
  uint32_t trail;    // bytes of framing after it
  uint16_t kind;
  uint16_t flags;
  uint32_t detail;
  uint8_t peer[16];  // IPv4: the first 4 bytes
};
INGEST_SHM_ASSERT(sizeof(struct ingest_shm_record) == 64, "record: 64 bytes");

// The start of the ring's memory. Positions count from 0 modulo 2^32; the place of a position is
// its remainder by the number of places, a power of two. Words of different writers lie 128 bytes
// apart: neighbouring cache lines are fetched in pairs.
struct ingest_shm_header {
  // Constant once the consumer has the descriptor.
  uint64_t magic;
  uint32_t version;
  uint32_t header_bytes;  // of this struct
  uint64_t area_bytes;
  uint64_t ring_bytes;
  uint32_t record_bytes, record_count, records_at;  // size, number, offset of the first
  uint32_t return_bytes, return_count, returns_at;
  uint32_t thread;  // which receiving thread, from 0
  uint32_t pad_constants[17];
  // The producer's.
  uint32_t record_tail;  // records written
  uint32_t return_head;  // give-backs read
  uint32_t ended;        // 1: no record will follow
  uint32_t pad_producer[29];
  // The consumer's.
  uint32_t record_head;  // records read
  uint32_t return_tail;  // give-backs written
  uint32_t pad_consumer[30];
  // Set by the side that is about to sleep, cleared by the one that wakes it.
  uint32_t producer_waits;
  uint32_t pad_producer_waits[31];
  uint32_t consumer_waits;
  uint32_t pad_consumer_waits[31];
};
INGEST_SHM_ASSERT(sizeof(struct ingest_shm_header) == 640, "header: 640 bytes");

// Acquire: what the other side wrote before its release of this word is visible from here on.
static inline uint32_t ingest_shm_load(const uint32_t *word) {
  return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}
// Release: what this side wrote or read before is done when the other side sees the word.
static inline void ingest_shm_store(uint32_t *word, uint32_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
}
// One read of a word that may change at any time: what is checked is what is used.
static inline uint64_t ingest_shm_read64(const uint64_t *word) {
  return __atomic_load_n(word, __ATOMIC_RELAXED);
}
// Publishing and then reading the other side's `waits`, or setting the own one and then reading
// what was published: each side has a store before a load of another word, which release and
// acquire alone let pass each other. With this between them at least one side sees the other.
static inline void ingest_shm_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

// After publishing: whether the other side sleeps and is owed a byte. Clears its word, so that it
// is woken once.
static inline int ingest_shm_must_wake(uint32_t *waits) {
  ingest_shm_fence();
  if (__atomic_load_n(waits, __ATOMIC_RELAXED) == 0) return 0;
  return __atomic_exchange_n(waits, 0u, __ATOMIC_ACQ_REL) != 0;
}

// ---- The consumer's side. One thread at a time.

struct ingest_shm_consumer {
  struct ingest_shm_header *INGEST_SHM_NULLABLE header;
  const struct ingest_shm_record *INGEST_SHM_NULLABLE records;
  uint64_t *INGEST_SHM_NULLABLE returns;
  const uint8_t *INGEST_SHM_NULLABLE area;
  uint64_t area_bytes;
  uint32_t record_count, return_count;
  uint32_t read;      // records taken
  uint32_t seen;      // the producer's tail as last read
  uint32_t returned;  // claims given back
};

// Starts on a mapped ring. 0, or -1 where it is of another format or does not fit its size.
static inline int ingest_shm_open(struct ingest_shm_consumer *consumer, void *ring,
                                  uint64_t ring_bytes, const void *area, uint64_t area_bytes) {
  struct ingest_shm_header *header = (struct ingest_shm_header *)ring;
  if (ring_bytes < sizeof *header || header->magic != INGEST_SHM_MAGIC ||
      header->version != INGEST_SHM_VERSION || header->header_bytes != sizeof *header ||
      header->record_bytes != sizeof(struct ingest_shm_record) || header->return_bytes != 8 ||
      header->area_bytes != area_bytes || header->ring_bytes != ring_bytes) {
    return -1;
  }
  const uint64_t records = header->record_count, returns = header->return_count;
  if (records == 0 || (records & (records - 1)) != 0 || returns == 0 ||
      (returns & (returns - 1)) != 0 || header->records_at % 64 != 0 ||
      header->returns_at % 8 != 0 ||
      header->records_at + records * sizeof(struct ingest_shm_record) > ring_bytes ||
      header->returns_at + returns * 8 > ring_bytes) {
    return -1;
  }
  consumer->header = header;
  consumer->records =
      (const struct ingest_shm_record *)((const uint8_t *)ring + header->records_at);
  consumer->returns = (uint64_t *)((uint8_t *)ring + header->returns_at);
  consumer->area = (const uint8_t *)area;
  consumer->area_bytes = area_bytes;
  consumer->record_count = header->record_count;
  consumer->return_count = header->return_count;
  consumer->read = consumer->seen = ingest_shm_load(&header->record_head);
  consumer->returned = ingest_shm_load(&header->return_tail);
  return 0;
}

// Records that can be taken without waiting.
static inline uint32_t ingest_shm_ready(struct ingest_shm_consumer *consumer) {
  consumer->seen = ingest_shm_load(&consumer->header->record_tail);
  return consumer->seen - consumer->read;
}

// Takes the next record; 0 when there is none now. Its place is the producer's again with the next
// ingest_shm_publish.
static inline int ingest_shm_next(struct ingest_shm_consumer *consumer,
                                  struct ingest_shm_record *record) {
  if (consumer->read == consumer->seen && ingest_shm_ready(consumer) == 0) return 0;
  *record = consumer->records[consumer->read & (consumer->record_count - 1)];
  consumer->read++;
  return 1;
}

// The bytes of a piece (lead + payload + trail of them); null where it names any outside the area.
static inline const uint8_t *INGEST_SHM_NULLABLE
ingest_shm_bytes(const struct ingest_shm_consumer *consumer,
                 const struct ingest_shm_record *record) {
  const uint64_t bytes = (uint64_t)record->lead + record->payload + record->trail;
  if (record->offset > consumer->area_bytes || bytes > consumer->area_bytes - record->offset) {
    return (const uint8_t *INGEST_SHM_NULLABLE)0;
  }
  return consumer->area + record->offset;
}

// Gives a claim back, visible with the next ingest_shm_publish. There is room for every claim that
// can be out.
static inline void ingest_shm_give_back(struct ingest_shm_consumer *consumer, uint64_t claim) {
  consumer->returns[consumer->returned & (consumer->return_count - 1)] = claim;
  consumer->returned++;
}

// Makes what was read and given back visible. 1: send the producer a byte, it sleeps.
static inline int ingest_shm_publish(struct ingest_shm_consumer *consumer) {
  ingest_shm_store(&consumer->header->record_head, consumer->read);
  ingest_shm_store(&consumer->header->return_tail, consumer->returned);
  return ingest_shm_must_wake(&consumer->header->producer_waits);
}

// Before sleeping in poll(2) on the socket, after ingest_shm_publish. 0: do not sleep, there are
// records, or the end.
static inline int ingest_shm_may_sleep(struct ingest_shm_consumer *consumer) {
  ingest_shm_store(&consumer->header->consumer_waits, 1);
  ingest_shm_fence();
  if (ingest_shm_load(&consumer->header->record_tail) == consumer->read &&
      ingest_shm_load(&consumer->header->ended) == 0) {
    return 1;
  }
  ingest_shm_store(&consumer->header->consumer_waits, 0);
  return 0;
}

// Whether every record was taken and none will follow.
static inline int ingest_shm_ended(struct ingest_shm_consumer *consumer) {
  // In this order: the last records were published before the end was.
  return ingest_shm_load(&consumer->header->ended) != 0 &&
         ingest_shm_load(&consumer->header->record_tail) == consumer->read;
}

#ifdef __cplusplus
}
#endif
#if defined(__clang__)
#pragma clang assume_nonnull end
#endif
#endif
