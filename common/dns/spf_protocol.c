/* SPDX-License-Identifier: ISC */
/* spf_protocol: encoding of SPF checks. Pure; fuzzed. */
#include "common/dns/spf_protocol.h"

const char *spf_result_name(uint8_t result)
{
    static const char *const names[SPF_RESULTS] = {"unchecked", "none", "neutral", "pass", "fail", "softfail",
                                                        "temperror", "permerror"};
    return result < SPF_RESULTS ? names[result] : "?";
}

void spf_question_encode(const struct spf_question *question, struct str *out)
{
    ipc_put_text(out, question->address);
    ipc_put_text(out, question->helo);
    ipc_put_text(out, question->sender);
    ipc_put_text(out, question->receiver);
    ipc_put_u8(out, question->identities);
}

static const char *get_text(struct ipc_reader *reader, struct arena *arena)
{
    const char *text = ipc_get_text(reader, arena);
    if (strlen(text) > SPF_MAX_TEXT)
        reader->failed = true;
    return text;
}

bool spf_question_decode(struct slice body, struct arena *arena, struct spf_question *question)
{
    struct ipc_reader reader = ipc_reader_of(body);
    question->address = get_text(&reader, arena);
    question->helo = get_text(&reader, arena);
    question->sender = get_text(&reader, arena);
    question->receiver = get_text(&reader, arena);
    question->identities = ipc_get_u8(&reader);
    return ipc_reader_finish(&reader) && question->identities <= (SPF_HELO | SPF_MAIL_FROM);
}

static void put_verdict(const struct spf_verdict *verdict, struct str *out)
{
    ipc_put_u8(out, verdict->result);
    ipc_put_text(out, verdict->domain);
    ipc_put_text(out, verdict->problem);
    ipc_put_text(out, verdict->explanation);
}

static bool get_verdict(struct ipc_reader *reader, struct arena *arena, struct spf_verdict *verdict)
{
    verdict->result = ipc_get_u8(reader);
    verdict->domain = ipc_get_text(reader, arena);
    verdict->problem = ipc_get_text(reader, arena);
    verdict->explanation = ipc_get_text(reader, arena);
    return verdict->result < SPF_RESULTS && strlen(verdict->explanation) <= SPF_MAX_EXPLANATION &&
           strlen(verdict->domain) <= SPF_MAX_TEXT;
}

void spf_answer_encode(const struct spf_answer *answer, struct str *out)
{
    put_verdict(&answer->helo, out);
    put_verdict(&answer->mail_from, out);
}

bool spf_answer_decode(struct slice body, struct arena *arena, struct spf_answer *answer)
{
    struct ipc_reader reader = ipc_reader_of(body);
    return get_verdict(&reader, arena, &answer->helo) && get_verdict(&reader, arena, &answer->mail_from) &&
           ipc_reader_finish(&reader);
}
