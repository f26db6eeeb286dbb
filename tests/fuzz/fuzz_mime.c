/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: any bytes as a message, read at once and in pieces. Both ways give the same, no byte of a body is lost,
 * and what the reader keeps stays bounded. Actions of content checks are read from the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/cleanup/check_action.h"
#include "common/cleanup/mime_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mime_rules rules = {.header_limit = 200, .boundary_limit = 10, .nesting_limit = 3, .line_limit = 64,
                                        .reports = 15};

static void read_message(struct slice text, size_t step, struct str *out)
{
    struct mime_state state;
    struct mime_item item;
    size_t at = 0, end = 0;
    mime_init(&state, &rules);
    while (at < text.len) {
        end = text.len - end > step ? end + step : text.len;
        struct slice rest = slice_range(text.data + at, end - at);
        while (mime_next(&state, &rest, end == text.len, &item)) {
            if (item.text.len > rules.header_limit + rules.line_limit || state.depth > rules.nesting_limit + 2)
                abort();
            str_printf(out, "%d %u %d %u ", item.part, item.errors, item.ends_line, item.class);
            str_append_slice(out, item.text);
            str_append_char(out, '\n');
        }
        if (end == text.len && rest.len > 0)
            abort();
        at = end - rest.len;
    }
    mime_free(&state);
}

static void read_action(struct slice text)
{
    struct check_action action;
    struct str complaint = STR_EMPTY, reason = STR_EMPTY;
    bool is_deferral;
    char *value = mem_strndup(text.data, text.len);
    check_action_parse(value, "header_checks", text.len % 2 == 0, &action, &complaint);
    check_reject_reason(action.text, &reason, &is_deferral, &complaint);
    if (reason.len < 5 || (reason.data[0] != '4' && reason.data[0] != '5'))
        abort();
    str_free(&complaint);
    str_free(&reason);
    free(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_range((const char *)data, size);
    struct str once = STR_EMPTY, pieces = STR_EMPTY;
    if (size == 0)
        return 0;
    read_message(text, size, &once);
    read_message(text, data[0] % 37 + 1, &pieces);
    if (!slice_equal(str_slice(&once), str_slice(&pieces)))
        abort();
    str_free(&once);
    str_free(&pieces);
    read_action(text);
    return 0;
}
