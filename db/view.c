#include "db/view.h"

#define TIME(column) "to_char(" column " at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
#define IDENTIFIERS                                                                                \
    "(select coalesce(json_agg(json_build_object('kind', i.kind, 'value', i.value,"                \
    "   'assurance', i.assurance, 'resolves', i.resolves) order by i.created_at, i.kind), '[]')"   \
    "   from customer_identifiers i where i.customer_id = u.id)"

static const struct pg_stmt tickets = {
    "view_tickets",
    "select coalesce(json_agg(json_build_object('ref', t.ref, 'status', t.status, 'owner', c.state,"
    "   'channel', t.channel, 'subject', t.subject, 'customer', u.name, 'messages',"
    "   (select count(*) from messages m where m.customer_id = t.customer_id"
    "                                      and m.conversation_id = t.id),"
    "   'created_at', " TIME("t.created_at") ", 'updated_at', " TIME(
        "t.updated_at") ")"
                        "   order by t.updated_at desc), '[]')"
                        " from (select * from tickets where $1::text = '' or status = $1"
                        "       order by updated_at desc limit $2::bigint) t"
                        " join conversations c on c.id = t.id join customers u on u.id = "
                        "t.customer_id",
};

#define TICKET                                                                                                                                                                                                                       \
    "select json_build_object('ref', t.ref, 'id', t.id, 'status', t.status, 'channel', t.channel,"                                                                                                                                   \
    "   'subject', t.subject, 'category', t.category, 'priority', t.priority,"                                                                                                                                                       \
    "   'created_at', " TIME("t.created_at") ", 'updated_at', " TIME(                                                                                                                                                                \
        "t.updated_at") ","                                                                                                                                                                                                          \
                        "   'resolved_at', " TIME("t.resolved_at") ","                                                                                                                                                               \
                                                                   " 'customer', "                                                                                                                                                   \
                                                                   "json_build_object('id', "                                                                                                                                        \
                                                                   "u.id, 'name', u.name, "                                                                                                                                          \
                                                                   "'identifiers', " IDENTIFIERS                                                                                                                                     \
                                                                   "),"                                                                                                                                                              \
                                                                   " 'conversation', "                                                                                                                                               \
                                                                   "json_build_object('id', "                                                                                                                                        \
                                                                   "c.id, 'owner', c.state,"                                                                                                                                         \
                                                                   "   'started_at', " TIME("c."                                                                                                                                     \
                                                                                            "star"                                                                                                                                   \
                                                                                            "ted_"                                                                                                                                   \
                                                                                            "at") ", 'last_activity_at', " TIME("c.last_activity_at") "   , 'closed_at', " TIME(                                                     \
                                                                       "c.closed_at") "),"                                                                                                                                           \
                                                                                      " '"                                                                                                                                           \
                                                                                      "messages',"                                                                                                                                   \
                                                                                      " (select "                                                                                                                                    \
                                                                                      "coalesce("                                                                                                                                    \
                                                                                      "json_agg("                                                                                                                                    \
                                                                                      "json_"                                                                                                                                        \
                                                                                      "build_"                                                                                                                                       \
                                                                                      "object('"                                                                                                                                     \
                                                                                      "id', "                                                                                                                                        \
                                                                                      "m.id, "                                                                                                                                       \
                                                                                      "'unit', "                                                                                                                                     \
                                                                                      "m.unit_id,"                                                                                                                                   \
                                                                                      "     "                                                                                                                                        \
                                                                                      "'direction"                                                                                                                                   \
                                                                                      "', "                                                                                                                                          \
                                                                                      "m."                                                                                                                                           \
                                                                                      "direction,"                                                                                                                                   \
                                                                                      " 'author',"                                                                                                                                   \
                                                                                      " m.author,"                                                                                                                                   \
                                                                                      " 'body', "                                                                                                                                    \
                                                                                      "m.body, "                                                                                                                                     \
                                                                                      "'sources',"                                                                                                                                   \
                                                                                      " m."                                                                                                                                          \
                                                                                      "sources,"                                                                                                                                     \
                                                                                      "     "                                                                                                                                        \
                                                                                      "'sentiment"                                                                                                                                   \
                                                                                      "', "                                                                                                                                          \
                                                                                      "m."                                                                                                                                           \
                                                                                      "sentiment,"                                                                                                                                   \
                                                                                      "     "                                                                                                                                        \
                                                                                      "'at',"                                                                                                                                        \
                                                                                      " " TIME(                                                                                                                                      \
                                                                                          "case "                                                                                                                                    \
                                                                                          "when "                                                                                                                                    \
                                                                                          "m."                                                                                                                                       \
                                                                                          "direct"                                                                                                                                   \
                                                                                          "ion = "                                                                                                                                   \
                                                                                          "'inbou"                                                                                                                                   \
                                                                                          "nd' "                                                                                                                                     \
                                                                                          "then "                                                                                                                                    \
                                                                                          "coales"                                                                                                                                   \
                                                                                          "ce(m."                                                                                                                                    \
                                                                                          "receiv"                                                                                                                                   \
                                                                                          "ed_at,"                                                                                                                                   \
                                                                                          "      "                                                                                                                                   \
                                                                                          " m."                                                                                                                                      \
                                                                                          "create"                                                                                                                                   \
                                                                                          "d_at) "                                                                                                                                   \
                                                                                          "else "                                                                                                                                    \
                                                                                          "m."                                                                                                                                       \
                                                                                          "create"                                                                                                                                   \
                                                                                          "d_at "                                                                                                                                    \
                                                                                          "end") ") order by m.seq), '[]')"                                                                                                          \
                                                                                                 "   from messages m where m.customer_id = t.customer_id and m.conversation_id = t.id),"                                             \
                                                                                                 " 'escalations', (select coalesce(json_agg(json_build_object('unit', e.id,"                                                         \
                                                                                                 "     'reason', e.reason, 'evidence', e.evidence, 'summary', e.summary, 'status', e.status,"                                        \
                                                                                                 "     'sentiment', e.sentiment, 'context', e.context, 'at', " TIME(                                                                 \
                                                                                                     "e.created_at") ")"                                                                                                             \
                                                                                                                     "     order by e.created_at), '[]') from escalations e where e.ticket_id = t.id),"                              \
                                                                                                                     " 'notes', (select coalesce(json_agg(json_build_object('unit', n.unit_id, 'kind', n.kind,"                      \
                                                                                                                     "     'note', n.note, 'at', " TIME(                                                                             \
                                                                                                                         "n.created_at") ") order by n.created_at), '[]')"                                                           \
                                                                                                                                         "   from ticket_notes n where n.ticket_id = t.id),"                                         \
                                                                                                                                         " 'steps', (select coalesce(json_agg(json_build_object('unit', r.unit_id, 'step', r.step,"  \
                                                                                                                                         "     'tool', r.tool, 'arguments', r.arguments, 'result', r.result,"                        \
                                                                                                                                         "     'at', " TIME(                                                                         \
                                                                                                                                             "r.created_at") ") order by m.seq, r.step), '[]')"                                      \
                                                                                                                                                             "   from messages m join agent_runs r on r.unit_id = m.id"              \
                                                                                                                                                             "   where m.customer_id = t.customer_id and m.conversation_id = t.id))" \
                                                                                                                                                             " from tickets t join conversations c on c.id = t.id join customers u on u.id = t.customer_id"

