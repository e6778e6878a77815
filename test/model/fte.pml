/* fte - the way of two messages of one conversation through log, edges, router, stages and outbox,
 * while processes die. Checked exhaustively by spin: `make model` (test/model/model.sh).
 *
 * What is in it, with the names of the sources:
 *   Client     sends both messages, one after the other, again until it has an answer
 *   Edge       two of them (actors/edge): lease and fence, reading from the stored position,
 *              composing a burst into one unit, delivery with generations, counted failures, dead
 *              letters, positions of the contiguous settled prefix
 *   Router     (actors/router): hands on, tells LOST; when it dies, what is in it is gone, and the
 *              edges see a new generation
 *   Decider    two workers of one stage that stores a decision (agent_runs) and passes on
 *   Sender     stores the reply under the unit's key and through the gate (db/outbox.c)
 *   Escalator  the same for an escalation (db/escalation.c), which makes a person own the conversation
 *
 * Promises:
 *   P1  a unit has at most one of reply, escalation and dead letter, and each at most once
 *   P2  a message has one outcome: of one unit only
 *   P3  outcomes come in the order of the messages
 *   P4  no reply while a person owns the conversation
 *   P5  the stored position never runs ahead of what has its outcome
 *   P6  progress: when the system comes to rest, every accepted message has its outcome, and the
 *       position stands behind the last one; and no run is endless (model.sh, with one fault)
 *
 * Assumptions, thus not proved here:
 *   - The database is one linearizable thing: a transaction happens at once or not at all. What that
 *     rests on are PostgreSQL's commits, unique keys and locks (test/unit/db, test/chaos).
 *   - A channel between two processes keeps its order and loses nothing unless an end of it dies.
 *   - FAULTS deaths, lost answers, expired leases and passed deadlines (of the first message) in a
 *     run, of any process at any step. What dies is started again, always.
 *   - The clocks of two machines go equally fast, to within the margin of a lease (1 s of 6 s): an
 *     edge whose lease is over knows that, and sends nothing more. All else that it still does
 *     (reading, composing, burying, positions) is left to the fence.
 *   - Whoever has a unit when it dies is known to be dead: the router tells LOST (pidfd, heartbeat).
 *   - Two messages, one partition, one conversation, one stage before the two last ones (more of
 *     them do the same), ATTEMPTS counted failures instead of five, room for 3 messages in a channel.
 *   - Two messages that wait unsent may become one unit at any time: what they wait for, an earlier
 *     unit of the conversation, is left out.
 *   - BUSY is left out: the router waits for a free slot instead of sending back, which only takes time.
 *   - Time is left out: a timer may go off whenever its budget (FAULTS) allows.
 *
 * Each safeguard can be taken out, and then spin must find an error (model.sh): NO_FENCE, NO_UNIQUE,
 * NO_GATE, PASS_BEFORE_COMMIT, COMMIT_BEYOND, NO_REDELIVERY, ANSWER_BEFORE_COMMIT,
 * COMPOSE_RECOVERED, NO_LEASE_CHECK.
 */
#ifndef FAULTS
#define FAULTS 2
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 2
#endif
#define M 2
#define ROOM 3

mtype = { DECIDE, SEND, ESCALATE, DONE, LOST }

byte faults = FAULTS;

/* --- the database --------------------------------------------------------------------------- */
byte logged;           /* messages 0 .. logged-1 are in the log, at the offset of their number */
bit composed;          /* for good: message 1 is part of unit 0 */
byte position;         /* everything before this offset is settled */
byte owner;            /* of the partition: 1, 2; 0: nobody */
byte fence;
bit decided[M], escalates[M];      /* agent_runs */
byte replies[M], escalations[M], letters[M]; /* by unit: outbox, escalations, dead_letters */
bit human;             /* conversations.state */
byte outcomes[M];      /* by message: how many units gave it one */

