/* heading - the head of an HTTP/1 request, read by llhttp (Node.js's parser), and in no other way
 * than RFC 9110 and 9112 write it.
 *
 * Whatever two programs could read in two ways is refused, since that is what request smuggling is
 * made of: two lengths, a length with Transfer-Encoding, blanks before a colon (llhttp); bare CR or
 * LF, folded lines, controls, other forms of the target (here, since llhttp is lenient there).
 * Pure.
 */
#ifndef ACTORS_INGRESS_HEADING_H
#define ACTORS_INGRESS_HEADING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEADING_MAX 16384 /* bytes of a head, its empty line included */
#define HEADING_FIELDS 63 /* header lines */

/* What is wrong with a request, as status and words; status 0 = nothing. */
struct refusal {
    int status;
    const char *detail; /* static */
};

struct heading_field {
    const char *name;  /* as sent */
    const char *value; /* without the blanks around it */
};

/* Everything points into the head's bytes. */
struct heading {
    const char *method;
    const char *authority; /* of a target such as http://authority/path; NULL of one with a path */
    const char *path;      /* starts with /; as sent, without the query */
    const char *query;     /* without the ?; "" where there is none */
    int minor;             /* HTTP/1.minor: 0 or 1 */
    bool has_length;       /* a Content-Length is given */
    uint64_t length;       /* bytes of the body */
    bool keep;             /* another request may follow on the connection */
    size_t field_n;
    struct heading_field fields[HEADING_FIELDS];
};

enum heading_scan {
    HEADING_MORE,  /* its end has not come yet */
    HEADING_WHOLE, /* *ret_n bytes are a head, with its empty line */
    HEADING_BAD,   /* this can't become a head, whatever follows */
};

/* Looks for the end of the head that `p` begins with. *seen: how many bytes earlier calls have seen
 * (0 at first); renewed. */
enum heading_scan heading_scan(const char *p, size_t n, size_t *seen, size_t *ret_n);

/* Takes a head apart that heading_scan() found whole. NULs are written behind its parts, so that
 * they are C strings. Refuses with 400, 405 (an unknown method), 431 (too many fields), 501
 * (Transfer-Encoding) or 505. */
struct refusal heading_parse(char *p, size_t n, struct heading *ret);

/* The value of a field, NULL where absent; of several, the first. How many there are in *ret_count
 * (may be NULL). */
const char *heading_value(const struct heading *h, const char *name, int *ret_count);

#endif
