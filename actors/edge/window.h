/* window - which records of a partition may be forgotten. Pure.
 *
 * Records are added in the order of their offsets (which may have gaps) and settled in any order.
 * The position is the offset up to which everything is settled: the end of the contiguous settled
 * prefix. Only a position may be stored: whatever lies behind it is read again after a crash.
 */
#ifndef EDGE_WINDOW_H
#define EDGE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WINDOW_CAP 1024 /* one that is stuck holds back at most so many behind it */

struct window {
    int64_t position; /* every record up to and with this offset is settled */
    uint64_t base;    /* number of the oldest record in the window */
    uint64_t next;    /* number that the next record gets */
    int64_t offsets[WINDOW_CAP];
    bool done[WINDOW_CAP];
};

/* An empty window behind `position`. */
void window_init(struct window *w, int64_t position);
/* How many records can be added. */
size_t window_room(const struct window *w);
/* True if there is nothing unsettled. */
bool window_is_empty(const struct window *w);
/* Adds the next record and returns its number, for window_settle(). Needs room, and an offset that
 * is higher than all before (assert). */
uint64_t window_add(struct window *w, int64_t offset);
/* Settles a record; a second time changes nothing. True if the position moved. */
bool window_settle(struct window *w, uint64_t number);

#endif
