/* SPDX-License-Identifier: ISC */
/*
 * content_checks: shows a message to header_checks, mime_header_checks, nested_header_checks and body_checks. Called by the SMTP
 * library with as much of it as is in memory. All its lines are asked about in one question; answers are taken in order,
 * so that what one line decides counts for those behind it. A table that fails is a 451, never a pass.
 */
#include "common/service/cleanup.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/cleanup/header_class.h"

#define MOST_ITEMS 2048 /* in memory at once */
#define NOT_ASKED UINT32_MAX

struct check_item {
    struct mime_item item;
    enum check_kind kind;
    uint32_t asked; /* its number in the question, or NOT_ASKED */
};

struct batch {
    struct smtp_session *session;
    struct content_checker *checker;
    struct arena *arena; /* until the batch is done */
    struct check_item *items;
    size_t count, room;
    uint32_t asked;
    struct check_answer answer;
    size_t hit; /* the next one */
    struct str *out;
};

static struct content_checker *checker_of(const struct smtp_session *session)
{
    return session->checker;
}

void cleanup_begin_content(struct smtp_session *session)
{
    if (!cleanup.checks_content)
        return;
    struct content_checker *checker = arena_alloc(session->arena, sizeof *checker);
    checker->arena = session->arena;
    mime_init(&checker->mime, &cleanup.mime);
    session->checker = checker;
}

void cleanup_end_checks(struct smtp_session *session)
{
    mime_free(&checker_of(session)->mime);
}

/* --- the question -------------------------------------------------------------------------- */

static enum check_kind kind_of(const struct mime_item *item)
{
    if (item->part == MIME_BODY)
        return CHECK_BODY;
    if ((item->class & HEADER_MIME) != 0 || item->part == MIME_MULTIPART)
        return CHECK_MIME_HEADER;
    return item->part == MIME_NESTED ? CHECK_NESTED_HEADER : CHECK_HEADER;
}

static bool is_asked_about(const struct batch *batch, const struct check_item *one)
{
    if (batch->checker->is_over || one->item.text.len == 0 || *cleanup.checks[one->kind].maps == '\0')
        return false;
    return one->kind != CHECK_BODY || cleanup.body_limit == 0 || one->item.offset < cleanup.body_limit;
}

static void collect(struct batch *batch, struct slice *rest, bool is_all)
{
    struct mime_item item;
    batch->count = 0;
    batch->asked = 0;
    while (batch->count < MOST_ITEMS && mime_next(&batch->checker->mime, rest, is_all, &item)) {
        if (batch->count == batch->room) {
            batch->room = batch->room == 0 ? 64 : batch->room * 2;
            batch->items = mem_realloc_array(batch->items, batch->room, sizeof *batch->items);
        }
        /* What the parser has changed it keeps only until its next step. */
        if (item.text.data == batch->checker->mime.normal.data)
            item.text = slice_range(arena_slice(batch->arena, item.text), item.text.len);
        struct check_item *one = &batch->items[batch->count++];
        *one = (struct check_item){.item = item, .kind = kind_of(&item), .asked = NOT_ASKED};
        if (is_asked_about(batch, one))
            one->asked = batch->asked++;
    }
}

static bool ask(struct batch *batch)
{
    struct str question = STR_EMPTY;
    batch->answer = (struct check_answer){.count = 0};
    batch->hit = 0;
    if (batch->asked == 0)
        return true;
    check_question_begin(cleanup.checks, CHECK_KINDS, &question);
    check_question_count(batch->asked, &question);
    for (size_t i = 0; i < batch->count; i++)
        if (batch->items[i].asked != NOT_ASKED)
            check_question_line((uint8_t)batch->items[i].kind, batch->items[i].item.text, &question);
    return lookup_check(&question, batch->arena, &batch->answer);
}

/* --- the answer ------------------------------------------------------------------------------ */

/* What the tables said of this item; NULL: nothing. */
static const char *value_for(struct batch *batch, const struct check_item *one)
{
    const struct check_answer *answer = &batch->answer;
    if (one->asked == NOT_ASKED || batch->checker->is_over)
        return NULL;
    while (batch->hit < answer->count && answer->hits[batch->hit].line < one->asked)
        batch->hit++;
    if (batch->hit < answer->count && answer->hits[batch->hit].line == one->asked)
        return answer->hits[batch->hit].value;
    return NULL;
}

