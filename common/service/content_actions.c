/* SPDX-License-Identifier: ISC */
/*
 * content_actions: carries out what header_checks(5) and body_checks tables say. Called on the session's fiber for each hit.
 * Nothing is decided for good here: what a check wants (hold, redirect, ...) is remembered until the message is handed over.
 */
#include "common/service/cleanup.h"

#include "common/base/log.h"
#include "common/mail/rfc822_tokens.h"

static struct content_checker *checker_of(const struct smtp_session *session)
{
    return session->checker;
}

/* --- the log ----------------------------------------------------------------------------- */

static void append_whose(struct smtp_session *session, struct str *line)
{
    const char *recipient = session->final_recipient;
    /* Should the tables fail now, the message fails soon; the log then shows what the client said. */
    if (!cleanup_rewrite_sender(session))
        log_warning("%s: sender is shown as the client gave it", session->queue_id);
    str_printf(line, " from %s; from=<%s>", session->forward != NULL && session->forward->has_client ?
               session->forward->client : session->client, smtp_session_external(session, smtp_session_sender(session)));
    if (recipient != NULL)
        str_printf(line, " to=<%s>", smtp_session_external(session, recipient));
}

void cleanup_log(struct smtp_session *session, const char *action, const char *where, struct slice line, struct slice text)
{
    const struct smtp_forward *forward = session->forward;
    bool is_forwarded = forward != NULL && forward->has_client;
    const char *helo = is_forwarded ? forward->helo : session->helo_name;
    struct str out = STR_EMPTY;
    str_printf(&out, "%s: %s: %s %.*s", session->queue_id, action, where, line.len < 200 ? (int)line.len : 200, line.data);
    append_whose(session, &out);
    str_printf(&out, " proto=%s", is_forwarded ? forward->protocol : smtp_session_protocol(session));
    if (helo != NULL)
        str_printf(&out, " helo=<%s>", helo);
    if (text.len > 0)
        str_printf(&out, ": %.*s", SLICE_ARGS(text));
    log_info_as("cleanup", "%s", str_text(&out));
    str_free(&out);
}

void cleanup_log_mime_error(struct smtp_session *session, const struct mime_item *item)
{
    struct str out = STR_EMPTY;
    str_printf(&out, "%s: reject: mime-error %s: %.*s", session->queue_id,
               mime_error_text(item->errors) + sizeof "5.6.0", item->about.len < 100 ? (int)item->about.len : 100,
               item->about.data);
    append_whose(session, &out);
    log_info_as("cleanup", "%s", str_text(&out));
    str_free(&out);
}

/* --- actions -------------------------------------------------------------------------------- */

struct act {
    struct smtp_session *session;
    const char *where; /* "header" */
    struct slice line;
    struct slice text; /* of the action */
    struct str *out;
    struct slice *replacement;
};

static enum check_result do_reject(const struct act *act)
{
    struct content_checker *checker = checker_of(act->session);
    struct str reason = STR_EMPTY, complaint = STR_EMPTY;
    bool is_deferral;
    check_reject_reason(act->text, &reason, &is_deferral, &complaint);
    if (complaint.len > 0)
        log_warning_as("cleanup", "%s", str_text(&complaint));
    cleanup_log(act->session, "reject", act->where, act->line, str_slice(&reason));
    text_make_printable(reason.data, reason.len);
    checker->reply = arena_printf(checker->arena, "%s %s", is_deferral ? "451" : "550", str_text(&reason));
    checker->is_over = true;
    str_free(&reason);
    str_free(&complaint);
    return CHECK_REFUSE;
}

static enum check_result do_discard(const struct act *act)
{
    cleanup_log(act->session, "discard", act->where, act->line, act->text);
    act->session->flags |= SESSION_DISCARD;
    checker_of(act->session)->is_over = true;
    return CHECK_KEEP;
}

static enum check_result do_hold(const struct act *act)
{
    if ((act->session->flags & (SESSION_HOLD | SESSION_DISCARD)) == 0)
        cleanup_log(act->session, "hold", act->where, act->line, act->text);
    if ((act->session->flags & SESSION_DISCARD) == 0)
        act->session->flags |= SESSION_HOLD;
    return CHECK_KEEP;
}

