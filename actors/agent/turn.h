/* turn - one turn of the agent: the calls that must be made, in their order, and what they tell.
 * Pure.
 *
 *   create_ticket (done) -> get_customer_history -> search_knowledge_base -> [a second search, with
 *   another query] -> send_response or escalate_to_human
 *
 * The order is this state machine's: what comes out of order is refused (ERR_CONFLICT), whoever
 * asks for it. Each call is kept as evidence; nothing is decided without it.
 */
#ifndef ACTORS_AGENT_TURN_H
#define ACTORS_AGENT_TURN_H

#include "actors/agent/compose.h"
#include "db/run.h"
#include "proto/envelope.h"

#include <jansson.h>

#define TURN_MAX_SEARCHES 2
#define TURN_MAX_HITS 5
#define TURN_MAX_STEPS (2 + TURN_MAX_SEARCHES + 1)

enum turn_state {
    TURN_HISTORY, /* the history is to be asked for */
    TURN_SEARCH,  /* a search is to be made, with turn_query() */
    TURN_DECIDE,  /* a reply or an escalation is to be chosen */
    TURN_DECIDED,
};

/* A search that was made. */
struct turn_search {
    struct buf query;
    size_t hits;
    double best; /* confidence in the first */
    bool answerable;
    struct buf found; /* JSON: [[id, score], ...] */
};

struct turn {
    enum turn_state state;
    /* of the envelope, borrowed from it */
    struct id unit;
    struct str channel, name, ref, subject, category;
    struct str message[ENVELOPE_MAX_MESSAGES];
    size_t messages;
    struct id customer;
    size_t max_words;      /* of a reply; 0: the channel's template says */
    bool escalate_at_once; /* triage said so, or a person owns the conversation */
    struct str triage_reason;
    struct str courtesy; /* "thanks", "greeting" where the messages are nothing else; or empty */
    /* what the calls told */
    size_t history; /* messages */
    struct turn_search search[TURN_MAX_SEARCHES];
    size_t searches;
    struct compose_hit hit[TURN_MAX_HITS]; /* of the last search; texts in `texts_` */
    size_t hits;
    struct buf texts_; /* private */
    /* what was decided: {action, reason?, text?, sources?, courtesy?, asks?, summary?, tried} */
    bool sends;
    json_t *decision;  /* owned */
    struct buf steps_; /* private: the JSON of the steps */
};

/* Reads the sections it needs. 0, or ERR_MALFORMED with the field in *ret_why (static). The turn
 * borrows from `e`. turn_fini() in either case. */
int turn_init(struct turn *t, const struct envelope *e, const char **ret_why);
void turn_fini(struct turn *t);

/* The answers of the calls, as they came. 0; ERR_CONFLICT out of order; ERR_MALFORMED. */
int turn_history(struct turn *t, const msgpack_object *answer);
int turn_found(struct turn *t, const msgpack_object *answer);
/* The query of the search that is to be made now; empty where none is. */
struct str turn_query(struct turn *t);
/* Whether the last search holds an answer. */
bool turn_answerable(const struct turn *t);

/* The end, once. 0, or ERR_CONFLICT. What is courtesy alone is answered without a passage, and not
 * searched for a second time. */
int turn_send(struct turn *t, struct str text, const bool used[]);
int turn_escalate(struct turn *t, const char *reason);

/* The evidence as rows of agent_runs; borrowed from the turn. The number of them. ERR_CONFLICT (<
 * 0) where nothing has been decided. */
int turn_steps(struct turn *t, struct run_step ret[TURN_MAX_STEPS]);
/* What was decided for this unit before takes the place of what this turn decided. 0, or
 * ERR_MALFORMED. */
int turn_take_stored(struct turn *t, struct str tool, struct str json);
/* The section `decision`, packed. */
void turn_section(const struct turn *t, struct buf *ret);

#endif
