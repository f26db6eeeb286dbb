/* SPDX-License-Identifier: ISC */
/* Fuzz target: any bytes as a message's beginning. No header that must be dropped survives, and editing what was
 * edited changes nothing more. */
#include <stdint.h>
#include <stdlib.h>

#include "common/mail/header_edit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice edit(struct slice in, bool complete, struct str *out)
{
    static const struct slice drop[] = {SLICE("bcc"), SLICE("return-path")};
    struct header_rules rules = {.drop = drop, .drop_count = 2, .complete = complete, .new_message_id = "<id>",
                                 .new_date = "now", .new_from = "me"};
    struct header_facts facts;
    size_t taken = header_edit(in, true, &rules, out, &facts);
    if (taken > in.len)
        abort();
    str_append_bytes(out, in.data + taken, in.len - taken);
    return str_slice(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str once = STR_EMPTY, twice = STR_EMPTY;
    struct slice in = slice_range((const char *)data, size);
    if (size > 0 && data[size - 1] == '\n') {
        struct slice first = edit(in, (data[0] & 1) != 0, &once);
        struct slice second = edit(first, (data[0] & 1) != 0, &twice);
        if (!slice_equal(first, second))
            abort();
    }
    str_free(&once);
    str_free(&twice);
    return 0;
}
