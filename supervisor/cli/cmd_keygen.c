/* fte keygen - key pairs for routers and actors on different machines. */
#include "proto/buf.h"
#include "proto/runtime/curve.h"
#include "supervisor/cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MAX_BYTES 63 /* actors/router/allow.h */

struct files {
    char dir[PATH_MAX];
    char secret[PATH_MAX + 80], public[PATH_MAX + 80];
};

static bool
name_ok(const char *name)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t n = strlen(name);

    return n > 0 && n <= NAME_MAX_BYTES && name[0] != '.' && name[0] != '-' &&
           strspn(name, letters) == n;
}

/* A directory that nobody else can look into; it is made if there is none. 0 or an exit code. */
static int
private_dir(const char *given, struct files *ret)
{
    char dir[PATH_MAX];
    struct stat st;

    if (given != NULL) {
        snprintf(dir, sizeof(dir), "%s", given);
    } else if ((size_t)snprintf(dir, sizeof(dir), "%s/keys", getenv("FTE_STATE_DIR")) >=
               sizeof(dir)) {
        return cli_fail(CLI_FAILED, "keygen", "%s/keys: %s", getenv("FTE_STATE_DIR"),
                        strerror(ENAMETOOLONG));
    }
    if (given == NULL) {
        mkdir(getenv("FTE_STATE_DIR"), 0700); /* what is wrong with it shows below */
    }
    if ((mkdir(dir, 0700) != 0 && errno != EEXIST) || !realpath(dir, ret->dir) ||
        stat(ret->dir, &st) != 0) {
        return cli_fail(CLI_FAILED, "keygen", "%s: %s", dir, strerror(errno));
    }
    if (!S_ISDIR(st.st_mode) || (st.st_mode & 077) != 0 || st.st_uid != geteuid()) {
        return cli_fail(CLI_FAILED, "keygen",
                        "%s must be a directory of yours that nobody else can look into "
                        "(chmod 700)",
                        ret->dir);
    }
    return CLI_OK;
}

/* Whole or not at all. With `force` it takes the place of what is there. */
static int
write_file(const char *path, const char *text, bool force)
{
    char fresh[PATH_MAX + 90];
    size_t n = strlen(text);
    int fd, rc = CLI_OK;

    snprintf(fresh, sizeof(fresh), "%s.new", path);
    unlink(fresh);
    fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write(fd, text, n) != (ssize_t)n || fsync(fd) != 0 ||
        (force ? rename(fresh, path) : link(fresh, path)) != 0) {
        rc = errno == EEXIST
                 ? cli_fail(CLI_FAILED, "keygen",
                            "%s is there already: --force makes a new one, and whoever uses "
                            "the old one is not understood any more",
                            path)
                 : cli_fail(CLI_FAILED, "keygen", "%s: %s", path, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    unlink(fresh);
    return rc;
}

static int
write_pair(const struct files *f, const char *name, const struct curve_key *public,
           const struct curve_key *secret, bool force)
{
    char line[CURVE_KEY_LENGTH + NAME_MAX_BYTES + 8];
    int rc;

    /* The secret first: what --force is asked for must not be half done. */
    snprintf(line, sizeof(line), "%s\n", secret->z85);
    rc = write_file(f->secret, line, force);
    explicit_bzero(line, sizeof(line));
    if (rc == CLI_OK) {
        snprintf(line, sizeof(line), "%s %s\n", public->z85, name);
        /* A public file alone is of no use to anybody. */
        rc = write_file(f->public, line, true);
    }
    return rc;
}

static void
report(const struct files *f, const char *name, const struct curve_key *public, bool json)
{
    bool router = strcmp(name, "router") == 0;
    const char *setting = router ? "FTE_CURVE_SERVER_SECRET" : "FTE_CURVE_SECRET";

    if (json) {
        json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:{s:s}}", "name", name, "public_key",
                              public->z85, "secret_file", f->secret, "public_file", f->public,
                              "settings", setting, f->secret);
        if (router) {
            json_object_set_new(json_object_get(o, "settings"), "FTE_CURVE_SERVER_KEY",
                                json_string(f->public));
        }
        json_dumpf(o, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(o);
        return;
    }
    printf("%s=%s\n", setting, f->secret);
    if (router) {
        printf("    for the router alone\n"
               "FTE_CURVE_SERVER_KEY=%s\n"
               "    a copy of it, for whoever connects to this router from another machine\n",
               f->public);
    } else {
        printf("    for the actors of %s\n"
               "%s\n"
               "    its line belongs into the router's file FTE_CURVE_CLIENTS\n",
               name, f->public);
    }
}

int
cmd_keygen(int argc, char **argv)
{
    bool json = cli_flag(&argc, argv, "--json"), force = cli_flag(&argc, argv, "--force");
    bool bad = false;
    const char *dir = cli_option(&argc, argv, "--dir", &bad);
    struct curve_key public, secret;
    struct files f;
    int rc;

    if (bad || argc != 2 || !name_ok(argv[1])) {
        return cli_fail(CLI_USAGE, "keygen",
                        "usage: fte keygen router|HOST [--dir DIRECTORY] [--force] [--json]");
    }
    rc = private_dir(dir, &f);
    if (rc != CLI_OK) {
        return rc;
    }
    snprintf(f.secret, sizeof(f.secret), "%s/%s.key", f.dir, argv[1]);
    snprintf(f.public, sizeof(f.public), "%s/%s.pub", f.dir, argv[1]);
    if (curve_pair(&public, &secret) != 0) {
        return cli_fail(CLI_FAILED, "keygen", "this libzmq has no CURVE");
    }
    rc = write_pair(&f, argv[1], &public, &secret, force);
    explicit_bzero(&secret, sizeof(secret));
    if (rc == CLI_OK) {
        report(&f, argv[1], &public, json);
    }
    return rc;
}
