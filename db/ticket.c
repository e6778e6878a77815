#include "db/ticket.h"

#include <assert.h>
#include <ctype.h>
#include <openssl/sha.h>
#include <string.h>

#define HALF_BITS 15
#define HALF_MASK ((1U << HALF_BITS) - 1)
#define ROUNDS                                                                                     \
    6 /* four make a Feistel network a good permutation; two more for the small halves             \
       */

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* --- the reference -------------------------------------------------------------------------- */

static uint32_t
scramble(const uint8_t key[TICKET_KEY_SIZE], int round, uint32_t half)
{
    uint8_t in[TICKET_KEY_SIZE + 3], out[SHA256_DIGEST_LENGTH];

    memcpy(in, key, TICKET_KEY_SIZE);
    in[TICKET_KEY_SIZE] = (uint8_t)round;
    in[TICKET_KEY_SIZE + 1] = (uint8_t)(half >> 8);
    in[TICKET_KEY_SIZE + 2] = (uint8_t)half;
    SHA256(in, sizeof(in), out);
    return ((uint32_t)out[0] << 8 | out[1]) & HALF_MASK;
}

void
ticket_ref(const uint8_t key[TICKET_KEY_SIZE], uint32_t number, char ret[TICKET_REF_SIZE])
{
    uint32_t left = number >> HALF_BITS, right = number & HALF_MASK;

    assert(number < TICKET_NUMBERS);
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t next = left ^ scramble(key, round, right);
        left = right;
        right = next;
    }
    number = left << HALF_BITS | right;
    memcpy(ret, "TKT-", 4);
    for (int i = 0; i < 6; i++) {
        ret[4 + i] = digits[number >> (25 - 5 * i) & 31];
    }
    ret[10] = '\0';
}

bool
ticket_ref_parse(struct str text, char ret[TICKET_REF_SIZE])
{
    char ref[TICKET_REF_SIZE] = "TKT-";

    if (text.n == 10 && strncasecmp(text.p, "TKT-", 4) == 0) {
        text.p += 4;
        text.n -= 4;
    }
    if (text.n != 6) {
        return false;
    }
    for (int i = 0; i < 6; i++) {
        char c = (char)toupper((unsigned char)text.p[i]);
        /* Crockford: what a person may mistake for a digit is that digit. */
        c = c == 'O' ? '0' : c == 'I' || c == 'L' ? '1' : c;
        if (c == '\0' || !strchr(digits, c)) {
            return false;
        }
        ref[4 + i] = c;
    }
    memcpy(ret, ref, TICKET_REF_SIZE);
    return true;
}

/* --- a supply of them ----------------------------------------------------------------------- */

static const struct pg_stmt refs_block = {
    "ticket_refs_block",
    "select key, nextval('ticket_numbers') from ticket_key",
};

void
ticket_refs_put(struct pg_txn *t)
{
    pg_stmt(t, &refs_block);
}

bool
ticket_refs_take(struct ticket_refs *refs, const PGresult *r)
{
    struct str key;

    if (PQntuples(r) != 1) {
        return false;
    }
    key = pg_text(r, 0, 0);
    if (key.n != TICKET_KEY_SIZE) {
        return false;
    }
    /* What is left of the block before is given up: a gap in a permutation is not to be seen. */
    memcpy(refs->key, key.p, TICKET_KEY_SIZE);
    refs->next = (uint32_t)pg_int(r, 0, 1);
    refs->left = TICKET_BLOCK;
    return true;
}

void
ticket_refs_next(struct ticket_refs *refs, char ret[TICKET_REF_SIZE])
{
    assert(refs->left > 0);
    refs->left--;
    ticket_ref(refs->key, refs->next++, ret);
}
