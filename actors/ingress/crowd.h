/* crowd - who is connected, for what each is waited, and who has to leave so that others find room.
 *
 * Only what waits for its client can be made to leave: it has a deadline, and whoever is nearest to
 * it leaves first. So however many say nothing, or little, one who connects and asks at once is
 * served. Of one address there is only so much room: its newcomers take it from each other. Pure
 * bookkeeping, without sockets and without a clock. One thread.
 */
#ifndef ACTORS_INGRESS_CROWD_H
#define ACTORS_INGRESS_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum crowd_phase {
    CROWD_IDLE,    /* another request may follow on the connection */
    CROWD_HEAD,    /* a head is awaited */
    CROWD_BODY,    /* a body is awaited */
    CROWD_PENANCE, /* its address asks too much: it is told so, later */
    CROWD_WRITE,   /* the client reads its answer */
    CROWD_LINGER,  /* it was answered early: what it still sends is thrown away */
    CROWD_WORK,    /* the client waits for us: no deadline */
    CROWD_PHASES
};

struct crowd;
struct crowd_home;

/* To be part of a connection. */
struct crowd_member {
    uint32_t address; /* as in struct in_addr */
    enum crowd_phase phase;
    int64_t until_ms;
    size_t bytes; /* that it keeps */
    /* private */
    struct crowd_member *prev, *next; /* of its phase, in the order of their deadlines */
    struct crowd_home *home;
    struct crowd_member *home_prev, *home_next; /* of its address, in the order of their phases */
};

/* `members` in all and `per_address` of one address (0: no limit), which keep `bytes` together. */
struct crowd *crowd_new(unsigned members, unsigned per_address, size_t bytes);
void crowd_free(struct crowd **c_p); /* when all have left; accepts NULL */

/* Is there room for one more of `address`? If so, *ret_leaver has to leave first (NULL: nobody). */
bool crowd_make_room(struct crowd *c, uint32_t address, struct crowd_member **ret_leaver);
/* Whoever can leave, wherever from; NULL: nobody. */
struct crowd_member *crowd_leaver(const struct crowd *c);
/* It begins in CROWD_HEAD. */
void crowd_enter(struct crowd *c, struct crowd_member *m, uint32_t address, int64_t now_ms);
void crowd_leave(struct crowd *c, struct crowd_member *m);
/* The deadline is set anew, even where the phase is the same. */
void crowd_phase(struct crowd *c, struct crowd_member *m, enum crowd_phase phase, int64_t now_ms);
/* How much it keeps now. Returns who has to leave since all of them keep too much (it may be `m`,
 * and is where nobody else can), or NULL. */
struct crowd_member *crowd_weigh(struct crowd *c, struct crowd_member *m, size_t bytes);

bool crowd_is_full(const struct crowd *c); /* by the bytes that are kept, up to a sixteenth */
/* The one that is longest in a phase, the others behind it at ->next; NULL: nobody. */
struct crowd_member *crowd_first(const struct crowd *c, enum crowd_phase phase);

/* One whose deadline is over, or NULL. */
struct crowd_member *crowd_late(const struct crowd *c, int64_t now_ms);
/* Milliseconds to the next deadline; -1: there is none. */
int crowd_wait_ms(const struct crowd *c, int64_t now_ms);
unsigned crowd_size(const struct crowd *c);

/* Milliseconds that a phase may take; INT64_MAX of CROWD_WORK. */
int64_t crowd_limit(enum crowd_phase phase);

#endif
