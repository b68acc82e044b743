/* A call draws a ticket, and computes when all but a few of the calls before it have left; so the next call begins
   without the program's own locks, such as Python's.

   Helpers take the units of a phase one by one, like the calling thread, so that a helper that starts late, or not at
   all, delays nothing. Between two calls helpers spin for a moment, and then sleep. */

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__)

#define _GNU_SOURCE
#include "threads.h"

#include <immintrin.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MOST_UNITS 0xfffff
#define MOST_CALLS 0x7fffffff
#define WAIT_NANOSECONDS 100000000 /* the time after which a waiting call looks again, whatever the others do */
#define LATELY_NANOSECONDS 20000000
#define SPIN_NANOSECONDS 200000 /* the time for which a helper waits for the next call before it sleeps */

/* The ticket holds the number of the phase (24 bits), its units (20) and the next unit to take (20). A thread takes a
   unit by incrementing the last. A phase ends only when all its units are done, so that a thread with a unit can safely
   read `work` and `arguments`. */
static struct {
    pthread_mutex_t busy; /* locked by the call that has the helpers */
    _Atomic uint64_t ticket;
    _Atomic uint32_t finished;
    _Atomic uint32_t waiting; /* sleeping helpers */
    _Atomic uint32_t wake;
    _Atomic uint32_t most; /* helpers that may work on the current call */
    Work work;
    void *arguments;
    int helpers;
} pool = {.busy = PTHREAD_MUTEX_INITIALIZER};

static struct {
    _Atomic uint32_t tickets, left; /* calls that came, and that are done */
    _Atomic uint32_t most;          /* calls that compute at a time; 0 before the first */
    _Atomic int32_t lately;         /* the most calls that computed or waited at a time within the last moment */
    _Atomic int64_t lately_since;
} gate;

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int take_unit(int64_t *unit) {
    uint64_t ticket = atomic_load_explicit(&pool.ticket, memory_order_acquire);
    while ((ticket & MOST_UNITS) < (ticket >> 20 & MOST_UNITS)) {
        if (atomic_compare_exchange_weak_explicit(&pool.ticket, &ticket, ticket + 1, memory_order_acq_rel,
                                                  memory_order_acquire)) {
            *unit = (int64_t)(ticket & MOST_UNITS);
            return 1;
        }
    }
    return 0;
}

static void *help(void *number) {
    uint32_t self = (uint32_t)(uintptr_t)number;
    int64_t idle_since = nanoseconds();
    for (uint32_t turn = 0;; turn++) {
        int64_t unit;
        if (self < atomic_load_explicit(&pool.most, memory_order_acquire) && take_unit(&unit)) {
            do {
                pool.work(pool.arguments, unit, (int)self + 1);
                atomic_fetch_add_explicit(&pool.finished, 1, memory_order_release);
            } while (take_unit(&unit));
            turn = 0;
            idle_since = nanoseconds();
            continue;
        }
        _mm_pause();
        if (turn % 64 == 63 && nanoseconds() - idle_since > SPIN_NANOSECONDS) {
            uint32_t wake = atomic_load(&pool.wake);
            atomic_fetch_add(&pool.waiting, 1);
            if (self >= atomic_load(&pool.most))
                syscall(SYS_futex, &pool.wake, FUTEX_WAIT_PRIVATE, wake, NULL, NULL, 0);
            atomic_fetch_sub(&pool.waiting, 1);
            idle_since = nanoseconds();
        }
    }
    return NULL;
}

static void forget_threads(void) { /* a forked process has no helpers and no running call */
    atomic_store(&gate.tickets, 0);
    atomic_store(&gate.left, 0);
    atomic_store(&gate.lately, 0);
    pool.helpers = 0;
    atomic_store(&pool.ticket, 0);
    atomic_store(&pool.waiting, 0);
    atomic_store(&pool.most, 0);
    pthread_mutex_init(&pool.busy, NULL);
}

static void prepare(void) {
    pthread_atfork(NULL, NULL, forget_threads);
    cpu_set_t cores;
    const int count = sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 0;
    atomic_store(&gate.most, count < 1 ? 1 : (uint32_t)count);
}

