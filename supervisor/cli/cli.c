#include "supervisor/cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int
cli_fail(int exit_code, const char *command, const char *format, ...)
{
    va_list args;

    /* What was printed before comes before, also where both streams are one file. */
    fflush(stdout);
    fprintf(stderr, "fte %s: ", command);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return exit_code;
}

/* Takes `count` arguments out of argv, from argv[at] on. */
static void
take_out(int *argc, char **argv, int at, int count)
{
    for (int i = at; i + count <= *argc; i++) {
        argv[i] = argv[i + count];
    }
    *argc -= count;
}

bool
cli_flag(int *argc, char **argv, const char *flag)
{
    bool found = false;

    for (int i = 1; i < *argc && strcmp(argv[i], "--") != 0;) {
        if (strcmp(argv[i], flag) == 0) {
            take_out(argc, argv, i, 1);
            found = true;
        } else {
            i++;
        }
    }
    return found;
}

const char *
cli_option(int *argc, char **argv, const char *name, bool *ret_bad)
{
    size_t n = strlen(name);

    for (int i = 1; i < *argc && strcmp(argv[i], "--") != 0; i++) {
        const char *value;

        if (strncmp(argv[i], name, n) != 0) {
            continue;
        }
        if (argv[i][n] == '=') {
            value = argv[i] + n + 1;
            take_out(argc, argv, i, 1);
            return value;
        }
        if (argv[i][n] != '\0') {
            continue;
        }
        if (i + 1 >= *argc) {
            *ret_bad = true;
            take_out(argc, argv, i, 1);
            return NULL;
        }
        value = argv[i + 1];
        take_out(argc, argv, i, 2);
        return value;
    }
    return NULL;
}

void
cli_bin_dir(char *ret, size_t room)
{
    ssize_t n = readlink("/proc/self/exe", ret, room - 1);
    char *slash;

    ret[n > 0 ? n : 0] = '\0';
    slash = strrchr(ret, '/');
    if (slash) {
        *slash = '\0';
    }
}

bool
cli_root(char *ret, size_t room)
{
    char *slash;

    cli_bin_dir(ret, room);
    while ((slash = strrchr(ret, '/')) != NULL && slash != ret) {
        *slash = '\0';
        if (strlen(ret) + sizeof("/Makefile") > room) {
            return false;
        }
        strcat(ret, "/Makefile");
        if (access(ret, F_OK) == 0) {
            *strrchr(ret, '/') = '\0';
            return true;
        }
        *strrchr(ret, '/') = '\0';
    }
    return false;
}
