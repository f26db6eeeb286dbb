/* SPDX-License-Identifier: ISC */
/*
 * Whole sessions against a policy that takes everything to "@ours": state after errors, chunks, limits, and what
 * is submitted. The client's bytes wait in the socket; the session runs without a loop and ends at their end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/base/log.h"
#include "common/mail/address_parse.h"
#include "common/smtp/server/session.h"

static struct {
    unsigned submitted, abandoned, spooled;
    struct str content, recipients;
    enum submit_status status;
    int spool;
} seen;

static const char *permit(struct smtp_session *session) { (void)session; return NULL; }
static const char *permit_text(struct smtp_session *session, const char *text)
{
    (void)session;
    return strcmp(text, "denied") == 0 ? "550 5.7.1 denied" : NULL;
}

static const char *on_rcpt(struct smtp_session *session, const char *address, struct smtp_expansion *expansion)
{
    if (!slice_equal(address_domain(slice_of(address)), SLICE("ours")))
        return "554 5.7.1 Relay access denied";
    expansion->addresses = arena_alloc_array(session->scratch, 2, sizeof(char *));
    expansion->addresses[expansion->count++] = arena_strdup(session->scratch, address);
    if (strncmp(address, "list+", 5) == 0) {
        expansion->addresses = arena_alloc_array(session->scratch, 1000, sizeof(char *));
        for (expansion->count = 0; expansion->count < 1000; expansion->count++)
            expansion->addresses[expansion->count] = arena_printf(session->scratch, "member%zu@ours", expansion->count);
    } else if (strncasecmp(address, "both@", 5) == 0)
        expansion->addresses[expansion->count++] = arena_strdup(session->scratch, "second@ours");
    return NULL;
}

static bool completes(struct smtp_session *session) { (void)session; return false; }
static void nothing(struct smtp_session *session) { (void)session; }

static bool begin_message(struct smtp_session *session)
{
    session->serial = 7;
    queue_id_make(session->queue_id, session->arrival_us, 7, false);
    return true;
}

static int open_spool(struct smtp_session *session, enum submit_status *status)
{
    (void)session;
    *status = SUBMIT_NO_SPACE;
    seen.spooled++;
    if (seen.status == SUBMIT_NO_SPACE)
        return -1;
    FILE *file = tmpfile();
    assert_non_null(file);
    seen.spool = dup(fileno(file));
    return dup(fileno(file));
}

static enum submit_status submit(struct smtp_session *session, struct submission *submission)
{
    char buffer[65536];
    (void)session;
    seen.submitted++;
    str_clear(&seen.content);
    str_clear(&seen.recipients);
    str_append_slice(&seen.content, submission->content);
    for (off_t at = 0; submission->in_file;) {
        ssize_t n = pread(seen.spool, buffer, sizeof buffer, at);
        if (n <= 0)
            break;
        str_append_bytes(&seen.content, buffer, (size_t)n);
        at += n;
    }
    assert_int_equal(submission->content_size, seen.content.len);
    assert_true(submission->content_hash == XXH3_64bits(str_text(&seen.content), seen.content.len));
    for (size_t i = 0; i < submission->envelope.recipient_count; i++)
        str_printf(&seen.recipients, "%s ", submission->envelope.recipients[i].address);
    return seen.status;
}

static void abandon(struct smtp_session *session) { (void)session; seen.abandoned++; }

static const struct smtp_server_policy policy = {
    .on_connect = permit, .on_helo = permit_text, .on_mail = permit_text, .on_rcpt = on_rcpt, .on_data = permit,
    .on_end_of_data = permit, .on_vrfy = permit_text, .on_etrn = permit_text, .completes_headers = completes,
    .on_reset = nothing, .on_disconnect = nothing, .begin_message = begin_message, .open_spool = open_spool,
    .submit = submit, .abandon = abandon,
};

static struct smtp_server server;
static struct arena *arena;
static struct config *config;

/* The codes of all replies, "250 354 ". */
static void collect_codes(int fd, struct str *codes)
{
    char buffer[65536];
    struct str text = STR_EMPTY;
    ssize_t n;
    while ((n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
        str_append_bytes(&text, buffer, (size_t)n);
    struct slice rest = str_slice(&text), line;
    while (slice_next_token(&rest, "\r\n", &line))
        if (line.len > 3 && line.data[3] == ' ')
            str_printf(codes, "%.3s ", line.data);
    str_free(&text);
}

static void talk(struct slice input, struct str *codes)
{
    int fds[2], size = 4 << 20;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    assert_int_equal(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(write(fds[0], input.data, input.len), (ssize_t)input.len);
    assert_int_equal(shutdown(fds[0], SHUT_WR), 0);
    seen.submitted = seen.abandoned = seen.spooled = 0;
    smtp_session_run(smtp_session_new(&server, fds[1], "unknown", "192.0.2.1", "1", NULL));
    str_clear(codes);
    collect_codes(fds[0], codes);
    close(fds[0]);
}

#define HELLO "EHLO x\r\n"
#define BEGIN "MAIL FROM:<a@b>\r\nRCPT TO:<c@ours>\r\n"
#define MESSAGE "A: b\r\n\r\nx\r\n.\r\n"

static const struct {
    const char *what;
    struct slice input;
    const char *codes;
    unsigned submitted;
} cases[] = {
    {"a message", SLICE(HELLO BEGIN "DATA\r\n" MESSAGE "QUIT\r\n"), "220 250 250 250 354 250 221 ", 1},
    {"state is gone after a message", SLICE(HELLO BEGIN "DATA\r\n" MESSAGE "DATA\r\nRCPT TO:<c@ours>\r\nDATA\r\n"),
     "220 250 250 250 354 250 503 503 503 ", 1},
    {"state is gone after a refused message", SLICE(HELLO BEGIN "DATA\r\nReceived: 1\r\nReceived: 2\r\nReceived: 3\r\n\r\n.\r\n"
     "RCPT TO:<c@ours>\r\nDATA\r\n"), "220 250 250 250 354 554 503 503 ", 0},
    {"no recipient taken", SLICE(HELLO "MAIL FROM:<a@b>\r\nRCPT TO:<c@theirs>\r\nDATA\r\nBDAT 4\r\nQUITQUIT\r\n"),
     "220 250 250 554 554 554 221 ", 0},
    {"RSET and EHLO forget", SLICE(HELLO BEGIN "RSET\r\nDATA\r\n" BEGIN HELLO "DATA\r\n"),
     "220 250 250 250 250 503 250 250 250 503 ", 0},
    {"a refused MAIL opens nothing", SLICE(HELLO "MAIL FROM:<a@b> FOO\r\nRCPT TO:<c@ours>\r\nDATA\r\n"), "220 250 555 503 503 ", 0},
    {"chunks", SLICE(HELLO BEGIN "BDAT 6\r\nA: b\r\nBDAT 5 LAST\r\n\r\nx\r\nQUIT\r\n"), "220 250 250 250 250 250 221 ", 1},
    {"an empty last chunk", SLICE(HELLO BEGIN "BDAT 6\r\nA: b\r\nBDAT 0 LAST\r\nQUIT\r\n"), "220 250 250 250 250 250 221 ", 1},
    {"an empty chunk", SLICE(HELLO BEGIN "BDAT 0\r\nBDAT 4 LAST\r\nQUITQUIT\r\n"), "220 250 250 250 551 551 221 ", 0},
    {"a chunk without MAIL is swallowed", SLICE(HELLO "BDAT 6\r\nNOOP\r\nNOOP\r\n"), "220 250 503 250 ", 0},
    {"nothing but chunks after a chunk", SLICE(HELLO BEGIN "BDAT 6\r\nA: b\r\n" BEGIN "DATA\r\nBDAT 2 LAST\r\n\r\n"),
     "220 250 250 250 250 503 503 503 250 ", 1},
    {"RSET between chunks", SLICE(HELLO BEGIN "BDAT 6\r\nA: b\r\nRSET\r\nBDAT 4 LAST\r\nNOOP" BEGIN "BDAT 2 LAST\r\n\r\n"),
     "220 250 250 250 250 250 503 250 250 250 ", 1},
    {"a huge chunk", SLICE(HELLO BEGIN "BDAT 99999999999999999999 LAST\r\nNOOP\r\n"), "220 250 250 250 521 ", 0},
    {"a chunk of 2^63", SLICE(HELLO BEGIN "BDAT 9223372036854775808 LAST\r\nNOOP\r\n"), "220 250 250 250 521 ", 0},
    {"a chunk of 2^63 - 1", SLICE(HELLO BEGIN "BDAT 9223372036854775807 LAST\r\nNOOP\r\n"), "220 250 250 250 ", 0},
    {"a chunk with a sign", SLICE(HELLO BEGIN "BDAT +1 LAST\r\nNOOP\r\n"), "220 250 250 250 521 ", 0},
    {"a chunk cut off", SLICE(HELLO BEGIN "BDAT 100 LAST\r\nNOOP\r\n"), "220 250 250 250 ", 0},
    {"DATA cut off", SLICE(HELLO BEGIN "DATA\r\nA: b\r\n\r\nx\r\n.\n"), "220 250 250 250 354 ", 0},
    {"commands in DATA are text", SLICE(HELLO BEGIN "DATA\r\nA: b\n.\nMAIL FROM:<e@f>\r\n.\r\nNOOP\r\n"),
     "220 250 250 250 354 250 250 ", 1},
    {"NUL in an address", SLICE(HELLO "MAIL FROM:<a\0@b>\r\nMAIL FROM:<a@b> ENVID=+00\r\n"
     "MAIL FROM:<a@b>\r\nRCPT TO:<c@ours> ORCPT=rfc822;a+00\r\n"), "220 250 501 501 250 501 ", 0},
    {"CR in an address", SLICE(HELLO "MAIL FROM:<a\rDATA\r@b>\r\n"), "220 250 501 ", 0},
    {"sizes at the edge", SLICE(HELLO "MAIL FROM:<a@b> SIZE=18446744073709551616\r\nMAIL FROM:<a@b> SIZE=9223372036854775808\r\n"
     "MAIL FROM:<a@b> SIZE=4294967296\r\nMAIL FROM:<a@b> SIZE=-1\r\nMAIL FROM:<a@b> SIZE=300001\r\n"
     "MAIL FROM:<a@b> SIZE=300000\r\n"), "220 250 552 552 552 501 552 250 ", 0},
    {"HTTP", SLICE("GET / HTTP/1.0\r\nHost: x\r\n\r\n"), "220 221 ", 0},
};

static void dialogues(void **state)
{
    (void)state;
    struct str codes = STR_EMPTY;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        talk(cases[i].input, &codes);
        if (strcmp(str_text(&codes), cases[i].codes) != 0)
            fail_msg("%s: %s", cases[i].what, str_text(&codes));
        if (seen.submitted != cases[i].submitted)
            fail_msg("%s: %u submitted", cases[i].what, seen.submitted);
    }
    str_free(&codes);
}

/* The same address by way of another one is another delivery. */
static void aliases_are_delivered_once(void **state)
{
    (void)state;
    struct str codes = STR_EMPTY;
    talk(SLICE(HELLO "MAIL FROM:<a@b>\r\nRCPT TO:<both@ours>\r\nRCPT TO:<BOTH@ours>\r\nRCPT TO:<second@ours>\r\nDATA\r\n" MESSAGE), &codes);
    assert_string_equal(str_text(&seen.recipients), "both@ours second@ours second@ours ");
    str_free(&codes);
}

/* One list under many names: an envelope has an end, long before a record between roles has. */
static void lists_do_not_multiply_for_ever(void **state)
{
    (void)state;
    struct str codes = STR_EMPTY, input = STR_EMPTY;
    str_append(&input, HELLO "MAIL FROM:<a@b>\r\n");
    for (int i = 0; i < 100; i++)
        str_printf(&input, "RCPT TO:<list+%d@ours>\r\n", i);
    str_append(&input, "DATA\r\n" MESSAGE);
    talk(str_slice(&input), &codes);
    assert_non_null(strstr(str_text(&codes), "250 250 250 452 "));
    assert_non_null(strstr(str_text(&codes), "452 354 250 "));
    size_t count = 0;
    for (size_t i = 0; i < seen.recipients.len; i++)
        count += seen.recipients.data[i] == ' ';
    assert_int_equal(count % 1000, 0);
    assert_in_range(count, 20000, 90000);
    str_free(&codes);
    str_free(&input);
}

/* Headers that a stranger forges stay below ours, and what must not travel does not. */
static void the_trace_is_ours(void **state)
{
    (void)state;
    struct str codes = STR_EMPTY;
    talk(SLICE("EHLO a(b)\\c\r\n" BEGIN "DATA\r\nReturn-Path: <x>\r\nBcc: y\r\nFrom: z\r\n\r\nx\r\n.\r\n"), &codes);
    assert_non_null(strstr(str_text(&seen.content), "Received: from a?b??c (unknown [192.0.2.1])\n\tby mx.test (Posthorn) with ESMTP id "));
    assert_ptr_equal(strstr(str_text(&seen.content), "Received:"), str_text(&seen.content));
    assert_non_null(strstr(str_text(&seen.content), "\nFrom: z\n\nx\n"));
    assert_null(strstr(str_text(&seen.content), "Return-Path"));
    assert_null(strstr(str_text(&seen.content), "Bcc"));
    str_free(&codes);
}

static void large_message(struct str *input, size_t lines)
{
    str_clear(input);
    str_append(input, HELLO BEGIN "DATA\r\nA: b\r\nBcc: c\r\n\r\n");
    for (size_t i = 0; i < lines; i++)
        str_printf(input, "%078zu\r\n", i);
    str_append(input, ".\r\nQUIT\r\n");
}

static void large_content_goes_to_the_spool(void **state)
{
    (void)state;
    struct str codes = STR_EMPTY, input = STR_EMPTY;
    large_message(&input, 3500);
    talk(str_slice(&input), &codes);
    assert_string_equal(str_text(&codes), "220 250 250 250 354 250 221 ");
    assert_int_equal(seen.spooled, 1);
    assert_int_equal(seen.abandoned, 0);
    const char *body = strstr(str_text(&seen.content), "\nA: b\n\n");
    assert_non_null(body);
    assert_int_equal(strlen(body), 7 + 3500 * 79);
    large_message(&input, 4000);
    talk(str_slice(&input), &codes);
    assert_string_equal(str_text(&codes), "220 250 250 250 354 552 221 ");
    assert_int_equal(seen.submitted, 0);
    assert_int_equal(seen.abandoned, 1);
    str_free(&input);
    str_free(&codes);
}

/* More CRs than the input buffer holds, where an end of data could begin. */
static void carriage_returns_without_end_are_text(void **state)
{
    (void)state;
    static const char *const starts[] = {"", ".", "a", "ab", "abc", "abcd"};
    struct str codes = STR_EMPTY, input = STR_EMPTY;
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        str_clear(&input);
        str_printf(&input, HELLO BEGIN "DATA\r\nA: b\r\n\r\n%s", starts[i]);
        for (int n = 0; n < 40000; n++)
            str_append_char(&input, '\r');
        str_append(&input, "\n.\r\nQUIT\r\n");
        talk(str_slice(&input), &codes);
        assert_string_equal(str_text(&codes), "220 250 250 250 354 250 221 ");
        assert_null(strchr(str_text(&seen.content), '\r'));
    }
    str_free(&input);
    str_free(&codes);
}

/* More headers than memory is given to: what goes to the file in pieces is still one header section. */
static void many_headers_stay_headers(void **state)
{
    (void)state;
    struct str codes = STR_EMPTY, input = STR_EMPTY;
    for (size_t shift = 0; shift < 12; shift++) {
        str_clear(&input);
        str_printf(&input, HELLO BEGIN "DATA\r\nA: %.*s\r\n", (int)shift, "bbbbbbbbbbbb");
        for (size_t i = 0; i < 14000; i++)
            str_append(&input, "Abcdef: xy\r\n");
        str_append(&input, "\r\nbody\r\n.\r\nQUIT\r\n");
        talk(str_slice(&input), &codes);
        assert_string_equal(str_text(&codes), "220 250 250 250 354 250 221 ");
        assert_int_equal(seen.spooled, 1);
        const char *end = strstr(str_text(&seen.content), "\n\n");
        assert_string_equal(end, "\n\nbody\n");
    }
    str_free(&input);
    str_free(&codes);
}

static void a_failing_queue_is_a_4xx(void **state)
{
    (void)state;
    struct str codes = STR_EMPTY, input = STR_EMPTY;
    seen.status = SUBMIT_ERROR;
    talk(SLICE(HELLO BEGIN "DATA\r\n" MESSAGE BEGIN "QUIT\r\n"), &codes);
    assert_string_equal(str_text(&codes), "220 250 250 250 354 451 250 250 221 ");
    seen.status = SUBMIT_NO_SPACE;
    large_message(&input, 3000);
    talk(str_slice(&input), &codes);
    assert_string_equal(str_text(&codes), "220 250 250 250 354 452 221 ");
    assert_int_equal(seen.submitted, 0);
    seen.status = SUBMIT_OK;
    str_free(&input);
    str_free(&codes);
}

static void mistakes_have_an_end(void **state)
{
    (void)state;
    struct str codes = STR_EMPTY, input = STR_EMPTY;
    for (int i = 0; i < 100; i++)
        str_append(&input, "FOO\r\n");
    talk(str_slice(&input), &codes);
    assert_int_equal(codes.len, 4 * (1 + 20 + 1));
    str_clear(&input);
    str_append(&input, HELLO "MAIL FROM:<a@b>\r\n");
    for (int i = 0; i < 300; i++)
        str_append(&input, "RCPT TO:<c@ours>\r\n");
    talk(str_slice(&input), &codes);
    assert_non_null(strstr(str_text(&codes), "250 452 "));
    str_clear(&input);
    str_append(&input, HELLO "NOOP ");
    for (int i = 0; i < 100000; i++)
        str_append_char(&input, 'x');
    str_append(&input, "\r\nNOOP\r\n");
    talk(str_slice(&input), &codes);
    assert_string_equal(str_text(&codes), "220 250 250 250 ");
    str_free(&input);
    str_free(&codes);
}

static int set_up(void **state)
{
    (void)state;
    config = config_new_default();
    static const char *const names[][2] = {
        {"myhostname", "mx.test"}, {"mail_name", "Posthorn"}, {"message_size_limit", "300000"}, {"hopcount_limit", "4"},
        {"smtpd_error_sleep_time", "0"}, {"smtpd_recipient_limit", "100"}, {"smtpd_forbid_unauth_pipelining", "no"},
        {"smtputf8_enable", "no"}, {"smtpd_timeout", "5s"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        config_set(config, names[i][0], names[i][1]);
    arena = arena_new();
    smtp_server_configure(&server, config, arena);
    server.policy = &policy;
    log_open(&(struct log_options){.sink = LOG_TO_FILE, .fd = open("/dev/null", O_WRONLY), .syslog_name = "x", .component = "y"});
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    str_free(&seen.content);
    str_free(&seen.recipients);
    arena_free(arena);
    config_free(config);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dialogues), cmocka_unit_test(aliases_are_delivered_once), cmocka_unit_test(lists_do_not_multiply_for_ever), cmocka_unit_test(the_trace_is_ours),
        cmocka_unit_test(large_content_goes_to_the_spool), cmocka_unit_test(many_headers_stay_headers),
        cmocka_unit_test(carriage_returns_without_end_are_text), cmocka_unit_test(a_failing_queue_is_a_4xx),
        cmocka_unit_test(mistakes_have_an_end),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