static const struct pg_stmt ticket = {"view_ticket", TICKET " where t.ref = $1"};
static const struct pg_stmt ticket_by_id = {"view_ticket_by_id", TICKET " where t.id = $1"};

#define CUSTOMERS                                                                                  \
    "select json_agg(json_build_object('id', u.id, 'name', u.name, 'metadata', u.metadata,"        \
    "   'created_at', " TIME(                                                                      \
        "u.created_at") ", 'identifiers', " IDENTIFIERS ","                                        \
                        " 'conversations', (select coalesce(json_agg(json_build_object('id', "     \
                        "c.id, 'ticket', t.ref,"                                                   \
                        "     'status', t.status, 'owner', c.state, 'channel', c.channel, "        \
                        "'subject', c.subject,"                                                    \
                        "     'messages', (select count(*) from messages m where m.customer_id = " \
                        "u.id"                                                                     \
                        "                                                    and "                 \
                        "m.conversation_id = c.id),"                                               \
                        "     'started_at', " TIME("c.started_at") ", 'last_activity_at', " TIME(  \
                            "c.last_activity_at") "     , 'closed_at', " TIME("c.closed_at") ") "  \
                                                                                             "ord" \
                                                                                             "er " \
                                                                                             "by " \
                                                                                             "c."  \
                                                                                             "sta" \
                                                                                             "rte" \
                                                                                             "d_"  \
                                                                                             "at)" \
                                                                                             ", "  \
                                                                                             "'[]" \
                                                                                             "')"  \
                                                                                             "   " \
                                                                                             "fro" \
                                                                                             "m "  \
                                                                                             "con" \
                                                                                             "ver" \
                                                                                             "sat" \
                                                                                             "ion" \
                                                                                             "s "  \
                                                                                             "c "  \
                                                                                             "lef" \
                                                                                             "t "  \
                                                                                             "joi" \
                                                                                             "n "  \
                                                                                             "tic" \
                                                                                             "ket" \
                                                                                             "s "  \
                                                                                             "t "  \
                                                                                             "on " \
                                                                                             "t."  \
                                                                                             "id " \
                                                                                             "= "  \
                                                                                             "c."  \
                                                                                             "id " \
                                                                                             "whe" \
                                                                                             "re " \
                                                                                             "c."  \
                                                                                             "cus" \
                                                                                             "tom" \
                                                                                             "er_" \
                                                                                             "id " \
                                                                                             "= "  \
                                                                                             "u."  \
                                                                                             "id)" \
                                                                                             ")"   \
                                                                                             "   " \
                                                                                             "ord" \
                                                                                             "er " \
                                                                                             "by " \
                                                                                             "u."  \
                                                                                             "cre" \
                                                                                             "ate" \
                                                                                             "d_"  \
                                                                                             "at)" \
                                                                                             " fr" \
                                                                                             "om " \
                                                                                             "cus" \
                                                                                             "tom" \
                                                                                             "ers" \
                                                                                             " u"

