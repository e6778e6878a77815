#include "db/kb.h"

#include "test/unit/db/database.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct database db, importer;

static void
setup(void)
{
    database_init(&db);
    database_init(&importer);
    database_sql("with gone as (delete from knowledge_base returning 1) select count(*) from gone");
}

static void
teardown(void)
{
    database_sql("with gone as (delete from knowledge_base returning 1) select count(*) from gone");
    database_fini(&importer);
    database_fini(&db);
}

TestSuite(kb, .init = setup, .fini = teardown, .timeout = 30);

static struct kb_row
row(const char *id, const char *document, const char *body)
{
    return (struct kb_row){
        .id = str_of(id), .document = str_of(document), .title = STR("T"), .body = str_of(body)};
}

static struct kb_change
import(const char *source, const struct kb_row *rows, size_t n)
{
    struct kb_change change;
    struct pg_txn *t = pg_begin(importer.pg);

    kb_import(t, str_of(source), rows, n);
    const struct pg_reply *reply = database_run(&importer, &t);
    cr_assert_eq(reply->err, 0, "%s", reply->detail);
    kb_import_read(reply, &change);
    return change;
}

static int64_t
searches_behind(int64_t generation)
{
    struct pg_txn *t = pg_begin(importer.pg);

    kb_behind(t, generation);
    const struct pg_reply *reply = database_run(&importer, &t);
    cr_assert_eq(reply->err, 0, "%s", reply->detail);
    return kb_behind_read(reply->results[0]);
}

static int64_t
load(size_t *ret_rows)
{
    struct pg_txn *t = pg_begin(db.pg);

    kb_load(t);
    const struct pg_reply *reply = database_run(&db, &t);
    cr_assert_eq(reply->err, 0, "%s", reply->detail);
    *ret_rows = (size_t)PQntuples(reply->results[KB_LOAD_ROWS]);
    return kb_load_generation(reply);
}

static void
serve(int64_t generation)
{
    struct pg_txn *t = pg_begin(db.pg);

    kb_serve(t, generation);
    cr_assert_eq(database_run(&db, &t)->err, 0);
}

static bool
serves(int64_t *ret_generation)
{
    struct pg_txn *t = pg_begin(db.pg);
    bool yes;

    kb_look(t);
    const struct pg_reply *reply = database_run(&db, &t);
    cr_assert_eq(reply->err, 0, "%s", reply->detail);
    kb_look_read(reply->results[0], ret_generation, &yes);
    return yes;
}

Test(kb, import_writes_what_is_new_and_removes_what_is_gone)
{
    const struct kb_row first[] = {row("a", "a", "1"), row("b", "b", "2"), row("c", "c", "3")};
    const struct kb_row second[] = {row("a", "a", "1"), row("b", "b", "changed")};

    struct kb_change change = import("s", first, 3);
    cr_expect_eq(change.written, 3);
    cr_expect_eq(change.removed, 0);
    change = import("s", second, 2);
    cr_expect_eq(change.written, 1);
    cr_expect_eq(change.removed, 1);
    cr_expect_eq(change.taken, 0);
    cr_expect_str_eq(database_sql("select string_agg(id || body, ',' order by id)"
                                  " from knowledge_base"),
                     "a1,bchanged");
    change = import("s", second, 2);
    cr_expect_eq(change.written, 0);
    change = import("s", NULL, 0);
    cr_expect_eq(change.removed, 2);
}

Test(kb, import_leaves_other_sources_alone_but_takes_over_its_own_ids_and_documents)
{
    const struct kb_row old[] = {row("d#1", "d", "1"), row("d#2", "d", "2"), row("e", "e", "3")};
    const struct kb_row moved[] = {row("d#1", "d", "1")};

    import("old", old, 3);
    struct kb_change change = import("new", moved, 1);
    cr_expect_eq(change.taken, 1);
    cr_expect_eq(change.written, 1);
    cr_expect_eq(change.removed, 1); /* d#2: the document is what is imported now */
    cr_expect_str_eq(database_sql("select string_agg(id || source, ',' order by id)"
                                  " from knowledge_base"),
                     "d#1new,eold");
}

Test(kb, text_is_data)
{
    const struct kb_row rows[] = {row("'; drop table knowledge_base; --", "x", "{\"}\\,NULL")};

    import("s", rows, 1);
    cr_expect_str_eq(database_sql("select body from knowledge_base"), "{\"}\\,NULL");
}

Test(kb, each_change_raises_the_generation_and_none_goes_back)
{
    const struct kb_row rows[] = {row("a", "a", "1")};
    int64_t before, after;

    serves(&before);
    struct kb_change change = import("s", rows, 1);
    serves(&after);
    cr_expect_gt(change.generation, before);
    cr_expect_eq(change.generation, after);
    database_sql("update knowledge_base set body = 'by hand' returning 1");
    serves(&before);
    cr_expect_gt(before, after);
}

Test(kb, a_search_is_behind_until_it_says_that_it_serves_the_generation)
{
    const struct kb_row rows[] = {row("a", "a", "1")};
    int64_t now;
    size_t n;

    cr_expect_not(serves(&now));
    cr_expect_eq(searches_behind(now), 0);
    int64_t generation = load(&n);
    cr_expect_eq(n, 0);
    cr_expect_eq(searches_behind(generation), 1); /* it may have read before the change */
    serve(generation);
    cr_expect(serves(&now));
    cr_expect_eq(searches_behind(generation), 0);

    struct kb_change change = import("s", rows, 1);
    cr_expect_eq(searches_behind(change.generation), 1);
    generation = load(&n);
    cr_expect_eq(n, 1);
    cr_expect_eq(searches_behind(change.generation), 1);
    serve(generation);
    cr_expect_eq(searches_behind(change.generation), 0);

    generation = load(&n); /* the same once more */
    serve(generation);
    cr_expect_eq(searches_behind(change.generation), 0);
    change = import("s", NULL, 0);
    cr_expect_eq(searches_behind(change.generation), 1);
}

Test(kb, a_dead_search_holds_up_nobody)
{
    struct database dead;
    size_t n;

    load(&n);
    cr_expect_eq(searches_behind(INT32_MAX), 1);
    dead = db;
    database_fini(&dead);
    database_init(&db);
    for (int i = 0; i < 500 && searches_behind(INT32_MAX) > 0; i++) {
        database_sql("select pg_sleep(0.01) is null");
    }
    cr_expect_eq(searches_behind(INT32_MAX), 0);
}

Test(kb, a_document_is_listed_once_with_its_passages)
{
    const struct kb_row rows[] = {row("d#1", "d", "1"), row("d#2", "d", "2")};
    struct kb_document d;

    import("s", rows, 2);
    struct pg_txn *t = pg_begin(db.pg);
    kb_list(t);
    const struct pg_reply *reply = database_run(&db, &t);
    cr_assert_eq(reply->err, 0, "%s", reply->detail);
    cr_assert_eq(PQntuples(reply->results[0]), 1);
    kb_list_row(reply->results[0], 0, &d);
    cr_expect(str_is(d.document, "d"));
    cr_expect_eq(d.passages, 2);
    cr_expect_gt(d.updated_us, 1500000000000000);
}
