#include "actors/triage/decide.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>

/* What a text must be escalated for by the built-in rules; "" = not at all. */
struct sample {
    char text[200];
    char reason[24];
    char channel[12];
};

/* The words of the specification in every inflection, its near misses, and what people say instead.
 * Written for this test. */
static struct sample samples[] = {
    /* the four rows, to the letter */
    {"pricing", "pricing_inquiry", ""},
    {"What is the price?", "pricing_inquiry", ""},
    {"PRICES PLEASE", "pricing_inquiry", ""},
    {"It is priced too high for us", "pricing_inquiry", ""},
    {"How much does it cost?", "pricing_inquiry", ""},
    {"Costs per seat", "pricing_inquiry", ""},
    {"Can you quote us 50 seats", "pricing_inquiry", ""},
    {"We need quotes by Monday", "pricing_inquiry", ""},
    {"I want a refund", "refund_request", ""},
    {"When will I be refunded?", "refund_request", ""},
    {"who is refunding me", "refund_request", ""},
    {"The refunds are missing", "refund_request", ""},
    {"I filed a chargeback.", "refund_request", ""},
    {"I am disputing this charge", "refund_request", ""},
    {"My lawyer will write to you", "legal_issue", ""},
    {"my lawyers' letter", "legal_issue", ""},
    {"This is a legal matter", "legal_issue", ""},
    {"I will sue", "legal_issue", ""},
    {"we are suing you", "legal_issue", ""},
    {"Sue you I will", "legal_issue", ""},
    {"they sued us", "legal_issue", ""},
    {"Our attorney's office", "legal_issue", ""},
    {"Cancel my subscription", "cancellation_request", ""},
    {"cancelling both subscriptions", "cancellation_request", ""},
    {"I'd like to cancel. My subscription is Pro.", "cancellation_request", ""},
    {"subscription cancellation", "cancellation_request", ""},
    /* near misses */
    {"The cost of waiting is what worries us: how fast is the router?", "", ""},
    {"Sue wrote to you last week", "", ""},
    {"how about i call you sue", "", ""},
    {"a present for sue", "", ""},
    {"Where do I see my subscription?", "", ""},
    {"Can I cancel a running import?", "", ""},
    {"cancel my order", "", ""},
    {"Hello, I have an issue with my personal account, it isn't ideal", "", ""},
    {"What is the consumer price index?", "", ""},
    {"i need a stock quote", "", ""},
    {"the price of a stock", "", ""},
    {"What is the price of the mattress that is in stock?", "pricing_inquiry", ""},
    {"at all costs it must work, but what does it cost?", "pricing_inquiry", ""},
    {"please quote the ticket number TKT-7F3K9Q", "", ""},
    {"How do I escape double quotes?", "", ""},
    {"see https://example.com/pricing and legal@example.com", "", ""},
    {"This bug cost us three days", "", ""},
    {"My account was closed, why?", "", ""},
    {"How do I close a ticket?", "", ""},
    {"delete my account picture", "", ""},
    {"remove a message from my account", "", ""},
    {"I want my cat back", "", ""},
    {"are you a human", "", ""},
    {"am i talking to a real person?", "", ""},
    {"I do not need an agent", "", ""},
    {"I talked to someone yesterday and it works now", "", ""},
    {"How does the edge talk to an agent?", "", ""},
    {"How do I register a callback function?", "", ""},
    {"call me Bob", "", ""},
    /* what the keyboard made of it */
    {"what\xE2\x80\x99s the price", "pricing_inquiry", ""},
    {"re\xE2\x80\x8B"
     "fund",
     "refund_request", ""},
    {"\xEF\xBC\xB2\xEF\xBC\xA5\xEF\xBC\xA6\xEF\xBC\xB5\xEF\xBC\xAE\xEF\xBC\xA4", "refund_request",
     ""},
    {"refudn please", "refund_request", ""},
    {"refund.please", "refund_request", ""},
    {"cancle my subscripton", "cancellation_request", ""},
    {"What is the prize of double bed", "pricing_inquiry", ""},
    {"quite a pride, the cancer layer", "", ""},
    /* what people say instead */
    {"I want my money back", "refund_request", ""},
    {"send back the money", "refund_request", ""},
    {"I was charged twice", "refund_request", ""},
    {"see you in court", "legal_issue", ""},
    {"close my account", "cancellation_request", ""},
    {"how do I get rid of that account", "cancellation_request", ""},
    {"my account needs to be deleted", "cancellation_request", ""},
    {"I want to cancel one of my plans", "cancellation_request", ""},
    {"let me speak to someone", "customer_requested", ""},
    {"put me through to your manager", "customer_requested", ""},
    {"Chat with agrnt", "customer_requested", ""},
    {"please call me back", "customer_requested", ""},
    {"how much is the pro plan", "pricing_inquiry", ""},
    {"how much is left on my balance", "", ""},
    /* these words alone mean a person on WhatsApp only */
    {"are you a human", "customer_requested", "whatsapp"},
    {"the agent said so", "customer_requested", "whatsapp"},
    {"the agent said so", "", "email"},
    {"your representative was here", "", "webform"},
    {"your representatives were here", "customer_requested", "whatsapp"},
    /* the first rule of the table wins */
    {"What does a refund cost?", "pricing_inquiry", ""},
    {"If you don't refund me I will sue", "refund_request", ""},
    {"my lawyer wants me to cancel the subscription", "legal_issue", ""},
};

