// The doorbell between two threads of a spread chain (Sources/Stages/Spread/Doorbell.swift) on a
// machine whose stores wait in a buffer before others see them (x86-TSO; Owens, Sarkar, Sewell,
// "A Better x86 Memory Model", 2009). Loads may overtake a thread's own earlier stores to other
// words; a full fence empties the buffer first.
//
// The giver leaves ITEMS items, one after the other, and rings after each. The sleeper takes what
// is there, says that it will sleep, looks once more, and sleeps until its eventfd is written.
//
// Checked: no deadlock, which a lost wake-up would be, and every item is taken. Without the fences
// (-DNOFENCE) spin must find the lost wake-up: a model that cannot fail proves nothing.

#ifndef ITEMS
#define ITEMS 3
#endif

// Shared memory, and what each thread has stored but not shown. A buffer of one store for a word
// is enough here: each thread stores to one word of the protocol at a time before it fences.
byte tail = 0;    // items left by the giver
bit asleep = 0;   // said by the sleeper
byte eventfd = 0; // a system call orders everything

byte giver_tail = 0;     // as the giver has stored it
bit giver_pending = 0;
bit sleeper_asleep = 0;  // as the sleeper has stored it
bit sleeper_pending = 0;

bool done = false;

#ifdef NOFENCE
#define fence_giver skip
#define fence_sleeper skip
#else
#define fence_giver (!giver_pending)
#define fence_sleeper (!sleeper_pending)
#endif

// The memory system shows stores at any time.
active proctype giver_buffer() {
end:
  do
  :: atomic { giver_pending -> tail = giver_tail; giver_pending = 0 }
  od
}

active proctype sleeper_buffer() {
end:
  do
  :: atomic { sleeper_pending -> asleep = sleeper_asleep; sleeper_pending = 0 }
  od
}

active proctype giver() {
  byte left = 0;
  bit was;
  do
  :: left < ITEMS ->
     left++;
     // A later store waits for the earlier one: buffers are first in, first out.
     atomic { !giver_pending -> giver_tail = left; giver_pending = 1 }
     fence_giver;
     if
     :: asleep ->
        // An exchange is locked: it empties the buffer and is atomic.
        atomic { !giver_pending -> was = asleep; asleep = 0 };
        if
        :: was -> eventfd = 1
        :: else
        fi
     :: else
     fi
  :: else -> break
  od
}

active proctype sleeper() {
  byte taken = 0;
  do
  :: taken < ITEMS ->
     if
     :: taken < tail -> taken++
     :: else ->
        atomic { !sleeper_pending -> sleeper_asleep = 1; sleeper_pending = 1 }
        fence_sleeper;
        if
        :: taken < tail ->
           atomic { !sleeper_pending -> sleeper_asleep = 0; sleeper_pending = 1 }
        :: else ->
           // Sleeps here: if nobody writes, for ever.
           eventfd == 1;
           eventfd = 0;
           atomic { !sleeper_pending -> sleeper_asleep = 0; sleeper_pending = 1 }
        fi
     fi
  :: else -> break
  od;
  done = true
}

ltl all_is_taken { <> done }