/* --- the world ------------------------------------------------------------------------------ */
bit accepted[M];       /* the client has a 2xx */
chan to_router = [ROOM] of { mtype, byte, bit, byte, byte }; /* what, unit, both, generation, edge */
chan to_decider[2] = [1] of { byte, bit, byte, byte };
chan to_sender = [1] of { byte, bit, byte, byte };
chan to_escalator = [1] of { byte, bit, byte, byte };
chan to_edge[3] = [ROOM] of { mtype, byte, byte };           /* what, unit, generation */
bit new_router[3];     /* the edge has yet to hear of it */

#define CLEAR u = 0; g = 0; e = 0; both = 0
#define has_outcome(u) (replies[u] + escalations[u] + letters[u] > 0)
#define settled(m) (outcomes[m] > 0)

inline fault() { faults > 0; faults-- }

/* The unit `u` has an outcome now, and so have its messages. */
inline outcome(u, both) {
	assert(replies[u] + escalations[u] + letters[u] == 1);   /* P1 */
	assert(u == 0 || settled(0));                            /* P3 */
	outcomes[u]++;
	assert(outcomes[u] == 1);                                /* P2 */
	if
	:: both -> outcomes[1]++; assert(outcomes[1] == 1)       /* P2 */
	:: else
	fi
}

/* --- who writes ----------------------------------------------------------------------------- */
active proctype Client()
{
	byte m;
	do
	:: m < M ->
#ifdef ANSWER_BEFORE_COMMIT
		if
		:: accepted[m] = 1
		:: atomic { accepted[m] = 1; fault(); break }        /* the edge dies before the commit */
		fi;
#endif
		atomic {
			logged = (logged == m -> logged + 1 : logged);   /* an id that is there is left */
			if
			:: accepted[m] = 1; m++
			:: fault()                                       /* no answer: the same once more */
			:: fault(); m++                                  /* no answer, and it gives up */
			fi
		}
	:: else -> break
	od
}

/* --- the edge ------------------------------------------------------------------------------- */
#define NONE 0   /* not read */
#define READY 1
#define FLYING 2
#define DYING 3
#define SETTLED 4

#define holds (owner == me && fence == my_fence)
#ifdef NO_FENCE
#define fenced_in true
#else
#define fenced_in holds
#endif

#ifdef NO_LEASE_CHECK
#define may_send true
#else
#define may_send holds
#endif
#ifdef COMPOSE_RECOVERED
#define may_compose true
#else
#define may_compose (high == 0)
#endif
#ifdef COMMIT_BEYOND
#define may_move true
#else
#define may_move (state[settled_to] == SETTLED)
#endif

inline forget() {
	my_fence = 0; read = 0; settled_to = 0; high = 0; both = 0;
	state[0] = NONE; state[1] = NONE;
	generation[0] = 0; generation[1] = 0;
	attempt[0] = 0; attempt[1] = 0
}

/* A failure that counts. */
inline failed(u) {
	attempt[u]++;
	state[u] = (attempt[u] == ATTEMPTS -> DYING : READY)
}

