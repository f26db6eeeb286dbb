/* SPDX-License-Identifier: ISC */
/* The PROXY header in pieces: every beginning of a good one asks for more, no beginning of a bad one is ever believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/service/proxy_header.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define BYTES(text) text, sizeof(text) - 1

static const struct {
    const char *bytes;
    size_t size;
    enum proxy_status status;
    const char *client, *port, *server; /* or the error in `client` */
} cases[] = {
    {BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 25\r\n"), PROXY_OK, "192.0.2.1", "1", "192.0.2.2"},
    {BYTES("PROXY TCP6 2001:DB8:0::1 ::1 65535 25\r\n"), PROXY_OK, "2001:db8::1", "65535", "::1"},
    {BYTES(SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\0\1\0\x19"), PROXY_OK, "192.0.2.1", "1", "192.0.2.2"},
    {BYTES("PROXY UNKNOWN 192.0.2.1\r\n"), PROXY_BAD, "bad or missing protocol type", NULL, NULL},
    {BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 99999\r\n"), PROXY_BAD, "bad or missing server port", NULL, NULL},
    {BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 01 25\r\n"), PROXY_BAD, "bad or missing client port", NULL, NULL},
    {BYTES("PROXY TCP4 192.0.2.1\0 192.0.2.2 1 25\r\n"), PROXY_BAD, "bad or missing client address", NULL, NULL},
    {BYTES("PROXY TCP4 192.0.2.1%lo 192.0.2.2 1 25\r\n"), PROXY_BAD, "bad or missing client address", NULL, NULL},
    {BYTES("EHLO"), PROXY_BAD, "short protocol header", NULL, NULL},
    {BYTES("EHLO client.example.com\r\n"), PROXY_BAD, "unrecognized protocol header", NULL, NULL},
    {BYTES(SIGNATURE "\x21\x11\xff\xff"), PROXY_BAD, "short version 2 protocol header", NULL, NULL},
    {BYTES(SIGNATURE "\x31\x11\0\0"), PROXY_BAD, "unrecognized protocol version", NULL, NULL},
};

static void test_headers(void **state)
{
    struct proxy_header header;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum proxy_status status = proxy_header_parse(slice_range(cases[i].bytes, cases[i].size), true, true, &header);
        if (status != cases[i].status)
            fail_msg("case %zu: status %d", i, (int)status);
        if (status != PROXY_OK) {
            assert_string_equal(header.error, cases[i].client);
            continue;
        }
        assert_string_equal(header.client_address, cases[i].client);
        assert_string_equal(header.client_port, cases[i].port);
        assert_string_equal(header.server_address, cases[i].server);
        assert_int_equal(header.size, cases[i].size);
    }
}

static void test_pieces(void **state)
{
    struct proxy_header header;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t size = 0; size < cases[i].size; size++) {
            enum proxy_status status = proxy_header_parse(slice_range(cases[i].bytes, size), true, true, &header);
            if (cases[i].status == PROXY_OK ? status != PROXY_MORE : status == PROXY_OK)
                fail_msg("case %zu, %zu bytes: status %d", i, size, (int)status);
        }
}

static void test_endless_line(void **state)
{
    struct proxy_header header;
    char line[200] = "PROXY TCP4 ";
    (void)state;
    memset(line + 11, '1', sizeof line - 11);
    assert_int_equal(proxy_header_parse(slice_range(line, 100), true, true, &header), PROXY_MORE);
    assert_int_equal(proxy_header_parse(slice_range(line, sizeof line), true, true, &header), PROXY_BAD);
}

static void test_families(void **state)
{
    struct proxy_header header;
    (void)state;
    assert_int_equal(proxy_header_parse(slice_range(cases[0].bytes, cases[0].size), false, true, &header), PROXY_BAD);
    assert_int_equal(proxy_header_parse(slice_range(cases[1].bytes, cases[1].size), true, false, &header), PROXY_BAD);
    assert_int_equal(proxy_header_parse(slice_range(cases[2].bytes, cases[2].size), false, true, &header), PROXY_BAD);
    assert_string_equal(header.error, "Postfix IPv4 support is disabled");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_endless_line),
        cmocka_unit_test(test_families),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