ParameterizedTestParameters(rules, says_why_a_person_is_needed)
{
    return cr_make_param_array(struct sample, samples, sizeof samples / sizeof *samples);
}

ParameterizedTest(struct sample *s, rules, says_why_a_person_is_needed)
{
    struct decider decider;
    struct decision decision = {0};
    struct buf faults = {0};
    struct str text = str_of(s->text);
    struct decide_input in = {
        .channel = s->channel[0] ? s->channel : "webform", .texts = &text, .n = 1};

    cr_assert_eq(decider_init(&decider, "", &faults), 0, "%s", buf_c(&faults));
    decide(&decider, &in, &decision);
    cr_expect_str_eq(decision.reason ? decision.reason : "", s->reason, "\"%s\" gave %s", s->text,
                     decision.reason ? decision.reason : "nothing");
    cr_expect_eq(decision.escalate, s->reason[0] != '\0');
    decision_fini(&decision);
    decider_fini(&decider);
    buf_fini(&faults);
}

/* --- the language ---------------------------------------------------------------------------- */

/* The rule that fires on `text`, or "". */
static const char *
fires(const char *rules, const char *text, const char *channel)
{
    static char name[64];
    struct buf faults = {0};
    struct words words = {0};
    struct rules_hit hit;
    struct rules *r = rules_parse(str_of(rules), "test", &faults);

    cr_assert(r, "%s", buf_c(&faults));
    words_cut(&words, str_of(text));
    name[0] = '\0';
    if (rules_match(r, &words, channel, &hit, 1) == 1)
        strcpy(name, hit.rule);
    words_fini(&words);
    rules_free(&r);
    buf_fini(&faults);
    return name;
}

#define RULE "rule r legal_issue\nmatch "

Test(rules, match_whole_words_in_their_inflections_only)
{
    cr_expect_str_eq(fires(RULE "try", "he tries", "email"), "r");
    cr_expect_str_eq(fires(RULE "try", "tried", "email"), "r");
    cr_expect_str_eq(fires(RULE "stop", "stopping", "email"), "r");
    cr_expect_str_eq(fires(RULE "use", "used", "email"), "r");
    cr_expect_str_eq(fires(RULE "us", "used", "email"), "");
    cr_expect_str_eq(fires(RULE "deal", "ideal", "email"), "");
    cr_expect_str_eq(fires(RULE "=deal", "deals", "email"), "");
    cr_expect_str_eq(fires(RULE "Bill", "the bill", "email"), "");
    cr_expect_str_eq(fires(RULE "Bill", "Bill said", "email"), "r");
}

Test(rules, skip_words_only_as_far_as_a_gap_says)
{
    cr_expect_str_eq(fires(RULE "alpha ...2 omega", "alpha b c omega", "email"), "r");
    cr_expect_str_eq(fires(RULE "alpha ...2 omega", "alpha b c d omega", "email"), "");
    cr_expect_str_eq(fires(RULE "alpha ... omega", "alpha b. Then omega", "email"), "");
    cr_expect_str_eq(fires("set joints = =from\n" RULE "alpha .. omega", "alpha b omega", "email"),
                     "r");
    cr_expect_str_eq(
        fires("set joints = =from\n" RULE "alpha .. omega", "alpha from omega", "email"), "");
    cr_expect_str_eq(fires(RULE "alpha * omega", "alpha omega", "email"), "");
    cr_expect_str_eq(fires(RULE "alpha [beta] (omega psi)", "alpha psi", "email"), "r");
    cr_expect_str_eq(fires(RULE "alpha [beta] (omega psi)", "alpha beta omega", "email"), "r");
    cr_expect_str_eq(fires(RULE "^ alpha $", "so it is. Alpha! Fine", "email"), "r");
    cr_expect_str_eq(fires(RULE "^ alpha $", "so alpha", "email"), "");
    cr_expect_str_eq(fires(RULE "alpha & omega", "omega. alpha", "email"), "r");
}

