#include "actors/triage/reply.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>

struct sample {
    char text[400];
    char own[200];
};

/* Forms of quotations as mail programs write them; the texts are ours. */
static struct sample samples[] = {
    {"I want to log in", "I want to log in\n"},
    {"", ""},
    {"No.\n> Would you like a refund?\n", "No.\n"},
    {"> question\nanswer\n> question\nanswer", "answer\nanswer\n"},
    {"Fine\n\nOn Mon, 3 Feb 2025 at 10:00, Support <help@example.com> wrote:\n> old\n", "Fine\n\n"},
    {"Fine\n\nOn Mon, 3 Feb 2025 at 10:00, Support\n<help@example.com> wrote:\n> old\n",
     "Fine\n\n"},
    {"Fine\n\nOn 3 Feb 2025, Support <help@example.com> wrote:\n\nold without marks\n", "Fine\n\n"},
    {"Gut\n\nAm 03.02.2025 um 10:00 schrieb Hilfe <help@example.com>:\n> alt\n", "Gut\n\n"},
    {"Bien\n\nLe 3 f\xC3\xA9vr. 2025 \xC3\xA0 10:00, Aide <help@example.com> a \xC3\xA9"
     "crit :\n> vieux\n",
     "Bien\n\n"},
    {"My boss wrote:\nbuy it", "My boss wrote:\nbuy it\n"},
    {"Fine\n-----Original Message-----\nFrom: a\nTo: b\nold", "Fine\n"},
    {"Fine\n-------- Oprindelig besked --------\nFra: a@example.com\nold", "Fine\n"},
    {"Fine\n\nFrom: Support\nSent: Monday\nTo: me\nSubject: x\n\nold", "Fine\n\n"},
    {"From: my point of view it is fine", "From: my point of view it is fine\n"},
    {"Fine\n-- \nJo, attorney at law", "Fine\n"},
    {"Fine\n\nSent from my iPhone", "Fine\n\n"},
    {"Please stop it.\n\nKind regards,\nJo Miller\nLegal Department\n+49 30 123456",
     "Please stop it.\n\nKind regards,\n"},
    {"Thanks,\nI want a refund", "Thanks,\nI want a refund\n"},
    {"I am angry >:(\r\nreally", "I am angry >:(\nreally\n"},
    {">:( angry", ">:( angry\n"},
};

ParameterizedTestParameters(reply, keeps_only_what_the_customer_wrote_now)
{
    return cr_make_param_array(struct sample, samples, sizeof samples / sizeof *samples);
}

ParameterizedTest(struct sample *s, reply, keeps_only_what_the_customer_wrote_now)
{
    struct buf own = {0};

    reply_text(str_of(s->text), &own);
    cr_expect_str_eq(buf_c(&own), s->own, "of \"%s\" was kept \"%s\"", s->text, buf_c(&own));
    buf_fini(&own);
}

Test(reply, leaves_out_the_wrapped_end_of_a_quoted_line)
{
    struct buf own = {0};

    reply_text(
        STR("No.\n> You could of course let your bank know that you don't agree and\ndispute it\n"
            "> with them.\n"),
        &own);
    cr_expect_str_eq(buf_c(&own), "No.\n");
    buf_fini(&own);
}
