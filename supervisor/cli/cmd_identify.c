/* fte identify - whether two identifiers of channels belong to one customer: JSON Lines in and out,
 * no database.
 *
 *   {"id", "a": {"channel", "identifier", "phone"?, "region"?}, "b": {...}, "region"?} -> {"id",
 * "same"}
 *
 * A region (ISO 3166, e.g. "DE") says where a number without a country code was written; the row's
 * stands for those that a side doesn't give.
 */
#include "actors/identity/contact.h"
#include "actors/identity/phone.h"
#include "supervisor/cli/cli.h"
#include "supervisor/cli/jsonl.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Normal forms of one side; empty where it has none. */
struct side {
    struct buf email;
    struct buf phones[2];
};

static void
side_fini(struct side *side)
{
    buf_fini(&side->email);
    buf_fini(&side->phones[0]);
    buf_fini(&side->phones[1]);
}

/* The region of the row for sides without one; "" where there is none or it is no country's code.
 */
static const char *
region_of(const json_t *side, const json_t *row)
{
    const char *region = json_string_value(json_object_get(side, "region"));

    if (!region)
        region = json_string_value(json_object_get(row, "region"));
    return region && strlen(region) == 2 && isupper((unsigned char)region[0]) ? region : "";
}

static const char *
side_read(const json_t *json, const json_t *row, struct side *ret)
{
    struct str identifier, phone;
    const char *region = region_of(json, row);

    if (!json_is_object(json) || !jsonl_text(json, "identifier", &identifier))
        return "a and b: each needs an identifier (text)";
    if (contact_email(identifier, &ret->email, NULL) != 0)
        phone_normal(identifier, region, &ret->phones[0]);
    if (jsonl_text(json, "phone", &phone))
        phone_normal(phone, region, &ret->phones[1]);
    return NULL;
}

static bool
both(const struct buf *a, const struct buf *b)
{
    return a->n > 0 && str_eq(buf_str(a), buf_str(b));
}

static bool
same(const struct side *a, const struct side *b)
{
    bool found = both(&a->email, &b->email);

    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < 2; k++)
            found = found || both(&a->phones[i], &b->phones[k]);
    return found;
}

static const char *
answer(json_t *row, void *arg)
{
    struct side a = {0}, b = {0};
    json_t *id = json_object_get(row, "id");
    const char *why = side_read(json_object_get(row, "a"), row, &a);

    (void)arg;
    if (!why)
        why = side_read(json_object_get(row, "b"), row, &b);
    if (!why)
        jsonl_print(json_pack("{s:O, s:b}", "id", id ? id : json_null(), "same", same(&a, &b)));
    side_fini(&a);
    side_fini(&b);
    return why;
}

int
cmd_identify(int argc, char **argv)
{
    cli_flag(&argc, argv, "--json"); /* it is JSON anyway */
    cli_flag(&argc, argv, "--jsonl");
    if (argc > 1 && argv[1][0] == '-' && argv[1][1])
        return cli_fail(CLI_USAGE, "identify", "usage: fte identify [FILE.jsonl...]");
    return jsonl_run(argc, argv, answer, NULL);
}