Test(rules, are_void_where_an_exception_covers_their_words_unless_they_fire_always)
{
    cr_expect_str_eq(fires(RULE "alpha\nunless alpha particle", "an alpha particle", "email"), "");
    cr_expect_str_eq(
        fires(RULE "alpha\nunless alpha particle", "alpha, an alpha particle", "email"), "r");
    cr_expect_str_eq(
        fires(RULE "alpha\nunless alpha particle\nalways one alpha", "one alpha particle", "email"),
        "r");
}

Test(rules, of_one_channel_are_silent_on_the_others)
{
    cr_expect_str_eq(fires("rule r legal_issue\nchannel whatsapp email\nmatch a1", "a1", "email"),
                     "r");
    cr_expect_str_eq(fires("rule r legal_issue\nchannel whatsapp email\nmatch a1", "a1", "webform"),
                     "");
}

Test(rules, of_an_operator_stand_before_or_behind_the_built_in_ones)
{
    cr_expect_str_eq(
        fires("rule mine customer_requested\nmatch refund\nuse default", "refund", "email"),
        "mine");
    cr_expect_str_eq(
        fires("use default\nrule mine customer_requested\nmatch refund", "refund", "email"),
        "refund");
}

struct fault {
    char rules[80];
    char message[100];
};

static struct fault bad[] = {
    {"macth refund", "test:1: unknown keyword \"macth\"; allowed: use, set, rule"},
    {"\n# a comment\nrule r refund", "test:3: unknown reason \"refund\"; allowed: pricing_inquiry"},
    {"rule r", "test:1: a rule has a name and a reason"},
    {"match refund", "test:1: \"match\" stands before the first rule"},
    {"rule r legal_issue\nchannel sms", "test:2: unknown channel \"sms\"; allowed: webform, email"},
    {"rule r legal_issue\nmatch (a b", "test:2: a \"(\" isn't closed"},
    {"rule r legal_issue\nmatch ()", "test:2: there is nothing between the brackets"},
    {"rule r legal_issue\nmatch ... refund", "test:2: a pattern can't begin with a gap"},
    {"rule r legal_issue\nmatch a ...99 b",
     "test:2: \"...99\" isn't a gap; allowed: ... or .. with"},
    {"rule r legal_issue\nmatch [a]", "test:2: a pattern needs a word that must be there"},
    {"rule r legal_issue\nmatch @nobody", "test:2: there is no set \"@nobody\" above this line"},
    {"rule r legal_issue\nmatch", "test:2: a pattern is missing"},
    {"rule r legal_issue\nunless a & b", "test:2: an exception can't have \"&\""},
    {"rule r legal_issue\nrule r legal_issue", "test:2: there is already a rule \"r\""},
    {"use defaults", "test:1: can't use \"defaults\"; allowed: use default"},
    {"# nothing", "has no rule: at least \"use default\" is needed"},
    {"rule r legal_issue\nmatch a-b", "test:2: \"a-b\" isn't one word"},
};

ParameterizedTestParameters(rules, with_a_fault_are_refused_with_its_line_and_what_is_allowed)
{
    return cr_make_param_array(struct fault, bad, sizeof bad / sizeof *bad);
}

ParameterizedTest(struct fault *f, rules,
                  with_a_fault_are_refused_with_its_line_and_what_is_allowed)
{
    struct buf faults = {0};
    struct rules *r = rules_parse(str_of(f->rules), "test", &faults);

    cr_expect_null(r, "accepted: %s", f->rules);
    cr_expect(strstr(buf_c(&faults), f->message), "\"%s\" is not in: %s", f->message,
              buf_c(&faults));
    rules_free(&r);
    buf_fini(&faults);
}

Test(rules, in_a_file_that_is_not_there_are_refused_with_its_name)
{
    struct buf faults = {0};

    cr_expect_null(rules_load("/nowhere/triage.rules", &faults));
    cr_expect(strstr(buf_c(&faults), "/nowhere/triage.rules: No such file"));
    buf_fini(&faults);
}

Test(rules, with_a_fault_are_told_in_lines_that_a_terminal_can_show)
{
    struct buf text = {0}, faults = {0};
    struct str line;

    buf_add_c(&text, "\x1b[31mred\n");
    for (int i = 0; i < 300; i++) {
        buf_add_c(&text, "\xc3\xa9"); /* cut where it is too long, but no letter in two */
    }
    cr_assert_null(rules_parse(buf_str(&text), "test", &faults));
    cr_expect(str_is_text(buf_str(&faults)), "%s", buf_c(&faults));
    cr_expect_null(strchr(buf_c(&faults), '\x1b'));
    line = str_of(strchr(buf_c(&faults), '\n') + 1);
    cr_expect(memcmp(line.p, "test:2: ", 8) == 0 && line.n <= 420, "%s", buf_c(&faults));
    rules_parse(STR(""), "test", &faults);
    cr_expect_not_null(strstr(buf_c(&faults), "test:1: has no rule"), "%s", buf_c(&faults));
    buf_fini(&text);
    buf_fini(&faults);
}
