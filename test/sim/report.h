/* report - what a simulation says when it finds something: the seed, the step, and what happened
 * last. Every simulation notes its events here. */
#ifndef SIM_REPORT_H
#define SIM_REPORT_H

#include "test/sim/random.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A run begins: of this simulation, with this seed. */
void report_begin(const char *simulation, uint64_t seed);
/* Counts a step and returns how many there were in this run. */
uint64_t report_step(void);
uint64_t report_steps(void);
/* Notes an event; the last ones are shown with a failure. */
void report_event(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A promise is broken: prints seed, step and the last events, and how to see it again; exits 1. */
_Noreturn void report_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same where `ok` is false. */
#define REPORT_WANT(ok, ...)                                                                       \
    do {                                                                                           \
        if (!(ok)) {                                                                               \
            report_fail(__VA_ARGS__);                                                              \
        }                                                                                          \
    } while (0)
/* Failed assertions of the code under test become failures of the run. */
void report_catch(void);

#endif
