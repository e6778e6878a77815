/* facts - what became of each message, kept apart from the system that is simulated: the judge. */
#ifndef SIM_FACTS_H
#define SIM_FACTS_H

#include "proto/id.h"
#include "test/sim/model_log.h"
#include "test/sim/world.h"

#define FACTS_MESSAGES 4096 /* of a run, at most */
#define FACTS_KEYS 32
#define FACTS_DECIDED 64

enum outcome { OUTCOME_NONE, OUTCOME_REPLY, OUTCOME_ESCALATION, OUTCOME_DEAD };

/* How a message behaves that a stage works on. */
enum nature {
    NATURE_GOOD,
    NATURE_FLAKY,    /* fails for a while, counted */
    NATURE_REFUSED,  /* a stage refuses it for good */
    NATURE_FATAL,    /* kills who works on it */
    NATURE_DEADLY,   /* the same a few times only */
    NATURE_HOPELESS, /* fails each time */
};

struct message {
    int number;
    int key;
    int link;
    enum nature nature;
    int troubles; /* left, of flaky and deadly */
    bool accepted;
    int64_t offset; /* newest record of it; 0: none */
    enum outcome outcome;
    int unit; /* whose outcome it is */
    /* of the unit that has its number */
    enum outcome unit_outcome;
    bool decided, decided_escalate;
    bool replayed;
};

struct facts {
    struct message messages[FACTS_MESSAGES];
    int n;
    struct {
        int *list; /* messages in the order of their records */
        int64_t *offsets;
        int n, cap, done;
        bool human;
    } keys[FACTS_KEYS];
    int settled, replies, escalations, dead, replays;
};
extern struct facts facts;

void facts_begin(void);
void facts_end(void);

/* A new message of somebody. NULL: no more in this run. */
struct message *facts_new(void);
struct id facts_id(int number);
/* -1: none of ours. */
int facts_number(struct id id);

/* The log has it. */
void facts_appended(struct model_record *r);
/* This unit of these messages has its outcome now: once, in the order of its conversation. */
void facts_outcome(enum outcome outcome, int unit, const int *messages, size_t n);
/* A dead letter is tried again. */
void facts_replay(int unit);
void facts_position(int32_t partition, int64_t position);
/* What stage tables say, as the SQL of db/outbox.c, db/escalation.c and db/dead.c does. */
bool facts_may_reply(int unit, int key);
bool facts_may_escalate(int unit);

/* NULL if nothing is left to be done, else what is. */
const char *facts_unfinished(void);

#endif
