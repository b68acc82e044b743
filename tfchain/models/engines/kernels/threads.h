/* Phases of work that the calling thread and its helpers do together. */

#ifndef TFCHAIN_THREADS_H
#define TFCHAIN_THREADS_H

#include <stdint.h>

#define MOST_HELPERS 15

/* One unit of a phase, done by thread 0, the calling one, or by a helper, 1 to MOST_HELPERS. */
typedef void (*Work)(void *arguments, int64_t unit, int thread);

/* Gives this call the helpers, so many as are wanted at least, if no other call has them. Returns how many threads may
   work on it: 1, it works alone; else `return_helpers` must follow. A helper that was late for the call before may work
   on this one, whatever was wanted here, so that all that there are count. */
int get_helpers(int wanted);
void return_helpers(void);

/* Does all units of a phase. `threads` is what `get_helpers` has returned. */
void run_phase(int threads, int64_t units, Work work, void *arguments);

#endif
