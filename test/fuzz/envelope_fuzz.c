/* envelope_fuzz - whatever bytes come as an envelope or a body, they are read or refused; what was
 * read is passed on as the same, with and without a section added. Run by `make fuzz`. */
#include "proto/envelope.h"
#include "proto/err.h"
#include "test/fuzz/fuzz.h"

/* Passes `e` on and reads it again. A section may take it over the limit of size, nothing else. */
static void
pass_on(const struct envelope *e, const char *name, struct str section)
{
    struct buf out = {0};
    struct envelope *again = NULL;
    const char *why = NULL;
    int err;

    envelope_encode(e, name, section, &out);
    err = envelope_decode(out.p, out.n, &again, &why);
    insist(err == 0 || err == ERR_TOO_BIG);
    if (err == 0) {
        insist(id_eq(again->id, e->id) && str_eq(again->key, e->key) && again->seq == e->seq);
        insist(again->received_us == e->received_us && again->deadline_us == e->deadline_us);
        insist(name == NULL || envelope_section(again, name) != NULL);
        insist(name != NULL || again->body.via.map.size == e->body.via.map.size);
    }
    envelope_free(&again);
    buf_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct envelope *e = NULL;
    const char *why = NULL;
    msgpack_unpacked u;
    int err = envelope_decode(data, size, &e, &why);

    insist(err == 0 || err == ERR_TOO_BIG || err == ERR_MALFORMED || err == ERR_VERSION);
    insist((err == 0) == (e != NULL) && (err == 0 || why != NULL));
    if (err == 0) {
        pass_on(e, NULL, (struct str){0});
        pass_on(e, "triage",
                STR("\x81\xa8"
                    "escalate\xc2"));
    }
    envelope_free(&e);
    if (body_decode(data, size, &u) == 0) {
        (void)map_str(&u.data, "code");
        msgpack_unpacked_destroy(&u);
    }
    return 0;
}
