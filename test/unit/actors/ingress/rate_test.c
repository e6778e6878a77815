#include "actors/ingress/rate.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(rate, gives_a_minutes_worth_at_once_and_then_evenly)
{
    struct rate *r = rate_new(6, 60000, 1);

    for (int i = 0; i < 6; i++) {
        cr_expect_eq(rate_take(r, "192.0.2.1", RATE_POST, 1000), 0, "post %d", i);
    }
    cr_expect_eq(rate_take(r, "192.0.2.1", RATE_POST, 1000), 10);
    cr_expect_eq(rate_take(r, "192.0.2.1", RATE_POST, 10999), 1);
    cr_expect_eq(rate_take(r, "192.0.2.1", RATE_POST, 11000), 0);
    cr_expect_eq(rate_take(r, "192.0.2.1", RATE_POST, 11000), 10);
    rate_free(&r);
}

Test(rate, counts_a_look_as_a_tenth)
{
    struct rate *r = rate_new(1, 60000, 1);

    for (int i = 0; i < 10; i++) {
        cr_expect_eq(rate_take(r, "192.0.2.1", RATE_LOOK, 0), 0);
    }
    cr_expect_eq(rate_take(r, "192.0.2.1", RATE_LOOK, 0), 6);
    rate_free(&r);
}

Test(rate, asking_often_while_limited_costs_nothing)
{
    struct rate *r = rate_new(60, 60000, 1);

    for (int i = 0; i < 60; i++) {
        rate_take(r, "192.0.2.1", RATE_POST, 0);
    }
    for (int ms = 0; ms < 1000; ms++) {
        cr_expect_eq(rate_take(r, "192.0.2.1", RATE_POST, ms), 1);
    }
    cr_expect_eq(rate_take(r, "192.0.2.1", RATE_POST, 1000), 0);
    rate_free(&r);
}

Test(rate, takes_addresses_apart_and_one_ipv6_network_together)
{
    struct rate *r = rate_new(1, 60000, 1);

    cr_expect_eq(rate_take(r, "192.0.2.1", RATE_POST, 0), 0);
    cr_expect_eq(rate_take(r, "192.0.2.2", RATE_POST, 0), 0);
    cr_expect_eq(rate_take(r, "2001:db8:1:2::3", RATE_POST, 0), 0);
    cr_expect_neq(rate_take(r, "2001:db8:1:2:ffff::4", RATE_POST, 0), 0);
    cr_expect_eq(rate_take(r, "2001:db8:1:3::3", RATE_POST, 0), 0);
    cr_expect_neq(rate_take(r, "::ffff:192.0.2.1", RATE_POST, 0), 0);
    rate_free(&r);
}

Test(rate, remembers_one_address_through_a_flood_of_others)
{
    struct rate *r = rate_new(2, 60000, 7);
    char address[32];

    rate_take(r, "192.0.2.1", RATE_POST, 0);
    rate_take(r, "192.0.2.1", RATE_POST, 0);
    for (int i = 0; i < 100000; i++) {
        snprintf(address, sizeof(address), "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
        rate_take(r, address, RATE_LOOK, 0);
    }
    cr_expect_neq(rate_take(r, "192.0.2.1", RATE_POST, 0), 0);
    rate_free(&r);
}

Test(rate, knows_no_limit_where_there_is_none)
{
    struct rate *r = rate_new(0, 60000, 1);

    for (int i = 0; i < 10000; i++) {
        cr_assert_eq(rate_take(r, "192.0.2.1", RATE_POST, 0), 0);
    }
    rate_free(&r);
}