int enter(int wanted) {
    static pthread_once_t prepared = PTHREAD_ONCE_INIT;
    pthread_once(&prepared, prepare);
    const uint32_t ticket = atomic_fetch_add(&gate.tickets, 1), most = atomic_load(&gate.most);
    for (;;) {
        const uint32_t left = atomic_load(&gate.left);
        if ((int32_t)(ticket - left) < (int32_t)most) break; /* `left` may be past a ticket that was slow to wake */
        int64_t until = nanoseconds() + WAIT_NANOSECONDS;
        const struct timespec end = {until / 1000000000, until % 1000000000};
        syscall(SYS_futex, &gate.left, FUTEX_WAIT_BITSET_PRIVATE, left, &end, NULL, 1u << ticket % 32);
    }
    /* A server's clients are seldom all here: between two calls their threads read and write. */
    const int32_t calls = (int32_t)(atomic_load(&gate.tickets) - atomic_load(&gate.left));
    const int64_t now = nanoseconds();
    if (calls >= atomic_load(&gate.lately) || now - atomic_load(&gate.lately_since) > LATELY_NANOSECONDS) {
        atomic_store(&gate.lately, calls);
        atomic_store(&gate.lately_since, now);
    }
    const int32_t lately = atomic_load(&gate.lately);
    return lately < 2 ? wanted : wanted / lately;
}

void leave(void) {
    const uint32_t next = atomic_fetch_add(&gate.left, 1) + atomic_load(&gate.most); /* the ticket that is let in */
    if ((int32_t)(atomic_load(&gate.tickets) - next) > 0)
        syscall(SYS_futex, &gate.left, FUTEX_WAKE_BITSET_PRIVATE, MOST_CALLS, NULL, NULL, 1u << next % 32);
}

int get_helpers(int wanted) {
    if (wanted < 1 || pthread_mutex_trylock(&pool.busy) != 0) return 1;
    while (pool.helpers < wanted && pool.helpers < MOST_HELPERS) {
        pthread_t thread;
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the program's own threads */
        const int failed = pthread_create(&thread, NULL, help, (void *)(uintptr_t)pool.helpers);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (failed) break;
        pthread_setname_np(thread, "tfchain-help");
        pthread_detach(thread);
        pool.helpers++;
    }
    atomic_store(&pool.most, (uint32_t)wanted);
    atomic_fetch_add(&pool.wake, 1);
    if (atomic_load(&pool.waiting)) syscall(SYS_futex, &pool.wake, FUTEX_WAKE_PRIVATE, MOST_HELPERS, NULL, NULL, 0);
    if (pool.helpers == 0) { /* no thread could be started */
        pthread_mutex_unlock(&pool.busy);
        return 1;
    }
    return pool.helpers + 1;
}

void return_helpers(void) {
    atomic_store(&pool.most, 0);
    pthread_mutex_unlock(&pool.busy);
}

void run_phase(int threads, int64_t units, Work work, void *arguments) {
    if (threads == 1 || units < 2 || units > MOST_UNITS) {
        for (int64_t unit = 0; unit < units; unit++) work(arguments, unit, 0);
        return;
    }
    pool.work = work;
    pool.arguments = arguments;
    atomic_store_explicit(&pool.finished, 0, memory_order_relaxed);
    uint64_t number = (atomic_load_explicit(&pool.ticket, memory_order_relaxed) >> 40) + 1;
    atomic_store_explicit(&pool.ticket, number << 40 | (uint64_t)units << 20, memory_order_release);
    int64_t unit;
    while (take_unit(&unit)) {
        work(arguments, unit, 0);
        atomic_fetch_add_explicit(&pool.finished, 1, memory_order_release);
    }
    for (uint32_t turn = 1; atomic_load_explicit(&pool.finished, memory_order_acquire) < units; turn++) {
        _mm_pause();
        if (turn % 4096 == 0) syscall(SYS_sched_yield);
    }
}

#endif
