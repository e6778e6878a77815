#include "test/sim/report.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAST 60 /* events that are shown */
#define LINE 160

static struct {
    const char *simulation;
    uint64_t seed;
    uint64_t step;
    char events[LAST][LINE];
    uint64_t event_n;
    bool verbose;
} report;

void
report_begin(const char *simulation, uint64_t seed)
{
    report.simulation = simulation;
    report.seed = seed;
    report.step = 0;
    report.event_n = 0;
    report.verbose = getenv("SIM_VERBOSE") != NULL;
}

uint64_t
report_step(void)
{
    return ++report.step;
}

uint64_t
report_steps(void)
{
    return report.step;
}

void
report_event(const char *format, ...)
{
    char *line = report.events[report.event_n++ % LAST];
    va_list args;

    va_start(args, format);
    vsnprintf(line, LINE, format, args);
    va_end(args);
    if (report.verbose) {
        fprintf(stderr, "%8" PRIu64 "  %s\n", report.step, line);
    }
}

static void
show(void)
{
    uint64_t from = report.event_n > LAST ? report.event_n - LAST : 0;

    for (uint64_t i = from; i < report.event_n && !report.verbose; i++) {
        fprintf(stderr, "    %s\n", report.events[i % LAST]);
    }
    fprintf(stderr, "  again: make sim SIM=%s SEED=%" PRIu64 " STEPS=%" PRIu64 "\n",
            report.simulation, report.seed, report.step);
}

void
report_fail(const char *format, ...)
{
    va_list args;

    fprintf(stderr, "%s: seed %" PRIu64 ", step %" PRIu64 ": ", report.simulation, report.seed,
            report.step);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n  the last events:\n");
    show();
    exit(1);
}

static void
on_abort(int sig)
{
    signal(sig, SIG_DFL);
    fprintf(stderr, "%s: seed %" PRIu64 ", step %" PRIu64 ": ended by signal %d\n",
            report.simulation, report.seed, report.step, sig);
    show();
    _Exit(1);
}

void
report_catch(void)
{
    signal(SIGABRT, on_abort);
    signal(SIGSEGV, on_abort);
}
