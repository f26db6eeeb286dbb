/* SPDX-License-Identifier: ISC */
/* What the supervisor decides: delays, edges, which processes a master.cf asks for, which sockets they get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/process/role.h"
#include "master/backoff.h"
#include "master/graph.h"
#include "master/listeners.h"
#include "master/plan.h"

/* --- backoff ------------------------------------------------------------------------------ */

static void test_backoff_grows_and_starts_over(void **state UNUSED)
{
    static const struct {
        int64_t served_ms; /* -1: never ready */
        int64_t delay_ms;
    } life[] = {
        {-1, 0},     {-1, 100},   {-1, 200},   {500, 400},  {-1, 800},   {-1, 1600}, {-1, 3200}, {-1, 6400},
        {-1, 12800}, {-1, 25600}, {-1, 51200}, {-1, 60000}, {-1, 60000}, {BACKOFF_LONG_ENOUGH_MS, 0},
        {-1, 100},   {BACKOFF_LONG_ENOUGH_MS - 1, 200},     {100000, 0}, {100000, 0},
    };
    struct backoff backoff = {0};
    for (size_t i = 0; i < sizeof life / sizeof life[0]; i++)
        assert_int_equal(backoff_after_end(&backoff, life[i].served_ms, 60000), life[i].delay_ms);
    for (int i = 0; i < 100; i++) /* no overflow, however long it goes on */
        assert_in_range(backoff_after_end(&backoff, -1, 60000), 0, 60000);
}

/* --- graph ----------------------------------------------------------------------------------- */

static void test_graph_has_the_documented_edges_only(void **state UNUSED)
{
    static const enum role_id edges[][2] = {
        {ROLE_SMTPD, ROLE_LOOKUP},      {ROLE_SMTPD, ROLE_QUEUE},      {ROLE_SMTPD, ROLE_RESOLVER},
        {ROLE_SMTPD, ROLE_STATE},       {ROLE_SMTPD, ROLE_KEYS},       {ROLE_SUBMISSION, ROLE_LOOKUP},
        {ROLE_SUBMISSION, ROLE_QUEUE},  {ROLE_SUBMISSION, ROLE_RESOLVER}, {ROLE_SUBMISSION, ROLE_STATE},
        {ROLE_SUBMISSION, ROLE_KEYS},   {ROLE_SUBMISSION, ROLE_AUTH},  {ROLE_AUTH, ROLE_LOOKUP},
        {ROLE_QUEUE, ROLE_LOOKUP},      {ROLE_QUEUE, ROLE_STATE},      {ROLE_QUEUE, ROLE_LMTP},
        {ROLE_QUEUE, ROLE_VIRTUAL},     {ROLE_LMTP, ROLE_LOOKUP},      {ROLE_VIRTUAL, ROLE_LOOKUP},
    };
    size_t found = 0;
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++)
        assert_true(graph_has_edge(edges[i][0], edges[i][1]));
    for (int client = 0; client < ROLE_COUNT; client++)
        for (int server = 0; server < ROLE_COUNT; server++)
            found += graph_has_edge((enum role_id)client, (enum role_id)server);
    assert_int_equal(found, sizeof edges / sizeof edges[0]);
}

/* --- endpoints -------------------------------------------------------------------------------- */

