#include "actors/ingress/desk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct desk {
    pthread_mutex_t mutex; /* guards everything below, and done, err, owners of each errand */
    struct errand *head;
    struct errand **tail;
    struct errand *awaited; /* every errand that a worker waits for */
    struct loop *loop;
    struct loop_watch *watch;
    void (*flush)(void *context);
    void (*waiting)(bool begins);
    void *context;
    int wake_fd;
    bool draining;
    bool closed;
};

/* Loop: takes all that was handed over. One wake-up serves as many errands as there are. */
static void
take_errands(void *arg, int events)
{
    struct desk *d = arg;
    struct errand *e;
    uint64_t n;
    ssize_t got = read(d->wake_fd, &n, sizeof(n));

    (void)got;
    (void)events;
    pthread_mutex_lock(&d->mutex);
    e = d->head;
    d->head = NULL;
    d->tail = &d->head;
    pthread_mutex_unlock(&d->mutex);
    while (e != NULL) {
        struct errand *next = e->next;
        e->begin(e, d->context);
        e = next;
    }
    if (d->flush != NULL) {
        d->flush(d->context);
    }
}

struct desk *
desk_open(struct loop *loop, void (*flush)(void *context), void (*waiting)(bool begins),
          void *context)
{
    struct desk *d = xcalloc(1, sizeof(*d));

    pthread_mutex_init(&d->mutex, NULL);
    d->tail = &d->head;
    d->loop = loop;
    d->flush = flush;
    d->waiting = waiting;
    d->context = context;
    d->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert(d->wake_fd >= 0);
    d->watch = loop_watch_fd(loop, d->wake_fd, LOOP_IN, take_errands, d);
    return d;
}

void
desk_drain(struct desk *d)
{
    pthread_mutex_lock(&d->mutex);
    d->draining = true;
    pthread_mutex_unlock(&d->mutex);
}

bool
desk_idle(struct desk *d)
{
    bool idle;

    pthread_mutex_lock(&d->mutex);
    idle = d->awaited == NULL;
    pthread_mutex_unlock(&d->mutex);
    return idle;
}

void
desk_close(struct desk *d)
{
    struct errand *e;

    pthread_mutex_lock(&d->mutex);
    d->closed = true;
    e = d->head;
    d->head = NULL;
    d->tail = &d->head;
    for (struct errand *w = d->awaited; w != NULL; w = w->other) {
        pthread_cond_signal(&w->done_cond);
    }
    pthread_mutex_unlock(&d->mutex);
    while (e != NULL) {
        struct errand *next = e->next;
        errand_done(e, ERR_UNAVAILABLE);
        e = next;
    }
}

void
desk_free(struct desk **d_p)
{
    struct desk *d = *d_p;

    if (d != NULL) {
        loop_unwatch(d->loop, &d->watch);
        close(d->wake_fd);
        pthread_mutex_destroy(&d->mutex);
        free(d);
        *d_p = NULL;
    }
}

static void
tell_waiting(const struct desk *d, bool begins)
{
    if (d->waiting != NULL) {
        d->waiting(begins);
    }
}

/* Puts it into the queue; false where the desk is closed. */
static bool
hand_over(struct desk *d, struct errand *e)
{
    bool first = d->head == NULL;

    if (d->closed || d->draining) {
        return false;
    }
    e->owners++;
    e->next = NULL;
    e->other = d->awaited;
    e->other_p = &d->awaited;
    if (e->other != NULL) {
        e->other->other_p = &e->other;
    }
    d->awaited = e;
    *d->tail = e;
    d->tail = &e->next;
    if (first) {
        uint64_t one = 1;
        ssize_t put = write(d->wake_fd, &one, sizeof(one));
        (void)put;
    }
    return true;
}

int
desk_ask(struct desk *d, struct errand *e, int64_t timeout_ms)
{
    pthread_condattr_t monotonic;
    struct timespec until;
    int err = ERR_UNAVAILABLE;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&e->done_cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    e->desk = d;
    e->owners = 1;
    tell_waiting(d, true);
    pthread_mutex_lock(&d->mutex);
    if (hand_over(d, e)) {
        int late = 0;
        while (!e->done && !d->closed && late == 0) {
            late = pthread_cond_timedwait(&e->done_cond, &d->mutex, &until);
        }
        err = e->done ? e->err : d->closed ? ERR_UNAVAILABLE : ERR_TIMEOUT;
        *e->other_p = e->other;
        if (e->other != NULL) {
            e->other->other_p = e->other_p;
        }
    }
    pthread_mutex_unlock(&d->mutex);
    tell_waiting(d, false);
    return err;
}

void
errand_release(struct errand *e)
{
    bool last;

    pthread_mutex_lock(&e->desk->mutex);
    last = --e->owners == 0;
    pthread_mutex_unlock(&e->desk->mutex);
    if (last) {
        pthread_cond_destroy(&e->done_cond);
        e->destroy(e);
    }
}

void
errand_done(struct errand *e, int err)
{
    pthread_mutex_lock(&e->desk->mutex);
    assert(!e->done);
    e->done = true;
    e->err = err;
    pthread_cond_signal(&e->done_cond);
    pthread_mutex_unlock(&e->desk->mutex);
    errand_release(e);
}
