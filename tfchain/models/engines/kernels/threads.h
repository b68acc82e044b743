/* Calls that take turns on the cores, and phases of work, shared between a call's own thread and its helpers. */

#ifndef TFCHAIN_THREADS_H
#define TFCHAIN_THREADS_H

#include <stdint.h>

#define MOST_HELPERS 15

/* Does a unit of a phase in thread 0, the calling thread, or in a helper, 1 to MOST_HELPERS. */
typedef void (*Work)(void *arguments, int64_t unit, int thread);

/* Waits until fewer calls than the process has cores are computing, first come, first served: more would take the
   cores from each other, and from the threads that have an answer to send. Returns how many threads this call may have
   of the `wanted`: all if it is the only one, now and a moment ago, else its share. `leave` must follow. */
int enter(int wanted);
void leave(void);

/* Gives this call the helpers, at least `wanted`, if no other call has them. Returns the number of threads that may
   work on it: if it is 1, there are no helpers; otherwise `return_helpers` must follow. All existing helpers count,
   because a helper that was late for the previous call may work on this one even if fewer are wanted. */
int get_helpers(int wanted);
void return_helpers(void);

/* Does all units of a phase. `threads` is the result of `get_helpers`. */
void run_phase(int threads, int64_t units, Work work, void *arguments);

#endif
