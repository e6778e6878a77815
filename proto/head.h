/* head - the first frame of every message between actors: all that the router reads.
 * The grammar is proto/README.md; this is its codec. */
#ifndef PROTO_HEAD_H
#define PROTO_HEAD_H

#include "proto/buf.h"
#include "proto/id.h"
#include "proto/str.h"

#include <stdint.h>

#define PROTO_VERSION 1
#define PROTO_MAX_BODY (256 * 1024)     /* bytes of a body frame */
#define PROTO_MAX_HEAD 256              /* bytes of a head frame */
#define PROTO_MAX_MESSAGE (1024 * 1024) /* ZMQ_MAXMSGSIZE: larger frames drop the peer */
#define PROTO_MAX_DEPTH 16              /* nesting of a body */
#define PROTO_MAX_SERVICE 64            /* bytes of a service's name */
#define PROTO_MAX_ROUTE 32              /* bytes of a routing id */

/* What a message is for. The numbers are the protocol. */
enum head_type {
    HEAD_READY = 1,  /* worker: I serve `service` with `count` slots; router: I am generation N */
    HEAD_CREDIT = 2, /* worker: `count` more slots are free */
    HEAD_WORK = 3,   /* an envelope for a service; its settling is reported to `route` */
    HEAD_DONE = 4,   /* the envelope's effects are durable: acknowledge it */
    HEAD_RETRY = 5,  /* temporary failure: deliver it again later */
    HEAD_FAIL = 6,   /* permanent failure: dead letter (of WORK), or the answer to a CALL */
    HEAD_CALL = 7,   /* a question to a service; the answer goes to `route` */
    HEAD_RETURN = 8, /* the answer to a CALL */
    HEAD_BUSY = 9,   /* router: nobody has credit for this service now */
    HEAD_LOST = 10,  /* router: the worker that held it died */
    HEAD_HB = 11,    /* heartbeat, both ways */
    HEAD_DRAIN = 12, /* to a worker: finish what you hold, take no more */
    HEAD_BYE = 13,   /* worker: forget me, I am leaving and hold nothing */
};

struct head {
    uint32_t version;    /* PROTO_VERSION */
    uint32_t type;       /* enum head_type; others can arrive from a newer peer */
    struct str service;  /* whom it is for, or who it is; borrowed */
    struct id id;        /* the envelope's or the call's */
    uint32_t attempt;    /* 1 = first delivery; counts failures, not deliveries */
    uint32_t generation; /* of the delivery (WORK and its outcomes), or of the router (READY) */
    struct str route;    /* routing id of the edge (WORK) or the caller (CALL); borrowed */
    uint32_t count;      /* slots (READY, CREDIT); pid (READY: see `pid`) */
    uint32_t pid;        /* READY: the worker's process where it is on this machine, else 0 */
};

/* Reads a head frame. `ret` borrows from `data`. 0; ERR_TOO_BIG, ERR_MALFORMED; or ERR_VERSION with
 * ret->version and ret->type filled in, so that it can be counted and answered. */
int head_decode(const void *data, size_t size, struct head *ret);
/* Appends the frame to `out`. Fields must be within the limits above (assert: our own bug). */
void head_encode(const struct head *h, struct buf *out);
/* "READY", "WORK" ...; "?" for a type that is unknown. Static. */
const char *head_type_str(uint32_t type);
/* True for 1..64 bytes of [a-z0-9_.-]. */
bool head_service_ok(struct str service);

#endif
