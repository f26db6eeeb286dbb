/* SPDX-License-Identifier: ISC */
/* Results of deliveries: how delays are rounded, the log line, what goes back to the queue; reading content. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/mail/delivery_content.h"
#include "common/mail/delivery_report.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT(literal) ((char *)(literal)) /* for fields that nobody writes to */

static void test_delays(void **state)
{
    (void)state;
    /* The texts are what Postfix 3.7 logs for these times. */
    static const struct {
        int64_t microseconds;
        unsigned resolution;
        const char *text;
    } cases[] = {
        {0, 2, "0"},          {4999, 2, "0"},        {5000, 2, "0.01"},     {10000, 2, "0.01"},
        {14999, 2, "0.01"},   {94999, 2, "0.09"},    {99999, 2, "0.1"},     {123456, 2, "0.12"},
        {995000, 2, "1"},     {994999, 2, "0.99"},   {999999, 2, "1"},      {1000000, 2, "1"},
        {1049999, 2, "1"},    {1050000, 2, "1.1"},   {9949999, 2, "9.9"},   {9950000, 2, "10"},
        {10400000, 2, "10"},  {10500000, 2, "11"},   {123456789, 2, "123"}, {-5, 2, "0"},
        {123456, 0, "0"},     {500000, 0, "1"},      {1499999, 0, "1"},     {123456, 1, "0.1"},
        {1234, 3, "0.001"},   {1234, 4, "0.0012"},   {1234, 6, "0.0012"},   {99, 6, "0.000099"},
        {1, 6, "0.000001"},   {12345, 3, "0.012"},   {400, 3, "0"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str out = STR_EMPTY;
        delivery_format_delay(&out, cases[i].microseconds, cases[i].resolution);
        assert_string_equal(str_text(&out), cases[i].text);
        str_free(&out);
    }
}

static void test_line(void **state)
{
    (void)state;
    static const struct {
        struct delivery_times times;
        const char *address, *original;
        unsigned uses;
        const char *line;
    } cases[] = {
        {{1000000, 1010000, 1010000, 1040000, 1090000}, "a@x", "", 0,
         "ID: to=<a@x>, relay=r, delay=0.09, delays=0.01/0/0.03/0.05, dsn=2.0.0, status=sent (ok)"},
        {{1000000, 1010000, 1010000, 1040000, 1090000}, "a@x", "A@X", 2,
         "ID: to=<a@x>, relay=r, conn_use=3, delay=0.09, delays=0.01/0/0.03/0.05, dsn=2.0.0, status=sent (ok)"},
        {{1000000, 2000000, 3000000, 0, 4000000}, "a b@x", "list@x", 0,
         "ID: to=<\"a b\"@x>, orig_to=<list@x>, relay=r, delay=3, delays=1/1/0/1, dsn=2.0.0, status=sent (ok)"},
        {{1000000, 2000000, 0, 0, 4000000}, "a@x", "", 0,
         "ID: to=<a@x>, relay=r, delay=3, delays=1/2/0/0, dsn=2.0.0, status=sent (ok)"},
        {{1000000, 0, 0, 0, 4000000}, "a@x", "", 0,
         "ID: to=<a@x>, relay=r, delay=3, delays=3/0/0/0, dsn=2.0.0, status=sent (ok)"},
        {{9000000, 1000000, 1000000, 1000000, 1000000}, "a@x", "", 0,
         "ID: to=<a@x>, relay=r, delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (ok)"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str out = STR_EMPTY;
        struct recipient to = {.address = (char *)cases[i].address, .original = (char *)cases[i].original};
        delivery_format_line(&out, "ID", &to, "r", cases[i].uses, &cases[i].times, 2, "2.0.0", "sent", "ok");
        assert_string_equal(str_text(&out), cases[i].line);
        str_free(&out);
    }
}

static struct delivery_recipient people[] = {
    {.index = 7, .to = {.address = TEXT("a@x"), .original = TEXT(""), .dsn_original = TEXT("")}},
    {.index = 9, .to = {.address = TEXT("b@x"), .original = TEXT(""), .dsn_original = TEXT("")}},
    {.index = 11, .to = {.address = TEXT("c@x"), .original = TEXT(""), .dsn_original = TEXT("")}},
};

static void test_results(void **state)
{
    (void)state;
    for (int soft = 0; soft < 2; soft++) {
        struct arena *arena = arena_new();
        struct delivery delivery = {.recipients = people, .recipient_count = 3};
        struct delivery_report report;
        struct delivery_result result;
        struct str wire = STR_EMPTY;
        delivery_report_start(&report, &delivery, arena);
        report.soft_bounce = soft;
        report.server_has_dsn = true;
        delivery_report_one(&report, 1, "5.1.1", "host h said: no", "h", "smtp; 550 no");
        assert_true(delivery_report_is_decided(&report, 1));
        assert_false(delivery_report_is_decided(&report, 0));
        delivery_report_one(&report, 0, "2.0.0", "ok", NULL, NULL);
        delivery_report_rest(&report, "4.4.2", "lost", NULL, NULL);
        delivery_report_encode(&report, "why", &wire);
        assert_true(delivery_result_decode(str_slice(&wire), arena, &result));
        assert_true(result.host_unreachable);
        assert_string_equal(result.reason, "why");
        assert_int_equal(result.recipients[0].index, 7);
        assert_int_equal(result.recipients[0].status, DELIVERY_SENT);
        assert_true(result.recipients[0].dsn_relayed);
        assert_false(result.recipients[1].dsn_relayed);
        assert_int_equal(result.recipients[1].status, soft ? DELIVERY_DEFERRED : DELIVERY_BOUNCED);
        assert_string_equal(result.recipients[1].dsn, soft ? "4.1.1" : "5.1.1");
        assert_string_equal(result.recipients[1].remote_host, "h");
        assert_string_equal(result.recipients[1].diagnostic, "smtp; 550 no");
        assert_int_equal(result.recipients[2].status, DELIVERY_DEFERRED);
        assert_string_equal(result.recipients[2].remote_host, "");
        str_free(&wire);
        arena_free(arena);
    }
}

static int file_with(const char *data, size_t len)
{
    char name[] = "/tmp/posthorn-test-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0 && unlink(name) == 0);
    assert_int_equal(write(fd, data, len), len);
    return fd;
}

static enum content_status read_all(struct delivery_content *content, struct str *out)
{
    struct slice piece;
    enum content_status status;
    while ((status = delivery_content_next(content, &piece)) == CONTENT_MORE)
        str_append_slice(out, piece);
    return status;
}

static void test_content(void **state)
{
    (void)state;
    size_t len = 3 * DELIVERY_CHUNK + 17;
    char *data = malloc(len);
    for (size_t i = 0; i < len; i++)
        data[i] = (char)(i * 7 + i / 1000);
    int fd = file_with(data, len);
    for (int variant = 0; variant < 6; variant++) {
        bool in_file = variant < 4;
        size_t skip = variant == 1 ? 0 : 5;
        struct delivery delivery = {.in_file = in_file, .content_offset = skip, .content_size = len - skip};
        enum content_status expect = CONTENT_END;
        delivery.content_hash = XXH3_64bits(data + skip, len - skip);
        if (!in_file)
            delivery.content = slice_range(data + skip, len - skip);
        if (variant == 2) { /* the file ends too early */
            delivery.content_size++;
            expect = CONTENT_CORRUPT;
        } else if (variant == 3 || variant == 5) {
            delivery.content_hash ^= 1;
            expect = CONTENT_CORRUPT;
        }
        struct delivery_content content;
        struct str out = STR_EMPTY;
        delivery_content_start(&content, &delivery, fd);
        for (int again = 0; again < 2; again++) {
            str_clear(&out);
            assert_int_equal(read_all(&content, &out), expect);
            if (expect == CONTENT_END) {
                assert_int_equal(out.len, len - skip);
                assert_memory_equal(out.data, data + skip, out.len);
            } else if (!in_file) {
                assert_int_equal(out.len, 0); /* damaged inline content is never handed out */
            }
            delivery_content_rewind(&content);
        }
        delivery_content_stop(&content);
        str_free(&out);
    }
    close(fd);
    free(data);
}

static void test_content_unreadable(void **state)
{
    (void)state;
    struct delivery delivery = {.in_file = true, .content_size = 10, .content_offset = UINT64_MAX - 3};
    struct delivery_content content;
    struct slice piece;
    int fd = file_with("x", 1);
    delivery_content_start(&content, &delivery, fd);
    assert_int_equal(delivery_content_next(&content, &piece), CONTENT_ERROR);
    delivery_content_stop(&content);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delays),  cmocka_unit_test(test_line),
        cmocka_unit_test(test_results), cmocka_unit_test(test_content),
        cmocka_unit_test(test_content_unreadable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
