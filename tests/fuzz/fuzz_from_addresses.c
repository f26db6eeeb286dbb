/* SPDX-License-Identifier: ISC */
/* Any bytes as a message's beginning: the author's addresses are found within bounds. */
#include <stdint.h>
#include <stdlib.h>

#include "common/access/owner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new();
    struct from_addresses from;
    from_addresses_collect(slice_range((const char *)data, size), size % 2 == 0, arena, &from);
    if (from.count > FROM_ADDRESS_LIMIT)
        abort();
    for (size_t i = 0; i < from.count; i++)
        if (strlen(from.list[i].address) > 2 * size) /* words that belong together get a blank between them */
            abort();
    arena_free(arena);
    return 0;
}
