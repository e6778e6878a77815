extern "C" {
#include "proto/err.h"
}
#include "actors/identity/phone.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <set>
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

static bool
is_prefix(const std::string &text, const char *prefix)
{
    return strncasecmp(text.c_str(), prefix, strlen(prefix)) == 0;
}

/* Takes off what the library does not know: whatsapp: in front (which is followed by an
 * international number, with or without its +), an extension behind a bare semicolon
 * ("+6433316005;1234"). */
static std::string
prepare(struct str raw)
{
    std::string text(raw.p, raw.n);
    size_t semicolon;

    erase_invisible(text);
    text.erase(0, std::min(text.find_first_not_of(" \t\r\n"), text.size()));
    if (is_prefix(text, "whatsapp:")) {
        text.erase(0, strlen("whatsapp:"));
        if (!text.empty() && isdigit((unsigned char)text[0]))
            text.insert(0, "+");
    }
    semicolon = text.find(';');
    if (!is_prefix(text, "tel:") && semicolon != std::string::npos && semicolon + 1 < text.size() &&
        text.find_first_not_of("0123456789", semicolon + 1) == std::string::npos)
        text.replace(semicolon, 1, " ext. ");
    return text;
}

/* True if this is a number that may exist. Too long is allowed: vanity numbers run on past the
 * digits that are dialled. */
static bool
parse(const std::string &text, const char *region, PhoneNumber *ret)
{
    if (library()->Parse(text, region[0] ? region : "ZZ", ret) != PhoneNumberUtil::NO_PARSING_ERROR)
        return false;
    switch (library()->IsPossibleNumberWithReason(*ret)) {
    case PhoneNumberUtil::IS_POSSIBLE:
    case PhoneNumberUtil::TOO_LONG:
        return true;
    case PhoneNumberUtil::IS_POSSIBLE_LOCAL_ONLY:
    case PhoneNumberUtil::INVALID_COUNTRY_CODE:
    case PhoneNumberUtil::TOO_SHORT:
    case PhoneNumberUtil::INVALID_LENGTH:
        break;
    }
    return false;
}

/* 00 stands for + in most countries: so it does where the country isn't known, or where the number
 * can't be one of that country. */
static bool
parse_double_zero(const std::string &text, const char *region, PhoneNumber *ret)
{
    PhoneNumber international;

    if (text.compare(0, 2, "00") != 0 || !parse("+" + text.substr(2), "", &international))
        return false;
    if (region[0] && !library()->IsValidNumber(international))
        return false;
    *ret = international;
    return true;
}

extern "C" int
phone_normal(struct str raw, const char *region, struct buf *ret)
{
    PhoneNumber number;
    std::string text, e164;
    bool found;

    raw = str_trim(raw);
    if (raw.n == 0 || raw.n > PHONE_RAW_MAX || !str_is_text(raw))
        return ERR_INVALID;
    text = prepare(raw);
    found = parse(text, region, &number);
    if (!found || !library()->IsValidNumber(number))
        found = parse_double_zero(text, region, &number) || found;
    if (!found)
        return ERR_INVALID;
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
