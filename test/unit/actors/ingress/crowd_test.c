#include "actors/ingress/crowd.h"

#include <criterion/criterion.h>

Test(crowd, lets_the_one_go_who_is_nearest_to_the_deadline)
{
    struct crowd *c = crowd_new(3, 0, 1000);
    struct crowd_member slow, idle, fresh, *leaver;

    cr_expect(crowd_make_room(c, 1, &leaver));
    cr_expect_null(leaver);
    crowd_enter(c, &slow, 1, 0); /* until 5000 */
    crowd_enter(c, &idle, 2, 0);
    crowd_phase(c, &idle, CROWD_IDLE, 100); /* until 15100 */
    crowd_enter(c, &fresh, 3, 4000);        /* until 9000 */
    cr_expect_eq(crowd_size(c), 3);
    cr_expect(crowd_make_room(c, 4, &leaver));
    cr_expect_eq(leaver, &slow);
    crowd_leave(c, &slow);
    cr_expect_eq(crowd_leaver(c), &fresh);
    crowd_leave(c, &fresh);
    crowd_leave(c, &idle);
    crowd_free(&c);
}

Test(crowd, takes_nobody_an_answer_away)
{
    struct crowd *c = crowd_new(2, 0, 1000);
    struct crowd_member a, b, *leaver;

    crowd_enter(c, &a, 1, 0);
    crowd_enter(c, &b, 1, 0);
    crowd_phase(c, &a, CROWD_WORK, 0);
    for (enum crowd_phase p = CROWD_PENANCE; p < CROWD_PHASES; p++) {
        crowd_phase(c, &b, p, 0);
        cr_expect_not(crowd_make_room(c, 2, &leaver), "phase %d", (int)p);
    }
    crowd_leave(c, &a);
    crowd_leave(c, &b);
    crowd_free(&c);
}

Test(crowd, has_only_so_much_room_for_one_address)
{
    struct crowd *c = crowd_new(100, 2, 1000);
    struct crowd_member a, b, other, *leaver;

    crowd_enter(c, &other, 2, 0);
    crowd_enter(c, &a, 1, 10);
    crowd_enter(c, &b, 1, 20);
    cr_expect(crowd_make_room(c, 1, &leaver));
    cr_expect_eq(leaver, &a, "its own, not the oldest of all");
    crowd_phase(c, &a, CROWD_HEAD, 30);
    crowd_make_room(c, 1, &leaver);
    cr_expect_eq(leaver, &b);
    crowd_phase(c, &a, CROWD_WORK, 30);
    crowd_phase(c, &b, CROWD_WORK, 30);
    cr_expect_not(crowd_make_room(c, 1, &leaver));
    cr_expect(crowd_make_room(c, 2, &leaver));
    cr_expect_null(leaver);
    crowd_leave(c, &a);
    cr_expect(crowd_make_room(c, 1, &leaver));
    cr_expect_null(leaver);
    crowd_leave(c, &b);
    crowd_leave(c, &other);
    crowd_free(&c);
}

Test(crowd, tells_who_is_late_and_when_the_next_will_be)
{
    struct crowd *c = crowd_new(10, 0, 1000);
    struct crowd_member a, b;

    cr_expect_eq(crowd_wait_ms(c, 0), -1);
    crowd_enter(c, &a, 1, 0);
    crowd_enter(c, &b, 1, 0);
    crowd_phase(c, &b, CROWD_LINGER, 0);
    cr_expect_eq(crowd_wait_ms(c, 0), 2000);
    cr_expect_null(crowd_late(c, 1999));
    cr_expect_eq(crowd_late(c, 2000), &b);
    cr_expect_eq(crowd_wait_ms(c, 3000), 0);
    crowd_leave(c, &b);
    cr_expect_eq(crowd_late(c, 5000), &a);
    crowd_phase(c, &a, CROWD_WORK, 5000);
    cr_expect_null(crowd_late(c, INT64_MAX));
    cr_expect_eq(crowd_wait_ms(c, 5000), -1);
    crowd_leave(c, &a);
    crowd_free(&c);
}

Test(crowd, keeps_only_so_many_bytes)
{
    struct crowd *c = crowd_new(10, 0, 1000);
    struct crowd_member slow, unread, last;

    crowd_enter(c, &unread, 1, 0);
    crowd_phase(c, &unread, CROWD_WRITE, 0); /* until 10000 */
    crowd_enter(c, &slow, 2, 1);
    crowd_phase(c, &slow, CROWD_BODY, 2); /* until 5002 */
    crowd_enter(c, &last, 3, 6000);
    cr_expect_null(crowd_weigh(c, &unread, 300));
    cr_expect_null(crowd_weigh(c, &slow, 600));
    cr_expect_not(crowd_is_full(c));
    cr_expect_null(crowd_weigh(c, &slow, 700));
    cr_expect(crowd_is_full(c));
    cr_expect_eq(crowd_weigh(c, &last, 1), &slow);
    crowd_leave(c, &slow);
    cr_expect_null(crowd_weigh(c, &last, 700));
    cr_expect_eq(crowd_weigh(c, &last, 701), &unread, "who doesn't read");
    crowd_leave(c, &unread);
    crowd_phase(c, &last, CROWD_WORK, 6000);
    cr_expect_eq(crowd_weigh(c, &last, 2000), &last, "nobody else");
    crowd_leave(c, &last);
    crowd_free(&c);
}
