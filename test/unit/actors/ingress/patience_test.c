#include "actors/ingress/patience.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* A connection over the loopback: the server's end in [0], the client's in [1]. */
static int
connect_pair(int fds[2], int *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    cr_assert_eq(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
    cr_assert_eq(listen(listener, 1), 0);
    getsockname(listener, (struct sockaddr *)&a, &n);
    *ret_port = ntohs(a.sin_port);
    fds[1] = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(fds[1], (struct sockaddr *)&a, sizeof(a)), 0);
    n = sizeof(a);
    fds[0] = accept(listener, (struct sockaddr *)&a, &n);
    close(listener);
    return ntohs(a.sin_port); /* the client's */
}

/* Is the reading side shut? */
static bool
is_ended(int fd)
{
    char c;
    return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

Test(patience, ends_a_body_that_takes_too_long_and_lets_it_be_answered)
{
    int fds[2], port, peer = connect_pair(fds, &port);
    struct patience *p = patience_new(16, port);
    struct patience_entry *e = patience_enter(p, 0);
    char c;

    patience_name(p, e, "127.0.0.1", peer);
    patience_phase(p, e, PATIENCE_BODY, 1000);
    cr_expect_eq(patience_sweep(p, 6000), 0);
    cr_expect_not(is_ended(fds[0]));
    cr_expect_eq(patience_sweep(p, 6001), 1);
    cr_expect(is_ended(fds[0]));
    cr_expect(patience_ended(p, e));
    cr_expect_eq(patience_sweep(p, 9000), 0, "once is enough");
    cr_expect_eq(send(fds[0], "x", 1, 0), 1);
    cr_expect_eq(recv(fds[1], &c, 1, 0), 1);
    patience_leave(p, e);
    patience_free(&p);
}

Test(patience, waits_as_long_as_we_are_at_work)
{
    int fds[2], port, peer = connect_pair(fds, &port);
    struct patience *p = patience_new(16, port);
    struct patience_entry *e = patience_enter(p, 0);

    patience_name(p, e, "127.0.0.1", peer);
    patience_phase(p, e, PATIENCE_WORK, 0);
    cr_expect_eq(patience_sweep(p, 1000000), 0);
    patience_free(&p);
}

Test(patience, is_short_while_threads_are_scarce)
{
    int fds[2], port, peer = connect_pair(fds, &port);
    struct patience *p = patience_new(2, port);
    struct patience_entry *e = patience_enter(p, 0);
    bool tight;

    patience_name(p, e, "127.0.0.1", peer);
    patience_phase(p, e, PATIENCE_IDLE, 0);
    cr_expect_eq(patience_sweep(p, 300), 0);
    patience_enter(p, 0);
    cr_expect_eq(patience_open(p, &tight), 2);
    cr_expect(tight);
    cr_expect_eq(patience_sweep(p, 300), 1);
    cr_expect(is_ended(fds[0]));
    patience_free(&p);
}

Test(patience, ends_strangers_that_say_nothing_but_not_those_that_wait_for_us)
{
    int silent[2], waiting[2], port, port2;
    char c;

    connect_pair(silent, &port);
    struct patience *p = patience_new(1, port);
    patience_enter(p, 0);
    cr_expect_eq(patience_sweep(p, 1000), 0, "seen for the first time");
    cr_expect_eq(patience_sweep(p, 1400), 0);
    cr_expect_eq(patience_sweep(p, 1501), 1);
    cr_expect(is_ended(silent[0]));
    patience_free(&p);

    connect_pair(waiting, &port2);
    p = patience_new(1, port2);
    patience_enter(p, 0);
    cr_assert_eq(send(waiting[1], "GET", 3, 0), 3);
    cr_assert_eq(recv(waiting[0], &c, 1, MSG_PEEK), 1);
    patience_sweep(p, 1000);
    cr_expect_eq(patience_sweep(p, 9000), 0);
    cr_expect_not(is_ended(waiting[0]));
    patience_free(&p);
}

Test(patience, counts_who_comes_and_who_leaves)
{
    struct patience *p = patience_new(64, 1);
    struct patience_entry *e = patience_enter(p, 0);
    bool tight;

    cr_expect_eq(patience_open(p, &tight), 1);
    cr_expect_not(tight);
    patience_leave(p, e);
    patience_leave(p, NULL);
    cr_expect_eq(patience_open(p, &tight), 0);
    patience_free(&p);
}
