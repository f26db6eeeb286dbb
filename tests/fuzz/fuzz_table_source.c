/* SPDX-License-Identifier: ISC */
/* Fuzz target: any text as a table's source (first byte: which format), as a list and as an SQL table's file. */
#include <stdint.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/table/text_map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void be_quiet(void *context, const char *text)
{
    (void)context;
    (void)text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct text_source source;
    struct text_map *map = text_map_new();
    struct slice key, value, again;
    text_source_open(&source, "fuzz", data[0] & 1 ? SOURCE_ALIASES : SOURCE_MAP,
                     slice_range((const char *)data + 1, size - 1));
    source.warn = be_quiet;
    source.only_utf8 = data[0] & 2;
    text_map_read(map, &source, data[0] & 4, NULL, DUPLICATE_REPLACE);
    text_source_close(&source);
    for (size_t i = 0; text_map_at(map, i, &key, &value); i++)
        if (!text_map_find(map, key, &again) || !slice_equal(value, again))
            abort();
    text_map_free(map);
    return 0;
}
