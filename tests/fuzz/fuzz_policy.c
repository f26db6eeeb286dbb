/* SPDX-License-Identifier: ISC */
/* What a hostile policy service says, in pieces; what an admin may write behind check_policy_service; and the records of
 * address verification between roles. */
#include <stdint.h>
#include <stdlib.h>

#include "common/access/policy_reply.h"
#include "common/mail/policy_spec.h"
#include "common/mail/verify_record.h"

static void check(bool good)
{
    if (!good)
        abort();
}

/* What is read is what would be written. */
static void check_records(struct slice input, struct arena *arena)
{
    struct verify_entry entry;
    struct verify_question question;
    enum verify_status status;
    char *text;
    struct str out = STR_EMPTY;
    if (verify_entry_decode(input, arena, &entry) && strlen(entry.text) <= VERIFY_TEXT_LIMIT) {
        verify_entry_encode(&entry, &out);
        check(slice_equal(str_slice(&out), input));
    }
    str_clear(&out);
    if (verify_question_decode(input, arena, &question)) {
        verify_question_encode(&question, &out);
        check(slice_equal(str_slice(&out), input));
    }
    if (verify_answer_decode(input, arena, &status, &text))
        check(status <= VERIFY_UNKNOWN);
    str_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_range((const char *)data, size);
    struct policy_reply reply, half;
    enum policy_reply_status status = policy_reply_parse(input, &reply);
    if (status == POLICY_REPLY_OK) {
        check(reply.length <= size && reply.length <= POLICY_REPLY_LIMIT && reply.length >= 9);
        check(reply.action.data >= input.data && reply.action.data + reply.action.len < input.data + reply.length);
        check(memchr(reply.action.data, '\n', reply.action.len) == NULL && memchr(reply.action.data, '\0', reply.action.len) == NULL);
        check(policy_reply_parse(slice_range(input.data, reply.length - 1), &half) == POLICY_REPLY_PARTIAL);
    }
    if (status == POLICY_REPLY_PARTIAL)
        check(size < POLICY_REPLY_LIMIT);
    struct arena *arena = arena_new();
    struct policy_spec spec = {.timeout = 1, .try_limit = 1, .default_action = "", .context = ""};
    char *text = arena_strndup(arena, (const char *)data, size);
    if (policy_spec_parse(text, arena, &spec) == NULL) {
        check(spec.timeout >= 1 && spec.try_limit >= 1 && spec.endpoint != NULL && spec.label != NULL);
        check(strcmp(policy_spec_endpoint(text, arena), spec.endpoint) == 0);
    }
    check_records(input, arena);
    arena_free(arena);
    return 0;
}