static void test_endpoint_names(void **state UNUSED)
{
    static const struct {
        const char *name, *host, *port; /* host NULL: malformed */
    } cases[] = {
        {"smtp", "", "smtp"},         {"25", "", "25"},           {"127.0.0.1:10025", "127.0.0.1", "10025"},
        {"localhost:smtp", "localhost", "smtp"}, {"[::1]:25", "::1", "25"}, {"[::1]", NULL, NULL},
        {"[::1]25", NULL, NULL},      {"[]:25", NULL, NULL},      {"::1:25", NULL, NULL},      {":25", NULL, NULL},
        {"host:", NULL, NULL},        {"", NULL, NULL},           {"[::1", NULL, NULL},        {"a/b", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *host = NULL, *port = NULL;
        bool works = plan_split_endpoint(cases[i].name, &host, &port);
        if (works != (cases[i].host != NULL))
            fail_msg("endpoint %s", cases[i].name);
        if (works) {
            assert_string_equal(host, cases[i].host);
            assert_string_equal(port, cases[i].port);
            free(host);
            free(port);
        }
    }
}

/* --- plans -------------------------------------------------------------------------------------- */

/* "role:service" of every process, separated by blanks, and how many problems there were. */
static char *plan_of(const char *text, const char *disable, size_t *problems_found)
{
    struct config_problems problems = {NULL, 0};
    struct service_table services = {NULL, 0};
    struct plan plan;
    struct str result = STR_EMPTY;
    struct config *config = config_new_default();
    config_set(config, "master_service_disable", disable);
    master_cf_parse("master.cf", slice_of(text), &services, &problems);
    assert_int_equal(problems.count, 0);
    plan_make(config, &services, &plan, &problems);
    for (size_t i = 0; i < plan.count; i++)
        str_printf(&result, "%s%s:%s", i > 0 ? " " : "", role_name(plan.list[i].role), plan.list[i].service);
    *problems_found = problems.count;
    plan_free(&plan);
    service_table_free(&services);
    config_free(config);
    config_problems_free(&problems);
    return str_detach(&result);
}

/* What runs with any configuration. */
#define ALWAYS "lookup:lookup resolver:resolver state:state queue:queue"

static void test_plans(void **state UNUSED)
{
    static const struct {
        const char *master_cf, *disable, *plan;
        size_t problems;
    } cases[] = {
        {"", "", ALWAYS, 0},
        {"smtp inet n - y - - smtpd\n", "", ALWAYS " smtpd:smtp", 0},
        {"127.0.0.1:10025 inet n - n - - smtpd -o mynetworks=127.0.0.1\n", "",
         ALWAYS " smtpd:127.0.0.1:10025", 0},
        {"smtp inet n - y - - smtpd\nsubmission inet n - y - - smtpd\n", "submission/inet",
         ALWAYS " smtpd:smtp", 0},
        {"smtp inet n - y - - smtpd\nlmtp unix - - y - - lmtp\n", "inet", ALWAYS " lmtp:lmtp", 0},
        {"lmtp unix - - y - - lmtp\ndovecot unix - - n - - lmtp\nvirtual unix - n n - - virtual\n", "",
         ALWAYS " lmtp:lmtp lmtp:dovecot virtual:virtual", 0},
        /* their work is done elsewhere, or mail for them is deferred */
        {"qmgr unix n - n 300 1 qmgr\ncleanup unix n - y - 0 cleanup\nsmtp unix - - y - - smtp\n"
         "maildrop unix - n n - - pipe flags=DRXhu user=vmail argv=/usr/bin/maildrop\n", "", ALWAYS, 0},
        {"policy unix - n n - 0 spawn user=nobody argv=/bin/true\n", "", ALWAYS, 0},
        {"policy unix - n n - 0 spawn user=nobody\n", "", ALWAYS, 1},
        {"policy fifo - n n - 0 spawn user=nobody argv=/bin/true\n", "", ALWAYS, 1},
        {"odd unix - n n - 0 oddity\n", "", ALWAYS, 1},
        {"smtp inet n - y - 1 postscreen\nsmtpd pass - - y - - smtpd\n", "", ALWAYS " smtpd:smtp", 0},
        {"smtp inet n - y - 1 postscreen -o postscreen_greet_wait=1 -o soft_bounce=yes\nsmtpd pass - - y - - smtpd\n", "",
         ALWAYS " smtpd:smtp", 1},
        {"smtp inet n - y - 1 postscreen\n", "", ALWAYS, 1},
        {"a::b:25 inet n - y - - smtpd\n", "", ALWAYS, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t problems;
        char *plan = plan_of(cases[i].master_cf, cases[i].disable, &problems);
        assert_string_equal(plan, cases[i].plan);
        if (problems != cases[i].problems)
            fail_msg("%s: %zu problems", cases[i].master_cf, problems);
        free(plan);
    }
}

static void test_plan_of_spawn_services(void **state UNUSED)
{
    struct config_problems problems = {NULL, 0};
    struct service_table services = {NULL, 0};
    struct plan plan;
    struct config *config = config_new_default();
    config_set(config, "default_process_limit", "7");
    config_set(config, "one_time_limit", "3600");
    master_cf_parse("master.cf", SLICE("one unix - n n - 0 spawn user=nobody argv=/bin/a -b user=c\n"
                                       "127.0.0.1:10 inet n n y - - spawn user=nobody:daemon argv=/bin/d\n"
                                       "three unix n n n - 3 spawn user=nobody\n"), &services, &problems);
    plan_make(config, &services, &plan, &problems);
    assert_int_equal(plan.spawn_count, 2);
    assert_int_equal(problems.count, 1);
    assert_string_equal(problems.list[0].text, "service three: missing argv= attribute: not started");
    const struct wanted_spawn *one = &plan.spawns[0], *two = &plan.spawns[1];
    assert_string_equal(one->user, "nobody");
    assert_null(one->group);
    assert_string_equal(one->command[0], "/bin/a");
    assert_string_equal(one->command[2], "user=c");
    assert_null(one->command[3]);
    assert_true(one->is_private && !one->wants_chroot);
    assert_int_equal(one->process_limit, 0);
    assert_int_equal(one->time_limit, 3600);
    assert_string_equal(two->group, "daemon");
    assert_true(two->wants_chroot && !two->is_private);
    assert_int_equal(two->process_limit, 7);
    assert_int_equal(two->time_limit, 1000);
    plan_free(&plan);
    service_table_free(&services);
    config_free(config);
    config_problems_free(&problems);
}

static void test_plan_gives_each_service_its_own_view(void **state UNUSED)
{
    struct config_problems problems = {NULL, 0};
    struct service_table services = {NULL, 0};
    struct plan plan;
    struct config *config = config_new_default();
    master_cf_parse("master.cf", SLICE("26 inet n - n - - smtpd -o syslog_name=postfix/other\n"), &services, &problems);
    plan_make(config, &services, &plan, &problems);
    config_free(config);
    service_table_free(&services);
    assert_true(plan.count > 1);
    assert_string_equal(config_string(plan.list[0].config, "syslog_name"), "postfix");
    assert_string_equal(config_string(plan.list[plan.count - 1].config, "syslog_name"), "postfix/other");
    plan_free(&plan);
    config_problems_free(&problems);
}

/* --- listeners -------------------------------------------------------------------------------- */

static bool open_endpoint(const char *interfaces, const char *protocols, const char *endpoint, struct listener_set *set)
{
    struct config_problems problems = {NULL, 0};
    struct config *config = config_new_default();
    *set = (struct listener_set){NULL, NULL, 0};
    config_set(config, "inet_interfaces", interfaces);
    config_set(config, "inet_protocols", protocols);
    bool works = listeners_open_inet(config, endpoint, set, &problems);
    assert_int_equal(problems.count > 0, !works);
    config_free(config);
    config_problems_free(&problems);
    return works;
}

static bool is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

static void test_listeners_survive_a_reload_only_when_wanted(void **state UNUSED)
{
    struct listener_set first, again, other;
    listeners_begin();
    assert_true(open_endpoint("127.0.0.1, 127.0.0.2, 127.0.0.1", "ipv4", "0", &first));
    assert_int_equal(first.count, 2); /* named twice, opened once */
    assert_string_equal(first.names[0], "inet:127.0.0.1:0");
    listeners_commit();
    listeners_begin();
    assert_true(open_endpoint("127.0.0.2", "ipv4", "0", &again));
    assert_int_equal(again.fds[0], first.fds[1]);
    listeners_abort(); /* the new configuration was refused: nothing changed */
    assert_true(is_open(first.fds[0]) && is_open(first.fds[1]));
    listeners_begin();
    assert_true(open_endpoint("127.0.0.1", "ipv4", "127.0.0.3:0", &other)); /* a host of its own beats inet_interfaces */
    assert_string_equal(other.names[0], "inet:127.0.0.3:0");
    listeners_commit();
    assert_false(is_open(first.fds[0]) || is_open(first.fds[1]));
    assert_true(is_open(other.fds[0]));
    listeners_begin();
    listeners_commit();
    assert_false(is_open(other.fds[0]));
    listener_set_free(&first);
    listener_set_free(&again);
    listener_set_free(&other);
}

static void test_listeners_that_cannot_be_had(void **state UNUSED)
{
    static const struct {
        const char *interfaces, *protocols, *endpoint;
    } cases[] = {
        {"192.0.2.1", "ipv4", "0"},        /* not an address of this host */
        {"127.0.0.1", "ipv6", "0"},        /* no address left */
        {"127.0.0.1", "ipv4", "no-such-port"},
        {"127.0.0.1", "ipv4", "::1:25"},
        {"127.0.0.1", "ipv4", "70000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct listener_set set;
        listeners_begin();
        if (open_endpoint(cases[i].interfaces, cases[i].protocols, cases[i].endpoint, &set))
            fail_msg("%s %s", cases[i].interfaces, cases[i].endpoint);
        listeners_abort();
        listener_set_free(&set);
    }
}

static void test_unix_listener(void **state UNUSED)
{
    struct config_problems problems = {NULL, 0};
    struct listener_set set = {NULL, NULL, 0};
    char directory[] = "/tmp/test_master.XXXXXX";
    assert_non_null(mkdtemp(directory));
    assert_int_equal(chdir(directory), 0);
    listeners_begin();
    assert_true(listeners_open_unix("socket", SOCK_SEQPACKET, &set, &problems));
    assert_string_equal(set.names[0], "unix:socket");
    listeners_commit();
    assert_int_equal(access("socket", R_OK | W_OK), 0);
    listeners_begin();
    listeners_commit(); /* nobody wants it: gone, name and all */
    assert_int_equal(access("socket", F_OK), -1);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(rmdir(directory), 0);
    listener_set_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backoff_grows_and_starts_over),
        cmocka_unit_test(test_graph_has_the_documented_edges_only),
        cmocka_unit_test(test_endpoint_names),
        cmocka_unit_test(test_plans),
        cmocka_unit_test(test_plan_of_spawn_services),
        cmocka_unit_test(test_plan_gives_each_service_its_own_view),
        cmocka_unit_test(test_listeners_survive_a_reload_only_when_wanted),
        cmocka_unit_test(test_listeners_that_cannot_be_had),
        cmocka_unit_test(test_unix_listener),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
