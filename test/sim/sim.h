/* sim - the simulations, each a function of its seed. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "test/sim/random.h"
#include "test/sim/report.h"

#include <stdint.h>

#define SIM_RUN_STEPS 20000 /* of one run of the pipeline; then it may settle */

/* What a simulation has seen, for the closing table. */
struct sim_counts {
    uint64_t messages, replies, escalations, dead, replays;
    uint64_t deaths, faults, redelivered, busy, lost, deadlines;
};

/* Each returns how many steps it took; does not return where a promise is broken. */
uint64_t pipeline_run(uint64_t seed, struct sim_counts *counts);
uint64_t window_run(uint64_t seed, struct sim_counts *counts);
uint64_t credit_run(uint64_t seed, struct sim_counts *counts);
uint64_t backoff_run(uint64_t seed, struct sim_counts *counts);
uint64_t intensity_run(uint64_t seed, struct sim_counts *counts);
uint64_t tree_run(uint64_t seed, struct sim_counts *counts);

#endif
