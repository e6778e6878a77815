/* ingress - what the files of this process share. */
#ifndef ACTORS_INGRESS_INGRESS_H
#define ACTORS_INGRESS_INGRESS_H

#include "actors/ingress/answer.h"
#include "actors/ingress/desk.h"
#include "actors/ingress/meter.h"
#include "actors/ingress/rate.h"
#include "actors/ingress/request.h"
#include "actors/ingress/server.h"
#include "actors/ingress/token.h"
#include "db/pg.h"
#include "proto/runtime/actor.h"

#define SUBMIT_PATH "/support/submit"
#define STATUS_PATH "/support/status/"
#define WEBFORM_TOPIC "fte.channels.webform.inbound"
#define INCOMING_TOPIC "fte.tickets.incoming"

struct append_errand;

struct ingress {
    /* Of the loop's thread. */
    struct actor *self;
    struct pg *pg;
    struct append_errand *appends, **appends_tail; /* that wait to be sent together */
    /* Set before the server starts, and read by all. */
    struct desk *desk;
    struct server *server;
    struct rate *rate;  /* of messages and looks */
    struct rate *flood; /* of requests of any kind */
    struct meter *meter;
    struct buf secret;      /* of the tokens */
    const char *public_url; /* base of links, without a slash at its end; "" = links are paths */
    const char *state_dir;
    unsigned proxies;
};

/* What handlers are called with: a worker's thread, the request checked and its body read. */
typedef void handler_fn(struct ingress *in, struct request *r, struct answer *a);

handler_fn submit_form;   /* GET / */
handler_fn submit_post;   /* POST /support/submit */
handler_fn reply_post;    /* POST /support/status/TOKEN/reply */
handler_fn status_get;    /* GET /support/status/TOKEN */
handler_fn health_alive;  /* GET /healthz */
handler_fn health_ready;  /* GET /readyz */
handler_fn health_meters; /* GET /metrics */

/* The token in a path of STATUS_PATH, checked. False after answering 404. */
bool status_token(struct ingress *in, const struct request *r, struct answer *a, struct token *ret,
                  struct str *ret_text);
/* Answers a status page with a reply that was refused, and why: what was typed is kept. */
void status_refuse_reply(struct ingress *in, struct answer *a, int status,
                         const struct token *token, struct str token_text, const struct form *reply,
                         const char *notice);

/* An answer that says no: a page or a problem, as the client prefers. */
void refuse(const struct request *r, struct answer *a, int status, const char *detail);
/* The same for a dependency that is away: 503 with Retry-After. */
void refuse_for_now(const struct request *r, struct answer *a);

#endif
