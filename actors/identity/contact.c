#include "actors/identity/contact.h"

#include "proto/err.h"

#include <idn2.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <uninorm.h>
#include <unistr.h>

#define LOCAL_MAX 64 /* bytes before the @ sign (RFC 5321, 4.5.3.1.1) */

static const char too_long[] = "is too long (64 bytes before the @ sign, 254 in all)";

/* What a provider says of addresses in its domain. */
struct provider {
    const char *domain;
    const char *canonical; /* stands for all of its domains; NULL: the domain itself */
    bool plus_tag;         /* what follows a plus sign is not part of the mailbox's name */
    bool no_dots;          /* dots in the name do not count */
};

static const struct provider providers[] = {
    {.domain = "gmail.com", .plus_tag = true, .no_dots = true},
    {.domain = "googlemail.com", .canonical = "gmail.com", .plus_tag = true, .no_dots = true},
    {.domain = "outlook.com", .plus_tag = true},
    {.domain = "hotmail.com", .plus_tag = true},
    {.domain = "live.com", .plus_tag = true},
    {.domain = "msn.com", .plus_tag = true},
    {.domain = "passport.com", .plus_tag = true},
    {.domain = "icloud.com", .plus_tag = true},
    {.domain = "me.com", .plus_tag = true},
    {.domain = "mac.com", .plus_tag = true},
    {.domain = "fastmail.com", .plus_tag = true},
    {.domain = "fastmail.fm", .plus_tag = true},
    {.domain = "protonmail.com", .canonical = "proton.me", .plus_tag = true},
    {.domain = "pm.me", .canonical = "proton.me", .plus_tag = true},
    {.domain = "proton.me", .plus_tag = true},
    {.domain = "yandex.ru", .plus_tag = true},
    {.domain = "ya.ru", .canonical = "yandex.ru", .plus_tag = true},
    {.domain = "yandex.com", .canonical = "yandex.ru", .plus_tag = true},
    {.domain = "yandex.by", .canonical = "yandex.ru", .plus_tag = true},
    {.domain = "yandex.kz", .canonical = "yandex.ru", .plus_tag = true},
    {.domain = "yandex.ua", .canonical = "yandex.ru", .plus_tag = true},
};

/* National sisters: outlook.de, hotmail.co.uk, live.com.au. */
static const char *const microsoft_names[] = {"outlook.", "hotmail.", "live."};

/* An address taken apart; both parts are owned. */
struct address {
    struct buf local;  /* without needless quotes */
    struct buf domain; /* in ASCII (Punycode), lower case */
    bool quoted;       /* the local part can only be written in quotes */
};

static int address_parse(struct str raw, struct address *ret, const char **ret_why);
static void address_fini(struct address *a);
static void address_normal(struct address *a);
static int address_finish(const struct address *a, struct buf *ret, const char **ret_why);

static int
write_email(struct str raw, bool normal, struct buf *ret, const char **ret_why)
{
    struct address a = {0};
    int err = address_parse(raw, &a, ret_why);

    if (!err) {
        if (normal)
            address_normal(&a);
        err = address_finish(&a, ret, ret_why);
    }
    address_fini(&a);
    return err;
}

int
contact_email(struct str raw, struct buf *ret, const char **ret_why)
{
    return write_email(raw, true, ret, ret_why);
}

int
contact_email_address(struct str raw, struct buf *ret, const char **ret_why)
{
    return write_email(raw, false, ret, ret_why);
}

void
contact_key(struct str email_normal, char ret_key[CONTACT_KEY_SIZE])
{
    unsigned char hash[SHA256_DIGEST_LENGTH];

    SHA256((const unsigned char *)email_normal.p, email_normal.n, hash);
    snprintf(ret_key, CONTACT_KEY_SIZE, "webform:%02x%02x%02x%02x%02x%02x%02x%02x", hash[0],
             hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]);
}

/* --- the text: one kind of letters, nothing invisible ---------------------------------------- */

