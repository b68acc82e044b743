/* Phases of work, shared between the calling thread and its helpers. */

#ifndef TFCHAIN_THREADS_H
#define TFCHAIN_THREADS_H

#include <stdint.h>

#define MOST_HELPERS 15

/* Does a unit of a phase in thread 0, the calling thread, or in a helper, 1 to MOST_HELPERS. */
typedef void (*Work)(void *arguments, int64_t unit, int thread);

/* Gives this call the helpers, at least `wanted`, if no other call has them. Returns the number of threads that may
   work on it: if it is 1, there are no helpers; otherwise `return_helpers` must follow. All existing helpers count,
   because a helper that was late for the previous call may work on this one even if fewer are wanted. */
int get_helpers(int wanted);
void return_helpers(void);

/* Does all units of a phase. `threads` is the result of `get_helpers`. */
void run_phase(int threads, int64_t units, Work work, void *arguments);

#endif
