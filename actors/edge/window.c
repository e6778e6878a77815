#include "actors/edge/window.h"

#include "proto/runtime/fault.h"

#include <assert.h>

void
window_init(struct window *w, int64_t position)
{
    w->position = position;
    w->base = 0;
    w->next = 0;
}

size_t
window_room(const struct window *w)
{
    return WINDOW_CAP - (size_t)(w->next - w->base);
}

bool
window_is_empty(const struct window *w)
{
    return w->next == w->base;
}

uint64_t
window_add(struct window *w, int64_t offset)
{
    size_t at = w->next % WINDOW_CAP;

    assert(window_room(w) > 0);
    assert(offset > w->position);
    assert(window_is_empty(w) || offset > w->offsets[(w->next - 1) % WINDOW_CAP]);
    w->offsets[at] = offset;
    w->done[at] = false;
    return w->next++;
}

bool
window_settle(struct window *w, uint64_t number)
{
    uint64_t before = w->base;

    if (number < w->base) {
        return false;
    }
    assert(number < w->next);
    w->done[number % WINDOW_CAP] = true;
    while (w->base < w->next && (w->done[w->base % WINDOW_CAP] || !SAFEGUARD("prefix"))) {
        w->position = w->offsets[w->base % WINDOW_CAP];
        w->base++;
    }
    return w->base != before;
}
