/* SPDX-License-Identifier: ISC */
/*
 * transcript: what goes into the postmaster's notice (notify_classes). Called for each line of a dialogue by session.c and
 * reply.c; who writes the notice is the policy. Holds text of a stranger's, bounded, and no secrets of AUTH.
 */
#include "common/smtp/server/transcript.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/smtp/server/policy.h"

#define TRANSCRIPT_LIMIT ((size_t)64 * 1024)
#define RARE_FAULTS ((unsigned)(FAULT_RESOURCE | FAULT_SOFTWARE)) /* nothing is kept beforehand for their sake */

unsigned smtp_fault_classes(const char *list)
{
    static const struct { const char *name; unsigned fault; } classes[] = {
        {"protocol", FAULT_PROTOCOL}, {"policy", FAULT_POLICY}, {"resource", FAULT_RESOURCE},
        {"software", FAULT_SOFTWARE}, {"bounce", FAULT_BOUNCE}, {"data", FAULT_DATA},
    };
    struct slice rest = slice_of(list), word;
    unsigned mask = 0;
    while (slice_next_token(&rest, ", \t\r\n", &word))
        for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
            if (slice_equal_nocase(word, slice_of(classes[i].name)))
                mask |= classes[i].fault;
    return mask;
}

void smtp_session_blame(struct smtp_session *session, enum smtp_fault fault)
{
    if (session->blame == 0)
        session->blame = (uint8_t)fault;
}

static bool is_wanted(const struct smtp_session *session)
{
    unsigned mask = session->server->notify_mask;
    return (mask & ~RARE_FAULTS) != 0 || (mask & session->faults) != 0;
}

static void append(struct smtp_session *session, const char *direction, struct slice text)
{
    struct smtp_transcript *transcript = session->transcript;
    if (transcript == NULL)
        transcript = session->transcript = mem_alloc(sizeof *transcript);
    str_append(&transcript->text, direction);
    str_append_slice(&transcript->text, text);
    str_append_char(&transcript->text, '\n');
    transcript->lines++;
}

static void append_command(struct smtp_session *session, struct slice line)
{
    const char *nul = line.len > 0 ? memchr(line.data, '\0', line.len) : NULL;
    size_t shown = smtp_loggable_length(line), end = nul != NULL ? (size_t)(nul - line.data) : line.len;
    struct str text = STR_EMPTY;
    if (shown > end)
        shown = end;
    str_append_bytes(&text, line.data, shown);
    if (shown < end)
        str_append(&text, " ...");
    if (text.len > 0)
        text_make_printable(text.data, text.len);
    append(session, "In:  ", str_slice(&text));
    str_free(&text);
}

void smtp_transcript_command(struct smtp_session *session, struct slice line)
{
    if (session->server->notify_mask == 0)
        return;
    session->command_line = line;
    if (is_wanted(session))
        append_command(session, line);
}

static void count_fault(struct smtp_session *session, char class)
{
    if (class == '4' || class == '5')
        session->faults |= (uint8_t)((session->blame != 0 ? session->blame : FAULT_PROTOCOL) & ~FAULT_NONE);
    session->blame = 0;
}

void smtp_transcript_reply(struct smtp_session *session, struct slice reply)
{
    count_fault(session, reply.len > 0 ? reply.data[0] : '\0');
    if (!is_wanted(session))
        return;
    if (session->transcript == NULL && session->command_line.len > 0)
        append_command(session, session->command_line);
    while (reply.len > 0) {
        const char *end = memmem(reply.data, reply.len, "\r\n", 2);
        size_t len = end != NULL ? (size_t)(end - reply.data) : reply.len;
        append(session, "Out: ", slice_range(reply.data, len));
        reply = slice_skip(reply, end != NULL ? len + 2 : len);
    }
}

void smtp_transcript_forgive(struct smtp_session *session)
{
    session->faults = 0;
}

void smtp_transcript_flush(struct smtp_session *session, size_t lines)
{
    struct smtp_transcript *transcript = session->transcript;
    if (transcript == NULL || (transcript->lines <= lines && transcript->text.len <= TRANSCRIPT_LIMIT))
        return;
    unsigned faults = session->faults;
    session->transcript = NULL;
    session->faults = 0;
    if ((faults & session->server->notify_mask) != 0 && session->server->policy->notify != NULL)
        session->server->policy->notify(session, str_slice(&transcript->text), faults);
    str_free(&transcript->text);
    free(transcript);
}
