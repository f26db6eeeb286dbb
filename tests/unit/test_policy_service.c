/* SPDX-License-Identifier: ISC */
/* What a policy service may say, and how it is configured: two pure parsers as tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/access/policy_reply.h"
#include "common/mail/policy_spec.h"

#define TEXT(literal) {(literal), sizeof(literal) - 1}

static void test_replies(void **state UNUSED)
{
    static const struct {
        struct slice input;
        enum policy_reply_status status;
        const char *action;
        size_t length; /* 0: all of it */
    } cases[] = {
        {TEXT("action=OK\n\n"), POLICY_REPLY_OK, "OK", 0},
        {TEXT("action=\n\n"), POLICY_REPLY_OK, "", 0},
        {TEXT("action= a = b\n\n"), POLICY_REPLY_OK, " a = b", 0},
        {TEXT("flags=x\naction=OK\nmore=y\n\n"), POLICY_REPLY_OK, "OK", 0},
        {TEXT("action=one\naction=two\n\n"), POLICY_REPLY_OK, "one", 0},
        {TEXT("action=OK\n\naction=REJECT\n\n"), POLICY_REPLY_OK, "OK", 11},
        {TEXT("action=OK\r\n\n"), POLICY_REPLY_OK, "OK\r", 0},
        {TEXT("junk\n=\n=x\naction=OK\n\n"), POLICY_REPLY_OK, "OK", 0},
        {TEXT(""), POLICY_REPLY_PARTIAL, NULL, 0},
        {TEXT("action"), POLICY_REPLY_PARTIAL, NULL, 0},
        {TEXT("action=OK"), POLICY_REPLY_PARTIAL, NULL, 0},
        {TEXT("action=OK\n"), POLICY_REPLY_PARTIAL, NULL, 0},
        {TEXT("action=OK\r\n\r\n"), POLICY_REPLY_PARTIAL, NULL, 0},
        {TEXT("\n"), POLICY_REPLY_NO_ACTION, NULL, 0},
        {TEXT("\naction=OK\n\n"), POLICY_REPLY_NO_ACTION, NULL, 0},
        {TEXT("Action=OK\n\n"), POLICY_REPLY_NO_ACTION, NULL, 0},
        {TEXT("actions=OK\n\n"), POLICY_REPLY_NO_ACTION, NULL, 0},
        {TEXT(" action=OK\n\n"), POLICY_REPLY_NO_ACTION, NULL, 0},
        {TEXT("action\n\n"), POLICY_REPLY_NO_VALUE, NULL, 0},
        {TEXT("action=a\0b\n\n"), POLICY_REPLY_BAD, NULL, 0},
        {TEXT("\0=\naction=OK\n\n"), POLICY_REPLY_BAD, NULL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct policy_reply reply;
        enum policy_reply_status status = policy_reply_parse(cases[i].input, &reply);
        if (status != cases[i].status)
            fail_msg("%.*s: %d", SLICE_ARGS(cases[i].input), (int)status);
        if (status != POLICY_REPLY_OK)
            continue;
        if (!slice_equal(reply.action, slice_of(cases[i].action)))
            fail_msg("%.*s: %.*s", SLICE_ARGS(cases[i].input), SLICE_ARGS(reply.action));
        assert_int_equal(reply.length, cases[i].length != 0 ? cases[i].length : cases[i].input.len);
    }
}

static void test_every_cut_of_a_reply_is_partial(void **state UNUSED)
{
    static const char text[] = "flags=x\naction=REJECT no\nmore=y\n\n";
    struct policy_reply reply;
    for (size_t len = 0; len + 1 < sizeof text; len++)
        assert_int_equal(policy_reply_parse(slice_range(text, len), &reply), POLICY_REPLY_PARTIAL);
    assert_int_equal(policy_reply_parse(slice_range("action=RE", 9), &reply), POLICY_REPLY_PARTIAL);
    assert_true(reply.inside_value);
    assert_int_equal(policy_reply_parse(slice_range("action=RE\nfl", 12), &reply), POLICY_REPLY_PARTIAL);
    assert_false(reply.inside_value);
}

static void test_length_is_bounded(void **state UNUSED)
{
    struct str text = STR_EMPTY;
    struct policy_reply reply;
    str_append(&text, "action=");
    while (text.len < POLICY_REPLY_LIMIT - 2)
        str_append_char(&text, 'x');
    str_append(&text, "\n\n");
    assert_int_equal(policy_reply_parse(str_slice(&text), &reply), POLICY_REPLY_OK);
    assert_int_equal(reply.length, POLICY_REPLY_LIMIT);
    str_truncate(&text, text.len - 2);
    str_append(&text, "x\n\n");
    assert_int_equal(policy_reply_parse(str_slice(&text), &reply), POLICY_REPLY_TOO_LONG);
    str_free(&text);
}