static bool has_failed(const struct batch *batch, const struct check_item *one)
{
    return batch->answer.failed && one->asked == batch->answer.failed_line && !batch->checker->is_over;
}

void cleanup_append_header(struct slice text, struct str *out)
{
    while (text.len > 0) {
        const char *end = memchr(text.data, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.data) + 1 : text.len;
        str_append_bytes(out, text.data, len);
        text = slice_skip(text, len);
        if (text.len > 0 && text.data[0] != ' ' && text.data[0] != '\t')
            str_append_char(out, '\t');
    }
    str_append_char(out, '\n');
}

static void log_message_id(struct smtp_session *session, struct slice header)
{
    unsigned class = header_class_find(slice_range(header.data, header_name_length(header)));
    if ((class & (HEADER_MESSAGE_ID | HEADER_RESENT_MESSAGE_ID)) == 0)
        return;
    const char *colon = memchr(header.data, ':', header.len);
    struct slice value = slice_skip(header, (size_t)(colon - header.data) + 1);
    while (value.len > 0 && text_is_space(value.data[0]))
        value = slice_skip(value, 1);
    log_info_as("cleanup", "%s: %smessage-id=%.*s", session->queue_id,
                (class & HEADER_RESENT_MESSAGE_ID) != 0 ? "resent-" : "", SLICE_ARGS(value));
}

static void store(struct batch *batch, const struct check_item *one, struct slice text)
{
    if (one->item.part == MIME_BODY) {
        str_append_slice(batch->out, text);
        if (one->item.ends_line)
            str_append_char(batch->out, '\n');
        return;
    }
    if (one->item.part == MIME_PRIMARY)
        log_message_id(batch->session, text);
    cleanup_append_header(text, batch->out);
}

static void drop(struct batch *batch, const struct check_item *one)
{
    if ((one->item.class & HEADER_RECEIVED) != 0 && one->item.part == MIME_PRIMARY)
        batch->session->content->dropped_hops++;
}

/* CONTENT_OK: go on. */
static enum content_status take(struct batch *batch, const struct check_item *one)
{
    struct slice replacement = {NULL, 0};
    if (one->item.errors != 0) {
        batch->checker->mime_errors |= one->item.errors;
        cleanup_log_mime_error(batch->session, &one->item);
    }
    if (has_failed(batch, one)) {
        log_warning_as("cleanup", "%s: %s map lookup problem -- message not accepted, try again later",
                       batch->session->queue_id, cleanup.checks[one->kind].parameter);
        return CONTENT_ERROR;
    }
    const char *value = value_for(batch, one);
    enum check_result result = value == NULL ? CHECK_KEEP :
        cleanup_act(batch->session, one->kind, one->item.text, value, batch->out, &replacement);
    if (result == CHECK_REFUSE)
        return CONTENT_REFUSED;
    if (result == CHECK_DROP)
        drop(batch, one);
    else
        store(batch, one, replacement.data != NULL ? replacement : one->item.text);
    return CONTENT_OK;
}

static enum content_status run_batch(struct batch *batch)
{
    enum content_status status = CONTENT_OK;
    if (!ask(batch)) {
        log_warning_as("cleanup", "%s: %s map lookup problem -- message not accepted, try again later",
                       batch->session->queue_id, cleanup.checks[batch->items[0].kind].parameter);
        return CONTENT_ERROR;
    }
    for (size_t i = 0; i < batch->count && status == CONTENT_OK; i++)
        status = take(batch, &batch->items[i]);
    return status;
}

int cleanup_check_content(struct smtp_session *session, struct slice text, bool is_all, size_t *taken, struct str *out)
{
    struct content_checker *checker = checker_of(session);
    struct batch batch = {.session = session, .checker = checker, .arena = arena_new(), .out = out};
    enum content_status status = CONTENT_OK;
    struct slice rest = text;
    str_reserve(out, text.len);
    do {
        collect(&batch, &rest, is_all);
        status = run_batch(&batch);
        arena_reset(batch.arena);
    } while (status == CONTENT_OK && batch.count == MOST_ITEMS);
    *taken = text.len - rest.len;
    if (status == CONTENT_OK && is_all && checker->mime_errors != 0) {
        checker->reply = arena_printf(checker->arena, "550 %s", mime_error_text(checker->mime_errors));
        status = CONTENT_REFUSED;
    }
    session->content->refusal = checker->reply;
    free(batch.items);
    arena_free(batch.arena);
    return (int)status;
}
