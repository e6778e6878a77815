#include "proto/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static _Noreturn void
no_memory(void)
{
    static const char line[] = "level=fatal event=no_memory\n";
    ssize_t ignored = write(STDERR_FILENO, line, sizeof(line) - 1);
    (void)ignored;
    _exit(EX_TEMPFAIL);
}

void *
xmalloc(size_t n)
{
    void *p = malloc(n > 0 ? n : 1);
    if (p == NULL) {
        no_memory();
    }
    return p;
}

void *
xcalloc(size_t count, size_t size)
{
    void *p = calloc(count > 0 ? count : 1, size > 0 ? size : 1);
    if (p == NULL) {
        no_memory();
    }
    return p;
}

void *
xrealloc(void *p, size_t n)
{
    void *q = realloc(p, n > 0 ? n : 1);
    if (q == NULL) {
        no_memory();
    }
    return q;
}

char *
xstrdup(const char *c)
{
    size_t n = strlen(c) + 1;
    return memcpy(xmalloc(n), c, n);
}
