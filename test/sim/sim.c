/* sim - runs the simulations: each with seed after seed until its share of steps is done.
 *
 *   sim [--seed N] [--steps N] [--only NAME]
 *
 * The first run of each has the seed N, the next N + 1 ... so that a failure's seed alone shows it
 * again. Ends with the line `N passed, N failed`. */
#include "test/sim/sim.h"

#include "proto/lifeline.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
    const char *name;
    unsigned share; /* percent of all steps */
    uint64_t (*run)(uint64_t seed, struct sim_counts *counts);
} simulations[] = {
    {"window", 10, window_run},      {"credit", 10, credit_run}, {"backoff", 1, backoff_run},
    {"intensity", 5, intensity_run}, {"tree", 14, tree_run},     {"pipeline", 60, pipeline_run},
};
#define SIMULATIONS (sizeof(simulations) / sizeof(simulations[0]))

static void
show(const char *name, uint64_t seed, uint64_t runs, uint64_t steps, const struct sim_counts *c)
{
    printf("  %-9s %4" PRIu64 " runs from seed %" PRIu64 ", %8" PRIu64 " steps", name, runs, seed,
           steps);
    if (c->messages > 0) {
        printf(": %" PRIu64 " messages (%" PRIu64 " replies, %" PRIu64 " escalations, %" PRIu64
               " dead letters, %" PRIu64 " replayed), %" PRIu64 " faults (%" PRIu64
               " kill -9), %" PRIu64 " units delivered again, %" PRIu64 " BUSY, %" PRIu64
               " LOST, %" PRIu64 " deadlines",
               c->messages, c->replies, c->escalations, c->dead, c->replays, c->faults, c->deaths,
               c->redelivered, c->busy, c->lost, c->deadlines);
    }
    printf("\n");
    fflush(stdout);
}

/* One simulation, in a process of its own: what it finds ends it. */
static int
simulate(size_t i, uint64_t seed, uint64_t steps)
{
    struct sim_counts counts = {0};
    uint64_t done = 0, runs = 0;

    report_catch();
    while (done < steps) {
        done += simulations[i].run(seed + runs++, &counts);
    }
    show(simulations[i].name, seed, runs, done, &counts);
    return 0;
}

static bool
passes(size_t i, uint64_t seed, uint64_t steps)
{
    pid_t pid;
    int status;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        exit(simulate(i, seed, steps));
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* What the programs under simulation read at their start. */
static void
prepare(void)
{
    static char dir[] = "/tmp/fte-sim.XXXXXX";

    int null = open("/dev/null", O_RDWR);

    if (null >= 0) {
        dup2(null, LIFELINE_FD); /* no supervisor, whoever started us (make has a pipe there) */
    }
    if (mkdtemp(dir) == NULL) {
        perror(dir);
        exit(1);
    }
    setenv("SIM_DIR", dir, 1);
    setenv("DATABASE_URL", "postgresql:///simulated", 1);
}

static void
tidy(void)
{
    char path[80];

    snprintf(path, sizeof(path), "%s/router.sock.lock", getenv("SIM_DIR"));
    unlink(path);
    rmdir(getenv("SIM_DIR"));
}

int
main(int argc, char **argv)
{
    uint64_t seed = 1, steps = 4000000;
    const char *only = NULL;
    int passed = 0, failed = 0;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--steps") == 0) {
            steps = strtoull(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--only") == 0) {
            only = argv[i + 1];
        }
    }
    prepare();
    for (size_t i = 0; i < SIMULATIONS; i++) {
        if (only != NULL && strcmp(only, simulations[i].name) != 0) {
            continue;
        }
        if (passes(i, seed, only != NULL ? steps : steps / 100 * simulations[i].share)) {
            passed++;
        } else {
            failed++;
        }
    }
    tidy();
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0 || passed == 0;
}