static void test_services(void **state UNUSED)
{
    static const struct {
        const char *text, *problem, *endpoint, *label;
    } cases[] = {
        {"inet:127.0.0.1:10023", NULL, "inet:127.0.0.1:10023", "127.0.0.1:10023"},
        {"inet:[::1]:10023", NULL, "inet:[::1]:10023", "[::1]:10023"},
        {"inet:10023", NULL, "inet:localhost:10023", "10023"},
        {"unix:private/policy", NULL, "unix:private/policy", "private/policy"},
        {"local:/run/policy", NULL, "unix:/run/policy", "/run/policy"},
        {"inet:h:1, timeout=5 max_idle=1h {retry_delay = 2s} request_limit=0 try_limit=1 policy_context=c", NULL, "inet:h:1", "h:1"},
        {"inet:h:1 {default_action = 451 4.3.5 a, b}", NULL, "inet:h:1", "h:1"},
        {"", "empty policy service: \"{ }\"", NULL, NULL},
        {"nothing", "need service transport:endpoint instead of \"nothing\"", NULL, NULL},
        {"inet:", "need service transport:endpoint instead of \"inet:\"", NULL, NULL},
        {"fifo:x", "invalid transport name: fifo in service: fifo:x", NULL, NULL},
        {"inet:1 timeout=0", "invalid timeout: 0 (min 1)", NULL, NULL},
        {"inet:1 timeout=soon", "invalid timeout: 0 (min 1)", NULL, NULL},
        {"inet:1 try_limit=0", "invalid try_limit: 0 (min 1)", NULL, NULL},
        {"inet:1 try_limit=many", "bad numerical configuration: try_limit = many", NULL, NULL},
        {"inet:1 colour=blue", "unknown option: \"colour = blue\"", NULL, NULL},
        {"inet:1 timeout", "malformed option: missing '=' after attribute name: \"...timeout...\"", NULL, NULL},
        {"inet:1 =5", "malformed option: missing attribute name: \"...=5...\"", NULL, NULL},
    };
    struct arena *arena = arena_new();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct policy_spec spec = {.timeout = 100, .default_action = "451", .context = ""};
        const char *problem = policy_spec_parse(cases[i].text, arena, &spec);
        if (cases[i].endpoint == NULL) {
            if (problem == NULL || strcmp(problem, cases[i].problem) != 0)
                fail_msg("%s: %s", cases[i].text, problem != NULL ? problem : "accepted");
            continue;
        }
        if (problem != NULL)
            fail_msg("%s: %s", cases[i].text, problem);
        assert_string_equal(spec.endpoint, cases[i].endpoint);
        assert_string_equal(spec.label, cases[i].label);
        assert_string_equal(policy_spec_endpoint(cases[i].text, arena), cases[i].endpoint);
    }
    assert_null(policy_spec_endpoint("nothing", arena));
    assert_null(policy_spec_endpoint("", arena));
    arena_free(arena);
}

static void test_options(void **state UNUSED)
{
    struct arena *arena = arena_new();
    struct policy_spec spec = {.timeout = 100, .max_ttl = 7, .default_action = "451", .context = ""};
    assert_null(policy_spec_parse("inet:h:1, timeout=2m max_idle=1h, { retry_delay = 2s } request_limit=3 try_limit=4 "
                                  "{ policy_context = two words } { default_action = 451 4.3.5 a = b, c }", arena, &spec));
    assert_int_equal(spec.timeout, 120);
    assert_int_equal(spec.max_idle, 3600);
    assert_int_equal(spec.max_ttl, 7);
    assert_int_equal(spec.retry_delay, 2);
    assert_int_equal(spec.request_limit, 3);
    assert_int_equal(spec.try_limit, 4);
    assert_string_equal(spec.context, "two words");
    assert_string_equal(spec.default_action, "451 4.3.5 a = b, c");
    arena_free(arena);
}

static void test_filters(void **state UNUSED)
{
    static const struct {
        const char *text, *endpoint;
    } cases[] = {
        {"127.0.0.1:10024", "inet:127.0.0.1:10024"}, {"inet:[::1]:10024", "inet:[::1]:10024"}, {"INET:host:smtp", "inet:host:smtp"},
        {"10024", "inet:localhost:10024"}, {":10024", "inet:localhost:10024"}, {"inet:10024", "inet:localhost:10024"},
        {"unix:private/filter", "unix:private/filter"}, {"", NULL}, {"unix:", NULL}, {"inet:", NULL},
    };
    struct arena *arena = arena_new();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *endpoint = proxy_filter_endpoint(cases[i].text, arena);
        if (cases[i].endpoint == NULL)
            assert_null(endpoint);
        else
            assert_string_equal(endpoint, cases[i].endpoint);
    }
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_every_cut_of_a_reply_is_partial),
        cmocka_unit_test(test_length_is_bounded),
        cmocka_unit_test(test_services),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_filters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
