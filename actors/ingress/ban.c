#include "actors/ingress/ban.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define COUNT_MS 1000
#define SOURCE 12 /* where an IPv4 header has the source's address */

/* Has the system drop what comes from those who are banned now. */
static void
attach(const struct ban *b)
{
    struct sock_filter code[BAN_ADDRESSES * 2 + 2];
    struct sock_fprog program = {.filter = code};
    unsigned short n = 0;

    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_NET_OFF + SOURCE);
    for (unsigned i = 0; i < b->n; i++) {
        if (b->entries[i].until_ms > 0) {
            uint32_t address = ntohl(b->entries[i].address);
            code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, address, 0, 1);
            code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
        }
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
    program.len = n;
    /* A connection has the filter of the time when it came, which names others than its peer. */
    setsockopt(b->listener, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

static struct ban_entry *
entry_of(struct ban *b, uint32_t address, int64_t now_ms)
{
    for (unsigned i = 0; i < b->n; i++) {
        if (b->entries[i].address == address) {
            return &b->entries[i];
        }
    }
    if (b->n == BAN_ADDRESSES) {
        return NULL;
    }
    b->entries[b->n] = (struct ban_entry){.address = address, .since_ms = now_ms};
    return &b->entries[b->n++];
}

void
ban_count(struct ban *b, uint32_t address, int64_t now_ms)
{
    struct ban_entry *e = entry_of(b, address, now_ms);

    if (e == NULL || e->until_ms > 0) {
        return; /* what comes now was on its way before the ban */
    }
    if (now_ms - e->since_ms >= COUNT_MS) {
        e->since_ms = now_ms;
        e->refused = 0;
    }
    if (++e->refused >= BAN_AFTER) {
        e->until_ms = now_ms + BAN_MS;
        attach(b);
    }
}

void
ban_tidy(struct ban *b, int64_t now_ms)
{
    bool changed = false;
    unsigned kept = 0;

    for (unsigned i = 0; i < b->n; i++) {
        struct ban_entry e = b->entries[i];
        bool over = e.until_ms > 0 ? now_ms >= e.until_ms : now_ms - e.since_ms >= COUNT_MS;
        changed = changed || (over && e.until_ms > 0);
        if (!over) {
            b->entries[kept++] = e;
        }
    }
    b->n = kept;
    if (changed) {
        attach(b);
    }
}
