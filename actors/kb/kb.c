/* kb - finds the passages of the knowledge base that answer a question.
 *
 *   agent --(CALL {query, limit?})--> kb --(RETURN {answerable, confidence, hits})--> agent
 *   fte kb import --(table knowledge_base, NOTIFY fte_kb)--> kb
 *
 *   hit  {id, document, title, url or nil, score, text, at: byte of the text where the line that is
 *        nearest to the question begins, adds: share of the question's words that it has and no
 *        better hit has}
 *
 * Holds nothing that is not in the table: after a crash the index is built again from it. A change
 * of the table makes a new index; searches go on in the old one until it stands.
 */
#include "db/kb.h"
#include "actors/kb/answerable.h"
#include "actors/kb/index.h"
#include "actors/kb/rank.h"
#include "actors/kb/rows.h"
#include "db/actor_pg.h"
#include "proto/runtime/actor.h"

#include <pthread.h>
#include <stdatomic.h>

#define LOOK_EVERY_MS 1000 /* a notification can be missed: at a reconnect it is */

struct kb {
    struct actor *self;
    struct pg *pg;
    struct ranker *ranker;
    struct index *index; /* that is searched; NULL until the first load */
    struct index *next;  /* that a thread learns for; may be `index` itself */
    int64_t generation;  /* of the table, that `index` was built from */
    int64_t next_generation;
    bool loading, looking; /* a transaction is on its way, or the thread runs */
    bool again;            /* the table changed while it was */
    pthread_t thread;
    bool threaded;
    struct models models; /* the thread's, until `learned` */
    atomic_bool learned;
    int64_t began_ms;
    struct buf answer;
};

static int kb_init(struct actor *self);
static void kb_call(struct actor *self, struct unit **units, size_t n);
static void search(struct kb *k, struct unit *u, struct str query, size_t limit);
static void pack_hit(msgpack_packer *pk, const struct kb *k, const struct ranking *found,
                     double confidence, size_t i);
static void on_notify(void *arg, const char *channel, const char *payload);
static void look(void *arg);
static void looked(void *arg, const struct pg_reply *reply);
static void load(struct kb *k);
static void loaded(void *arg, const struct pg_reply *reply);
static void *learn_beside(void *arg);
static void take_over(void *arg);
static void served(void *arg, const struct pg_reply *reply);
static void kb_fini(struct actor *self);

static const struct option kb_options[] = {DATABASE_OPTION, OPTION_END};

int
main(int argc, char **argv)
{
    static const struct actor_spec spec = {
        .name = "kb",
        .service = "search_knowledge_base",
        .options = kb_options,
        .context_size = sizeof(struct kb),
        .overlapped = true, /* a search is settled at once */
        .init = kb_init,
        .call = kb_call,
        .fini = kb_fini,
    };

    return actor_run(&spec, argc, argv);
}

static int
kb_init(struct actor *self)
{
    struct kb *k = actor_context(self);

    k->self = self;
    k->ranker = ranker_new();
    actor_hold(self, "loading the knowledge base");
    k->pg = actor_pg_open(self, on_notify, k);
    pg_listen(k->pg, KB_CHANNEL);
    load(k);
    loop_at_turn_end(actor_loop(self), take_over, k);
    loop_timer(actor_loop(self), LOOK_EVERY_MS, LOOK_EVERY_MS, look, k);
    return 0;
}

static void
kb_call(struct actor *self, struct unit **units, size_t n)
{
    struct kb *k = actor_context(self);

    for (size_t i = 0; i < n; i++) {
        struct str query = map_str(&units[i]->body, "query");
        int64_t limit = RANK_MAX_HITS;

        map_int(&units[i]->body, "limit", &limit);
        if (!query.p || limit < 1 || limit > RANK_MAX_HITS) {
            unit_reject(self, units[i], ERR_INVALID, query.p ? "limit: 1 to 5" : "query: missing");
            continue;
        }
        search(k, units[i], query, (size_t)limit);
    }
}

static void
search(struct kb *k, struct unit *u, struct str query, size_t limit)
{
    struct ranking found;
    msgpack_packer pk;

    rank(k->ranker, k->index, query, limit, &found);
    double confidence = answerable(&found);

    buf_clear(&k->answer);
    msgpack_packer_init(&pk, &k->answer, buf_msgpack_write);
    msgpack_pack_map(&pk, 3);
    pack_key(&pk, "answerable");
    confidence >= ANSWERABLE_FROM ? msgpack_pack_true(&pk) : msgpack_pack_false(&pk);
    pack_key(&pk, "confidence");
    msgpack_pack_double(&pk, confidence);
    pack_key(&pk, "hits");
    msgpack_pack_array(&pk, found.n);
    for (size_t i = 0; i < found.n; i++) {
        pack_hit(&pk, k, &found, confidence, i);
    }
    unit_return(k->self, u, buf_str(&k->answer));
}