proctype Edge(byte me)
{
	byte my_fence, read, settled_to, high;
	bit both;                        /* unit 0 holds both messages */
	byte state[M], generation[M], attempt[M];
	byte u, g;

end:	do
	/* It takes the partition: nobody's, or of one whose lease is over though it lives. */
	:: d_step { my_fence == 0 && owner == 0 && (me == 1 || fence > 0) -> /* they are alike: 1 begins */
		owner = me; fence++; forget(); my_fence = fence;
		read = position; settled_to = position; high = logged }
	:: d_step { my_fence == 0 && owner != 0 && owner != me && faults > 0 ->
		faults--;
		owner = me; fence++; forget(); my_fence = fence;
		read = position; settled_to = position; high = logged }
	/* It learns that it is another's. */
	:: d_step { my_fence != 0 && !holds -> forget() }

	/* It reads. What an earlier holder may have sent alone isn't composed any more. */
	:: d_step { my_fence != 0 && read < logged && (read == 1 || !composed || logged == 2) ->
		if
		:: read == 0 && composed -> both = 1; state[0] = READY; read = 2
		:: read == 1 && composed -> state[1] = SETTLED; read = 2 /* the rest of a settled unit */
		:: else -> state[read] = READY; read++
		fi }
	:: d_step { my_fence != 0 && !both && state[0] == READY && state[1] == READY &&
		    generation[0] == 0 && generation[1] == 0 && may_compose -> if
		:: fenced_in -> composed = 1; both = 1; state[1] = NONE
		:: else -> forget()
		fi }

	/* One unit of the conversation at a time, in order. */
	:: d_step { my_fence != 0 && state[0] == READY && may_send && len(to_router) < ROOM ->
		generation[0]++; state[0] = FLYING;
		to_router!DECIDE, 0, both, generation[0], me }
	:: d_step { my_fence != 0 && state[1] == READY && (state[0] == SETTLED || settled_to == 1) &&
		    may_send && len(to_router) < ROOM ->
		generation[1]++; state[1] = FLYING;
		to_router!DECIDE, 1, 0, generation[1], me }

	/* What became of it. DONE counts whichever delivery it is of; a failure only of this one. */
	:: d_step { to_edge[me]?DONE, u, g ->
		if
		:: my_fence != 0 && (state[u] == READY || state[u] == FLYING) ->
			state[u] = SETTLED;
			if :: u == 0 && both -> state[1] = SETTLED :: else fi
		:: else
		fi; u = 0; g = 0 }
	:: d_step { to_edge[me]?LOST, u, g ->
#ifndef NO_REDELIVERY
		if
		:: state[u] == FLYING && generation[u] == g -> failed(u)
		:: else
		fi;
#endif
		u = 0; g = 0 }
#ifndef NO_REDELIVERY
	:: d_step { new_router[me] -> new_router[me] = 0;
		if :: state[0] == FLYING -> state[0] = READY :: else fi;
		if :: state[1] == FLYING -> state[1] = READY :: else fi }
	:: d_step { state[0] == FLYING && faults > 0 -> faults--; failed(0) } /* its deadline */
#else
	:: d_step { new_router[me] -> new_router[me] = 0 }
#endif

	/* A dead letter: through the gate, under the fence. */
	:: d_step { my_fence != 0 && (state[0] == DYING || state[1] == DYING) ->
		u = (state[0] == DYING -> 0 : 1);
		if
		:: fenced_in ->
			if
			:: !has_outcome(u) -> letters[u]++; outcome(u, (u == 0 && both))
			:: else
			fi;
			state[u] = SETTLED;
			if :: u == 0 && both -> state[1] = SETTLED :: else fi
		:: else -> forget()
		fi; u = 0 }

	/* The position follows the settled prefix. */
	:: d_step { my_fence != 0 && settled_to < read && may_move -> if
		:: fenced_in ->
			settled_to++;
			position = (settled_to > position -> settled_to : position);
			assert(position == 0 || settled(0));             /* P5 */
			assert(position < 2 || settled(1))               /* P5 */
		:: else -> forget()
		fi }

	/* It dies: its lock on the partition with it, and what was on its way to it. */
	:: d_step { faults > 0 && my_fence != 0 -> faults--;
		if :: owner == me -> owner = 0 :: else fi;
		do :: to_edge[me]?_, _, _ :: empty(to_edge[me]) -> break od;
		new_router[me] = 0;
		forget() }
	od
}

