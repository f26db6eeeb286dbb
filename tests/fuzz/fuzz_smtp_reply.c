/* SPDX-License-Identifier: ISC */
/* What a hostile server says: replies, capabilities, status codes. */
#include <stdint.h>
#include <stdlib.h>

#include "common/smtp/client/capabilities.h"
#include "common/smtp/client/reply.h"

static void check(bool good)
{
    if (!good)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_range((const char *)data, size);
    struct smtp_reply reply = {0};
    struct smtp_capabilities can;
    struct arena *arena = arena_new();
    while (rest.len > 0) {
        const char *end = memchr(rest.data, '\n', rest.len);
        struct slice line = slice_range(rest.data, end != NULL ? (size_t)(end - rest.data) : rest.len);
        rest = slice_skip(rest, end != NULL ? line.len + 1 : line.len);
        enum smtp_reply_status status = smtp_reply_add_line(&reply, line);
        check(reply.text.len <= 2 * SMTP_REPLY_TEXT_MAX + 1);
        check(reply.lines <= SMTP_REPLY_LINES_MAX + 1);
        if (status == SMTP_REPLY_MORE)
            continue;
        if (status == SMTP_REPLY_DONE) {
            check(reply.code >= 200 && reply.code <= 599);
            check(reply.dsn[0] == '0' + smtp_reply_class(&reply));
            check(smtp_dsn_length(slice_of(reply.dsn)) == strlen(reply.dsn) || reply.dsn[0] == '3');
            check(strchr(smtp_reply_one_line(&reply, arena), '\n') == NULL);
            smtp_capabilities_parse(str_slice(&reply.text), 0, &can);
        }
        smtp_reply_reset(&reply);
    }
    smtp_capabilities_parse(slice_range((const char *)data, size), SMTP_CAN_SIZE, &can);
    check((can.flags & SMTP_CAN_SIZE) == 0 && can.size_limit == 0);
    smtp_reply_free(&reply);
    arena_free(arena);
    return 0;
}