static enum check_result do_prepend(const struct act *act)
{
    cleanup_log(act->session, "prepend", act->where, act->line, act->text);
    if (strcmp(act->where, "header") == 0) {
        cleanup_append_header(act->text, act->out);
    } else {
        str_append_slice(act->out, act->text);
        str_append_char(act->out, '\n');
    }
    return CHECK_KEEP;
}

static enum check_result do_replace(const struct act *act)
{
    cleanup_log(act->session, "replace", act->where, act->line, act->text);
    *act->replacement = act->text;
    return CHECK_KEEP;
}

/* "user@domain", as RCPT would read it; what is no address is kept as it is: lookup will judge it. */
static char *internal_address(struct content_checker *checker, struct slice text)
{
    struct str internal = STR_EMPTY;
    address_unquote_local(text, &internal);
    char *address = arena_slice(checker->arena, str_slice(&internal));
    str_free(&internal);
    return address;
}

static enum check_result do_redirect(const struct act *act)
{
    struct content_checker *checker = checker_of(act->session);
    checker->redirect = internal_address(checker, act->text);
    cleanup_log(act->session, "redirect", act->where, act->line, act->text);
    checker->is_over = true;
    return CHECK_KEEP;
}

static enum check_result do_bcc(const struct act *act)
{
    struct content_checker *checker = checker_of(act->session);
    if (checker->copy_count < 100) { /* a pattern may hit every line of a message: one address over and over */
        char **grown = arena_alloc_array(checker->arena, checker->copy_count + 1, sizeof *grown);
        if (checker->copy_count > 0)
            memcpy(grown, checker->copies, checker->copy_count * sizeof *grown);
        grown[checker->copy_count++] = internal_address(checker, act->text);
        checker->copies = grown;
    }
    cleanup_log(act->session, "bcc", act->where, act->line, act->text);
    return CHECK_KEEP;
}

static enum check_result do_filter(const struct act *act)
{
    struct content_checker *checker = checker_of(act->session);
    checker->filter = arena_slice(checker->arena, act->text);
    cleanup_log(act->session, "filter", act->where, act->line, act->text);
    return CHECK_KEEP;
}

static enum check_result do_pass(const struct act *act)
{
    cleanup_log(act->session, "pass", act->where, act->line, act->text);
    checker_of(act->session)->is_over = true;
    return CHECK_KEEP;
}

static enum check_result do_warn(const struct act *act)
{
    cleanup_log(act->session, "warning", act->where, act->line, act->text);
    return CHECK_KEEP;
}

static enum check_result do_info(const struct act *act)
{
    cleanup_log(act->session, "info", act->where, act->line, act->text);
    return CHECK_KEEP;
}

static enum check_result do_strip(const struct act *act)
{
    cleanup_log(act->session, "strip", act->where, act->line, act->text);
    return CHECK_DROP;
}

static enum check_result do_ignore(const struct act *act UNUSED) { return CHECK_DROP; }
static enum check_result do_nothing(const struct act *act UNUSED) { return CHECK_KEEP; }

static enum check_result (*const actions[])(const struct act *act) = {
    [CHECK_DUNNO] = do_nothing, [CHECK_BROKEN] = do_nothing, [CHECK_BCC] = do_bcc, [CHECK_DISCARD] = do_discard,
    [CHECK_FILTER] = do_filter, [CHECK_HOLD] = do_hold, [CHECK_IGNORE] = do_ignore, [CHECK_INFO] = do_info,
    [CHECK_PASS] = do_pass, [CHECK_PREPEND] = do_prepend, [CHECK_REDIRECT] = do_redirect, [CHECK_REJECT] = do_reject,
    [CHECK_REPLACE] = do_replace, [CHECK_STRIP] = do_strip, [CHECK_WARN] = do_warn,
};

enum check_result cleanup_act(struct smtp_session *session, enum check_kind kind, struct slice line, const char *value,
                              struct str *out, struct slice *replacement)
{
    struct check_action action;
    struct str complaint = STR_EMPTY;
    const char *where = kind == CHECK_BODY ? "body" : "header";
    *replacement = (struct slice){NULL, 0};
    check_action_parse(value, cleanup.checks[kind].parameter, kind != CHECK_BODY, &action, &complaint);
    if (complaint.len > 0)
        log_warning_as("cleanup", "%s", str_text(&complaint));
    str_free(&complaint);
    const struct act act = {session, where, line, action.text, out, replacement};
    return actions[action.verb](&act);
}
