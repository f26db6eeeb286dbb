/* SPDX-License-Identifier: ISC */
/* Fuzz target: any bytes as NOTIFY, RET, ENVID, ORCPT. What is taken holds no NUL. */
#include <stdint.h>
#include <stdlib.h>

#include "common/mail/dsn_parameter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice value = slice_range((const char *)data, size);
    struct str out = STR_EMPTY;
    uint8_t number;
    if (dsn_parse_envelope_id(value, &out) && (out.len == 0 || memchr(out.data, '\0', out.len) != NULL))
        abort();
    if (dsn_parse_original(value, &out) && memchr(str_text(&out), '\0', out.len) != NULL)
        abort();
    if (dsn_parse_notify(value, &number) && (number == 0 || number > 15))
        abort();
    if (dsn_parse_return(value, &number) && (number == 0 || number > 2))
        abort();
    str_free(&out);
    return 0;
}
