/* SPDX-License-Identifier: ISC */
/* Getters, checks, lists, and the way of a configuration to a daemon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/config/config.h"
#include "common/config/main_cf.h"
#include "common/config/master_cf.h"
#include "common/config/parameter.h"
#include "common/config/references.h"

static struct config *config_of(const char *text)
{
    struct config_problems problems = {0};
    struct config *config = config_new_default();
    main_cf_parse("main.cf", slice_of(text), config, &problems);
    config_problems_free(&problems);
    return config;
}

static void times_have_units(void **state)
{
    (void)state;
    static const struct { const char *text; char unit; int64_t seconds; } cases[] = {
        {"0", 's', 0}, {"300", 's', 300}, {"300s", 'd', 300}, {"5", 'd', 432000}, {"5d", 's', 432000},
        {"10m", 's', 600}, {"2h", 's', 7200}, {"1w", 's', 604800}, {"5days", 's', 432000},
        {"", 's', -1}, {"soon", 's', -1}, {"-1s", 's', -1}, {"5x", 's', -1}, {"1 m", 's', -1},
        {"99999999999s", 's', -1}, {"2147483647s", 's', INT32_MAX}, {"2147483648s", 's', -1},
        {"2147483647w", 's', -1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t seconds = -1;
        bool ok = config_parse_seconds(cases[i].text, cases[i].unit, &seconds);
        if (ok != (cases[i].seconds >= 0) || (ok && seconds != cases[i].seconds))
            fail_msg("%s: %d %ld", cases[i].text, ok, (long)seconds);
    }
}

static void getters_give_settings_and_defaults(void **state)
{
    (void)state;
    struct config *c = config_of("myhostname = mx.example.com\nsmtpd_timeout = 2\nmy_limit = 7\n"
                                 "smtpd_recipient_limit = $my_limit\nsmtpd_helo_required = YES\n"
                                 "bounce_queue_lifetime = 2\nlmtp_destination_recipient_limit = 1\n"
                                 "lmtp_destination_rate_delay = 2m\n");
    assert_string_equal(config_string(c, "mydomain"), "example.com");
    assert_string_equal(config_string(c, "myorigin"), "mx.example.com");
    assert_int_equal(config_seconds(c, "smtpd_timeout"), 2);
    assert_int_equal(config_seconds(c, "bounce_queue_lifetime"), 2 * 86400);
    assert_int_equal(config_int(c, "smtpd_recipient_limit"), 7);
    assert_true(config_bool(c, "smtpd_helo_required"));
    assert_true(config_bool(c, "append_dot_mydomain"));
    assert_string_equal(config_string(c, "smtpd_forbid_bare_newline"), "normalize");
    assert_int_equal(config_int(c, "message_size_limit"), 10240000);
    assert_string_equal(config_string(c, "default_rbl_reply"), config_raw(c, "default_rbl_reply"));
    assert_int_equal(config_transport_int(c, "lmtp", "_destination_recipient_limit", "default_destination_recipient_limit"), 1);
    assert_int_equal(config_transport_int(c, "other", "_destination_recipient_limit", "default_destination_recipient_limit"), 50);
    assert_int_equal(config_transport_seconds(c, "lmtp", "_destination_rate_delay", "default_destination_rate_delay"), 120);
    assert_null(config_string_or_null(c, "no_such_name"));
    config_free(c);
}

static void a_new_setting_changes_what_refers_to_it(void **state)
{
    (void)state;
    struct config *c = config_of("relayhost = $mine\n");
    const char *before = config_string(c, "relayhost");
    config_set(c, "mine", " hello ");
    assert_string_equal(before, "");
    assert_string_equal(config_string(c, "relayhost"), "hello");
    config_free(c);
}

static void names_that_ask_for_themselves_end(void **state)
{
    (void)state;
    struct config *c = config_of("mydomain = $myhostname\n");
    assert_non_null(config_string_or_null(c, "mynetworks"));
    assert_non_null(strchr(config_string(c, "myhostname"), '.'));
    config_free(c);
}

static void mynetworks_follows_style_and_interfaces(void **state)
{
    (void)state;
    struct config *c = config_of("mynetworks_style = host\ninet_protocols = ipv4\ninet_interfaces = loopback-only\n");
    assert_string_equal(config_string(c, "mynetworks"), "127.0.0.1/32");
    config_set(c, "mynetworks_style", "subnet");
    assert_string_equal(config_string(c, "mynetworks"), "127.0.0.0/8");
    config_free(c);
}

/* The problem that a main.cf must give, as the start of "FILE, line N: TEXT"; NULL for none. */
static void mistakes_are_reported(void **state)
{
    (void)state;
    static const struct { const char *text, *problem; } cases[] = {
        {"smtpd_timeout = soon\n", "main.cf, line 1: parameter smtpd_timeout: bad time value or unit: soon"},
        {"smtpd_recipient_limit = many\n", "main.cf, line 1: bad numerical configuration: smtpd_recipient_limit = many"},
        {"smtpd_helo_required = maybe\n", "main.cf, line 1: bad boolean configuration: smtpd_helo_required = maybe"},
        {"smtpd_recipient_limit = 0\n", "main.cf, line 1: invalid smtpd_recipient_limit: 0 (min 1)"},
        {"mydomian = x\n", "main.cf, line 1: unused parameter: mydomian=x"},
        {"a = $b\nb = $a\nsmtpd_banner = $a\n", "main.cf, line 1: parameter a: unreasonable macro call nesting"},
        {"mua = permit\nsmtpd_client_restrictions = $mua\n", NULL},
        {"smtpd_restriction_classes = mine\nmine = permit\n", NULL},
        {"lmtp_destination_recipient_limit = 1\n", NULL},
        {"virtual_alias_maps = pgsql:aliases\naliases_user = joe\n", NULL},
        {"mail_name = X\n", NULL},
        {"lmtp_tls_security_level = may\n", "main.cf, line 1: parameter lmtp_tls_security_level is not supported yet (TLS)"},
        {"alias_maps =\n", NULL},
        {"biff = no\n", NULL}, /* what does not exist is off */
        {"max_use = 7\n", "main.cf, line 1: parameter max_use has no effect here"},
        {"html_directory = no\n", NULL}, /* a record for packages */
        {"queue_run_delay = 7m\n", "main.cf, line 1: parameter queue_run_delay has no effect here"},
        {"biff = yes\n", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config *c = config_of(cases[i].text);
        struct config_problems problems = {0};
        struct str text = STR_EMPTY;
        config_check(c, &problems);
        if (problems.count > 0)
            config_problem_describe(&problems.list[0], &text);
        const char *expected = cases[i].problem != NULL ? cases[i].problem : "";
        if (strncmp(str_text(&text), expected, strlen(expected)) != 0 || (cases[i].problem == NULL && text.len > 0))
            fail_msg("%s: %s", cases[i].text, str_text(&text));
        str_free(&text);
        config_problems_free(&problems);
        config_free(c);
    }
}

static void lists_are_split(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    char **items;
    size_t count = config_split_list(" a, b\tc,,{ d, e } hash:{f g} inline:{ {k = v, w} }\n", arena, &items);
    static const char *const expected[] = {"a", "b", "c", "d, e", "hash:{f g}", "inline:{ {k = v, w} }"};
    assert_int_equal(count, 6);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(items[i], expected[i]);
    assert_int_equal(config_split_list("", arena, &items), 0);
    arena_free(arena);
}

static void files_in_lists_are_read(void **state)
{
    (void)state;
    char path[] = "/tmp/posthorn-test-XXXXXX";
    int fd = mkstemp(path);
    static const char content[] = "# networks\n10.0.0.0/8\n  # more\n192.168.0.0/16, !192.168.1.1\n";
    assert_int_equal(write(fd, content, sizeof content - 1), sizeof content - 1);
    close(fd);
    struct config *c = config_of("");
    struct str value = STR_EMPTY;
    str_printf(&value, "127.0.0.1 !%s %s /no/such/file", path, path);
    config_set(c, "mynetworks", str_text(&value));
    struct arena *arena = arena_new();
    struct config_problems problems = {0};
    char **items;
    size_t count = config_read_list(c, "mynetworks", arena, &items, &problems);
    static const char *const expected[] = {"127.0.0.1", "!10.0.0.0/8", "!192.168.0.0/16", "!!192.168.1.1",
                                           "10.0.0.0/8", "192.168.0.0/16", "!192.168.1.1"};
    assert_int_equal(count, 7);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(items[i], expected[i]);
    assert_int_equal(problems.count, 1);
    assert_true(problems.list[0].fatal);
    config_problems_free(&problems);
    arena_free(arena);
    str_free(&value);
    config_free(c);
    unlink(path);
}

static void the_environment_is_restricted(void **state)
{
    (void)state;
    struct config *c = config_of("import_environment = KEPT, SET=new { SPACED = a b } MISSING\n");
    setenv("KEPT", "old", 1);
    setenv("LD_PRELOAD_LIKE", "evil", 1);
    setenv("SET", "old", 1);
    config_restrict_environment(c, "import_environment");
    assert_string_equal(getenv("KEPT"), "old");
    assert_string_equal(getenv("SET"), "new");
    assert_string_equal(getenv("SPACED"), "a b");
    assert_null(getenv("LD_PRELOAD_LIKE"));
    assert_null(getenv("MISSING"));
    config_free(c);
}

static void an_environment_is_made(void **state)
{
    (void)state;
    static const struct { const char *setting, *path; const char *expected[3]; } cases[] = {
        {"import_environment = KEPT MISSING", NULL, {"KEPT=yes"}},
        {"import_environment = KEPT", "/bin", {"KEPT=yes", "PATH=/bin"}},
        {"import_environment = PATH=/x KEPT", "/bin", {"PATH=/x", "KEPT=yes"}},
        {"import_environment = { A = b  c } =x", NULL, {"A=b  c"}},
        {"import_environment =", NULL, {NULL}},
    };
    assert_int_equal(setenv("KEPT", "yes", 1), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config *c = config_of(cases[i].setting);
        char **list = config_make_environment(c, "import_environment", cases[i].path);
        size_t k = 0;
        for (; k < 3 && cases[i].expected[k] != NULL; k++)
            assert_string_equal(list[k], cases[i].expected[k]);
        assert_null(list[k]);
        config_free_environment(list);
        config_free(c);
    }
}

static void a_daemon_receives_what_was_sent(void **state)
{
    (void)state;
    struct config *sent = config_of("myhostname = mx.example.com\nsmtpd_timeout = 7\nempty =\n\nx = 1\n");
    int fd = memfd_create("config", 0);
    config_send(sent, fd);
    struct config *received = config_receive(fd);
    assert_non_null(received);
    assert_int_equal(config_seconds(received, "smtpd_timeout"), 7);
    assert_string_equal(config_string(received, "mydomain"), "example.com");
    assert_string_equal(config_string(received, "mynetworks"), config_string(sent, "mynetworks"));
    assert_string_equal(config_raw(received, "empty"), "");
    assert_int_equal(config_origin(received, "x").line, 5);
    assert_string_equal(config_origin(received, "x").file, "main.cf");
    assert_int_equal(config_count(received), 4);
    assert_string_equal(config_name_at(received, 3), "x");
    config_free(received);
    config_free(sent);
    close(fd);
}

/* Every truncation is refused; a flipped byte is refused or harmless. */
static void damage_is_refused(void **state)
{
    (void)state;
    struct config *sent = config_of("myhostname = mx.example.com\nx = 1\n");
    struct str bytes = STR_EMPTY;
    config_encode(sent, &bytes);
    for (size_t len = 0; len < bytes.len; len++)
        assert_null(config_decode(slice_range(bytes.data, len)));
    str_append_char(&bytes, 'x');
    assert_null(config_decode(str_slice(&bytes)));
    str_truncate(&bytes, bytes.len - 1);
    for (size_t i = 0; i < bytes.len; i++) {
        bytes.data[i] = (char)(bytes.data[i] ^ 0xff);
        config_free(config_decode(str_slice(&bytes)));
        bytes.data[i] = (char)(bytes.data[i] ^ 0xff);
    }
    config_free(config_decode(str_slice(&bytes)));
    str_free(&bytes);
    config_free(sent);
}

static void the_table_is_sound(void **state)
{
    (void)state;
    assert_true(parameter_count() > 900);
    struct config *c = config_new_default();
    for (size_t i = 0; i < parameter_count(); i++) {
        const struct parameter *p = parameter_at(i);
        if (i > 0 && strcmp(parameter_at(i - 1)->name, p->name) >= 0)
            fail_msg("%s is there twice", p->name);
        assert_ptr_equal(parameter_find(p->name), p);
        size_t len = strlen(p->meaning);
        if (len < 5 || p->meaning[len - 1] != '.' || len > 130)
            fail_msg("%s: meaning", p->name);
    }
    struct config_problems problems = {0};
    config_check(c, &problems);
    for (size_t i = 0; i < problems.count; i++)
        fail_msg("default: %s", problems.list[i].text);
    assert_null(parameter_find("no_such_name"));
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_have_units),
        cmocka_unit_test(getters_give_settings_and_defaults),
        cmocka_unit_test(a_new_setting_changes_what_refers_to_it),
        cmocka_unit_test(names_that_ask_for_themselves_end),
        cmocka_unit_test(mynetworks_follows_style_and_interfaces),
        cmocka_unit_test(mistakes_are_reported),
        cmocka_unit_test(lists_are_split),
        cmocka_unit_test(files_in_lists_are_read),
        cmocka_unit_test(an_environment_is_made),
        cmocka_unit_test(the_environment_is_restricted),
        cmocka_unit_test(a_daemon_receives_what_was_sent),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(the_table_is_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
