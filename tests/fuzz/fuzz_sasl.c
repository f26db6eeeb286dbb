/* SPDX-License-Identifier: ISC */
/* Logging in: a client's response, Dovecot's line, the records between service and auth, Cyrus' file. The first byte chooses. */
#include <stdint.h>
#include <stdlib.h>

#include "auth/cyrus.h"
#include "auth/dovecot_line.h"
#include "common/sasl/sasl_mechanism.h"

static const char *const mechanisms[] = {"PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-256", "XOAUTH2",
                                         "OAUTHBEARER", "x"};

/* No more than was said. */
static void fuzz_response(struct slice text, unsigned choice)
{
    struct str decoded = STR_EMPTY, login = STR_EMPTY, encoded = STR_EMPTY;
    if (base64_decode(text, &decoded)) {
        sasl_login_name(slice_of(mechanisms[choice % 8]), 0, str_slice(&decoded), &login);
        if (login.len > decoded.len)
            abort();
        base64_encode(str_slice(&decoded), &encoded);
        if (encoded.len != text.len)
            abort();
    }
    str_free(&decoded);
    str_free(&login);
    str_free(&encoded);
}

static void fuzz_line(struct slice text, struct arena *arena)
{
    struct dovecot_line line;
    if (!dovecot_line_parse(text, arena, &line))
        return;
    if (memchr(line.challenge, '\n', strlen(line.challenge)) != NULL || line.user == NULL || line.reason == NULL)
        abort();
}

static void fuzz_records(struct slice body, struct arena *arena)
{
    struct sasl_answer answer;
    struct sasl_client client;
    struct str out = STR_EMPTY;
    struct ipc_reader reader = ipc_reader_of(body);
    sasl_client_get(&reader, arena, &client);
    if (ipc_reader_finish(&reader)) {
        sasl_client_encode(&client, &out);
        if (!slice_equal(str_slice(&out), body))
            abort();
    }
    str_clear(&out);
    if (sasl_answer_decode(body, arena, &answer)) {
        sasl_answer_encode(&answer, &out);
        if (!slice_equal(str_slice(&out), body))
            abort();
    }
    str_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct arena *arena = arena_new();
    struct slice text = {(const char *)data + 1, size - 1};
    switch (data[0] % 16) {
    case 0: fuzz_line(text, arena); break;
    case 1: fuzz_records(text, arena); break;
    case 2: (void)cyrus_config_find(text, "sasldb_path"); break;
    default: fuzz_response(text, data[0] % 16); break;
    }
    arena_free(arena);
    return 0;
}
