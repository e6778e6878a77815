/* err - the few ways in which something can go wrong, and their names on the wire. */
#ifndef PROTO_ERR_H
#define PROTO_ERR_H

/* Functions that can fail return 0 or one of these (all negative).
 * The names given by err_str() are protocol: they travel in RETRY and FAIL bodies. */
enum err {
    ERR_NONE = 0,
    ERR_MALFORMED = -1,   /* the bytes are not what the grammar allows: never try again */
    ERR_VERSION = -2,     /* a version that this program does not speak */
    ERR_TOO_BIG = -3,     /* over a named limit */
    ERR_INVALID = -4,     /* well formed, but a field has a value that is not allowed */
    ERR_UNAVAILABLE = -5, /* a dependency (database, router, service) is away: later, not counted */
    ERR_BUSY = -6,        /* no credit: later, not counted */
    ERR_LOST = -7,        /* the worker that held it died: counted */
    ERR_TIMEOUT = -8,     /* no answer before the deadline: counted */
    ERR_CONFLICT = -9,    /* the key is taken by something else */
    ERR_NOT_FOUND = -10,  /* there is no such thing */
    ERR_INTERNAL = -11,   /* a fault of ours: counted */
};

/* The name of `err` ("malformed", "unavailable" ...); "internal" for a number that is none of them.
 * The result is static. */
const char *err_str(int err);

/* The number for a name from the wire; ERR_INTERNAL for a name that is unknown (a newer peer). */
int err_parse(const char *name, unsigned long len);

/* True where waiting is the whole cure, so that an attempt must not be counted
 * against the message: BUSY and UNAVAILABLE. */
int err_is_patient(int err);

#endif
