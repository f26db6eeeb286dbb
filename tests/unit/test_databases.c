/* SPDX-License-Identifier: ISC */
/* What the database tables are made of, without a database: quoting, the choice of hosts, and the pool of helper threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/table/ldap_quote.h"
#include "common/table/server_hosts.h"
#include "common/table/worker_pool.h"

/* --- quoting -------------------------------------------------------------------------- */

static void quotes_for_ldap(void **state UNUSED)
{
    static const struct {
        const char *text, *filter, *dn;
    } cases[] = {
        {"", "", ""},
        {"anna@example.test", "anna@example.test", "anna@example.test"},
        {"*", "\\2a", "*"},
        {"a)(mail=*", "a\\29\\28mail=\\2a", "a)(mail\\3d*"},
        {"b\\s", "b\\5cs", "b\\5cs"},
        {"cn=x,dc=y", "cn=x,dc=y", "cn\\3dx\\2cdc\\3dy"},
        {" a b ", " a b ", "\\20a b\\20"},
        {"#a#", "#a#", "\\23a#"},
        {"\"+;<>", "\"+;<>", "\\22\\2b\\3b\\3c\\3e"},
        {"m\303\274ller", "m\303\274ller", "m\303\274ller"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str filter = STR_EMPTY, dn = STR_EMPTY;
        assert_true(ldap_quote_filter(NULL, slice_of(cases[i].text), &filter));
        assert_true(ldap_quote_dn(NULL, slice_of(cases[i].text), &dn));
        assert_string_equal(str_text(&filter), cases[i].filter);
        assert_string_equal(str_text(&dn), cases[i].dn);
        str_free(&filter);
        str_free(&dn);
    }
    struct str nul = STR_EMPTY;
    assert_true(ldap_quote_filter(NULL, SLICE("a\0("), &nul) && ldap_quote_dn(NULL, SLICE("\0"), &nul));
    assert_string_equal(str_text(&nul), "a\\00\\28\\00");
    str_free(&nul);
}

static void compares_attributes(void **state UNUSED)
{
    static const struct {
        const char *wanted, *have;
        int relation;
    } cases[] = {
        {"mail", "mail", 1}, {"mail", "MAIL", 1}, {"mail", "mail;lang-de", 1}, {"mail;lang-de", "mail", -1},
        {"mail", "mailbox", 0}, {"mailbox", "mail", 0}, {"", "", 1}, {"a", "", 0}, {"", "a", 0}, {";x", "", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(ldap_compare_attributes(cases[i].wanted, cases[i].have), cases[i].relation);
}

/* --- hosts ------------------------------------------------------------------------------- */

static void parses_hosts(void **state UNUSED)
{
    static const struct {
        const char *text, *name, *port;
        bool is_unix, is_uri;
    } cases[] = {
        {"", "localhost", NULL, false, false},
        {"unix:/run/x", "/run/x", NULL, true, false},
        {"/run/x", "/run/x", NULL, true, false},
        {"inet:db.test", "db.test", NULL, false, false},
        {"inet:db.test:99", "db.test", "99", false, false},
        {"db.test:99", "db.test", "99", false, false},
        {"[2001:db8::1]:99", "2001:db8::1", "99", false, false},
        {"[2001:db8::1]", "2001:db8::1", NULL, false, false},
        {"inet:2001:db8::1", "2001:db8::1", NULL, false, false},
        {"postgresql://u@h/d", NULL, NULL, false, true},
    };
    struct arena *arena = arena_new();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct server_hosts hosts;
        server_hosts_parse(&hosts, cases[i].text, arena);
        assert_int_equal(hosts.count, 1);
        if (cases[i].name != NULL)
            assert_string_equal(hosts.list[0].name, cases[i].name);
        if (cases[i].port != NULL)
            assert_string_equal(hosts.list[0].port, cases[i].port);
        else
            assert_null(hosts.list[0].port);
        assert_int_equal(hosts.list[0].is_unix, cases[i].is_unix);
        assert_int_equal(hosts.list[0].is_uri, cases[i].is_uri);
    }
    arena_free(arena);
}

static void chooses_hosts(void **state UNUSED)
{
    struct arena *arena = arena_new();
    struct server_hosts hosts;
    server_hosts_parse(&hosts, "a b, unix:/c", arena);
    struct server_host *c = server_hosts_choose(&hosts);
    assert_string_equal(c->name, "/c"); /* sockets first */
    server_host_failed(c, 60000);
    assert_int_equal(c->pause_ms, 1000);
    unsigned chosen[2] = {0, 0};
    for (int i = 0; i < 200; i++)
        chosen[server_hosts_choose(&hosts) == &hosts.list[1]]++;
    assert_true(chosen[0] > 20 && chosen[1] > 20); /* at random */
    server_host_failed(&hosts.list[0], 60000);
    server_host_failed(&hosts.list[1], 60000);
    assert_null(server_hosts_choose(&hosts));
    hosts.list[0].down_until = 0;
    assert_ptr_equal(server_hosts_choose(&hosts), &hosts.list[0]);
    hosts.list[0].connecting = 1; /* one at a time tries a host that failed */
    assert_null(server_hosts_choose(&hosts));
    assert_true(server_hosts_connecting(&hosts));
    hosts.list[0].connecting = 0;
    server_host_failed(&hosts.list[0], 60000);
    server_host_failed(&hosts.list[0], 60000); /* of the same attempt: counts once */
    assert_int_equal(hosts.list[0].pause_ms, 2000);
    for (int i = 0; i < 10; i++) {
        hosts.list[0].down_until = 0;
        server_host_failed(&hosts.list[0], 60000);
    }
    assert_int_equal(hosts.list[0].pause_ms, 60000);
    server_host_reached(&hosts.list[0]);
    assert_ptr_equal(server_hosts_choose(&hosts), &hosts.list[0]);
    arena_free(arena);
}

/* --- the pool ------------------------------------------------------------------------------ */

struct counts {
    pthread_mutex_t lock;
    unsigned connected, closed, most_at_once, at_once, freed, shared_freed;
};
static struct counts counts = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* What a job in vain waits for, so that no deadline depends on how fast the machine is. */
static struct { pthread_mutex_t lock; pthread_cond_t opened; bool is_open; } gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};

static void wait_for_gate(void)
{
    pthread_mutex_lock(&gate.lock);
    while (!gate.is_open)
        pthread_cond_wait(&gate.opened, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

static void open_gate(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.is_open = true;
    pthread_cond_broadcast(&gate.opened);
    pthread_mutex_unlock(&gate.lock);
}

static void count(unsigned *what, int by)
{
    pthread_mutex_lock(&counts.lock);
    *what += (unsigned)by;
    if (counts.at_once > counts.most_at_once)
        counts.most_at_once = counts.at_once;
    pthread_mutex_unlock(&counts.lock);
}

struct square {
    struct worker_job job;
    unsigned number, result;
    bool in_vain;
};

static void run_square(void **connection, void *shared UNUSED, struct worker_job *job)
{
    struct square *square = (struct square *)job;
    if (*connection == NULL) {
        *connection = mem_alloc(1);
        count(&counts.connected, 1);
    }
    count(&counts.at_once, 1);
    if (square->in_vain)
        wait_for_gate();
    else
        usleep(1000);
    square->result = square->number * square->number;
    count(&counts.at_once, -1);
}

static void close_square(void *connection)
{
    free(connection);
    count(&counts.closed, 1);
}

static void free_square(struct worker_job *job)
{
    free(job);
    count(&counts.freed, 1);
}

static void free_shared(void *shared)
{
    free(shared);
    count(&counts.shared_freed, 1);
}

static const struct worker_kind squares = {
    .run = run_square, .close = close_square, .free_job = free_square, .free_shared = free_shared,
};

static struct worker_pool *pool;
static unsigned left, right, late;

static void ask(unsigned number, bool in_vain, int64_t deadline)
{
    struct square *square = mem_alloc(sizeof *square);
    square->number = number;
    square->in_vain = in_vain;
    if (!worker_pool_run(pool, &square->job, deadline)) {
        late++;
        return;
    }
    right += square->result == number * number;
    worker_job_free(&squares, &square->job);
}

static void ask_soon(void *arg)
{
    ask((unsigned)(uintptr_t)arg, false, deadline_in_s(30));
    if (--left == 0)
        fiber_loop_stop();
}

static void ask_in_vain(void *arg)
{
    ask((unsigned)(uintptr_t)arg, true, deadline_in_ms(50));
    if (--left == 0)
        fiber_loop_stop();
}

static void a_pool_does_many_jobs_on_few_threads(void **state UNUSED)
{
    fiber_loop_init();
    pool = worker_pool_new(&squares, "key", mem_alloc(1), 60);
    assert_ptr_equal(worker_pool_find(&squares, "key"), pool);
    assert_null(worker_pool_find(&squares, "other"));
    worker_pool_close(pool);
    left = 500;
    for (unsigned i = 0; i < left; i++)
        fiber_spawn("ask", ask_soon, (void *)(uintptr_t)i);
    fiber_loop_run();
    assert_int_equal(right, 500);
    assert_int_equal(late, 0);
    assert_true(counts.most_at_once >= 2 && counts.most_at_once <= 8);
    assert_int_equal(counts.connected, counts.most_at_once);
    left = 30; /* eight are being done, the others stand in line; none is waited for to the end */
    for (unsigned i = 0; i < left; i++)
        fiber_spawn("ask", ask_in_vain, (void *)(uintptr_t)i);
    fiber_loop_run();
    assert_int_equal(late, 30);
    worker_pool_close(pool);
    open_gate();
    for (int i = 0; i < 200 && counts.shared_freed == 0; i++)
        usleep(10000);
    assert_int_equal(counts.shared_freed, 1);
    assert_int_equal(counts.freed, 530);
    assert_int_equal(counts.closed, counts.connected);
}

static void without_a_loop_the_caller_works(void **state UNUSED)
{
    unsigned before = counts.connected;
    pool = worker_pool_new(&squares, "direct", mem_alloc(1), 60);
    right = late = 0;
    ask(3, false, CLOCK_NEVER);
    ask(4, false, CLOCK_NEVER);
    assert_int_equal(right, 2);
    assert_int_equal(counts.connected, before + 1);
    worker_pool_close(pool);
    assert_int_equal(counts.closed, counts.connected);
    assert_int_equal(counts.shared_freed, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_for_ldap),
        cmocka_unit_test(compares_attributes),
        cmocka_unit_test(parses_hosts),
        cmocka_unit_test(chooses_hosts),
        cmocka_unit_test(a_pool_does_many_jobs_on_few_threads),
        cmocka_unit_test(without_a_loop_the_caller_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
