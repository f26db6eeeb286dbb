/* SPDX-License-Identifier: ISC */
/* Fuzz target: any bytes as an address list. What was rewritten once is a list, too, and cannot become other headers. */
#include <stdint.h>
#include <stdlib.h>

#include "common/cleanup/header_addresses.h"
#include "common/mail/address_rewrite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct rewrite_rules rules = {.origin = "o.example", .domain = "d.example", .append_at_origin = true,
                                        .append_dot_domain = true, .percent_hack = true, .swap_bangpath = true};
    struct arena *arena = arena_new();
    struct header_addresses addresses;
    struct str out = STR_EMPTY, stripped = STR_EMPTY;
    struct slice value = slice_range((const char *)data, size);
    (void)header_addresses_are_full(value);
    header_addresses_parse(value, 200, arena, &addresses);
    for (size_t i = 0; i < addresses.count; i++)
        rewrite_tokens(&rules, &addresses.list[i]->tokens);
    header_addresses_format(&addresses, SLICE("To"), &out, &stripped);
    for (size_t i = 0; i + 1 < out.len; i++)
        if (out.data[i] == '\n' && out.data[i + 1] != '\t' && out.data[i + 1] != ' ')
            abort();
    str_free(&out);
    str_free(&stripped);
    arena_free(arena);
    return 0;
}
