/* server - CivetWeb behind a small face: threads, limits, and one function that answers everything.
 */
#ifndef ACTORS_INGRESS_SERVER_H
#define ACTORS_INGRESS_SERVER_H

#include "actors/ingress/answer.h"
#include "actors/ingress/meter.h"
#include "actors/ingress/patience.h"
#include "actors/ingress/request.h"

struct server;

struct server_settings {
    const char *bind; /* an IPv4 address */
    int port;
    unsigned threads;
    unsigned proxies;
    struct patience *patience;
    struct meter *meter;
    /* Answers one request, on a worker's thread. The head has been checked; a body has not been
     * read. Returns the route's name for the metrics (static). */
    const char *(*serve)(void *context, struct request *r, struct answer *a);
    /* Says no, as the client prefers it. */
    void (*refuse)(const struct request *r, struct answer *a, int status, const char *detail);
    void *context;
};

/* Listens and starts its threads. NULL with a sentence in ret_why where it can't. */
struct server *server_start(const struct server_settings *settings, struct buf *ret_why);
/* Ends what is open and waits for all threads. Accepts NULL. */
void server_stop(struct server **s_p);

/* Reads the body of `r` with all its limits. */
struct refusal server_read_body(struct server *s, struct request *r);

#endif