static const struct pg_stmt customers = {
    "view_customers",
    CUSTOMERS " where u.id in (select customer_id from customer_identifiers where value = $1)"
              " having count(*) > 0"};
static const struct pg_stmt customer_by_id = {"view_customer_by_id",
                                              CUSTOMERS " where u.id = $1 having count(*) > 0"};

void
view_tickets(struct pg_txn *t, struct str status, int64_t limit)
{
    pg_stmt(t, &tickets);
    pg_put_text(t, status.p ? status : STR(""));
    pg_put_int(t, limit);
}

void
view_ticket(struct pg_txn *t, struct str ref)
{
    pg_stmt(t, &ticket);
    pg_put_text(t, ref);
}

void
view_ticket_by_id(struct pg_txn *t, struct id id)
{
    pg_stmt(t, &ticket_by_id);
    pg_put_id(t, id);
}

void
view_customers(struct pg_txn *t, struct str value)
{
    pg_stmt(t, &customers);
    pg_put_text(t, value);
}

void
view_customer_by_id(struct pg_txn *t, struct id id)
{
    pg_stmt(t, &customer_by_id);
    pg_put_id(t, id);
}

struct str
view_get(const PGresult *r)
{
    if (PQntuples(r) == 0 || pg_null(r, 0, 0)) {
        return (struct str){0};
    }
    return pg_json(r, 0, 0);
}
