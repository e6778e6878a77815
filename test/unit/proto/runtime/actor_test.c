/* Actors and the router as real processes: this test is one peer, its children are the others. */
#include "proto/runtime/actor.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#define DEADLINE_MS 5000

/* --- the actor under test: echoes calls, passes or refuses work by what its body says -------- */

static void
echo_call(struct actor *self, struct unit **units, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct buf out = {0};
        msgpack_packer pk;
        if (map_bool(&units[i]->body, "die")) {
            kill(getpid(), SIGKILL);
        }
        msgpack_packer_init(&pk, &out, buf_msgpack_write);
        msgpack_pack_object(&pk, units[i]->body);
        unit_return(self, units[i], buf_str(&out));
        buf_fini(&out);
    }
}

static void
echo_work(struct actor *self, struct unit **units, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const msgpack_object *wish = envelope_section(units[i]->envelope, "wish");
        if (map_bool(wish, "die")) {
            kill(getpid(), SIGKILL);
        } else if (map_bool(wish, "retry")) {
            unit_retry(self, units[i], ERR_UNAVAILABLE, "as wished");
        } else if (map_bool(wish, "pass")) {
            unit_pass(self, units[i], "nobody", "seen", STR("\xc3"));
        } else {
            unit_done(self, units[i]);
        }
    }
}

static const struct actor_spec echo_spec = {
    .name = "echo", .service = "echo", .slots = 4, .work = echo_work, .call = echo_call};

/* --- the harness ----------------------------------------------------------------------------- */

static char dir[] = "/tmp/fte-actor-test.XXXXXX";
static char endpoint[128];
static void *zmq, *peer;
static pid_t router;
static struct head greeted; /* what the router said first */

