#include "db/ticket.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t key[TICKET_KEY_SIZE] = "a key of thirty-two bytes, yes!";
static const uint8_t other_key[TICKET_KEY_SIZE] = "b key of thirty-two bytes, yes!";

static int
compare(const void *a, const void *b)
{
    return memcmp(a, b, TICKET_REF_SIZE);
}

Test(ticket, references_of_different_numbers_differ)
{
    enum { N = 100000 };
    char(*refs)[TICKET_REF_SIZE] = calloc(N, sizeof(*refs));

    /* Neighbours at the start and at the end, and a stride through all that lies between. */
    for (uint32_t i = 0; i < N; i++) {
        uint32_t number = i < N / 4   ? i
                          : i < N / 2 ? TICKET_NUMBERS - 1 - i
                                      : N + (i - N / 2) * 21001U;
        cr_assert_lt(number, TICKET_NUMBERS);
        ticket_ref(key, number, refs[i]);
    }
    qsort(refs, N, sizeof(*refs), compare);
    for (int i = 1; i < N; i++) {
        cr_assert_str_neq(refs[i - 1], refs[i]);
    }
    free(refs);
}

Test(ticket, reference_has_the_form_that_is_printed)
{
    char ref[TICKET_REF_SIZE];

    for (uint32_t number = 0; number < 1000; number++) {
        ticket_ref(key, number, ref);
        cr_assert_eq(strlen(ref), 10);
        cr_assert_eq(strncmp(ref, "TKT-", 4), 0);
        cr_assert_eq(strspn(ref + 4, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), 6);
    }
}

Test(ticket, reference_depends_on_the_databases_key)
{
    char one[TICKET_REF_SIZE], two[TICKET_REF_SIZE];
    int same = 0;

    for (uint32_t number = 0; number < 1000; number++) {
        ticket_ref(key, number, one);
        ticket_ref(other_key, number, two);
        same += strcmp(one, two) == 0;
    }
    cr_assert_leq(same, 1);
}

Test(ticket, references_of_neighbours_share_no_more_than_chance)
{
    char one[TICKET_REF_SIZE], two[TICKET_REF_SIZE];
    int same = 0;

    for (uint32_t number = 0; number < 4096; number++) {
        ticket_ref(key, number, one);
        ticket_ref(key, number + 1, two);
        for (int i = 4; i < 10; i++) {
            same += one[i] == two[i];
        }
    }
    /* 4096 * 6 / 32 = 768 expected; five standard deviations either way. */
    cr_assert(same > 630 && same < 906, "%d", same);
}

Test(ticket, reference_is_read_as_people_type_it)
{
    char ref[TICKET_REF_SIZE];

    cr_assert(ticket_ref_parse(STR("TKT-7F3K9Q"), ref));
    cr_assert_str_eq(ref, "TKT-7F3K9Q");
    cr_assert(ticket_ref_parse(STR("tkt-7f3k9q"), ref));
    cr_assert_str_eq(ref, "TKT-7F3K9Q");
    cr_assert(ticket_ref_parse(STR("7F3K9Q"), ref));
    cr_assert_str_eq(ref, "TKT-7F3K9Q");
    cr_assert(ticket_ref_parse(STR("TKT-OIL000"), ref));
    cr_assert_str_eq(ref, "TKT-011000");
    cr_assert(!ticket_ref_parse(STR("TKT-7F3K9"), ref));
    cr_assert(!ticket_ref_parse(STR("TKT-7F3K9U"), ref), "no U in this alphabet");
    cr_assert(!ticket_ref_parse(STR("TKT-7F3K\0Q"), ref));
    cr_assert(!ticket_ref_parse(STR(""), ref));
}
