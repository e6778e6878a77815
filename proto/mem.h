/* mem - memory, or the end: where there is none, the process ends with exit code 75. */
#ifndef PROTO_MEM_H
#define PROTO_MEM_H

#include <stddef.h>

/* malloc, calloc, realloc, strdup; free with free(). Never NULL, also for 0 bytes. */
void *xmalloc(size_t n);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *c);

#endif