static pid_t
start_router(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody behind */
        const char *bin = getenv("FTE_BIN");
        char path[4096];
        snprintf(path, sizeof(path), "%s/fte-router", bin ? bin : "build/bin");
        execl(path, path, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static pid_t
start_echo(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        char *argv[] = {(char *)"fte-echo", NULL};
        _exit(actor_run(&echo_spec, 1, argv));
    }
    return pid;
}

static void
say(struct head *h, struct str body)
{
    struct buf b = {0};
    head_encode(h, &b);
    zmq_send(peer, b.p, b.n, ZMQ_SNDMORE);
    zmq_send(peer, body.p ? body.p : "", body.n, 0);
    buf_fini(&b);
}

static char heard[1000]; /* the types of all messages so far, for the one who reads of a failure */
static size_t heard_n;

/* The next message of one of two types; others are passed over. Fails the test at the deadline. */
static struct head
hear(uint32_t type, uint32_t or_type, struct buf *ret_body)
{
    static char frame[PROTO_MAX_HEAD];
    static char body[PROTO_MAX_MESSAGE];
    int64_t end = clock_ms() + DEADLINE_MS;
    struct head h = {0};

    while (clock_ms() < end) {
        zmq_pollitem_t item = {.socket = peer, .events = ZMQ_POLLIN};
        zmq_poll(&item, 1, 50);
        int n = zmq_recv(peer, frame, sizeof(frame), ZMQ_DONTWAIT);
        if (n < 0) {
            continue;
        }
        int m = zmq_recv(peer, body, sizeof(body), 0);
        cr_assert_eq(head_decode(frame, (size_t)n, &h), 0);
        heard_n += (size_t)snprintf(heard + heard_n, sizeof(heard) - heard_n, " %s",
                                    head_type_str(h.type));
        heard_n = heard_n < sizeof(heard) ? heard_n : sizeof(heard) - 1;
        if (h.type == type || h.type == or_type) {
            if (ret_body != NULL) {
                buf_clear(ret_body);
                buf_add(ret_body, body, (size_t)m);
            }
            return h;
        }
    }
    cr_assert_fail("no %s within the deadline; heard so far:%s", head_type_str(type), heard);
    return h;
}

static void
setup(void)
{
    int one = 1;

    cr_assert_not_null(mkdtemp(dir));
    snprintf(endpoint, sizeof(endpoint), "ipc://%s/run/router.sock", dir);
    setenv("FTE_ROUTER", endpoint, 1);
    setenv("FTE_LOG_LEVEL", "error", 1);
    router = start_router();
    zmq = zmq_ctx_new();
    peer = zmq_socket(zmq, ZMQ_DEALER);
    zmq_setsockopt(peer, ZMQ_ROUTING_ID, "edge-test", 9);
    zmq_setsockopt(peer, ZMQ_PROBE_ROUTER, &one, sizeof(one));
    int ivl = 20, linger = 0;
    zmq_setsockopt(peer, ZMQ_RECONNECT_IVL, &ivl, sizeof(ivl));
    zmq_setsockopt(peer, ZMQ_LINGER, &linger, sizeof(linger));
    zmq_connect(peer, endpoint);
    greeted = hear(HEAD_READY, 0, NULL);
    /* As an edge we are told when a service comes up. */
    say(&(struct head){.type = HEAD_READY, .service = STR("edge"), .count = 1}, STR(""));
    hear(HEAD_READY, 0, NULL);
}

static void
teardown(void)
{
    char command[64];

    zmq_close(peer);
    zmq_ctx_term(zmq);
    kill(router, SIGKILL);
    waitpid(router, NULL, 0);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    cr_assert_eq(system(command), 0);
}

static void
await_echo(void)
{
    struct head h = hear(HEAD_READY, 0, NULL);
    cr_assert(str_is(h.service, "echo"), "service %.*s", STR_ARG(h.service));
}

static void
pack_envelope(struct id id, const char *wish, struct buf *out)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, out, buf_msgpack_write);
    msgpack_pack_map(&pk, 9);
    pack_key(&pk, "v");
    msgpack_pack_int(&pk, ENVELOPE_VERSION);
    pack_key(&pk, "id");
    pack_id(&pk, id);
    pack_key(&pk, "key");
    pack_c(&pk, "webform:1");
    pack_key(&pk, "seq");
    msgpack_pack_int(&pk, 1);
    pack_key(&pk, "kind");
    pack_c(&pk, "message");
    pack_key(&pk, "source");
    msgpack_pack_map(&pk, 3);
    pack_key(&pk, "topic");
    pack_c(&pk, "t");
    pack_key(&pk, "partition");
    msgpack_pack_int(&pk, 0);
    pack_key(&pk, "offset");
    msgpack_pack_int(&pk, 1);
    pack_key(&pk, "received");
    msgpack_pack_int64(&pk, 1);
    pack_key(&pk, "deadline");
    msgpack_pack_int64(&pk, 2);
    pack_key(&pk, "body");
    msgpack_pack_map(&pk, 1);
    pack_key(&pk, "wish");
    msgpack_pack_map(&pk, 1);
    pack_key(&pk, wish);
    msgpack_pack_true(&pk);
}

static struct id
send_work(const char *wish, uint32_t generation)
{
    struct id id = id_random();
    struct buf b = {0};

    pack_envelope(id, wish, &b);
    say(&(struct head){.type = HEAD_WORK,
                       .service = STR("echo"),
                       .id = id,
                       .attempt = 1,
                       .generation = generation,
                       .route = STR("edge-test")},
        buf_str(&b));
    buf_fini(&b);
    return id;
}

static void
end(pid_t pid, int signal)
{
    kill(pid, signal);
    waitpid(pid, NULL, 0);
}

TestSuite(actor, .init = setup, .fini = teardown, .timeout = 30);

Test(actor, answers_a_call_with_what_its_handler_returns)
{
    struct buf body = {0};
    pid_t echo = start_echo();

    await_echo();
    say(&(struct head){.type = HEAD_CALL, .service = STR("echo"), .id = id_random()},
        STR("\x81\xa1k\x05"));
    hear(HEAD_RETURN, 0, &body);
    cr_assert(str_eq(buf_str(&body), STR("\x81\xa1k\x05")));
    end(echo, SIGTERM);
    buf_fini(&body);
}

