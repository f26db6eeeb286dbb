/* SPDX-License-Identifier: ISC */
/* Address verification: records between smtpd, queue and state, and the sender of probes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/mail/probe_sender.h"
#include "common/mail/verify_record.h"

static void test_entries(void **state UNUSED)
{
    struct arena *arena = arena_new();
    struct str out = STR_EMPTY;
    struct verify_entry entry = {VERIFY_BOUNCED, 1234567890, (char *)(uintptr_t)"550 5.1.1 no"}, read;
    verify_entry_encode(&entry, &out);
    assert_true(verify_entry_decode(str_slice(&out), arena, &read));
    assert_int_equal(read.status, VERIFY_BOUNCED);
    assert_int_equal(read.updated, 1234567890);
    assert_string_equal(read.text, "550 5.1.1 no");
    for (size_t len = 0; len < out.len; len++)
        assert_false(verify_entry_decode(slice_range(out.data, len), arena, &read));
    str_append_char(&out, 'x');
    assert_false(verify_entry_decode(str_slice(&out), arena, &read));
    str_clear(&out);
    entry.status = VERIFY_UNKNOWN; /* is never stored */
    verify_entry_encode(&entry, &out);
    assert_false(verify_entry_decode(str_slice(&out), arena, &read));
    str_free(&out);
    arena_free(arena);
}

static void test_long_reasons_are_cut(void **state UNUSED)
{
    struct arena *arena = arena_new();
    struct str out = STR_EMPTY, text = STR_EMPTY;
    enum verify_status status;
    char *read;
    while (text.len < 100000)
        str_append(&text, "very long ");
    verify_answer_encode(VERIFY_DEFERRED, str_text(&text), &out);
    assert_true(verify_answer_decode(str_slice(&out), arena, &status, &read));
    assert_int_equal(status, VERIFY_DEFERRED);
    assert_int_equal(strlen(read), VERIFY_TEXT_LIMIT);
    out.data[0] = VERIFY_UNKNOWN + 1;
    assert_false(verify_answer_decode(str_slice(&out), arena, &status, &read));
    str_free(&out);
    str_free(&text);
    arena_free(arena);
}

static void test_questions(void **state UNUSED)
{
    static const struct { const char *address; uint8_t flags; bool good; } cases[] = {
        {"a@b", 0, true}, {"a@b", VERIFY_KNOWN_GOOD, true}, {"a@b", 2, false}, {"", 0, false}};
    struct arena *arena = arena_new();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str out = STR_EMPTY;
        struct verify_question question = {(char *)(uintptr_t)cases[i].address, cases[i].flags}, read;
        verify_question_encode(&question, &out);
        assert_int_equal(verify_question_decode(str_slice(&out), arena, &read), cases[i].good);
        str_free(&out);
    }
    arena_free(arena);
}

/* 2026-11-22: with a period of an hour, number 498698, which is JQY1 to base 31 in Postfix's digits. */
#define NOW 1795314273

static void test_probe_senders(void **state UNUSED)
{
    static const struct { const char *sender, *ttl, *made; } cases[] = {
        {"double-bounce", "0", "double-bounce@us.test"},
        {"", "0", ""},
        {"<>", "0", ""},
        {"probe@elsewhere.test", "0", "probe@elsewhere.test"},
        {"double-bounce", "1h", "double-bounceJQY1@us.test"},
        {"probe@elsewhere.test", "1h", "probeJQY1@elsewhere.test"},
        {"", "1h", ""},
    };
    struct arena *arena = arena_new();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config *config = config_new_default();
        config_set(config, "myorigin", "us.test");
        config_set(config, "address_verify_sender", cases[i].sender);
        config_set(config, "address_verify_sender_ttl", cases[i].ttl);
        const char *made = probe_sender_make(config, NOW, arena);
        assert_string_equal(made, cases[i].made);
        assert_int_equal(probe_sender_matches(config, made, NOW), *made != '\0');
        assert_int_equal(probe_sender_matches(config, made, NOW + 3600), *made != '\0');
        assert_int_equal(probe_sender_matches(config, made, NOW + 3 * 3600), *made != '\0' && strcmp(cases[i].ttl, "0") == 0);
        assert_false(probe_sender_matches(config, "double-bounced@us.test", NOW));
        assert_false(probe_sender_matches(config, "", NOW));
        config_free(config);
    }
    arena_free(arena);
}

/* What Postfix 3.7 used at 2026-11-22 02:24:33 UTC with a period of an hour. */
static void test_a_number_as_postfix_writes_it(void **state UNUSED)
{
    struct arena *arena = arena_new();
    struct config *config = config_new_default();
    config_set(config, "myorigin", "mail.example.test");
    config_set(config, "address_verify_sender_ttl", "3600");
    assert_string_equal(probe_sender_make(config, 1795314273, arena), "double-bounceJQY1@mail.example.test");
    config_free(config);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_long_reasons_are_cut),
        cmocka_unit_test(test_questions),
        cmocka_unit_test(test_probe_senders),
        cmocka_unit_test(test_a_number_as_postfix_writes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
