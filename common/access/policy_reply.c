/* SPDX-License-Identifier: ISC */
/* policy_reply: reads what a policy service answered so far. Called again with more until it is complete. Pure. */
#include "common/access/policy_reply.h"

/* One line's part in the answer. */
static enum policy_reply_status take_line(struct slice line, struct policy_reply *reply)
{
    static const struct slice action = {"action", 6};
    const char *equals = memchr(line.data, '=', line.len);
    struct slice name = equals != NULL ? slice_range(line.data, (size_t)(equals - line.data)) : line;
    if (memchr(line.data, '\0', line.len) != NULL)
        return POLICY_REPLY_BAD;
    if (!slice_equal(name, action) || reply->action.data != NULL)
        return POLICY_REPLY_OK;
    if (equals == NULL)
        return POLICY_REPLY_NO_VALUE;
    reply->action = slice_skip(line, name.len + 1);
    return POLICY_REPLY_OK;
}

enum policy_reply_status policy_reply_parse(struct slice input, struct policy_reply *reply)
{
    *reply = (struct policy_reply){.action = {NULL, 0}};
    struct slice rest = slice_range(input.data, input.len < POLICY_REPLY_LIMIT ? input.len : POLICY_REPLY_LIMIT);
    while (rest.len > 0) {
        const char *end = memchr(rest.data, '\n', rest.len);
        if (end == NULL)
            break;
        struct slice line = slice_range(rest.data, (size_t)(end - rest.data));
        rest = slice_skip(rest, line.len + 1);
        if (line.len == 0) {
            reply->length = (size_t)(rest.data - input.data);
            return reply->action.data != NULL ? POLICY_REPLY_OK : POLICY_REPLY_NO_ACTION;
        }
        enum policy_reply_status status = take_line(line, reply);
        if (status != POLICY_REPLY_OK)
            return status;
    }
    reply->inside_value = rest.len > 0 && memchr(rest.data, '=', rest.len) != NULL;
    return input.len >= POLICY_REPLY_LIMIT ? POLICY_REPLY_TOO_LONG : POLICY_REPLY_PARTIAL;
}