Test(actor, tells_done_retry_and_busy_to_the_edge_that_delivered)
{
    struct buf body = {0};
    pid_t echo = start_echo();
    struct head h;
    struct id id;

    await_echo();
    id = send_work("done", 3);
    h = hear(HEAD_DONE, 0, NULL);
    cr_assert(id_eq(h.id, id));
    cr_assert_eq(h.generation, 3);
    send_work("retry", 1);
    hear(HEAD_RETRY, 0, &body);
    cr_assert_not_null(memmem(body.p, body.n, "unavailable", 11));
    id = send_work("pass", 1);
    h = hear(HEAD_BUSY, 0, NULL);
    cr_assert(id_eq(h.id, id));
    cr_assert(str_is(h.service, "nobody"));
    end(echo, SIGTERM);
    buf_fini(&body);
}

Test(actor, death_is_told_at_once_for_each_unit_in_its_hands)
{
    pid_t echo = start_echo();
    struct head h;
    struct id id;

    await_echo();
    id = send_work("die", 9);
    h = hear(HEAD_LOST, 0, NULL);
    cr_assert(id_eq(h.id, id));
    cr_assert_eq(h.generation, 9);
    cr_assert(str_is(h.service, "echo"));
    say(&(struct head){.type = HEAD_CALL, .service = STR("echo"), .id = id_random()}, STR("\x80"));
    hear(HEAD_BUSY, 0, NULL);
    waitpid(echo, NULL, 0);
}

Test(actor, says_ready_again_to_a_new_router)
{
    pid_t echo = start_echo();

    await_echo();
    end(router, SIGKILL);
    router = start_router();
    for (int i = 0; i < 25; i++) { /* hello: what the runtime says at each connection */
        zmq_send(peer, "", 0, 0);
        poll(NULL, 0, 20);
    }
    hear(HEAD_READY, 0, NULL);
    say(&(struct head){.type = HEAD_READY, .service = STR("edge"), .count = 1}, STR(""));
    for (int i = 0; i < 100; i++) { /* until the echo is there, too */
        say(&(struct head){.type = HEAD_CALL, .service = STR("echo"), .id = id_random()},
            STR("\x80"));
        if (hear(HEAD_RETURN, HEAD_BUSY, NULL).type == HEAD_RETURN) {
            end(echo, SIGTERM);
            return;
        }
        poll(NULL, 0, 10);
    }
    cr_assert_fail("the actor did not come back");
}

