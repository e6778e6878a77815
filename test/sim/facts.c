#include "test/sim/facts.h"

#include "proto/envelope.h"
#include "proto/mem.h"
#include "test/sim/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct facts facts;

void
facts_begin(void)
{
    memset(&facts, 0, sizeof(facts));
}

void
facts_end(void)
{
    for (int k = 0; k < FACTS_KEYS; k++) {
        free(facts.keys[k].list);
        free(facts.keys[k].offsets);
    }
}

/* Most behave. */
static enum nature
some_nature(void)
{
    switch (random_below(&world.random, 40)) {
    case 0:
    case 1:
        return NATURE_FLAKY;
    case 2:
        return NATURE_REFUSED;
    case 3:
        return random_once_in(&world.random, 3) ? NATURE_FATAL : NATURE_DEADLY;
    case 4:
        return random_once_in(&world.random, 2) ? NATURE_HOPELESS : NATURE_DEADLY;
    default:
        return NATURE_GOOD;
    }
}

struct message *
facts_new(void)
{
    struct message *m;

    if (facts.n + 1 >= FACTS_MESSAGES) {
        return NULL;
    }
    m = &facts.messages[++facts.n]; /* 0 is none */
    m->number = facts.n;
    m->key = (int)random_below(&world.random, FACTS_KEYS);
    m->link = m->key * 2 + 1 + random_once_in(&world.random, 5);
    m->nature = some_nature();
    m->troubles = 1 + (int)random_below(&world.random, 3);
    return m;
}

struct id
facts_id(int number)
{
    return (struct id){{'m', (uint8_t)(number >> 8), (uint8_t)number}};
}

int
facts_number(struct id id)
{
    return id.b[0] == 'm' ? id.b[1] << 8 | id.b[2] : -1;
}

static int
message_of(const struct model_record *r)
{
    const msgpack_object *messages;
    msgpack_unpacked u;
    struct id id = {{0}};

    if (body_decode(r->body, r->body_n, &u) == 0 && (messages = map_array(&u.data, "messages"))) {
        map_id(&messages->via.array.ptr[0], "id", &id);
    }
    msgpack_unpacked_destroy(&u);
    return facts_number(id);
}

void
facts_appended(struct model_record *r)
{
    struct message *m;
    int k, number = message_of(r);

    REPORT_WANT(number > 0 && number <= facts.n, "the log has a message that nobody wrote");
    r->message = number;
    m = &facts.messages[number];
    m->offset = r->offset;
    k = m->key;
    if (facts.keys[k].n == facts.keys[k].cap) {
        int cap = facts.keys[k].cap = facts.keys[k].cap ? 2 * facts.keys[k].cap : 64;
        facts.keys[k].list = xrealloc(facts.keys[k].list, (size_t)cap * sizeof(int));
        facts.keys[k].offsets = xrealloc(facts.keys[k].offsets, (size_t)cap * sizeof(int64_t));
    }
    facts.keys[k].list[facts.keys[k].n] = number;
    facts.keys[k].offsets[facts.keys[k].n++] = r->offset;
    report_event("log: message %d (key %d) at %d:%lld", number, k, r->partition,
                 (long long)r->offset);
}

/* --- outcomes ------------------------------------------------------------------------------- */

static bool
is_in(int number, const int *messages, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (messages[i] == number) {
            return true;
        }
    }
    return false;
}

/* Nothing older of the conversation is still open. */
static void
want_order(int unit, const int *messages, size_t n)
{
    int k = facts.messages[messages[0]].key;
    int64_t newest = 0;

    for (size_t i = 0; i < n; i++) {
        const struct message *m = &facts.messages[messages[i]];
        REPORT_WANT(m->key == k, "unit %d holds messages of two conversations", unit);
        newest = m->offset > newest ? m->offset : newest;
    }
    for (int i = facts.keys[k].done; i < facts.keys[k].n && facts.keys[k].offsets[i] < newest;
         i++) {
        const struct message *m = &facts.messages[facts.keys[k].list[i]];
        REPORT_WANT(m->outcome != OUTCOME_NONE || m->offset != facts.keys[k].offsets[i] ||
                        is_in(m->number, messages, n),
                    "order: unit %d is settled while message %d, older, is open", unit, m->number);
    }
}

static void
mark_done(const struct message *m)
{
    for (size_t i = store_log.n; i-- > 0;) {
        struct model_record *r = &store_log.records[i];
        if (r->offset == m->offset) {
            r->done = true;
            return;
        }
    }
}

