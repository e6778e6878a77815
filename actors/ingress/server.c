#include "actors/ingress/server.h"

#include "proto/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUNNING_PER_CORE 2

struct server {
    struct server_settings set;
    struct gate *gate;
    pthread_mutex_t mutex; /* guards what follows, up to the threads */
    pthread_cond_t some;
    struct job *first, **last_p; /* they wait for a thread */
    bool closing;
    unsigned running, running_max; /* threads that have a request and don't wait */
    unsigned thread_n;
    pthread_t threads[];
};

/* --- the queue ------------------------------------------------------------------------------- */

/* Gate's thread. No more than the gate's connections can lie here. */
static void
take(void *context, struct job *job)
{
    struct server *s = context;

    job->next = NULL;
    pthread_mutex_lock(&s->mutex);
    *s->last_p = job;
    s->last_p = &job->next;
    pthread_cond_signal(&s->some);
    pthread_mutex_unlock(&s->mutex);
}

/* NULL: the server stops. */
static struct job *
next_job(struct server *s)
{
    struct job *job;

    pthread_mutex_lock(&s->mutex);
    while (!s->closing && (s->first == NULL || s->running >= s->running_max)) {
        pthread_cond_wait(&s->some, &s->mutex);
    }
    job = s->first;
    if (job != NULL) {
        s->running++;
        s->first = job->next;
        s->last_p = s->first != NULL ? s->last_p : &s->first;
    }
    pthread_mutex_unlock(&s->mutex);
    return job;
}

/* One thread less is running: another may take what waits. */
static void
rest(struct server *s)
{
    s->running--;
    if (s->first != NULL) {
        pthread_cond_signal(&s->some);
    }
}

/* Whose thread this is. */
static _Thread_local struct server *own;

void
server_wait(bool begins)
{
    struct server *s = own;

    pthread_mutex_lock(&s->mutex);
    if (begins) {
        rest(s);
    } else {
        s->running++;
    }
    pthread_mutex_unlock(&s->mutex);
}

/* --- a thread -------------------------------------------------------------------------------- */

static void *
work(void *arg)
{
    struct server *s = arg;
    struct job *job;

    own = s;
    while ((job = next_job(s)) != NULL) {
        struct answer a = {0};
        const char *route = s->set.serve(s->set.context, &job->request, &a);
        answer_encode(&a, job->request.head_only, job->keep, &job->out);
        meter_request(s->set.gate.meter, route, a.status,
                      (double)(clock_unix_us() - job->start_us) / 1e6);
        answer_fini(&a);
        gate_answer(s->gate, job);
        pthread_mutex_lock(&s->mutex);
        rest(s);
        pthread_mutex_unlock(&s->mutex);
    }
    return NULL;
}

/* --- start and stop -------------------------------------------------------------------------- */

struct server *
server_start(const struct server_settings *settings, struct buf *ret_why)
{
    struct server *s = xcalloc(1, sizeof(*s) + settings->threads * sizeof(s->threads[0]));

    s->set = *settings;
    s->set.gate.take = take;
    s->set.gate.context = s;
    s->last_p = &s->first;
    s->running_max = RUNNING_PER_CORE * (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->some, NULL);
    s->gate = gate_open(&s->set.gate, ret_why);
    /* Only now: they need the gate. What has come already waits in the queue. */
    while (s->gate != NULL && s->thread_n < settings->threads) {
        int err = pthread_create(&s->threads[s->thread_n], NULL, work, s);
        if (err != 0) {
            buf_add_c(ret_why, strerror(err));
            server_stop(&s);
            return NULL;
        }
        s->thread_n++;
    }
    if (s->gate == NULL) {
        server_stop(&s);
    }
    return s;
}

void
server_stop(struct server **s_p)
{
    struct server *s = *s_p;

    if (s == NULL) {
        return;
    }
    gate_close(&s->gate);
    pthread_mutex_lock(&s->mutex);
    s->closing = true;
    pthread_cond_broadcast(&s->some);
    pthread_mutex_unlock(&s->mutex);
    for (unsigned i = 0; i < s->thread_n; i++) {
        pthread_join(s->threads[i], NULL);
    }
    pthread_cond_destroy(&s->some);
    pthread_mutex_destroy(&s->mutex);
    free(s);
    *s_p = NULL;
}
