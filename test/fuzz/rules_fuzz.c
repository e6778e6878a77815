/* rules_fuzz - whatever an operator writes as rules of triage, it is read or refused in lines that
 * name the place; what was read is written and read again as the same; and whatever a customer
 * writes then, the rules decide alike each time, soon, and by words of the message.
 *
 *   rules, a line of four hyphens, a message
 */
#include "actors/triage/rules_private.h"
#include "test/fuzz/fuzz.h"

static const char separator[] = "\n----\n";

/* --- what is refused ------------------------------------------------------------------------- */

/* Each fault is a line "NAME:LINE: what". */
static void
check_faults(struct str faults)
{
    insist(faults.n > 0 && faults.p[faults.n - 1] == '\n');
    while (faults.n > 0) {
        struct str line = take(&faults, '\n');
        char *text = str_dup(line);
        unsigned number = 0;
        int used = 0;
        insist(is_line(line));
        insist(sscanf(text, "rules:%u: %n", &number, &used) == 1 && used > 0 && number > 0);
        insist(line.n > (size_t)used);
        free(text);
    }
}

/* --- writing what was read ------------------------------------------------------------------- */

static void
print_term(const struct term *t, struct buf *out)
{
    static const char *const marks[] = {
        [TERM_INFLECTED] = "", [TERM_EXACT] = "=", [TERM_CAPITAL] = ""};

    buf_add_c(out, t->near ? "~" : marks[t->form]);
    buf_add_c(out, t->text);
    if (t->form == TERM_CAPITAL) {
        char *first = out->p + out->n - strlen(t->text);
        *first = (char)(*first >= 'a' && *first <= 'z' ? *first - 32 : *first);
    }
    buf_add_byte(out, ' ');
}

static void
print_element(const struct rules *r, const struct element *e, struct buf *out)
{
    switch (e->kind) {
    case ELEMENT_WORD:
        buf_add_byte(out, e->optional ? '[' : '(');
        for (size_t i = 0; i < e->set.n; i++) {
            print_term(&r->terms[e->set.v[i]], out);
        }
        buf_add_c(out, e->optional ? "] " : ") ");
        break;
    case ELEMENT_ANY:
        buf_add_c(out, "* ");
        break;
    case ELEMENT_GAP:
        buf_printf(out, "...%u ", e->max);
        break;
    case ELEMENT_NEAR:
        buf_printf(out, "..%u ", e->max);
        break;
    case ELEMENT_BEGIN:
        buf_add_c(out, "^ ");
        break;
    case ELEMENT_END:
        buf_add_c(out, "$ ");
        break;
    }
}

static void
print_rule(const struct rules *r, const struct rule *rule, struct buf *out)
{
    static const char *const uses[] = {
        [PATTERN_MATCH] = "match", [PATTERN_ALWAYS] = "always", [PATTERN_UNLESS] = "unless"};

    buf_printf(out, "rule %s %s\nchannel", rule->name, rule->reason);
    for (unsigned bit = 0; rules_channels[bit]; bit++) {
        if (rule->channels >> bit & 1) {
            buf_printf(out, " %s", rules_channels[bit]);
        }
    }
    buf_add_byte(out, '\n');
    for (size_t i = 0; i < rule->n; i++) {
        const struct pattern *pattern = &rule->patterns[i];
        buf_printf(out, "%s ", uses[pattern->use]);
        for (size_t k = 0; k < pattern->n; k++) {
            buf_add_c(out, k > 0 ? "& " : "");
            for (size_t e = 0; e < pattern->parts[k].n; e++) {
                print_element(r, &pattern->parts[k].v[e], out);
            }
        }
        buf_add_byte(out, '\n');
    }
}

