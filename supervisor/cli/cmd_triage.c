/* fte triage - what triage would decide, on messages of the past: JSON Lines in and out, no
 * database.
 *
 *   {"id", "text", "channel"?, "previous_sentiment"?} -> {"id", "escalate", "reason", "sentiment"}
 */
#include "actors/triage/decide.h"
#include "supervisor/cli/cli.h"
#include "supervisor/cli/jsonl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct run {
    struct decider decider;
    struct decision decision;
    bool explain;
};

static json_t *
evidence(const struct decision *d)
{
    json_t *all = json_array();

    for (size_t i = 0; i < d->n_hits; i++) {
        json_t *words = json_array();
        for (size_t k = 0; k < d->hits[i].n; k++)
            json_array_append_new(words,
                                  json_stringn(d->hits[i].words[k].p, d->hits[i].words[k].n));
        json_array_append_new(all,
                              json_pack("{s:s, s:o}", "rule", d->hits[i].rule, "words", words));
    }
    return all;
}

/* The words that make the sentiment: [word, weight, factor of its surroundings]. */
static json_t *
feelings(const struct decider *decider, const struct words *words)
{
    struct sentiment_term terms[SENTIMENT_MAX_TERMS];
    size_t n = sentiment_terms(decider->lexicon, words, terms);
    json_t *all = json_array();

    for (size_t i = 0; i < n; i++) {
        struct buf text = {0};
        for (size_t k = 0; k < terms[i].n; k++) {
            buf_add_c(&text, k ? " " : "");
            buf_add_str(&text, words->v[terms[i].at + k].text);
        }
        json_array_append_new(
            all, json_pack("[s, f, f]", buf_c(&text), terms[i].weight, terms[i].factor));
        buf_fini(&text);
    }
    return all;
}

static const char *
answer(json_t *row, void *arg)
{
    struct run *run = arg;
    struct decision *d = &run->decision;
    struct str text, channel = {0};
    const json_t *previous = json_object_get(row, "previous_sentiment");
    json_t *id = json_object_get(row, "id"), *out;
    struct decide_input in = {.texts = &text, .n = 1};

    if (!jsonl_text(row, "text", &text))
        return "text: missing, or not a text";
    jsonl_text(row, "channel", &channel);
    in.channel = decide_channel(channel);
    if (!in.channel)
        return "channel: allowed: webform, email, whatsapp";
    in.has_previous = json_is_number(previous);
    in.previous = in.has_previous ? json_number_value(previous) : 0;
    decide(&run->decider, &in, d);
    out = json_pack("{s:O, s:b, s:s?, s:f}", "id", id ? id : json_null(), "escalate", d->escalate,
                    "reason", d->reason, "sentiment", d->sentiment);
    if (run->explain) {
        json_object_set_new(out, "courtesy", json_pack("s?", courtesy_name(d->courtesy)));
        json_object_set_new(out, "evidence", evidence(d));
        json_object_set_new(out, "words", feelings(&run->decider, &d->words));
    }
    jsonl_print(out);
    return NULL;
}

int
cmd_triage(int argc, char **argv)
{
    struct run run = {0};
    struct buf faults = {0};
    bool bad = false;
    const char *rules = cli_option(&argc, argv, "--rules", &bad);
    int code;

    run.explain = cli_flag(&argc, argv, "--explain");
    cli_flag(&argc, argv, "--json"); /* it is JSON anyway */
    cli_flag(&argc, argv, "--jsonl");
    if (bad || (argc > 1 && argv[1][0] == '-' && argv[1][1]))
        return cli_fail(CLI_USAGE, "triage",
                        "usage: fte triage [--rules FILE] [--explain] [FILE.jsonl...]");
    if (!rules)
        rules = getenv("FTE_TRIAGE_RULES");
    if (decider_init(&run.decider, rules ? rules : "", &faults)) {
        fputs(buf_c(&faults), stderr);
        code = cli_fail(CLI_CONFIG, "triage", "the rules can't be used");
    } else {
        code = jsonl_run(argc, argv, answer, &run);
    }
    decision_fini(&run.decision);
    decider_fini(&run.decider);
    buf_fini(&faults);
    return code;
}
