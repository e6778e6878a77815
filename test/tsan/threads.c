/* threads - C11's threads by way of POSIX's, for `make tsan`.
 *
 * Debian's librdkafka makes its threads with thrd_create(). ThreadSanitizer of GCC 12 doesn't know
 * them: a thread that it has not seen begin ends the process at its first lock. These functions
 * stand before those of the C library, and call what it does know. Linked into programs of
 * SAN=thread only. In glibc a mtx_t is as large as a pthread_mutex_t at least, and so for cnd_t. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t), "a mutex fits");
_Static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t), "a condition fits");

struct start {
    thrd_start_t function;
    void *arg;
};

static void *
run(void *arg)
{
    struct start s = *(struct start *)arg;

    free(arg);
    return (void *)(intptr_t)s.function(s.arg);
}

static int
result(int err)
{
    return err == 0 ? thrd_success : thrd_error;
}

int
thrd_create(thrd_t *ret, thrd_start_t function, void *arg)
{
    struct start *s = malloc(sizeof(*s));

    if (s == NULL) {
        return thrd_nomem;
    }
    *s = (struct start){function, arg};
    return result(pthread_create(ret, NULL, run, s));
}

int
thrd_join(thrd_t thread, int *ret)
{
    void *value = NULL;
    int err = pthread_join(thread, &value);

    if (ret != NULL) {
        *ret = (int)(intptr_t)value;
    }
    return result(err);
}

int
mtx_init(mtx_t *m, int type)
{
    pthread_mutexattr_t attributes;
    int err;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, type & mtx_recursive ? PTHREAD_MUTEX_RECURSIVE
                                                                : PTHREAD_MUTEX_NORMAL);
    err = pthread_mutex_init((pthread_mutex_t *)m, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return result(err);
}

void
mtx_destroy(mtx_t *m)
{
    pthread_mutex_destroy((pthread_mutex_t *)m);
}

int
mtx_lock(mtx_t *m)
{
    return result(pthread_mutex_lock((pthread_mutex_t *)m));
}

int
mtx_unlock(mtx_t *m)
{
    return result(pthread_mutex_unlock((pthread_mutex_t *)m));
}

int
cnd_init(cnd_t *c)
{
    return result(pthread_cond_init((pthread_cond_t *)c, NULL));
}

void
cnd_destroy(cnd_t *c)
{
    pthread_cond_destroy((pthread_cond_t *)c);
}

int
cnd_signal(cnd_t *c)
{
    return result(pthread_cond_signal((pthread_cond_t *)c));
}

int
cnd_broadcast(cnd_t *c)
{
    return result(pthread_cond_broadcast((pthread_cond_t *)c));
}

int
cnd_wait(cnd_t *c, mtx_t *m)
{
    return result(pthread_cond_wait((pthread_cond_t *)c, (pthread_mutex_t *)m));
}

int
cnd_timedwait(cnd_t *restrict c, mtx_t *restrict m, const struct timespec *restrict until)
{
    int err = pthread_cond_timedwait((pthread_cond_t *)c, (pthread_mutex_t *)m, until);

    return err == ETIMEDOUT ? thrd_timedout : result(err);
}
