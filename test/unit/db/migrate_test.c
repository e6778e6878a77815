#include "db/migrate.h"
#include "proto/err.h"
#include "test/unit/db/database.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(migrate, .timeout = 60);

/* A schema of the test's own stands for an empty database: the URL's search path leads there. */
static void
scratch(char ret_url[2048])
{
    struct id id = id_random();
    const char *url = getenv("DATABASE_URL");
    char name[32];

    snprintf(name, sizeof(name), "scratch_%02x%02x%02x%02x%02x", id.b[0], id.b[1], id.b[2], id.b[3],
             id.b[4]);
    database_sql("create schema %s", name);
    snprintf(ret_url, 2048, "%s%soptions=-csearch_path%%3D%s", url, strchr(url, '?') ? "&" : "?",
             name);
    database_sql("set search_path = %s", name);
}

static const struct migration two[] = {
    {1, "one", "create table a (x int); insert into a values (1);"},
    {2, "two", "insert into a select x + 1 from a;"},
    {0},
};

Test(migrate, applies_each_migration_once_and_in_order)
{
    struct migrate_report report;
    char url[2048];

    scratch(url);
    cr_assert_eq(migrate_apply(url, two, false, &report), 0, "%s", report.why);
    cr_assert_eq(report.version_before, 0);
    cr_assert_eq(report.version, 2);
    cr_assert_eq(report.applied, 2);
    cr_assert_eq(migrate_apply(url, two, false, &report), 0);
    cr_assert_eq(report.version_before, 2);
    cr_assert_eq(report.applied, 0);
    cr_assert_str_eq(database_sql("select sum(x) from a"), "3");
    cr_assert_str_eq(
        database_sql("select string_agg(version || name || length(sha256), ' ' order by version)"
                     " from schema_migrations"),
        "1one64 2two64");
}

Test(migrate, goes_on_where_an_older_program_stopped)
{
    static const struct migration one[] = {
        {1, "one", "create table a (x int); insert into a values (1);"}, {0}};
    struct migrate_report report;
    char url[2048];

    scratch(url);
    cr_assert_eq(migrate_apply(url, one, false, &report), 0);
    cr_assert_eq(migrate_apply(url, two, false, &report), 0);
    cr_assert_eq(report.version_before, 1);
    cr_assert_eq(report.applied, 1);
}

Test(migrate, only_looks_where_it_is_told_to)
{
    struct migrate_report report;
    char url[2048];

    scratch(url);
    cr_assert_eq(migrate_apply(url, two, true, &report), ERR_NOT_FOUND);
    cr_assert_str_eq(
        database_sql("select coalesce(to_regclass('schema_migrations')::text, 'none')"), "none");
    cr_assert_eq(migrate_apply(url, two, false, &report), 0);
    cr_assert_eq(migrate_apply(url, two, true, &report), 0);
}

Test(migrate, refuses_a_newer_schema_and_leaves_it_as_it_is)
{
    static const struct migration one[] = {
        {1, "one", "create table a (x int); insert into a values (1);"}, {0}};
    struct migrate_report report;
    char url[2048];

    scratch(url);
    cr_assert_eq(migrate_apply(url, two, false, &report), 0);
    cr_assert_eq(migrate_apply(url, one, false, &report), ERR_VERSION);
    cr_assert_not_null(strstr(report.why, "newer"));
    cr_assert_str_eq(database_sql("select max(version) from schema_migrations"), "2");
}

Test(migrate, refuses_a_migration_that_was_changed_after_it_was_applied)
{
    static const struct migration changed[] = {{1, "one", "create table a (x bigint);"},
                                               {2, "two", "select 1;"},
                                               {3, "three", "create table b ();"},
                                               {0}};
    struct migrate_report report;
    char url[2048];

    scratch(url);
    cr_assert_eq(migrate_apply(url, two, false, &report), 0);
    cr_assert_eq(migrate_apply(url, changed, false, &report), ERR_CONFLICT);
    cr_assert_str_eq(database_sql("select coalesce(to_regclass('b')::text, 'none')"), "none");
}

Test(migrate, takes_back_a_migration_that_fails_and_keeps_those_before_it)
{
    static const struct migration bad[] = {
        {1, "one", "create table a (x int);"},
        {2, "two", "create table b (x int); insert into b values (1); select 1 / 0;"},
        {3, "three", "create table c ();"},
        {0}};
    struct migrate_report report;
    char url[2048];

    scratch(url);
    cr_assert_eq(migrate_apply(url, bad, false, &report), ERR_INTERNAL);
    cr_assert_not_null(strstr(report.why, "two"));
    cr_assert_not_null(strstr(report.why, "division by zero"));
    cr_assert_eq(report.version, 1);
    cr_assert_str_eq(database_sql("select coalesce(to_regclass('b')::text, 'none')"
                                  " || coalesce(to_regclass('c')::text, 'none')"),
                     "nonenone");
    cr_assert_eq(migrate_apply(url, two, false, &report), ERR_CONFLICT);
}

static void *
migrate_in_thread(void *arg)
{
    struct migrate_report report;

    return migrate_apply(arg, two, false, &report) == 0 ? arg : NULL;
}

Test(migrate, of_several_at_once_is_applied_by_one)
{
    pthread_t threads[4];
    char url[2048];

    scratch(url);
    for (size_t i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, migrate_in_thread, url);
    }
    for (size_t i = 0; i < 4; i++) {
        void *ok;
        pthread_join(threads[i], &ok);
        cr_assert_not_null(ok);
    }
    cr_assert_str_eq(database_sql("select sum(x) from a"), "3");
}

Test(migrate, tells_that_there_is_no_server)
{
    struct migrate_report report;

    cr_assert_eq(migrate_apply("postgresql:///fte?host=/nowhere", two, false, &report),
                 ERR_UNAVAILABLE);
    cr_assert_null(strchr(report.why, '\n'));
}

Test(migrate, versions_that_are_compiled_in_rise_without_a_gap)
{
    int version = 0;

    for (const struct migration *step = migrations; step->version != 0; step++) {
        cr_assert_eq(step->version, ++version);
        cr_assert_gt(strlen(step->sql), 100);
    }
    cr_assert_eq(migrate_version(), version);
    cr_assert_geq(version, 2);
}
