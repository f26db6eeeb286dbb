/* SPDX-License-Identifier: ISC */
/* Which addresses a message's header shows as its author: all that some program could mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/access/owner.h"

/* "Header=address Header=address", with a '!' in front when the list is incomplete. */
static char *collect(struct slice text, bool is_all, struct arena *arena)
{
    struct from_addresses from;
    char *found = arena_strdup(arena, "");
    from_addresses_collect(text, is_all, arena, &from);
    for (size_t i = 0; i < from.count; i++)
        found = arena_printf(arena, "%s%s%s=%s", found, i > 0 ? " " : "", from.list[i].header, from.list[i].address);
    return from.is_incomplete ? arena_printf(arena, "!%s", found) : found;
}

static void test_addresses_are_found(void **state UNUSED)
{
    static const struct { const char *text, *found; } cases[] = {
        {"From: anna@example.test\n\nhi\n", "From=anna@example.test"},
        {"from : Anna <anna@example.test>\n\n", "From=anna@example.test"},
        {"From: \"Anna, the one\" <anna@example.test>\n\n", "From=anna@example.test"},
        {"From: anna@example.test (Anna <x@y>)\n\n", "From=anna@example.test"},
        {"From: (c) anna(c)@(c)example.test\n\n", "From=anna@example.test"},
        {"From: =?utf-8?q?J=C3=B6rg?= <joerg@example.test>\n\n", "From=joerg@example.test"},
        {"From: \"a b\"@example.test\n\n", "From=a b@example.test"},
        {"From: <@relay.test,@b.test:anna@example.test>\n\n", "From=anna@example.test"},
        {"From:\n anna@example.test,\n\tBen\n <ben@example.test>\n\n", "From=anna@example.test From=ben@example.test"},
        {"Subject: x\nFrom: a@x\nSender: b@x\nfrom: c@x\n\nFrom: body@x\n", "From=a@x Sender=b@x From=c@x"},
        {"Resent-From: a@x\nResent-Sender: b@x\nFrom: c@x\n\n", "Resent-From=a@x Resent-Sender=b@x From=c@x"},
        {"From: friends: a@x, B <b@x>;, c@x\n\n", "From=a@x From=b@x From=c@x"},
        {"From: undisclosed:;\n\n", "From="},
        /* what people read, and what programs disagree about */
        {"From: boss@example.com <me@example.test>\n\n", "From=me@example.test From=boss@example.com"},
        {"From: <me@example.test> <boss@example.com>\n\n", "From=me@example.test From=boss@example.com"},
        {"From: \"boss@example.com\" <me@example.test>\n\n", "From=me@example.test"}, /* a name: any text is allowed */
        {"From: <me@example.test\n\n", "From=me@example.test"},
        {"From: me@example.test boss@example.com\n\n", "From=me@example.test boss@example.com"},
        {"From:\n\n", "From="},
        {"From: <>\n\n", "From="},
        {"From: Anna\n\n", "From=Anna"},
        {"X: y\nTo: z@x\n\n", ""},
        {"", ""},
        {"From x@y Sat\nFrom: a@x\n\n", "From=a@x"}, /* a mailbox separator in front is defused, and headers go on */
        {">From x@y Sat\nFrom: a@x\n\n", "From=a@x"},
        {"X: y\nnot a header\nFrom: a@x\n", ""}, /* body: it will be delivered with a blank line before it */
        {"From: a@x", "From=a@x"},
    };
    struct arena *arena = arena_new();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *found = collect(slice_of(cases[i].text), true, arena);
        if (strcmp(found, cases[i].found) != 0)
            fail_msg("%s: %s", cases[i].text, found);
    }
    arena_free(arena);
}

static void test_what_cannot_be_seen_whole(void **state UNUSED)
{
    struct arena *arena = arena_new();
    struct str text = STR_EMPTY;
    assert_string_equal(collect(SLICE("From: a@x\nX: y\n"), false, arena), "!From=a@x");
    assert_string_equal(collect(SLICE("From: a@x\n\n"), false, arena), "From=a@x");
    assert_string_equal(collect(SLICE("From: a@x\0 <b@x>\n\n"), true, arena), "From=b@x From=");
    str_append(&text, "From: ");
    for (int i = 0; i < 60; i++)
        str_append(&text, "a@x, ");
    str_append(&text, "\n\n");
    assert_true(collect(str_slice(&text), true, arena)[0] == '!');
    str_clear(&text);
    str_append(&text, "From: a@x");
    for (int i = 0; i < 9000; i++)
        str_append(&text, " ");
    str_append(&text, "\n\n");
    assert_string_equal(collect(str_slice(&text), true, arena), "!");
    str_free(&text);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_are_found),
        cmocka_unit_test(test_what_cannot_be_seen_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
