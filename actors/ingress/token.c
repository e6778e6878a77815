#include "actors/ingress/token.h"

#include "proto/err.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINK = 16, HASH = 8, MAC = 12, BYTES = LINK + HASH + MAC };

static const char prefix[] = "webform:";

static void
sign(struct str secret, const uint8_t *raw, uint8_t ret_mac[MAC])
{
    uint8_t full[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    const uint8_t *made = HMAC(EVP_sha256(), secret.p, (int)secret.n, raw, LINK + HASH, full, &n);

    assert(made != NULL && n >= MAC);
    (void)made;
    memcpy(ret_mac, full, MAC);
}

static int
nibble(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    assert(c >= 'a' && c <= 'f');
    return c - 'a' + 10;
}

void
token_make(struct str secret, const struct token *t, char ret_text[TOKEN_SIZE])
{
    const char *digits = t->key + sizeof(prefix) - 1;
    uint8_t raw[BYTES];

    assert(strncmp(t->key, prefix, sizeof(prefix) - 1) == 0 && strlen(digits) == 2 * HASH);
    memcpy(raw, t->link.b, LINK);
    for (int i = 0; i < HASH; i++) {
        raw[LINK + i] = (uint8_t)(nibble(digits[2 * i]) * 16 + nibble(digits[2 * i + 1]));
    }
    sign(secret, raw, raw + LINK + HASH);
    EVP_EncodeBlock((unsigned char *)ret_text, raw, BYTES);
    for (char *c = ret_text; *c != '\0'; c++) {
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    }
}

static int
value_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* 48 characters give 36 bytes: no padding, so each token has one spelling only. */
static bool
decode(struct str text, uint8_t ret[BYTES])
{
    if (text.n != TOKEN_SIZE - 1) {
        return false;
    }
    for (size_t i = 0; i < text.n; i += 4) {
        uint32_t word = 0;
        for (size_t j = 0; j < 4; j++) {
            int v = value_of(text.p[i + j]);
            if (v < 0) {
                return false;
            }
            word = word << 6 | (uint32_t)v;
        }
        for (size_t j = 0; j < 3; j++) {
            ret[i / 4 * 3 + j] = (uint8_t)(word >> (16 - 8 * j));
        }
    }
    return true;
}

int
token_read(struct str secret, struct str text, struct token *ret)
{
    uint8_t raw[BYTES];
    uint8_t mac[MAC];

    if (!decode(text, raw)) {
        return ERR_INVALID;
    }
    sign(secret, raw, mac);
    if (CRYPTO_memcmp(mac, raw + LINK + HASH, MAC) != 0) {
        return ERR_INVALID;
    }
    memcpy(ret->link.b, raw, LINK);
    memcpy(ret->key, prefix, sizeof(prefix) - 1);
    for (int i = 0; i < HASH; i++) {
        snprintf(ret->key + sizeof(prefix) - 1 + 2 * i, 3, "%02x", raw[LINK + i]);
    }
    return 0;
}

/* --- the secret ----------------------------------------------------------------------------- */

static int
read_secret(const char *path, struct buf *ret)
{
    char text[TOKEN_SECRET_MAX];
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return ERR_NOT_FOUND;
    }
    n = read(fd, text, sizeof(text));
    close(fd);
    if (n < TOKEN_SECRET_MIN) {
        errno = EINVAL;
        return ERR_INVALID;
    }
    buf_add_str(ret, str_trim((struct str){text, (size_t)n}));
    return 0;
}

/* Writes a random secret beside `path` and links it there: whoever comes second finds the first. */
static int
make_secret(const char *path)
{
    struct buf name = {0};
    uint8_t random[32];
    char text[2 * sizeof(random) + 1];
    bool ok = false;
    int fd;

    if (RAND_bytes(random, sizeof(random)) != 1) {
        return ERR_INTERNAL;
    }
    for (size_t i = 0; i < sizeof(random); i++) {
        snprintf(text + 2 * i, 3, "%02x", random[i]);
    }
    buf_printf(&name, "%s.%ld", path, (long)getpid());
    fd = open(buf_c(&name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0) {
        ok = write(fd, text, sizeof(text) - 1) == (ssize_t)sizeof(text) - 1 && fsync(fd) == 0;
        ok = close(fd) == 0 && ok;
        ok = ok && (link(buf_c(&name), path) == 0 || errno == EEXIST);
        int saved = errno;
        unlink(buf_c(&name));
        errno = saved;
    }
    buf_fini(&name);
    return ok ? 0 : ERR_UNAVAILABLE;
}

int
token_secret(const char *setting, const char *dir, struct buf *ret, const char **ret_why)
{
    struct buf path = {0};
    int err;

    if (setting[0] != '\0') {
        buf_add_c(ret, setting);
        return 0;
    }
    buf_printf(&path, "%s/link.secret", dir);
    err = read_secret(buf_c(&path), ret);
    *ret_why = "the state directory's link.secret cannot be used";
    if (err == ERR_NOT_FOUND && errno == ENOENT) {
        *ret_why = "link.secret cannot be made in the state directory";
        err = make_secret(buf_c(&path));
        err = err != 0 ? err : read_secret(buf_c(&path), ret);
    }
    buf_fini(&path);
    return err == 0 ? 0 : ERR_UNAVAILABLE;
}
