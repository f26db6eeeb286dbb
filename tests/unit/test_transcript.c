/* SPDX-License-Identifier: ISC */
/* The postmaster's notice: how a stranger's lines are folded, and that none of them can be taken for ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/service/transcript.h"

#define TEN "1234567890"
#define SEVENTY TEN TEN TEN TEN TEN TEN TEN

static const struct {
    const char *transcript, *reason;
    const char *expected; /* between the two lines that are always there */
} cases[] = {
    {"In:  QUIT\nOut: 221 2.0.0 Bye\n", NULL, " In:  QUIT\n Out: 221 2.0.0 Bye\n\n"},
    {"In:  FOO\n", "timeout", " In:  FOO\n\nSession aborted, reason: timeout\n"},
    {"", NULL, "\n"},
    {"In:\n\n.\nFrom: x\n", NULL, " In:\n \n .\n From: x\n\n"},
    {"In:  " SEVENTY " ab\n", NULL, " In:  " SEVENTY " ab\n\n"},
    {"In:  " SEVENTY " abc\n", NULL, " In:  " SEVENTY "\n     abc\n\n"},
    {"In:  " SEVENTY TEN " x\n", NULL, " In:\n     " SEVENTY TEN "\n     x\n\n"},
    {"In:  " SEVENTY "   abc   \n", NULL, " In:  " SEVENTY "\n     abc\n\n"},
    {"no line end", NULL, " no line end\n\n"},
};

static void test_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct transcript_notice notice = {.queue_id = "A1", .my_hostname = "mail.test", .mail_name = "Postfix", .to = "boss@mail.test",
                                           .client = "unknown[192.0.2.1]", .end_reason = cases[i].reason,
                                           .transcript = slice_of(cases[i].transcript)};
        struct str text = STR_EMPTY, expected = STR_EMPTY;
        transcript_notice_format(&notice, &text);
        str_printf(&expected, "\n\nTranscript of session follows.\n\n%s\nFor other details, see the local mail logfile\n", cases[i].expected);
        const char *body = strstr(str_text(&text), "\n\n");
        assert_non_null(body);
        assert_string_equal(body, str_text(&expected));
        assert_non_null(strstr(str_text(&text), "\nTo: Postmaster <boss@mail.test>\n"
                                                "Subject: Postfix SMTP server: errors from unknown[192.0.2.1]\n"));
        str_free(&text);
        str_free(&expected);
    }
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