/* Characters that show nothing and are pasted by accident; no mailbox is told apart by them. */
static bool
is_invisible(ucs4_t c)
{
    return c == 0xAD || c == 0x34F || c == 0x61C || (c >= 0x180B && c <= 0x180E) ||
           (c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E) ||
           (c >= 0x2060 && c <= 0x206F) || (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF;
}

static bool
is_ascii(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return true;
}

/* Appends `raw` in compatibility form without invisible characters; false if it isn't UTF-8, or
 * holds a NUL. */
static bool
text_fold(struct str raw, struct buf *ret)
{
    if (!str_is_text(raw))
        return false;
    if (is_ascii(raw)) {
        buf_add_str(ret, raw);
        return true;
    }
    size_t n = 0;
    uint8_t *form = u8_normalize(UNINORM_NFKC, (const uint8_t *)raw.p, raw.n, NULL, &n);
    if (!form)
        return false;
    for (size_t i = 0; i < n;) {
        ucs4_t c;
        int size = u8_mbtouc(&c, form + i, n - i);
        if (!is_invisible(c))
            buf_add(ret, form + i, (size_t)size);
        i += (size_t)size;
    }
    free(form);
    return true;
}

/* Lower case, not case folding: that would make one of "ss" and German sharp s. */
static void
text_lower(struct buf *b)
{
    struct str s = buf_str(b);

    if (is_ascii(s)) {
        for (size_t i = 0; i < b->n; i++)
            if (b->p[i] >= 'A' && b->p[i] <= 'Z')
                b->p[i] = (char)(b->p[i] + ('a' - 'A'));
        return;
    }
    size_t n = 0;
    uint8_t *lower = u8_tolower((const uint8_t *)s.p, s.n, NULL, UNINORM_NFKC, NULL, &n);
    if (lower) {
        buf_clear(b);
        buf_add(b, lower, n);
        free(lower);
    }
}

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* mailto:maria%2Bnews@example.com?subject=... (RFC 6068) becomes the address alone. False where
 * what it says isn't UTF-8, as in text_fold(). */
static bool
strip_mailto(struct buf *text)
{
    struct buf plain = {0};

    static const char scheme[] = "mailto:";
    const size_t skip = sizeof scheme - 1;

    if (text->n < skip || strncasecmp(text->p, scheme, skip) != 0)
        return true;
    for (size_t i = skip; i < text->n && text->p[i] != '?'; i++) {
        char c = text->p[i];
        if (c == '%' && i + 2 < text->n && hex_value(text->p[i + 1]) >= 0 &&
            hex_value(text->p[i + 2]) >= 0) {
            c = (char)(hex_value(text->p[i + 1]) * 16 + hex_value(text->p[i + 2]));
            i += 2;
        }
        buf_add_byte(&plain, c);
    }
    buf_clear(text);
    bool ok = text_fold(buf_str(&plain), text);
    buf_fini(&plain);
    return ok;
}

/* --- the grammar ----------------------------------------------------------------------------- */

/* What is between the angle brackets, where there are any outside quotes; else all of it. */
static int
angle_address(struct str s, struct str *ret, const char **ret_why)
{
    bool quoted = false;
    size_t open = SIZE_MAX;

    for (size_t i = 0; i < s.n; i++) {
        if (quoted && s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            quoted = !quoted;
        else if (!quoted && s.p[i] == '<')
            open = i;
        else if (!quoted && s.p[i] == '>' && open != SIZE_MAX) {
            *ret = str_trim((struct str){.p = s.p + open + 1, .n = i - open - 1});
            return 0;
        }
    }
    if (open != SIZE_MAX) {
        *ret_why = "has a < without a >";
        return ERR_INVALID;
    }
    *ret = s;
    return 0;
}

/* Appends `s` without (comments), which may be nested. False where one is not closed. */
static bool
strip_comments(struct str s, struct buf *ret)
{
    bool quoted = false;
    int depth = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '\\' && i + 1 < s.n) {
            if (depth == 0)
                buf_add(ret, s.p + i, 2);
            i++;
            continue;
        }
        if (c == '"' && depth == 0)
            quoted = !quoted;
        if (c == '(' && !quoted)
            depth++;
        if (depth == 0)
            buf_add_byte(ret, c);
        if (c == ')' && !quoted && depth > 0)
            depth--;
    }
    return depth == 0 && !quoted;
}

