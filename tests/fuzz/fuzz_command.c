/* SPDX-License-Identifier: ISC */
/* Fuzz target: any bytes as a command line. Tokens are pieces of the line, in order, and bounded in number. */
#include <stdint.h>
#include <stdlib.h>

#include "common/smtp/server/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice line = slice_range((const char *)data, size), rest = line;
    struct arena *arena = arena_new();
    struct smtp_command command;
    smtp_command_parse(line, arena, &command);
    for (size_t i = 0; i < command.count; i++) {
        while (rest.len > 0 && text_is_space(rest.data[0]))
            rest = slice_skip(rest, 1);
        struct slice token = smtp_token_slice(&command.tokens[i]);
        if (token.len == 0 || token.len > rest.len || memcmp(token.data, rest.data, token.len) != 0)
            abort();
        rest = slice_skip(rest, token.len);
    }
    if (text_is_utf8(line) && size > 0 && data[size - 1] >= 0xc0)
        abort();
    arena_free(arena);
    return 0;
}
