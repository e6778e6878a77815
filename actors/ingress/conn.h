/* conn - one connection of the gate: from bytes to requests, from answers to bytes. Of the gate's
 * thread. */
#ifndef ACTORS_INGRESS_CONN_H
#define ACTORS_INGRESS_CONN_H

#include "actors/ingress/crowd.h"
#include "actors/ingress/gate.h"

#define CONN_READ 65536 /* bytes at a time */

struct conn {
    struct crowd_member member; /* the first, so that a member is its conn */
    int fd;                     /* -1: ended, its memory is given back soon */
    bool forgiven;              /* an empty line came before the request */
    bool keep;                  /* after this answer, another request may follow */
    bool rude;                  /* it ends without courtesy: its address asks too much */
    struct buf in;              /* what came and was not used */
    size_t seen;                /* of it, by heading_scan() */
    struct job *job;            /* while its body is awaited */
    size_t lent;                /* bytes of the job that is out */
    struct buf out;             /* what is to be written */
    size_t written;
    size_t dropped;          /* bytes thrown away in CROWD_LINGER */
    struct conn *next_ended; /* the gate's */
};

/* What connections share. */
struct conn_house {
    struct gate_settings set;
    struct crowd *crowd;
    int epoll;
    int64_t now_ms;     /* of this turn */
    struct conn *ended; /* to be freed at the end of the turn: until then, events may name them */
    unsigned reaped;    /* ended because they were too slow, or others needed the room */
    unsigned working;   /* jobs that are out */
    char scratch[CONN_READ];
};

/* Takes a socket. */
void conn_begin(struct conn_house *h, int fd, uint32_t address);
/* Something happened to its socket. */
void conn_event(struct conn_house *h, struct conn *c);
/* Its deadline is over. */
void conn_late(struct conn_house *h, struct conn *c);
/* Its answer has come back. Takes the job. */
void conn_answer(struct conn_house *h, struct job *job);
/* Ends it, whatever it is at, but for CROWD_WORK. */
void conn_end(struct conn_house *h, struct conn *c);
/* Frees those that have ended. */
void conn_sweep(struct conn_house *h);
/* Has a socket that isn't wanted closed at once, and its client told. */
void conn_reset(int fd);

#endif