/* The characters that a local part may hold without quotes, and all beyond ASCII. */
static bool
is_atom_text(const char *p, size_t n)
{
    if (n == 0 || p[0] == '.' || p[n - 1] == '.')
        return false;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c == '.' && p[i - 1] == '.')
            return false;
        if (c <= ' ' || c == 0x7F || strchr("\"(),:;<>@[\\]", c))
            return false;
    }
    return true;
}

/* Writes the local part into ret->local, without its quotes and backslashes. */
static bool
parse_local(struct str s, struct address *ret)
{
    if (s.n < 2 || s.p[0] != '"' || s.p[s.n - 1] != '"') {
        /* Dots beside each other are against the grammar, but such mailboxes exist. */
        buf_add_str(&ret->local, s);
        for (size_t i = 0; i < s.n; i++) {
            unsigned char c = (unsigned char)s.p[i];
            if (c <= ' ' || c == 0x7F || strchr("\"(),:;<>@[\\]", c))
                return false;
        }
        return s.n > 0;
    }
    for (size_t i = 1; i + 1 < s.n; i++) {
        if (s.p[i] == '\\' && i + 2 < s.n)
            i++;
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7F)
            return false;
        buf_add_byte(&ret->local, s.p[i]);
    }
    ret->quoted = !is_atom_text(ret->local.p, ret->local.n);
    return ret->local.n > 0;
}

/* Letters, digits and hyphens in labels of 1..63, at least two labels, the last not all digits. */
static bool
is_host_name(struct str s)
{
    size_t label = 0, labels = 0;
    bool digits = true;

    for (size_t i = 0; i <= s.n; i++) {
        if (i == s.n || s.p[i] == '.') {
            if (label == 0 || label > 63 || s.p[i - 1] == '-')
                return false;
            labels++;
            label = 0;
            digits = i == s.n ? digits : true;
            continue;
        }
        char c = s.p[i];
        bool digit = c >= '0' && c <= '9';
        if (!digit && !(c >= 'a' && c <= 'z') && !(c == '-' && label > 0))
            return false;
        digits = digits && digit;
        label++;
    }
    return labels >= 2 && !digits && s.n <= 253;
}

