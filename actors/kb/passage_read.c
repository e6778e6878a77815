/* Files and folders of an import; passage.c cuts what is in them. */
#include "actors/kb/passage.h"
#include "proto/err.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static int read_folder(struct passages *p, const char *path, struct str base, struct buf *ret_why);
static int read_file(struct passages *p, const char *file, struct str name, struct str base,
                     struct buf *ret_why);
static int slurp(const char *file, struct buf *ret, struct buf *ret_why);
static int by_name(const FTSENT **a, const FTSENT **b);
static bool ends_with(struct str s, const char *end);
static int refuse_twice(const struct passages *p, struct buf *ret_why);
static int by_id(const void *a, const void *b);

int
passages_read(struct passages *p, const char *path, struct str base, struct buf *ret_why)
{
    const char *slash = strrchr(path, '/');
    struct stat st;
    int err;

    if (stat(path, &st) != 0) {
        buf_printf(ret_why, "%s: %s", path, strerror(errno));
        return ERR_NOT_FOUND;
    }
    err = S_ISDIR(st.st_mode) ? read_folder(p, path, base, ret_why)
                              : read_file(p, path, str_of(slash ? slash + 1 : path), base, ret_why);
    return err ? err : refuse_twice(p, ret_why);
}

static int
read_folder(struct passages *p, const char *path, struct str base, struct buf *ret_why)
{
    char *const roots[] = {(char *)(uintptr_t)path, NULL};
    FTS *fts = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    size_t root = strlen(path);
    int err = 0;

    while (root > 1 && path[root - 1] == '/') {
        root--;
    }
    for (FTSENT *e = fts ? fts_read(fts) : NULL; e && !err; e = fts_read(fts)) {
        struct str name = str_of(e->fts_path);

        if (e->fts_level > 0 && e->fts_name[0] == '.') {
            fts_set(fts, e, FTS_SKIP);
            continue;
        }
        name.p += name.n < root ? name.n : root;
        name.n -= name.n < root ? name.n : root;
        while (name.n > 0 && *name.p == '/') {
            name.p++;
            name.n--;
        }
        if (e->fts_info == FTS_F && (ends_with(name, ".md") || ends_with(name, ".jsonl"))) {
            err = read_file(p, e->fts_path, name, base, ret_why);
        }
    }
    if (fts) {
        fts_close(fts);
    }
    return err;
}

static int
read_file(struct passages *p, const char *file, struct str name, struct str base,
          struct buf *ret_why)
{
    struct buf text = {0}, why = {0};
    int err = slurp(file, &text, ret_why);

    if (err) {
        goto done;
    }
    if (!str_is_text(buf_str(&text))) {
        buf_printf(ret_why, "%s: not UTF-8 text", file);
        err = ERR_MALFORMED;
        goto done;
    }
    if (ends_with(name, ".jsonl")) {
        err = passages_jsonl(p, buf_str(&text), &why);
        if (err) {
            buf_printf(ret_why, "%s: %s", file, buf_c(&why));
        }
    } else if (ends_with(name, ".md")) {
        passages_markdown(p, name, buf_str(&text), base);
    } else {
        buf_printf(ret_why, "%s: neither .md nor .jsonl", file);
        err = ERR_INVALID;
    }
done:
    buf_fini(&text);
    buf_fini(&why);
    return err;
}

static int
slurp(const char *file, struct buf *ret, struct buf *ret_why)
{
    FILE *f = fopen(file, "re");
    size_t n = 1;

    if (!f) {
        buf_printf(ret_why, "%s: %s", file, strerror(errno));
        return ERR_NOT_FOUND;
    }
    while (n > 0 && ret->n <= PASSAGE_MAX_FILE) {
        n = fread(buf_reserve(ret, 65536), 1, 65536, f);
        ret->n += n;
    }
    bool failed = ferror(f) != 0;
    fclose(f);
    if (failed || ret->n > PASSAGE_MAX_FILE) {
        buf_printf(ret_why, "%s: %s", file, failed ? strerror(errno) : "larger than 8 MiB");
        return failed ? ERR_NOT_FOUND : ERR_TOO_BIG;
    }
    return 0;
}

static int
by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool
ends_with(struct str s, const char *end)
{
    size_t n = strlen(end);

    return s.n >= n && memcmp(s.p + s.n - n, end, n) == 0;
}

/* A row's id is its key in the table. */
static int
refuse_twice(const struct passages *p, struct buf *ret_why)
{
    struct str *id = xcalloc(p->n + 1, sizeof *id);
    int err = 0;

    for (size_t i = 0; i < p->n; i++) {
        id[i] = p->row[i].id;
    }
    if (p->n) {
        qsort(id, p->n, sizeof *id, by_id);
    }
    for (size_t i = 1; i < p->n && !err; i++) {
        if (str_eq(id[i - 1], id[i])) {
            buf_printf(ret_why, "two rows have the id \"%.*s\"", STR_ARG(id[i]));
            err = ERR_INVALID;
        }
    }
    free(id);
    return err;
}

static int
by_id(const void *a, const void *b)
{
    const struct str *x = a, *y = b;
    int d = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);

    return d ? d : (x->n > y->n) - (x->n < y->n);
}
