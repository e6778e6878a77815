#include "proto/runtime/curve.h"

#include "proto/err.h"
#include "proto/runtime/option.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

bool
curve_key_parse(struct str text, struct curve_key *ret)
{
    uint8_t bytes[32];
    struct curve_key key = {0};

    if (text.n != CURVE_KEY_LENGTH) {
        return false;
    }
    memcpy(key.z85, text.p, CURVE_KEY_LENGTH);
    if (strlen(key.z85) != CURVE_KEY_LENGTH || zmq_z85_decode(bytes, key.z85) == NULL) {
        return false;
    }
    *ret = key;
    return true;
}

static int
parse(struct str text, const char *where, struct curve_key *ret, struct buf *ret_why)
{
    if (text.n != CURVE_KEY_LENGTH) {
        buf_printf(ret_why, "%s has %zu characters", where, text.n);
    } else if (!curve_key_parse(text, ret)) {
        buf_printf(ret_why, "%s is not Z85", where);
    } else {
        return 0;
    }
    return ERR_INVALID;
}

/* The first word of the first line that says anything. */
static int
read_file(const char *path, struct curve_key *ret, struct buf *ret_why)
{
    FILE *f = option_file_ok(path) ? fopen(path, "re") : NULL;
    char line[256];
    int err = ERR_INVALID;

    if (f == NULL) {
        buf_printf(ret_why, "the file: %s", strerror(errno));
        return ERR_INVALID;
    }
    for (;;) {
        struct str rest, word;
        if (fgets(line, sizeof(line), f) == NULL) {
            buf_add_c(ret_why, "the file is empty");
            break;
        }
        rest = str_trim(str_of(line));
        word = str_take_word(&rest);
        if (word.n > 0 && word.p[0] != '#') { /* no key begins with # */
            err = parse(word, "the first word of the file", ret, ret_why);
            break;
        }
    }
    explicit_bzero(line, sizeof(line));
    fclose(f);
    return err;
}

int
curve_key_read(const char *value, struct curve_key *ret, struct buf *ret_why)
{
    return value[0] == '/' ? read_file(value, ret, ret_why)
                           : parse(str_of(value), "it", ret, ret_why);
}

bool
curve_key_ok(const char *value, struct buf *ret_why)
{
    struct curve_key key;
    bool ok = curve_key_read(value, &key, ret_why) == 0;

    explicit_bzero(&key, sizeof(key));
    return ok;
}

int
curve_pair(struct curve_key *ret_public, struct curve_key *ret_secret)
{
    do {
        if (zmq_curve_keypair(ret_public->z85, ret_secret->z85) != 0) {
            return ERR_UNAVAILABLE;
        }
    } while (ret_public->z85[0] == '/' || ret_secret->z85[0] == '/');
    return 0;
}

static void
set_int(void *socket, int option, int value)
{
    zmq_setsockopt(socket, option, &value, sizeof(value));
}

static void
set_key(void *socket, int option, const struct curve_key *key)
{
    zmq_setsockopt(socket, option, key->z85, sizeof(key->z85));
}

void
curve_be_server(void *socket, const struct curve_key *secret)
{
    set_int(socket, ZMQ_CURVE_SERVER, 1);
    set_key(socket, ZMQ_CURVE_SECRETKEY, secret);
}

void
curve_be_client(void *socket, const struct curve_key *server, const struct curve_key *secret)
{
    struct curve_key public;

    zmq_curve_public(public.z85, secret->z85);
    set_key(socket, ZMQ_CURVE_SERVERKEY, server);
    set_key(socket, ZMQ_CURVE_PUBLICKEY, &public);
    set_key(socket, ZMQ_CURVE_SECRETKEY, secret);
}

void
curve_tcp(void *socket, const char *endpoint)
{
    set_int(socket, ZMQ_TCP_MAXRT, CURVE_GONE_MS); /* TCP_USER_TIMEOUT */
    set_int(socket, ZMQ_TCP_KEEPALIVE, 1);
    set_int(socket, ZMQ_TCP_KEEPALIVE_IDLE, 2);
    set_int(socket, ZMQ_TCP_KEEPALIVE_INTVL, 1);
    set_int(socket, ZMQ_TCP_KEEPALIVE_CNT, CURVE_GONE_MS / 1000 - 2);
    /* A SYN that nobody answers is sent again after 1, 3, 7 ... s: begin anew rather. */
    set_int(socket, ZMQ_CONNECT_TIMEOUT, 2000);
    set_int(socket, ZMQ_HANDSHAKE_IVL, 5000);
    set_int(socket, ZMQ_IPV6, strchr(endpoint, '[') != NULL);
}
