/* conn - one connection of the gate: from bytes to requests (conn_read.c), from answers to bytes
 * (conn.c). Of the gate's thread. */
#ifndef ACTORS_INGRESS_CONN_H
#define ACTORS_INGRESS_CONN_H

#include "actors/ingress/crowd.h"
#include "actors/ingress/gate.h"

#define CONN_READ 16384 /* bytes of one connection at a time: then others have their turn */

struct conn {
    struct crowd_member member; /* the first, so that a member is its conn */
    int fd;                     /* -1: ended, its memory is given back soon */
    bool paused;                /* nothing is read until the next conn_resume() */
    bool forgiven;              /* an empty line came before the request */
    bool keep;                  /* after this answer, another request may follow */
    bool rude;                  /* it ends without courtesy: its address asks too much */
    struct buf in;              /* what came */
    size_t at;                  /* of it, what was used */
    size_t seen;                /* of the rest, by heading_scan() */
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
    unsigned paused;    /* connections */
    size_t linger_left; /* bytes that may still be thrown away before the next conn_resume() */
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
/* Goes on reading those that were paused. To be called some fifty times a second. */
void conn_resume(struct conn_house *h);
/* Ends it, whatever it is at, but for CROWD_WORK. */
void conn_end(struct conn_house *h, struct conn *c);
/* Frees those that have ended. */
void conn_sweep(struct conn_house *h);
/* Has a socket that isn't wanted closed at once, and its client told. */
void conn_reset(int fd);

/* --- between conn.c and conn_read.c ---------------------------------------------------------- */

void conn_phase(struct conn_house *h, struct conn *c, enum crowd_phase to);
/* Does it wait for its client to send? */
bool conn_is_awaited(const struct conn *c);
/* Edges come once: what is left unread now is told again in the next turn. */
void conn_look_again(struct conn_house *h, struct conn *c);
/* Reads no more of it until conn_resume(). */
void conn_pause(struct conn_house *h, struct conn *c);
/* Reads what there is, for one turn, and goes on with it. */
void conn_take_in(struct conn_house *h, struct conn *c);
/* Goes on with what came, as far as it goes. */
void conn_advance(struct conn_house *h, struct conn *c);
/* What came and was not used yet; and away with it. */
struct str conn_unused(const struct conn *c);
void conn_forget(struct conn *c);
/* Refuses what came, and ends the connection: where the next request begins can't be told. */
void conn_refuse(struct conn_house *h, struct conn *c, struct refusal bad);
/* Refuses it since its address asks far more than it may. */
void conn_refuse_flood(struct conn_house *h, struct conn *c, unsigned wait_s);

#endif
