/* SPDX-License-Identifier: ISC */
/* Fuzz target: any bytes as the content of DATA, whole and in pieces. The end is where CRLF . CRLF stands and nowhere else;
 * the text holds no CR, and the cut into windows changes nothing. */
#include <stdint.h>
#include <stdlib.h>

#include "common/smtp/server/data_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where the end of data begins to be behind us; SIZE_MAX: nowhere. */
static size_t find_end(struct slice wire)
{
    if (wire.len >= 3 && memcmp(wire.data, ".\r\n", 3) == 0)
        return 3;
    const char *at = wire.len > 0 ? memmem(wire.data, wire.len, "\r\n.\r\n", 5) : NULL;
    return at != NULL ? (size_t)(at - wire.data) + 5 : SIZE_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice wire = slice_range((const char *)data + (size > 0), size > 0 ? size - 1 : 0);
    struct str whole = STR_EMPTY, pieces = STR_EMPTY;
    struct data_reader reader;
    bool ended = false;
    size_t step = size > 0 ? data[0] % 16 + 1u : 1, arrived = 0, taken = 0;
    data_reader_init(&reader, false);
    size_t at_once = data_reader_feed(&reader, wire, &whole, &ended);
    if (ended != (find_end(wire) != SIZE_MAX) || (ended && at_once != find_end(wire)))
        abort();
    if (memchr(str_text(&whole), '\r', whole.len) != NULL)
        abort();
    data_reader_init(&reader, false);
    for (ended = false; arrived < wire.len && !ended;) {
        arrived = wire.len - arrived > step ? arrived + step : wire.len;
        taken += data_reader_feed(&reader, slice_range(wire.data + taken, arrived - taken), &pieces, &ended);
    }
    if (ended && !slice_equal(str_slice(&whole), str_slice(&pieces)))
        abort();
    data_reader_init(&reader, true);
    str_clear(&whole);
    if (data_reader_feed(&reader, wire, &whole, &ended) != wire.len || ended)
        abort();
    data_reader_finish(&reader, &whole);
    str_free(&whole);
    str_free(&pieces);
    return 0;
}
