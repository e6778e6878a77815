/* fault - named places where a test may kill, stop, delay or fail a process.
 *
 * Only in a build with -DFTE_FAULTS (make FAULTS=1): otherwise FAULT() is nothing at all.
 * FTE_FAULT="ticketer.after_commit:kill@7[,...]": at the seventh time that place is passed, once
 * per state directory (a marker file FTE_STATE_DIR/fault.<name>.<action> is made first, so that the
 * restarted process goes on). "@*" is each time, without a marker. Actions: kill (SIGKILL to
 * itself), stop (SIGSTOP), error (FAULT() is true this once), delay=MS. FTE_FAULT=@NAME reads them
 * from FTE_STATE_DIR/NAME, and again whenever that file is replaced. The places:
 *   <actor>.before_commit.<name>, after_commit.<name>   each commit, by the name of its callback
 *                     (db/pg.h) or of its batch stage (db/batch.h); error: it is answered as failed
 *   <actor>.uncommitted.<name>   error: it is rolled back, and answered as committed. A safeguard
 *                     taken away, to see that others or the checker of the tests notice
 *   <actor>.before_send.<TYPE>, after_send.<TYPE>, after_receive.<TYPE>   each message, by its type
 *                     (proto/README.md 4); error before a send: it is lost on the way
 *   <actor>.before_work.<id>, before_settle.<id>   the unit with this id is handed to the stage;
 * the stage's word on it is sent. error at the latter: it is lost on the way edge.before_produce,
 * after_produce, after_report, before_offsets, after_offsets a record to Kafka, its delivery
 * report, the group's positions; error: it fails there
 *
 *   <actor>.<safeguard>   where SAFEGUARD() or SQL_SAFEGUARD() stands; its only action is off: it
 * is taken away, for as long as the spec says so
 *
 * Without the last part it is any of them. The command line's own commits are those of `fte`.
 * test/chaos/faults_test.py reads the places from the source and walks through all of them.
 */
#ifndef PROTO_RUNTIME_FAULT_H
#define PROTO_RUNTIME_FAULT_H

#include <stdbool.h>

#ifdef FTE_FAULTS
/* Reads FTE_FAULT; exits 78 if it cannot be understood. */
void fault_init(const char *actor);
/* Passes the place "<actor>.<place>". True if the caller shall fail here. */
bool fault_pass(const char *place);
#define FAULT(place) fault_pass(place)
/* The same for "<place>.<what>", and for "<place>" alone. */
bool fault_pass_at(const char *place, const char *what);
#define FAULT_AT(place, what) fault_pass_at(place, what)
/* False where the safeguard "<actor>.<name>" is taken away; it leaves the marker
 * FTE_STATE_DIR/off.<actor>.<name> then. */
bool fault_safeguard(const char *name);
/* The statement as it is to be sent: each condition of a safeguard that is taken away is true in
 * it. `sql` itself where none is; else good until the next call. */
const char *fault_sql(const char *sql);
#else
static inline void
fault_init(const char *actor)
{
    (void)actor;
}
#define FAULT(place) false
#define FAULT_AT(place, what) false
static inline const char *
fault_sql(const char *sql)
{
    return sql;
}
#endif

/* Marks a safeguard: what stands behind it is why a promise holds, and test/chaos/safeguards.py
 * tells which, and what happens without it. Always true in the product:
 *     if (SAFEGUARD("deadline")) redeliver ();
 * SQL_SAFEGUARD() is the same around a condition in a statement, a string constant. */
#ifdef FTE_FAULTS
#define SAFEGUARD(name) fault_safeguard(name)
#define SQL_SAFEGUARD(name, condition) "(/*" name "*/ " condition ")"
#else
#define SAFEGUARD(name) true
#define SQL_SAFEGUARD(name, condition) "(" condition ")"
#endif

#endif
