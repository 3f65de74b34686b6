// Reads what `ingest --sink shm:SOCKET` receives, without a copy of its own.
//
//   cc -O2 -I ../../../Sources/CIngestShm/include consumer.c -o consumer
//   consumer SOCKET [DIRECTORY]
//
// Prints records, bytes and CRC-32C of each connection when it ends; with a DIRECTORY writes its
// bytes to a file there, named by the connection's number. Exit status 0: the receiver has ended.
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ingest_shm.h"

enum { SLOTS = 4096 };
static struct stream { uint64_t records, bytes; uint32_t crc; int file; } streams[SLOTS];
static uint32_t crc_table[256];

static void *map(int memfd, uint64_t bytes, int protection) {
  struct stat found;
  if (fstat(memfd, &found) != 0 || (uint64_t)found.st_size < bytes) errx(1, "too little memory");
  void *at = mmap(NULL, (size_t)found.st_size, protection, MAP_SHARED, memfd, 0);
  if (at == MAP_FAILED) err(1, "mmap");
  return at;
}

// Connects, takes the descriptors and maps what they name.
static int join_receiver(const char *path, struct ingest_shm_consumer *consumer) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) errx(2, "%s is too long", path);
  strcpy(address.sun_path, path);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) err(1, "%s", path);

  struct ingest_shm_hello hello;
  union { char bytes[CMSG_SPACE(2 * sizeof(int))]; struct cmsghdr aligned; } control;
  struct iovec vector = {&hello, sizeof hello};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes,
                           .msg_controllen = sizeof control.bytes};
  if (recvmsg(fd, &message, MSG_WAITALL | MSG_CMSG_CLOEXEC) != (ssize_t)sizeof hello) {
    errx(1, "the receiver went away");
  }
  const struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
  if (hello.magic != INGEST_SHM_MAGIC || hello.version != INGEST_SHM_VERSION || !rights ||
      rights->cmsg_type != SCM_RIGHTS || rights->cmsg_len != CMSG_LEN(2 * sizeof(int))) {
    errx(1, "the receiver speaks another version of the format");
  }
  int memfds[2];
  memcpy(memfds, CMSG_DATA(rights), sizeof memfds);
  const void *area = map(memfds[0], hello.area_bytes, PROT_READ);
  void *ring = map(memfds[1], hello.ring_bytes, PROT_READ | PROT_WRITE);
  if (ingest_shm_open(consumer, ring, hello.ring_bytes, area, hello.area_bytes) != 0) {
    errx(1, "the receiver's ring is none that this program knows");
  }
  return fd;
}

static void take(struct ingest_shm_consumer *consumer, const struct ingest_shm_record *record,
                 const char *directory) {
  if (record->slot >= SLOTS) errx(1, "more than %d connections", SLOTS);
  struct stream *stream = &streams[record->slot];
  if (record->kind == INGEST_SHM_OPENED) {
    *stream = (struct stream){.crc = UINT32_MAX, .file = -1};
    if (!directory) return;
    char name[4096];
    (void)snprintf(name, sizeof name, "%s/%" PRIu64, directory, record->serial);
    stream->file = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (stream->file < 0) err(1, "%s", name);
  } else if (record->kind == INGEST_SHM_PIECE) {
    const uint8_t *bytes = ingest_shm_bytes(consumer, record);
    if (!bytes) errx(1, "a record outside the area");
    const uint64_t count = (uint64_t)record->lead + record->payload + record->trail;
    uint32_t crc = stream->crc;
    for (uint64_t at = 0; at < count; at++) crc = crc_table[(crc ^ bytes[at]) & 255] ^ crc >> 8;
    stream->crc = crc;
    if (stream->file >= 0 && write(stream->file, bytes, count) != (ssize_t)count) err(1, "write");
    stream->bytes += count;
    stream->records += (record->flags & INGEST_SHM_LAST) != 0;
  } else if (record->kind == INGEST_SHM_CLAIM) {
    ingest_shm_give_back(consumer, record->claim);
  } else if (record->kind == INGEST_SHM_CLOSED) {
    if (stream->file >= 0) (void)close(stream->file);
    printf("connection %" PRIu64 ": %" PRIu64 " records, %" PRIu64 " bytes, crc32c %08x\n",
           record->serial, stream->records, stream->bytes, ~stream->crc);
  }
}

// Lets the receiver see what was read and given back; wakes it where it sleeps.
static void tell(int fd, struct ingest_shm_consumer *consumer) {
  if (ingest_shm_publish(consumer)) (void)send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int main(int count, char **arguments) {
  if (count < 2 || count > 3) errx(2, "usage: consumer SOCKET [DIRECTORY]");
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t word = byte;
    for (int bit = 0; bit < 8; bit++) word = word >> 1 ^ (word & 1 ? 0x82f63b78u : 0);
    crc_table[byte] = word;
  }
  struct ingest_shm_consumer consumer;
  const int fd = join_receiver(arguments[1], &consumer);
  struct ingest_shm_record record;
  for (int is_gone = 0; !ingest_shm_ended(&consumer);) {
    for (uint32_t taken = 1; ingest_shm_next(&consumer, &record); taken++) {
      take(&consumer, &record, count > 2 ? arguments[2] : NULL);
      if (taken % 64 == 0) tell(fd, &consumer);
    }
    tell(fd, &consumer);
    if (!ingest_shm_may_sleep(&consumer)) continue;
    // The receiver's death is the end of its socket without `ended` in the ring.
    if (is_gone) errx(1, "the receiver went away");
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    (void)poll(&wait, 1, -1);
    char bytes[64];
    is_gone = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) == 0;
  }
  return fflush(stdout) == 0 ? 0 : 1;
}