/* --- the router ----------------------------------------------------------------------------- */
active proctype Router()
{
	byte u, g, e;
	bit both;

end:	do
	:: atomic { to_router?[DECIDE, _, _, _, _] && len(to_decider[0]) + len(to_decider[1]) < 2 ->
		to_router?DECIDE, u, both, g, e;
		if
		:: nfull(to_decider[0]) -> to_decider[0]!u, both, g, e
		:: nfull(to_decider[1]) -> to_decider[1]!u, both, g, e
		fi; CLEAR }
	:: atomic { to_router?[SEND, _, _, _, _] && len(to_sender) == 0 ->
		to_router?SEND, u, both, g, e;
		to_sender!u, both, g, e; CLEAR }
	:: atomic { to_router?[ESCALATE, _, _, _, _] && len(to_escalator) == 0 ->
		to_router?ESCALATE, u, both, g, e;
		to_escalator!u, both, g, e; CLEAR }
	:: atomic { to_router?DONE, u, both, g, e -> to_edge[e]!DONE, u, g; CLEAR }
	:: atomic { to_router?LOST, u, both, g, e -> to_edge[e]!LOST, u, g; CLEAR }
	/* It dies, with all that it had not handed on. */
	:: d_step { faults > 0 && len(to_router) > 0 -> faults--;
		do :: to_router?_, _, _, _, _ :: empty(to_router) -> break od;
		new_router[1] = 1; new_router[2] = 1 }
	od
}

/* --- the stages ----------------------------------------------------------------------------- */
/* Commit first, then pass on. Dies before, between or after: what it had is told LOST. That it takes
 * its time is the same as that the unit stands in its channel. */
#define DIES faults > 0 -> faults--; to_router!LOST, u, both, g, e; CLEAR; goto end

active [2] proctype Decider()
{
	byte u, g, e;
	bit both;

end:	atomic {
		to_decider[_pid % 2]?u, both, g, e;
		if
		:: decided[u]
		:: !decided[u] -> decided[u] = 1
		:: !decided[u] -> decided[u] = 1; escalates[u] = 1
		:: DIES
		fi
	}
	atomic {
		if
		:: escalates[u] -> to_router!ESCALATE, u, both, g, e
		:: !escalates[u] -> to_router!SEND, u, both, g, e
		:: DIES
		fi;
		CLEAR; goto end
	}
}

#ifdef NO_UNIQUE
#define no_reply true
#else
#define no_reply (replies[u] == 0)
#endif
#ifdef NO_GATE
#define gate true
#else
#define gate (escalations[u] + letters[u] == 0 && !human)
#endif

inline reply() {
	if
	:: no_reply && gate ->
		assert(!human);                                          /* P4 */
		replies[u]++; outcome(u, both)
	:: else
	fi;
	refused = !has_outcome(u)  /* a person owns the conversation */
}

active proctype Sender()
{
	byte u, g, e;
	bit both, refused;

end:	atomic {
		to_sender?u, both, g, e;
#ifdef PASS_BEFORE_COMMIT
		to_router!DONE, u, both, g, e
	}
	atomic {
		if
		:: reply()
		:: faults > 0 -> faults--
		fi;
		CLEAR; refused = 0; goto end
	}
#else
		if
		:: reply()
		:: DIES
		fi
	}
	atomic {
		if
		:: refused -> to_router!ESCALATE, u, both, g, e
		:: !refused -> to_router!DONE, u, both, g, e
		:: DIES
		fi;
		CLEAR; refused = 0; goto end
	}
#endif
}

inline escalate() {
	if
#ifdef NO_GATE
	:: escalations[u] == 0 -> escalations[u]++; human = 1; outcome(u, both)
#else
	:: !has_outcome(u) -> escalations[u]++; human = 1; outcome(u, both)
#endif
	:: else
	fi
}

active proctype Escalator()
{
	byte u, g, e;
	bit both;

end:	atomic {
		to_escalator?u, both, g, e;
		if
		:: escalate()
		:: DIES
		fi
	}
	atomic {
		if
		:: to_router!DONE, u, both, g, e
		:: DIES
		fi;
		CLEAR; goto end
	}
}

/* --- the judge ------------------------------------------------------------------------------ */
active proctype Judge()
{
	timeout;                         /* nobody can do anything more */
	assert(!accepted[0] || settled(0));                          /* P6 */
	assert(!accepted[1] || settled(1));                          /* P6 */
	assert(!accepted[0] || logged > 0);
	assert(!accepted[1] || logged > 1);
	assert(position == logged)                                   /* P6 */
}

init { atomic { run Edge(1); run Edge(2) } }
