#include "actors/ingress/text.h"

#include <string.h>
#include <unistr.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define MARK "\xef\xbf\xbf"        /* U+FFFF */

static const uint8_t *
bytes(struct str s)
{
    return (const uint8_t *)(s.p != NULL ? s.p : "");
}

bool
text_is_utf8(struct str s)
{
    return u8_check(bytes(s), s.n) == NULL;
}

size_t
text_length(struct str s)
{
    return u8_mbsnlen(bytes(s), s.n);
}

/* White_Space of Unicode, and the byte order mark that editors leave. */
static bool
is_blank(ucs4_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000 || c == 0xfeff;
}

struct str
text_trim(struct str s)
{
    ucs4_t c;

    while (s.n > 0) {
        int n = u8_mbtouc(&c, bytes(s), s.n);
        if (!is_blank(c)) {
            break;
        }
        s.p += n;
        s.n -= (size_t)n;
    }
    while (s.n > 0) {
        const uint8_t *last = u8_prev(&c, bytes(s) + s.n, bytes(s));
        if (last == NULL || !is_blank(c)) {
            break;
        }
        s.n = (size_t)(last - bytes(s));
    }
    return s;
}

/* Appends s; what `bad` says, and what is no UTF-8, becomes `instead`. */
static void
replace(struct str s, bool (*bad)(ucs4_t), const char *instead, struct buf *out)
{
    const uint8_t *p = bytes(s);
    size_t kept = 0; /* from here on nothing was copied */

    for (size_t i = 0; i < s.n;) {
        ucs4_t c;
        int n = p[i] >= 0x20 && p[i] < 0x7f ? 1 : u8_mbtoucr(&c, p + i, s.n - i);
        bool ok = n > 0 && ((p[i] >= 0x20 && p[i] < 0x7f) || bad == NULL || !bad(c));
        size_t step = n > 0 ? (size_t)n : 1;
        if (!ok) {
            buf_add(out, p + kept, i - kept);
            buf_add_c(out, instead);
            kept = i + step;
        }
        i += step;
    }
    buf_add(out, p + kept, s.n - kept);
}

void
text_mark_invalid(struct str s, struct buf *out)
{
    replace(s, NULL, MARK, out);
}

bool
text_has_mark(struct str s)
{
    return s.n >= 3 && memmem(s.p, s.n, MARK, 3) != NULL;
}

static bool
is_unprintable(ucs4_t c)
{
    return (c < 0x20 && c != '\t' && c != '\n') || (c >= 0x7f && c < 0xa0) ||
           (c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) == 0xfffe;
}

void
text_printable(struct str s, struct buf *out)
{
    replace(s, is_unprintable, REPLACEMENT, out);
}
