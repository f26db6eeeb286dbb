/* SPDX-License-Identifier: ISC */
/*
 * filtered_content: a message on its way to the filter that stands before the queue (smtpd_proxy_filter). Called by DATA and
 * BDAT. Nothing of it is edited but what Postfix adds: prepended headers and Received, which has no queue id yet. What the
 * filter says at the end is our reply; when it fails, the rest is still read, and the client keeps its message.
 */
#include "common/base/log.h"
#include "common/mail/header_edit.h"
#include "common/smtp/server/content.h"

/* A filter that forwards for others (XFORWARD) is not a hop. */
static void put_top(struct smtp_session *session, struct slice *text, struct str *out)
{
    if (session->forward == NULL)
        content_put_received(session, out);
    else if (session->prepended != NULL)
        str_append(out, session->prepended);
    header_defuse_mbox_line(text, out);
    if (text->len > 0 && (text->data[0] == ' ' || text->data[0] == '\t')) /* no part of our header */
        str_append_char(out, '\n');
}

void content_pass_to_filter(struct smtp_session *session)
{
    struct content *content = session->content;
    const struct smtp_server_policy *policy = session->server->policy;
    struct slice text = str_slice(&content->text);
    struct str top = STR_EMPTY;
    if (!content->is_passing)
        put_top(session, &text, &top);
    bool good = (content->is_passing || policy->filter_pass(session, str_slice(&top))) && policy->filter_pass(session, text);
    content->is_passing = true;
    str_free(&top);
    str_clear(&content->text);
    if (!good)
        content->status = CONTENT_FILTERED;
}

const char *content_filter_reply_line(struct smtp_session *session)
{
    struct str reply = STR_EMPTY;
    for (const char *p = session->server->policy->filter_reply(session); *p != '\0'; p++)
        if (*p == '\n') /* a line end is two characters that cannot be printed */
            str_append(&reply, "??");
        else
            str_append_char(&reply, *p);
    const char *copy = arena_slice(session->scratch, str_slice(&reply));
    str_free(&reply);
    return copy;
}

void content_log_filter(struct smtp_session *session, bool is_accepted)
{
    log_info("proxy-%s: %s: %s;%s", is_accepted ? "accept" : "reject", session->where, content_filter_reply_line(session),
             smtp_session_log_tail(session, session->sender, smtp_session_first_recipient(session)));
}

const char *content_finish_filtered(struct smtp_session *session)
{
    struct content *content = session->content;
    const struct smtp_server_policy *policy = session->server->policy;
    if (content->status == CONTENT_OK)
        content_pass_to_filter(session);
    if (content->status == CONTENT_OK && !policy->filter_finish(session))
        content->status = CONTENT_FILTERED;
    content_log_filter(session, content->status == CONTENT_OK);
    if (content->status == CONTENT_FILTERED)
        return arena_slice(session->scratch, slice_of(policy->filter_reply(session)));
    return smtp_content_refusal(content->status);
}
