/* SPDX-License-Identifier: ISC */
/* cyrus_config: one option of a Cyrus SASL configuration file. Called while auth starts, to see what workers need. Pure. */
#include <string.h>

#include "auth/cyrus.h"

struct slice cyrus_config_find(struct slice file, const char *name)
{
    struct slice rest = file, line;
    while (slice_next_token(&rest, "\r\n", &line)) {
        line = slice_trim(line);
        const char *colon = line.len > 0 && line.data[0] != '#' ? memchr(line.data, ':', line.len) : NULL;
        if (colon == NULL)
            continue;
        struct slice key = slice_trim(slice_range(line.data, (size_t)(colon - line.data)));
        if (slice_equal_nocase(key, slice_of(name)))
            return slice_trim(slice_skip(line, (size_t)(colon - line.data) + 1));
    }
    return slice_range(NULL, 0);
}
