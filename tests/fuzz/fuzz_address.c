/* SPDX-License-Identifier: ISC */
/* Fuzz target: any bytes as the path of MAIL or RCPT. What is taken survives quoting and parsing again, and holds
 * nothing that could end a line. */
#include <stdint.h>
#include <stdlib.h>

#include "common/mail/address_parse.h"
#include "common/mail/quote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str address = STR_EMPTY, quoted = STR_EMPTY, again = STR_EMPTY;
    unsigned flags = size > 0 ? data[0] & 7u : 0;
    if (size > 0 && address_parse_path(slice_range((const char *)data + 1, size - 1), flags, &address) == ADDRESS_PARSED) {
        struct slice text = str_slice(&address);
        for (size_t i = 0; i < text.len; i++)
            if (text.data[i] == '\0' || text.data[i] == '\n' || text.data[i] == '\r')
                abort();
        str_append_char(&quoted, '<');
        quote_append_address(&quoted, str_text(&address));
        str_append_char(&quoted, '>');
        if (address_parse_path(str_slice(&quoted), flags, &again) != ADDRESS_PARSED || !slice_equal(str_slice(&again), text))
            abort();
    }
    str_free(&address);
    str_free(&quoted);
    str_free(&again);
    return 0;
}
