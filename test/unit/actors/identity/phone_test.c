#include "actors/identity/phone.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>

struct sample {
    char raw[60];
    char region[3];
    char normal[30]; /* "" = none */
};

/* Example numbers of libphonenumber's metadata and forms of its tests (Apache-2.0 licence). */
static struct sample samples[] = {
    {"+44 7400 123456", "", "+447400123456"},
    {"+44 (0)7400 123456", "", "+447400123456"},
    {"tel:+44-7400-123456", "", "+447400123456"},
    {"whatsapp:+447400123456", "", "+447400123456"},
    {"whatsapp:447400123456", "", "+447400123456"},
    {"(+44) 7400.123.456", "", "+447400123456"},
    {"07400 123456", "GB", "+447400123456"},
    {"07400 123456", "", ""},
    {"00447400123456", "DE", "+447400123456"},
    {"00447400123456", "", "+447400123456"},
    {"00998912345678", "UZ", "+998912345678"},
    {"011 44 7400 123456", "US", "+447400123456"},
    {"\xEF\xBC\x8B\xEF\xBC\x94\xEF\xBC\x94 7400 123456", "", "+447400123456"},
    {"+44\xC2\xA0"
     "7400\xC2\xA0"
     "123456",
     "", "+447400123456"},
    {"\xE2\x80\xAA+44 7400 123456\xE2\x80\xAC", "", "+447400123456"},
    {"+39 06 1234 5678", "", "+390612345678"},
    {"+1 800 SIX-FLAG", "", "+18007493524"},
    {"+64 3 331-6005 ext. 1234", "", "+6433316005;ext=1234"},
    {"+6433316005;1234", "", "+6433316005;ext=1234"},
    {"tel:+64-3-331-6005;isub=123", "", "+6433316005"},
    {"+800 1234 5678", "", "+80012345678"},
    {"", "", ""},
    {"hello", "GB", ""},
    {"+999 12345678", "", ""},
    {"12", "GB", ""},
    {"+44 7400", "", ""},
    {"+44740012345\xFF", "", ""},
};

ParameterizedTestParameters(phone, has_one_normal_form_for_a_number)
{
    return cr_make_param_array(struct sample, samples, sizeof samples / sizeof *samples);
}

ParameterizedTest(struct sample *s, phone, has_one_normal_form_for_a_number)
{
    struct buf normal = {0};
    int err = phone_normal(str_of(s->raw), s->region, &normal);

    cr_expect_eq(err == 0, s->normal[0] != '\0', "%s", s->raw);
    cr_expect_str_eq(buf_c(&normal), s->normal);
    buf_fini(&normal);
}

Test(phone, knows_regions)
{
    cr_expect(phone_region_ok("DE"));
    cr_expect_not(phone_region_ok("XX"));
    cr_expect_not(phone_region_ok("de"));
}
