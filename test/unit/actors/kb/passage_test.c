#include "actors/kb/passage.h"

#include "proto/err.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct passages p;
static struct buf why;

static void
teardown(void)
{
    passages_fini(&p);
    buf_fini(&why);
}

TestSuite(passage, .fini = teardown);

static void
expect(size_t i, const char *id, const char *title, const char *body)
{
    cr_assert_lt(i, p.n);
    cr_expect(str_is(p.row[i].id, id), "id: %.*s", STR_ARG(p.row[i].id));
    cr_expect(str_is(p.row[i].title, title), "title: %.*s", STR_ARG(p.row[i].title));
    cr_expect(str_is(p.row[i].body, body), "body: %.*s", STR_ARG(p.row[i].body));
}

Test(passage, is_what_stands_under_a_heading)
{
    passages_markdown(&p, STR("guide/a.md"),
                      STR("# Orders\nAll about *orders*.\n\n## How do I `return` one?\nPrint the\n"
                          "label. Send it.\n\n## Empty\n## Last\nEnd."),
                      STR(""));
    cr_assert_eq(p.n, 3);
    expect(0, "guide/a.md#orders", "Orders", "All about orders.");
    expect(1, "guide/a.md#how-do-i-return-one", "Orders: How do I return one?",
           "Print the label. Send it.");
    expect(2, "guide/a.md#last", "Orders: Last", "End.");
    cr_expect(str_is(p.row[2].document, "guide/a.md"));
    cr_expect_eq(p.row[2].ordinal, 2);
    cr_expect_eq(p.row[0].url.n, 0);
}

Test(passage, keeps_lists_code_and_tables_as_lines)
{
    passages_markdown(
        &p, STR("a.md"),
        STR("# T\nDo this:\n\n1. one\n2. two\n   - inner\n\n```\n$ make run\n\n```\n\n"
            "| key | value | more |\n| --- | --- | --- |\n| a | b | c |\n"),
        STR(""));
    cr_assert_eq(p.n, 1);
    expect(0, "a.md#t", "T",
           "Do this:\n1. one\n2. two\n- inner\n    $ make run\n- key: value; more\n- a: b; c");
}

Test(passage, of_a_long_section_is_cut_between_paragraphs)
{
    struct buf text = {0};

    buf_add_c(&text, "# Long\n");
    for (int i = 0; i < 12; i++) {
        for (int k = 0; k < 50; k++) {
            buf_printf(&text, "word%d ", i);
        }
        buf_add_c(&text, "\n\n");
    }
    passages_markdown(&p, STR("a.md"), buf_str(&text), STR(""));
    cr_assert_eq(p.n, 3);
    cr_expect(str_is(p.row[1].id, "a.md#long~2"));
    cr_expect(str_is(p.row[2].id, "a.md#long~3"));
    cr_expect(str_is(p.row[1].title, "Long"));
    buf_fini(&text);
}

Test(passage, has_an_id_of_its_own_under_headings_of_one_name)
{
    passages_markdown(&p, STR("a.md"), STR("# A\n## Same\nx\n## Same\ny"), STR(""));
    cr_assert_eq(p.n, 2);
    cr_expect(str_is(p.row[0].id, "a.md#same"));
    cr_expect(str_is(p.row[1].id, "a.md#same~2"));
}

Test(passage, gets_a_url_where_there_is_a_base)
{
    passages_markdown(&p, STR("a.md"), STR("# Ä B\ntext"), STR("https://docs.example/g"));
    cr_expect(str_is(p.row[0].url, "https://docs.example/g/a.md#Ä-b"), "%.*s",
              STR_ARG(p.row[0].url));
}

Test(passage, of_a_document_without_a_heading_is_named_by_its_path)
{
    passages_markdown(&p, STR("note.md"), STR("---\ntitle: x\n---\nJust text."), STR(""));
    cr_assert_eq(p.n, 1);
    expect(0, "note.md#", "note.md", "Just text.");
}

Test(passage, of_json_lines_is_a_row)
{
    cr_assert_eq(
        passages_jsonl(&p,
                       STR("{\"id\":\"a\",\"title\":\"T\",\"body\":\"b\\nc\",\"url\":\"u\","
                           "\"domain\":\"d\"}\n\n{\"id\":\"b\",\"body\":\"only\"}"),
                       &why),
        0);
    cr_assert_eq(p.n, 2);
    expect(0, "a", "T", "b\nc");
    expect(1, "b", "b", "only");
    cr_expect(str_is(p.row[0].url, "u"));
    cr_expect(str_is(p.row[0].domain, "d"));
    cr_expect(str_is(p.row[0].document, "a"));
}

Test(passage, of_faulty_json_lines_is_refused_with_the_line)
{
    static const struct {
        const char *text;
        int err;
        const char *why;
    } rows[] = {
        {"{\"id\":\"a\",\"body\":\"b\"}\nnot json", ERR_MALFORMED, "line 2: not JSON"},
        {"[1]", ERR_INVALID, "line 1: must be an object"},
        {"{\"body\":\"b\"}", ERR_INVALID, "line 1: must be an object"},
        {"{\"id\":1,\"body\":\"b\"}", ERR_INVALID, "line 1: must be an object"},
        {"{\"id\":\"a\"}", ERR_INVALID, "line 1: must be an object"},
        {"{\"id\":\"a\",\"body\":\"x\\u0000y\"}", ERR_MALFORMED, "line 1: not JSON"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_clear(&why);
        cr_expect_eq(passages_jsonl(&p, str_of(rows[i].text), &why), rows[i].err, "%s",
                     rows[i].text);
        cr_expect(strncmp(buf_c(&why), rows[i].why, strlen(rows[i].why)) == 0, "%s", buf_c(&why));
    }
}

static void
write_file(const char *folder, const char *name, const char *text)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
}

Test(passage, is_read_from_a_folder_in_the_order_of_names)
{
    char folder[] = "/tmp/fte-passage.XXXXXX", deeper[64], command[128];

    cr_assert_not_null(mkdtemp(folder));
    snprintf(deeper, sizeof deeper, "%s/sub", folder);
    cr_assert_eq(mkdir(deeper, 0700), 0);
    write_file(folder, "b.md", "# B\nbb");
    write_file(folder, "a.md", "# A\naa");
    write_file(folder, ".hidden.md", "# H\nhh");
    write_file(folder, "notes.txt", "no");
    write_file(deeper, "c.jsonl", "{\"id\":\"c\",\"title\":\"C\",\"body\":\"cc\"}");
    cr_expect_eq(passages_read(&p, folder, STR(""), &why), 0, "%s", buf_c(&why));
    cr_assert_eq(p.n, 3);
    cr_expect(str_is(p.row[0].id, "a.md#a"));
    cr_expect(str_is(p.row[1].id, "b.md#b"));
    cr_expect(str_is(p.row[2].id, "c"));

    write_file(deeper, "d.jsonl", "{\"id\":\"c\",\"title\":\"C\",\"body\":\"again\"}");
    passages_fini(&p);
    cr_expect_eq(passages_read(&p, folder, STR(""), &why), ERR_INVALID);
    cr_expect_str_eq(buf_c(&why), "two rows have the id \"c\"");
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_expect_eq(system(command), 0);
}

Test(passage, of_a_file_that_is_not_there_is_refused)
{
    cr_expect_eq(passages_read(&p, "/nowhere/at/all.md", STR(""), &why), ERR_NOT_FOUND);
    cr_expect_eq(p.n, 0);
}