static void
print(const struct rules *r, struct buf *out)
{
    if (r->joints.n > 0) {
        buf_add_c(out, "set joints = ");
        for (size_t i = 0; i < r->joints.n; i++) {
            print_term(&r->terms[r->joints.v[i]], out);
        }
        buf_add_byte(out, '\n');
    }
    for (size_t i = 0; i < r->n; i++) {
        print_rule(r, &r->rules[i], out);
    }
}

/* A word that only its capital tells from others can be written again where the capital is of
 * ASCII. */
static bool
can_be_printed(const struct rules *r)
{
    if (r->n_terms > 500) {
        return false; /* with the built-in rules it takes too long */
    }
    for (size_t i = 0; i < r->n_terms; i++) {
        if (r->terms[i].form == TERM_CAPITAL && (r->terms[i].near || r->terms[i].text[0] & 0x80)) {
            return false;
        }
    }
    return true;
}

static void
check_again(const struct rules *r)
{
    struct buf once = {0}, faults = {0}, twice = {0}, thrice = {0};
    struct rules *again, *last;

    if (!can_be_printed(r)) {
        return;
    }
    print(r, &once);
    again = rules_parse(buf_str(&once), "rules", &faults);
    if (again == NULL) {
        fprintf(stderr, "%s%s", buf_c(&once), buf_c(&faults));
    }
    insist(again != NULL);
    insist(again->n == r->n && again->n_patterns == r->n_patterns);
    /* The first writing may bring words in another order: their numbers are of the first reading.
     */
    print(again, &twice);
    last = rules_parse(buf_str(&twice), "rules", &faults);
    insist(last != NULL);
    print(last, &thrice);
    insist(once.n == twice.n && str_eq(buf_str(&twice), buf_str(&thrice)));
    rules_free(&again);
    rules_free(&last);
    buf_fini(&once);
    buf_fini(&twice);
    buf_fini(&thrice);
    buf_fini(&faults);
}

/* --- deciding -------------------------------------------------------------------------------- */

static void
check_hit(const struct rules *r, const struct words *words, const struct rules_hit *hit)
{
    bool known = false;

    for (size_t i = 0; i < r->n; i++) {
        known = known || (strcmp(r->rules[i].name, hit->rule) == 0 &&
                          strcmp(r->rules[i].reason, hit->reason) == 0);
    }
    insist(known && hit->n <= RULES_HIT_WORDS);
    for (size_t i = 0; i < hit->n; i++) {
        insist(hit->words[i].p >= words->text.p);
        insist(hit->words[i].p + hit->words[i].n <= words->text.p + words->text.n);
        insist(str_is_text(hit->words[i]));
    }
}

static void
check_match(const struct rules *r, struct str message)
{
    struct words words = {0};
    struct rules_hit hits[4], first;

    words_cut(&words, message);
    for (unsigned channel = 0; rules_channels[channel]; channel++) {
        size_t n = rules_match(r, &words, rules_channels[channel], hits, 4);
        insist(n <= 4);
        for (size_t i = 0; i < n; i++) {
            check_hit(r, &words, &hits[i]);
        }
        insist(rules_match(r, &words, rules_channels[channel], &first, 1) == (n > 0));
        insist(n == 0 || (first.rule == hits[0].rule && first.n == hits[0].n));
    }
    words_fini(&words);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *mark = memmem(data, size, separator, sizeof(separator) - 1);
    size_t n = mark != NULL ? (size_t)(mark - data) : size;
    struct buf faults = {0};
    struct rules *r = rules_parse((struct str){(const char *)data, n}, "rules", &faults);

    insist((r == NULL) == (faults.n > 0));
    if (r == NULL) {
        check_faults(buf_str(&faults));
    } else {
        insist(r->n > 0 && r->n_terms <= 8000 && r->n_patterns <= 8000);
        check_again(r);
        if (mark != NULL) {
            n += sizeof(separator) - 1;
            check_match(r, (struct str){(const char *)data + n, size - n});
        }
    }
    rules_free(&r);
    buf_fini(&faults);
    return 0;
}
