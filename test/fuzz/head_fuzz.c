/* head_fuzz - whatever bytes come as a head, it is read or refused; what was read is written and
 * read again as the same. Run by `make fuzz`. */
#include "proto/err.h"
#include "proto/head.h"
#include "test/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct head h = {0};
    struct head again = {0};
    struct buf out = {0};
    int err = head_decode(data, size, &h);

    insist(err == 0 || err == ERR_TOO_BIG || err == ERR_MALFORMED || err == ERR_VERSION);
    insist(head_type_str(h.type) != NULL);
    if (err == 0) {
        head_encode(&h, &out);
        insist(head_decode(out.p, out.n, &again) == 0);
        insist(again.type == h.type && str_eq(again.service, h.service) && id_eq(again.id, h.id));
        insist(again.attempt == h.attempt && again.generation == h.generation);
        insist(str_eq(again.route, h.route) && again.count == h.count && again.pid == h.pid);
    }
    buf_fini(&out);
    return 0;
}
