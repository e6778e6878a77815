/* ban - addresses whose connections the system drops before they cost us anything.
 *
 * An address that has no room left and still comes hundreds of times a second makes work by being
 * refused. Its SYNs are dropped by a filter on the listening socket (SO_ATTACH_FILTER) for a while.
 * To whoever connects from there it looks like a lost packet: it is sent again a second later.
 * Where the system takes no filter, nothing is banned. One thread.
 */
#ifndef ACTORS_INGRESS_BAN_H
#define ACTORS_INGRESS_BAN_H

#include <stdint.h>

#define BAN_ADDRESSES 64 /* at a time; others go on being refused one by one */
#define BAN_AFTER 64     /* refusals within a second */
#define BAN_MS 3000

struct ban {
    int listener;
    unsigned n;
    struct ban_entry {
        uint32_t address; /* as in struct in_addr */
        unsigned refused; /* since since_ms */
        int64_t since_ms;
        int64_t until_ms; /* 0: not banned */
    } entries[BAN_ADDRESSES];
};

/* A connection from `address` was refused for want of room. */
void ban_count(struct ban *b, uint32_t address, int64_t now_ms);
/* Ends the bans whose time is over, and forgets those who have given up. To be called now and then.
 */
void ban_tidy(struct ban *b, int64_t now_ms);

#endif
