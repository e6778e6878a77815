/* The window of a partition against the plainest account of it: a list of all records. */
#include "test/sim/sim.h"

#include "actors/edge/window.h"

#include <stdlib.h>

#define STEPS 20000
#define RECORDS (STEPS + 1)

struct account {
    int64_t offset;
    bool settled;
};

static int64_t
settled_up_to(const struct account *all, size_t n, int64_t begin, size_t *from)
{
    while (*from < n && all[*from].settled) {
        ++*from;
    }
    return *from == 0 ? begin : all[*from - 1].offset;
}

uint64_t
window_run(uint64_t seed, struct sim_counts *counts)
{
    static struct account all[RECORDS];
    static struct window w;
    struct random r = {seed};
    int64_t begin = random_below(&r, 1000), offset = begin;
    /* Sometimes slow to settle, so that the window is full; sometimes in any order at all. */
    uint32_t slowness = 1 + random_below(&r, 4), spread = random_once_in(&r, 2) ? 3 : WINDOW_CAP;
    size_t n = 0, from = 0;

    (void)counts;
    report_begin("window", seed);
    window_init(&w, begin);
    while (report_step() < STEPS) {
        size_t open = n - from;
        REPORT_WANT(window_room(&w) == WINDOW_CAP - open, "room %zu, %zu are open", window_room(&w),
                    open);
        REPORT_WANT(window_is_empty(&w) == (open == 0), "empty with %zu open", open);
        if (window_room(&w) > 0 && !random_once_in(&r, slowness + 1)) {
            offset += 1 + random_below(&r, 3);
            all[n] = (struct account){.offset = offset};
            REPORT_WANT(window_add(&w, offset) == n, "record %zu got another number", n);
            report_event("add %zu at %lld", n, (long long)offset);
            n++;
        } else if (n > 0) {
            /* Of the open ones, or one that is settled long since. */
            size_t near = open < spread ? open : spread;
            size_t at = near > 0 ? from + random_below(&r, (uint32_t)near) : n - 1;
            int64_t before = w.position;
            at = random_once_in(&r, 10) ? random_below(&r, (uint32_t)n) : at;
            all[at].settled = true;
            report_event("settle %zu", at);
            bool moved = window_settle(&w, at);
            int64_t want = settled_up_to(all, n, begin, &from);
            REPORT_WANT(w.position == want, "position %lld, settled is up to %lld",
                        (long long)w.position, (long long)want);
            REPORT_WANT(moved == (want != before), "says moved: %d", moved);
        }
    }
    return STEPS;
}
