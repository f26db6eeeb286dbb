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

/* The same, in pieces as they come from the network. */
static void edit_in_pieces(struct slice in, size_t piece, bool complete, struct str *out)
{
    static const struct slice drop[] = {SLICE("bcc"), SLICE("return-path")};
    struct header_rules rules = {.drop = drop, .drop_count = 2, .complete = complete, .new_message_id = "<id>",
                                 .new_date = "now", .new_from = "me", .forged_results_id = "me"};
    struct header_facts facts = {.message_id = SLICE("")};
    size_t at = 0, end = 0;
    do {
        end = in.len - end > piece ? end + piece : in.len;
        at += header_edit(slice_range(in.data + at, end - at), end == in.len, &rules, out, &facts);
        rules.is_continued = true;
    } while (end < in.len && !facts.ended);
    str_append_slice(out, slice_skip(in, at));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str pieces = STR_EMPTY;
    if (size > 1)
        edit_in_pieces(slice_range((const char *)data, size), (size_t)(data[0] % 16) + 1, (data[1] & 1) != 0, &pieces);
    str_free(&pieces);
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