Test(actor, finishes_what_it_holds_before_it_leaves)
{
    pid_t echo = start_echo();
    int status;

    await_echo();
    for (int i = 0; i < 4; i++) {
        send_work("done", 1);
    }
    kill(echo, SIGTERM);
    for (int i = 0; i < 4; i++) {
        hear(HEAD_DONE, HEAD_BUSY, NULL);
    }
    waitpid(echo, &status, 0);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

Test(actor, refuses_an_envelope_that_is_not_one)
{
    struct buf body = {0};
    pid_t echo = start_echo();

    await_echo();
    say(&(struct head){.type = HEAD_WORK,
                       .service = STR("echo"),
                       .id = id_random(),
                       .route = STR("edge-test")},
        STR("\x81\xa1v\x01"));
    hear(HEAD_FAIL, 0, &body);
    cr_assert_not_null(memmem(body.p, body.n, "malformed", 9));
    end(echo, SIGTERM);
    buf_fini(&body);
}

Test(router, carries_a_body_of_256_kib_and_refuses_one_of_a_mebibyte_and_a_byte)
{
    setup();
    char *big = calloc(1, PROTO_MAX_MESSAGE + 1);
    struct buf body = {0};
    pid_t echo = start_echo();
    size_t n = PROTO_MAX_BODY;

    await_echo();
    memcpy(big, "\x81\xa1k\xc6", 4); /* {"k": bin 32 of the rest} */
    big[4] = (char)((n - 8) >> 24);
    big[5] = (char)((n - 8) >> 16);
    big[6] = (char)((n - 8) >> 8);
    big[7] = (char)(n - 8);
    say(&(struct head){.type = HEAD_CALL, .service = STR("echo"), .id = id_random()},
        (struct str){.p = big, .n = n});
    cr_assert_eq(hear(HEAD_RETURN, HEAD_FAIL, &body).type, HEAD_RETURN, "%s", buf_c(&body));
    cr_assert_eq(body.n, n);
    say(&(struct head){.type = HEAD_CALL, .service = STR("echo"), .id = id_random()},
        (struct str){.p = big, .n = PROTO_MAX_MESSAGE + 1});
    hear(HEAD_FAIL, 0, &body);
    cr_assert_not_null(memmem(body.p, body.n, "too_big", 7));
    say(&(struct head){.type = HEAD_CALL, .service = STR("router"), .id = id_random()},
        STR("\x80"));
    hear(HEAD_RETURN, 0, &body);
    cr_assert_not_null(memmem(body.p, body.n, "too_big\x01", 8), "it is not counted");
    end(echo, SIGTERM);
    buf_fini(&body);
    free(big);
    teardown();
}

Test(router, answers_a_version_or_a_type_that_it_does_not_know)
{
    setup();
    struct buf body = {0};
    zmq_send(peer, "\x92\x63\x03", 3, ZMQ_SNDMORE); /* [99, 3] */
    zmq_send(peer, "", 0, 0);
    hear(HEAD_FAIL, 0, &body);
    cr_assert_not_null(memmem(body.p, body.n, "version", 7));
    say(&(struct head){.type = 77}, STR(""));
    hear(HEAD_FAIL, 0, &body);
    zmq_send(peer, "garbage", 7, ZMQ_SNDMORE);
    zmq_send(peer, "", 0, 0);
    hear(HEAD_FAIL, 0, &body);
    cr_assert_not_null(memmem(body.p, body.n, "malformed", 9));
    buf_fini(&body);
    teardown();
}

/* We are the edge that sends and the worker that gets it. */
Test(router, takes_off_the_slots_of_a_ready_what_was_still_on_its_way_to_the_worker)
{
    setup();
    struct head ready = {.type = HEAD_READY, .service = STR("echo"), .count = 2, .attempt = 1};
    say(&ready, STR(""));
    send_work("done", 1);
    send_work("done", 2);
    hear(HEAD_WORK, 0, NULL);
    hear(HEAD_WORK, 0, NULL);
    say(&ready, STR("")); /* an answer to an old greeting: it had nothing yet */
    send_work("done", 3);
    cr_assert_eq(hear(HEAD_BUSY, HEAD_WORK, NULL).type, HEAD_BUSY);
    ready.attempt = 3; /* it has both, and room for two more */
    say(&ready, STR(""));
    send_work("done", 4);
    cr_assert_eq(hear(HEAD_BUSY, HEAD_WORK, NULL).type, HEAD_WORK);
    teardown();
}

/* What that one gave to us is still on its way, and its slots come back on top. */
Test(router, leaves_out_a_ready_that_answers_the_router_before_it)
{
    setup();
    struct head ready = {.type = HEAD_READY, .service = STR("echo"), .count = 1, .attempt = 1};
    ready.generation = greeted.generation + 1;
    say(&ready, STR(""));
    send_work("done", 1);
    cr_assert_eq(hear(HEAD_BUSY, HEAD_WORK, NULL).type, HEAD_BUSY);
    ready.generation = greeted.generation;
    say(&ready, STR(""));
    send_work("done", 2);
    cr_assert_eq(hear(HEAD_BUSY, HEAD_WORK, NULL).type, HEAD_WORK);
    teardown();
}
