extern "C" {
#include "proto/err.h"
}
#include "actors/identity/phone.h"

#include <algorithm>
#include <string>
#include <strings.h>

#include <phonenumbers/logger.h>
#include <phonenumbers/phonenumberutil.h>

using i18n::phonenumbers::PhoneNumber;
using i18n::phonenumbers::PhoneNumberUtil;

/* The library's messages are about its own state and may quote the number: not for our log. */
class silent_logger : public i18n::phonenumbers::Logger
{
  public:
    void WriteMessage(const std::string &) override
    {
    }
};

static PhoneNumberUtil *
library()
{
    static PhoneNumberUtil *util = [] {
        PhoneNumberUtil *u = PhoneNumberUtil::GetInstance();
        u->SetLogger(new silent_logger);
        return u;
    }();
    return util;
}

static void
erase_all(std::string &text, const std::string &what)
{
    for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at))
        text.erase(at, what.size());
}

/* Direction marks and other characters of no width, which come with pasted numbers. */
static void
erase_invisible(std::string &text)
{
    static const char *const invisible[] = {
        "\u200B", "\u200C", "\u200D", "\u200E", "\u200F", "\u202A", "\u202B", "\u202C", "\u202D",
        "\u202E", "\u2060", "\u2066", "\u2067", "\u2068", "\u2069", "\uFEFF", "\u00AD"};
    for (const char *c : invisible)
        erase_all(text, c);
}

/* What the library does not know: whatsapp: in front, an extension behind a bare semicolon (as
 * "+6433316005;1234"), and 00 for + where nobody said in which country it was dialled. */
static std::string
prepare(struct str raw, const char *region)
{
    static const std::string whatsapp = "whatsapp:";
    std::string text(raw.p, raw.n);

    erase_invisible(text);
    text.erase(0, std::min(text.find_first_not_of(" \t\r\n"), text.size()));
    if (strncasecmp(text.c_str(), whatsapp.c_str(), whatsapp.size()) == 0)
        text.erase(0, whatsapp.size());
    if (region[0] == '\0' && text.compare(0, 2, "00") == 0)
        text.replace(0, 2, "+");
    if (strncasecmp(text.c_str(), "tel:", 4) != 0) {
        size_t at = text.find(';');
        if (at != std::string::npos &&
            text.find_first_not_of("0123456789", at + 1) == std::string::npos &&
            at + 1 < text.size())
            text.replace(at, 1, " ext. ");
    }
    return text;
}

extern "C" int
phone_normal(struct str raw, const char *region, struct buf *ret)
{
    PhoneNumber number;
    std::string e164;

    raw = str_trim(raw);
    if (raw.n == 0 || raw.n > PHONE_RAW_MAX || !str_is_text(raw))
        return ERR_INVALID;
    if (library()->Parse(prepare(raw, region), region[0] ? region : "ZZ", &number) !=
        PhoneNumberUtil::NO_PARSING_ERROR)
        return ERR_INVALID;
    /* Too long is allowed: vanity numbers run on past the digits that are dialled. */
    switch (library()->IsPossibleNumberWithReason(number)) {
    case PhoneNumberUtil::IS_POSSIBLE:
    case PhoneNumberUtil::TOO_LONG:
        break;
    case PhoneNumberUtil::IS_POSSIBLE_LOCAL_ONLY:
    case PhoneNumberUtil::INVALID_COUNTRY_CODE:
    case PhoneNumberUtil::TOO_SHORT:
    case PhoneNumberUtil::INVALID_LENGTH:
        return ERR_INVALID;
    }
    library()->Format(number, PhoneNumberUtil::E164, &e164);
    buf_add(ret, e164.data(), e164.size());
    if (number.has_extension() && !number.extension().empty())
        buf_printf(ret, ";ext=%s", number.extension().c_str());
    return 0;
}

extern "C" bool
phone_region_ok(const char *region)
{
    std::set<std::string> regions;

    library()->GetSupportedRegions(&regions);
    return regions.count(region) > 0;
}