static bool
parse_domain(struct str s, struct address *ret)
{
    if (s.n > 0 && s.p[s.n - 1] == '.')
        s.n--;
    buf_add_str(&ret->domain, s);
    if (!is_ascii(s)) {
        char *ascii = NULL;
        if (idn2_lookup_u8((const uint8_t *)buf_c(&ret->domain), (uint8_t **)&ascii,
                           IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
            return false;
        buf_clear(&ret->domain);
        buf_add_c(&ret->domain, ascii);
        idn2_free(ascii);
    }
    text_lower(&ret->domain);
    return is_host_name(buf_str(&ret->domain));
}

static int
address_split(struct str s, struct address *ret, const char **ret_why)
{
    size_t at = s.n;
    while (at > 0 && s.p[at - 1] != '@')
        at--;
    if (at == 0) {
        *ret_why = "has no @ sign";
        return ERR_INVALID;
    }
    if (!parse_local(str_trim((struct str){.p = s.p, .n = at - 1}), ret)) {
        *ret_why = "has a character before the @ sign that is not allowed, or nothing";
        return ERR_INVALID;
    }
    if (!parse_domain(str_trim((struct str){.p = s.p + at, .n = s.n - at}), ret)) {
        *ret_why = "has no valid domain after the @ sign";
        return ERR_INVALID;
    }
    if (ret->local.n > LOCAL_MAX || ret->local.n + 1 + ret->domain.n > CONTACT_EMAIL_MAX) {
        *ret_why = too_long;
        return ERR_INVALID;
    }
    return 0;
}

static int
address_parse(struct str raw, struct address *ret, const char **ret_why)
{
    struct buf text = {0}, bare = {0};
    const char *why = "is empty";
    int err = ERR_INVALID;
    struct str spec;

    raw = str_trim(raw);
    if (raw.n == 0)
        goto done;
    if (raw.n > CONTACT_RAW_MAX) {
        why = "is too long (1024 bytes)";
        goto done;
    }
    why = "is not valid UTF-8";
    if (!text_fold(raw, &text) || !strip_mailto(&text))
        goto done;
    err = angle_address(str_trim(buf_str(&text)), &spec, &why);
    if (err)
        goto done;
    err = ERR_INVALID;
    why = "has a quote or bracket that is not closed";
    if (!strip_comments(spec, &bare))
        goto done;
    err = address_split(str_trim(buf_str(&bare)), ret, &why);

done:
    if (err && ret_why)
        *ret_why = why;
    buf_fini(&text);
    buf_fini(&bare);
    return err;
}

static void
address_fini(struct address *a)
{
    buf_fini(&a->local);
    buf_fini(&a->domain);
}

/* --- what providers say ---------------------------------------------------------------------- */

/* "de", "co.uk", "com.au" */
static bool
is_national(struct str ending)
{
    if (ending.n > 3 && memcmp(ending.p, "co.", 3) == 0)
        ending = (struct str){.p = ending.p + 3, .n = ending.n - 3};
    else if (ending.n > 4 && memcmp(ending.p, "com.", 4) == 0)
        ending = (struct str){.p = ending.p + 4, .n = ending.n - 4};
    return ending.n == 2 && !memchr(ending.p, '.', 2);
}

static struct provider
provider_of(struct str domain)
{
    for (size_t i = 0; i < sizeof providers / sizeof *providers; i++)
        if (str_is(domain, providers[i].domain))
            return providers[i];
    for (size_t i = 0; i < sizeof microsoft_names / sizeof *microsoft_names; i++) {
        struct str name = str_of(microsoft_names[i]);
        if (domain.n > name.n && memcmp(domain.p, name.p, name.n) == 0 &&
            is_national((struct str){.p = domain.p + name.n, .n = domain.n - name.n}))
            return (struct provider){.plus_tag = true};
    }
    return (struct provider){0};
}

static void
address_normal(struct address *a)
{
    struct provider provider = provider_of(buf_str(&a->domain));
    size_t n = 0;

    text_lower(&a->local);
    if (provider.canonical) {
        buf_clear(&a->domain);
        buf_add_c(&a->domain, provider.canonical);
    }
    if (a->quoted)
        return;
    for (size_t i = 0; i < a->local.n; i++) {
        char c = a->local.p[i];
        if (c == '+' && provider.plus_tag && i > 0)
            break;
        if (c != '.' || !provider.no_dots)
            a->local.p[n++] = c;
    }
    if (n > 0)
        a->local.n = n;
}

static void
address_write(const struct address *a, struct buf *ret)
{
    if (a->quoted) {
        buf_add_byte(ret, '"');
        for (size_t i = 0; i < a->local.n; i++) {
            if (a->local.p[i] == '"' || a->local.p[i] == '\\')
                buf_add_byte(ret, '\\');
            buf_add_byte(ret, a->local.p[i]);
        }
        buf_add_byte(ret, '"');
    } else {
        buf_add_str(ret, buf_str(&a->local));
    }
    buf_add_byte(ret, '@');
    buf_add_str(ret, buf_str(&a->domain));
}

/* Appends it, unless it is too long: small letters can be longer than capitals, and quotes count.
 */
static int
address_finish(const struct address *a, struct buf *ret, const char **ret_why)
{
    size_t before = ret->n;

    address_write(a, ret);
    if (a->local.n <= LOCAL_MAX && ret->n - before <= CONTACT_EMAIL_MAX)
        return 0;
    ret->n = before;
    if (ret_why)
        *ret_why = too_long;
    return ERR_INVALID;
}