static void
pack_hit(msgpack_packer *pk, const struct kb *k, const struct ranking *found, double confidence,
         size_t i)
{
    const struct passage *p = &k->index->passage[found->hit[i].passage];

    msgpack_pack_map(pk, 8);
    pack_key(pk, "id");
    pack_str(pk, p->id);
    pack_key(pk, "document");
    pack_str(pk, p->document);
    pack_key(pk, "title");
    pack_str(pk, p->title);
    pack_key(pk, "url");
    pack_str(pk, p->url.n ? p->url : (struct str){0});
    pack_key(pk, "score");
    msgpack_pack_double(pk, answerable_score(found, confidence, i));
    pack_key(pk, "text");
    pack_str(pk, p->body);
    pack_key(pk, "at");
    msgpack_pack_uint64(pk, index_line_at(p, found->hit[i].line));
    pack_key(pk, "adds");
    msgpack_pack_double(pk, found->hit[i].adds);
}

/* Several changes that come while one is loaded are loaded together. */
static void
on_notify(void *arg, const char *channel, const char *payload)
{
    (void)channel;
    (void)payload;
    load(arg);
}

static void
look(void *arg)
{
    struct kb *k = arg;

    if (!k->loading && !k->looking && pg_is_up(k->pg)) {
        struct pg_txn *t = pg_begin(k->pg);
        k->looking = true;
        kb_look(t);
        pg_commit(&t, looked, k);
    }
}

static void
looked(void *arg, const struct pg_reply *reply)
{
    struct kb *k = arg;
    int64_t generation;
    bool serves;

    k->looking = false;
    if (reply->err == 0) {
        kb_look_read(reply->results[0], &generation, &serves);
        if (generation != k->generation || !serves) {
            load(k);
        }
    }
}

static void
load(struct kb *k)
{
    if (k->loading) {
        k->again = true;
        return;
    }
    struct pg_txn *t = pg_begin(k->pg);
    k->loading = true;
    k->again = false;
    kb_load(t);
    pg_commit(&t, loaded, k);
}

static void
loaded(void *arg, const struct pg_reply *reply)
{
    struct kb *k = arg;

    if (reply->err) { /* the look of the next second tries again */
        log_warn("not_loaded", "err=%s sqlstate=%s", err_str(reply->err), reply->sqlstate);
        k->loading = false;
        return;
    }
    k->began_ms = clock_ms();
    k->next = index_of_rows(ranker_words(k->ranker), reply->results[KB_LOAD_ROWS]);
    k->next_generation = kb_load_generation(reply);
    if (!k->index) { /* better than nothing, and at once */
        k->index = k->next;
        actor_release(k->self);
    }
    k->threaded = pthread_create(&k->thread, NULL, learn_beside, k) == 0;
    if (!k->threaded) {
        learn_beside(k);
    }
}

/* In a thread of its own: searches go on. Reads only what is never changed. */
static void *
learn_beside(void *arg)
{
    struct kb *k = arg;

    index_learn(k->next, &k->models);
    atomic_store(&k->learned, true);
    loop_wake(actor_loop(k->self));
    return NULL;
}

/* At the end of each turn of the loop: the index that has learned is searched from now on. */
static void
take_over(void *arg)
{
    struct kb *k = arg;

    if (!atomic_load(&k->learned)) {
        return;
    }
    if (k->threaded) {
        pthread_join(k->thread, NULL);
        k->threaded = false;
    }
    atomic_store(&k->learned, false);
    index_take(k->next, &k->models);
    if (k->index != k->next) {
        index_free(&k->index);
    }
    k->index = k->next;
    k->next = NULL;
    k->generation = k->next_generation;
    log_info("indexed", "generation=%lld passages=%zu lines=%zu left_out=%zu trained=%d ms=%lld",
             (long long)k->generation, k->index->n, k->index->n_lines, k->index->left_out,
             k->index->grams.learned.weight != NULL, (long long)(clock_ms() - k->began_ms));
    if (k->index->left_out > 0) {
        log_warn("knowledge_base_too_large", "left_out=%zu", k->index->left_out);
    }
    struct pg_txn *t = pg_begin(k->pg);
    kb_serve(t, k->generation);
    pg_commit(&t, served, k);
}

static void
served(void *arg, const struct pg_reply *reply)
{
    struct kb *k = arg;

    (void)reply; /* a failure shows at the next look */
    k->loading = false;
    if (k->again) {
        load(k);
    }
}

static void
kb_fini(struct actor *self)
{
    struct kb *k = actor_context(self);

    if (k->threaded) {
        pthread_join(k->thread, NULL);
    }
    learned_fini(&k->models.stems);
    learned_fini(&k->models.grams);
    pg_close(&k->pg);
    if (k->next != k->index) {
        index_free(&k->next);
    }
    index_free(&k->index);
    ranker_free(&k->ranker);
    buf_fini(&k->answer);
}
