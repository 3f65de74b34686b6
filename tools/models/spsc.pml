// The queue between two threads (Sources/RingCore/SPSCRing.swift): both ends cache the other's
// position, elements are written before the tail that covers them, and read before the head that
// frees them. Stores of a thread become visible in order (x86-TSO), but late, each through a
// buffer of its own; acquire and release are then plain loads and stores.
//
// Checked: each element is read once and in order, and no slot is written while the reader may
// still read it. -DSWAPPED shows the tail before the element, which spin must catch.

#define SIZE 2
#ifndef COUNT
#define COUNT 5
#endif

byte slots[SIZE];
byte tail = 0, head = 0;

// The producer's store buffer: channels keep order. (0, slot, value) writes a slot, (1, 0, value)
// the tail.
chan stores = [4] of { bit, byte, byte };
// The consumer's: only its head.
chan heads = [2] of { byte };

active proctype producer_buffer() {
  byte place, value;
end:
  do
  :: atomic { stores ? 0, place, value -> slots[place] = value }
  :: atomic { stores ? 1, _, value -> tail = value }
  od
}

active proctype consumer_buffer() {
  byte value;
end:
  do
  :: atomic { heads ? value -> head = value }
  od
}

active proctype producer() {
  byte position = 0, seen = 0;
  do
  :: position < COUNT ->
     if
     :: position - seen == SIZE -> seen = head
     :: else ->
#ifdef SWAPPED
        stores ! 1, 0, position + 1;
        stores ! 0, position % SIZE, position + 1;
#else
        stores ! 0, position % SIZE, position + 1;
        stores ! 1, 0, position + 1;
#endif
        position++
     fi
  :: else -> break
  od
}

active proctype consumer() {
  byte position = 0, seen = 0;
  do
  :: position < COUNT ->
     if
     :: position == seen -> seen = tail
     :: else ->
        assert(slots[position % SIZE] == position + 1);
        position++;
        heads ! position
     fi
  :: else -> break
  od
}
