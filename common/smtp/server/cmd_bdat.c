/* SPDX-License-Identifier: ISC */
/*
 * BDAT (RFC 3030): the message in counted chunks. A chunk is always read to its end, wanted or not, so that
 * message bytes are never taken for commands; after a failed chunk all others are swallowed until LAST.
 */
#include <stdlib.h>

#include "common/base/log.h"
#include "common/smtp/server/content.h"
#include "common/smtp/server/transcript.h"

struct chunk {
    uint64_t size;
    bool is_last;
};

static bool parse_chunk(const struct smtp_command *command, struct chunk *chunk)
{
    if (command->count < 2 || command->count > 3)
        return false;
    chunk->is_last = command->count == 3;
    if (chunk->is_last && !smtp_token_is(&command->tokens[2], "LAST"))
        return false;
    return slice_to_u64(smtp_token_slice(&command->tokens[1]), &chunk->size) && chunk->size <= INT64_MAX;
}

/* Reads and forgets the chunk, then refuses it. */
static bool refuse_chunk(struct smtp_session *session, const struct chunk *chunk, const char *refusal)
{
    uint64_t left = chunk->size;
    bool in_transaction = (session->flags & SESSION_IN_TRANSACTION) != 0;
    session->bdat = BDAT_FAILED;
    while (left > 0) {
        struct slice window = stream_buffered(&session->stream);
        if (window.len == 0) {
            if (!smtp_session_fill(session, chunk->size - left))
                return false;
            continue;
        }
        size_t count = window.len < left ? window.len : (size_t)left;
        stream_consume(&session->stream, count);
        left -= count;
    }
    if (chunk->is_last) {
        session->bdat = BDAT_NONE;
        if (in_transaction)
            smtp_session_reset(session);
    }
    smtp_reply_text(session, refusal);
    return false;
}

static const char *check_chunk(struct smtp_session *session, const struct chunk *chunk)
{
    uint64_t limit = session->server->message_size_limit;
    if (chunk->size == 0 && !chunk->is_last) { /* a stranger could send these for ever */
        log_warning("%s: null BDAT request from %s", smtp_session_id(session), session->client);
        smtp_session_blame(session, FAULT_NONE);
        return "551 5.7.1 Null BDAT request";
    }
    if (session->bdat == BDAT_FAILED) {
        smtp_session_blame(session, FAULT_NONE); /* the earlier one counted */
        return arena_printf(session->scratch, "551 5.0.0 Discarded %llu bytes after earlier error",
                            (unsigned long long)chunk->size);
    }
    if (session->accepted_count == 0)
        return smtp_content_unwanted(session);
    uint64_t so_far = session->content != NULL ? session->content->wire_bytes : 0;
    if (limit > 0 && (chunk->size > limit || so_far > limit - chunk->size)) {
        log_warning("%s: BDAT request from %s exceeds message size limit", smtp_session_id(session), session->client);
        smtp_session_blame(session, FAULT_POLICY);
        return "552 5.3.4 Chunk exceeds message size limit";
    }
    if (session->bdat != BDAT_NONE)
        return NULL;
    const char *refusal = session->server->policy->on_data(session);
    return refusal == NULL && session->filter != NULL ?
           session->server->policy->filter_command(session, SLICE("DATA"), '3') : refusal;
}

/* False: the connection is gone. */
static bool receive(struct smtp_session *session, const struct chunk *chunk)
{
    uint64_t left = chunk->size;
    size_t taken;
    while (left > 0) {
        struct slice window = stream_buffered(&session->stream);
        if (window.len == 0) {
            if (!smtp_session_fill(session, session->content->wire_bytes))
                return false;
            continue;
        }
        if (window.len > left)
            window.len = (size_t)left;
        content_feed(session, window, &taken);
        stream_consume(&session->stream, taken);
        session->content->wire_bytes += taken;
        left -= taken;
    }
    return true;
}

static bool finish(struct smtp_session *session, const char *where)
{
    session->where = where;
    data_reader_finish(&session->content->reader, &session->content->text);
    unsigned long long size = session->content->reader.wire_bytes;
    const char *refusal = smtp_content_finish(session);
    if (refusal == NULL)
        smtp_content_accepted(session, arena_printf(session->scratch, "%llu bytes queued as %s", size, session->queue_id));
    else
        smtp_reply_text(session, refusal);
    session->bdat = BDAT_NONE;
    smtp_session_reset(session);
    return refusal == NULL;
}

bool smtp_cmd_bdat(struct smtp_session *session, const struct smtp_command *command)
{
    struct chunk chunk = {0};
    if ((session->ehlo_mask & EHLO_CHUNKING) != 0)
        return smtp_refuse(session, "521 5.5.1 Error: command not implemented");
    if (!parse_chunk(command, &chunk)) { /* where the chunk ends nobody knows: the session ends with 521 */
        log_warning("%s: malformed BDAT command syntax from %s: %.*s", smtp_session_id(session), session->client,
                    command->line.len > 100 ? 100 : (int)command->line.len, command->line.data);
        return smtp_refuse(session, "521 5.5.4 Syntax: BDAT count [LAST]");
    }
    const char *refusal = check_chunk(session, &chunk);
    if (refusal != NULL)
        return refuse_chunk(session, &chunk, refusal);
    if (session->content == NULL)
        content_begin(session, true);
    session->bdat = BDAT_RECEIVING;
    if (!receive(session, &chunk))
        return false;
    if (chunk.is_last)
        return finish(session, "END-OF-MESSAGE");
    if (smtp_content_has_failed(session)) { /* said now; what is pipelined behind it is swallowed */
        bool is_stored = finish(session, "BDAT content");
        session->bdat = BDAT_FAILED;
        return is_stored;
    }
    smtp_reply(session, "250 2.0.0 Ok: %llu bytes", (unsigned long long)chunk.size);
    return true;
}
