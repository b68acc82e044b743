/* The best scores of many: one look at each, and a short list in order. */

#ifndef TFCHAIN_BEST_H
#define TFCHAIN_BEST_H

#include <stdint.h>

#define MOST_BEST 256

/* Writes the places of the `most` largest scores, largest first, equal scores in their order. Returns how many there
   are: fewer if there are not as many scores, apart from those that are not a number. */
static int64_t find_best(const float *scores, int64_t count, int64_t most, int64_t *places) {
    float best[MOST_BEST];
    int64_t found = 0;
    for (int64_t i = 0; i < count; i++) {
        const float score = scores[i];
        if (found == most ? !(score > best[found - 1]) : score != score) continue;
        int64_t at = found < most ? found++ : found - 1;
        for (; at > 0 && score > best[at - 1]; at--) best[at] = best[at - 1], places[at] = places[at - 1];
        best[at] = score, places[at] = i;
    }
    return found;
}

#endif