void
facts_outcome(enum outcome outcome, int unit, const int *messages, size_t n)
{
    static const char *const names[] = {"nothing", "reply", "escalation", "dead letter"};
    struct message *first = &facts.messages[unit];
    int k = first->key;

    report_event("outcome of unit %d (%zu messages): %s", unit, n, names[outcome]);
    REPORT_WANT(first->unit_outcome == OUTCOME_NONE, "unit %d has two outcomes: %s and %s", unit,
                names[first->unit_outcome], names[outcome]);
    REPORT_WANT(n > 0, "unit %d has no messages", unit);
    if (!first->replayed) { /* a person has asked for it, whatever came in between */
        want_order(unit, messages, n);
    }
    first->unit_outcome = outcome;
    for (size_t i = 0; i < n; i++) {
        struct message *m = &facts.messages[messages[i]];
        REPORT_WANT(m->outcome == OUTCOME_NONE, "message %d has two outcomes: of unit %d and %d",
                    m->number, m->unit, unit);
        REPORT_WANT(m->offset != 0, "message %d isn't in the log and has an outcome", m->number);
        m->outcome = outcome;
        m->unit = unit;
        facts.settled++;
        mark_done(m);
    }
    facts.replies += outcome == OUTCOME_REPLY;
    facts.escalations += outcome == OUTCOME_ESCALATION;
    facts.dead += outcome == OUTCOME_DEAD;
    while (facts.keys[k].done < facts.keys[k].n &&
           facts.messages[facts.keys[k].list[facts.keys[k].done]].outcome != OUTCOME_NONE) {
        facts.keys[k].done++;
    }
}

void
facts_replay(int unit)
{
    struct message *first = &facts.messages[unit];
    int64_t offsets[ENVELOPE_MAX_MESSAGES];
    char key[16];
    size_t n = 0;

    report_event("replay of dead letter %d", unit);
    first->unit_outcome = OUTCOME_NONE;
    first->replayed = true;
    for (int i = 1; i <= facts.n && n < ENVELOPE_MAX_MESSAGES; i++) {
        struct message *m = &facts.messages[i];
        if (m->unit == unit && m->outcome == OUTCOME_DEAD) {
            m->outcome = OUTCOME_NONE;
            offsets[n++] = m->offset;
        }
    }
    for (size_t i = 1; i < n; i++) { /* as they stood in the log */
        for (size_t j = i; j > 0 && offsets[j] < offsets[j - 1]; j--) {
            int64_t swap = offsets[j];
            offsets[j] = offsets[j - 1];
            offsets[j - 1] = swap;
        }
    }
    facts.replays++;
    snprintf(key, sizeof(key), "k%d", first->key);
    for (int32_t p = 0; p < MODEL_PARTITIONS; p++) {
        if (model_log_at(&store_log, p, offsets[0]) != NULL) {
            store_replay(facts_id(unit), offsets, n, p);
        }
    }
}

bool
facts_may_reply(int unit, int key)
{
    return !facts.keys[key].human && facts.messages[unit].unit_outcome == OUTCOME_NONE;
}

bool
facts_may_escalate(int unit)
{
    return facts.messages[unit].unit_outcome == OUTCOME_NONE;
}

/* --- positions ------------------------------------------------------------------------------ */

void
facts_position(int32_t partition, int64_t position)
{
    int64_t at = store_log.partitions[partition].position;

    while (at < position) {
        const struct model_record *r = model_log_next(&store_log, partition, at);
        if (r == NULL || r->offset > position) {
            break;
        }
        REPORT_WANT(r->done, "position %lld of partition %d is stored, but %lld is not settled",
                    (long long)position, partition, (long long)r->offset);
        at = r->offset;
    }
}

const char *
facts_unfinished(void)
{
    static char text[120];

    for (int i = 1; i <= facts.n; i++) {
        const struct message *m = &facts.messages[i];
        REPORT_WANT(!m->accepted || m->offset != 0, "message %d was accepted and isn't in the log",
                    i);
        if (m->offset != 0 && m->outcome == OUTCOME_NONE) {
            snprintf(text, sizeof(text), "message %d (key %d, nature %d) has no outcome", i, m->key,
                     (int)m->nature);
            return text;
        }
    }
    for (int32_t p = 0; p < MODEL_PARTITIONS; p++) {
        if (model_log_next(&store_log, p, store_log.partitions[p].position) != NULL) {
            snprintf(text, sizeof(text), "partition %d is settled, its position stays at %lld", p,
                     (long long)store_log.partitions[p].position);
            return text;
        }
    }
    return NULL;
}
