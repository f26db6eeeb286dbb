/* SPDX-License-Identifier: ISC */
/*
 * restrict_action: what an access(5) table entry says is done here, one function an action. Anything that is no action
 * is read as a list of restrictions.
 */
#include <string.h>

#include "common/base/log.h"
#include "common/mail/address_parse.h"
#include "common/mail/header_edit.h"
#include "common/access/restrict.h"

struct action {
    struct evaluation *evaluation;
    const char *table, *value, *key;
    struct slice text; /* behind the action's word */
    enum restrict_stage subject;
};

static const char *subject_name(const struct action *action)
{
    return restrict_subject(action->evaluation, action->subject);
}

/* --- enhanced status ---------------------------------------------------------------------------- */

/* How long the enhanced status at the start of a text is (RFC 3463); 0: there is none. */
static size_t status_length(struct slice text)
{
    size_t at = 1;
    if (text.len < 5 || (text.data[0] != '2' && text.data[0] != '4' && text.data[0] != '5'))
        return 0;
    for (unsigned part = 0; part < 2; part++) {
        if (at == text.len || text.data[at++] != '.')
            return 0;
        size_t start = at;
        while (at < text.len && text_is_digit(text.data[at]))
            at++;
        if (at == start || at - start > 3)
            return 0;
    }
    return at == text.len || text_is_space(text.data[at]) ? at : 0;
}

/* "5.7.1 text" gives its status away; the text goes on behind it. */
static const char *take_status(const struct action *action, struct slice *text, const char *fallback)
{
    size_t len = status_length(*text);
    if (len == 0)
        return fallback;
    const char *status = arena_strndup(action->evaluation->session->scratch, text->data, len);
    *text = slice_skip(*text, len);
    while (text->len > 0 && text_is_space(text->data[0]))
        *text = slice_skip(*text, 1);
    return status;
}

/* RFC 3463's codes X.1.n are about a sender or a recipient: where the other or no address is refused, what fits is said. */
static const char *map_status(const struct action *action, const char *status)
{
    static const struct { const char *code, *of_sender, *of_recipient; } map[] = {
        {"1", "1.7", "1.1"}, {"2", "1.8", "1.2"}, {"3", "1.7", "1.3"}, {"4", "1.7", "1.4"}, {"5", "1.0", "1.5"},
        {"6", "1.7", "1.6"}, {"7", "1.7", "1.3"}, {"8", "1.8", "1.2"}};
    bool is_sender = action->subject == STAGE_SENDER, is_recipient = action->subject == STAGE_RECIPIENT || action->subject == STAGE_RELAY;
    if (strncmp(status + 1, ".1.", 3) != 0)
        return status;
    const char *to = is_sender || is_recipient ? "1.0" : "0.0";
    for (size_t i = 0; i < sizeof map / sizeof map[0] && (is_sender || is_recipient); i++)
        if (strcmp(status + 4, map[i].code) == 0)
            to = is_sender ? map[i].of_sender : map[i].of_recipient;
    if (strcmp(status + 2, to) == 0)
        return status;
    const char *mapped = arena_printf(action->evaluation->session->scratch, "%c.%s", status[0], to);
    log_info("mapping DSN status %s into %s status %s", status, restrict_class(action->subject), mapped);
    return mapped;
}

static enum verdict refuse(const struct action *action, int64_t code, const char *fallback, const char *default_text)
{
    struct slice text = action->text;
    const char *status = map_status(action, take_status(action, &text, fallback));
    if (text.len == 0)
        text = slice_of(default_text);
    return restrict_reject(action->evaluation, code, status, "<%s>: %s rejected: %.*s", subject_name(action),
                           restrict_class(action->subject), SLICE_ARGS(text));
}

static enum verdict put_off(const struct action *action, char **slot)
{
    struct slice text = action->text;
    const char *status = map_status(action, take_status(action, &text, "4.7.1"));
    if (text.len == 0)
        text = SLICE("Service unavailable");
    restrict_defer_if(action->evaluation, slot, smtpd.access_defer_code, status,
                      arena_printf(action->evaluation->session->scratch, "<%s>: %s rejected: %.*s", subject_name(action),
                                   restrict_class(action->subject), SLICE_ARGS(text)));
    return VERDICT_DUNNO;
}

/* --- actions ------------------------------------------------------------------------------------ */

/* Actions on a message that does not exist yet do nothing, with a warning. */
static bool has_message(const struct action *action, const char *word)
{
    if (action->evaluation->sender != NULL)
        return true;
    log_warning("access table %s: with smtpd_delay_reject=no, action %s is always skipped in Client host or Helo command "
                "restrictions", action->table, word);
    return false;
}

/* Likewise where there will never be one. */
static bool can_act(const struct action *action, const char *word)
{
    if (smtpd.server.is_filtered) { /* there is no queue file to write it to */
        log_warning("access table %s: with smtpd_proxy_filter specified, action %s is unavailable", action->table, word);
        return false;
    }
    if (strcmp(action->evaluation->where, "ETRN") != 0)
        return has_message(action, word);
    log_warning("access table %s: action %s is unavailable in smtpd_etrn_restrictions", action->table, word);
    return false;
}

static void log_action(const struct action *action, const char *name, const char *fallback)
{
    struct arena *arena = action->evaluation->session->scratch;
    struct slice text = action->text.len > 0 ? action->text : slice_of(fallback);
    restrict_log(action->evaluation, name,
                 arena_printf(arena, "<%s>: %s %.*s", subject_name(action), restrict_class(action->subject), SLICE_ARGS(text)));
}

static enum verdict do_ok(const struct action *action)
{
    struct arena *arena = action->evaluation->session->scratch;
    const char *word = arena_slice(arena, slice_range(action->value, strcspn(action->value, " \t")));
    restrict_log_permit(action->evaluation, word, action->subject, action->table);
    return VERDICT_PERMIT;
}

static enum verdict do_dunno(const struct action *action UNUSED) { return VERDICT_DUNNO; }

static enum verdict do_reject(const struct action *action)
{
    return refuse(action, smtpd.access_reject_code, "5.7.1", "Access denied");
}

static enum verdict do_defer(const struct action *action)
{
    return refuse(action, smtpd.access_defer_code, "4.7.1", "Access denied");
}

static enum verdict do_defer_if_permit(const struct action *action)
{
    return put_off(action, &action->evaluation->defer_if_permit);
}

static enum verdict do_defer_if_reject(const struct action *action)
{
    return put_off(action, &action->evaluation->defer_if_reject);
}

static enum verdict do_warn(const struct action *action)
{
    restrict_log(action->evaluation, "warn", arena_slice(action->evaluation->session->scratch, action->text));
    return VERDICT_DUNNO;
}

static enum verdict do_info(const struct action *action)
{
    restrict_log(action->evaluation, "info", arena_slice(action->evaluation->session->scratch, action->text));
    return VERDICT_DUNNO;
}

static enum verdict do_hold(const struct action *action)
{
    struct smtp_session *session = action->evaluation->session;
    if (!can_act(action, "HOLD"))
        return VERDICT_DUNNO;
    if ((session->flags & SESSION_HOLD) == 0)
        log_action(action, "hold", "triggers HOLD action");
    session->flags |= SESSION_HOLD;
    return VERDICT_DUNNO;
}

static enum verdict do_discard(const struct action *action)
{
    struct smtp_session *session = action->evaluation->session;
    if (!can_act(action, "DISCARD"))
        return VERDICT_DUNNO;
    log_action(action, "discard", "triggers DISCARD action");
    session->flags |= SESSION_DISCARD;
    return do_ok(action);
}

static const char *entry_key(const struct action *action)
{
    return restrict_access_key(action->evaluation, action->key, action->subject);
}

static enum verdict bad_entry(const struct action *action, const char *need)
{
    log_warning("access table %s entry \"%s\" requires %s", action->table, entry_key(action), need);
    return VERDICT_DUNNO;
}

static enum verdict do_redirect(const struct action *action)
{
    struct smtp_session *session = action->evaluation->session;
    struct str address = STR_EMPTY;
    if (!can_act(action, "REDIRECT"))
        return VERDICT_DUNNO;
    bool good = address_parse_path(slice_trim(action->text), ADDRESS_UTF8, &address) == ADDRESS_PARSED && address_domain(str_slice(&address)).len > 0;
    if (good)
        smtpd_transaction(session)->redirect = arena_slice(session->arena, str_slice(&address));
    str_free(&address);
    if (!good)
        return bad_entry(action, "user@domain target");
    restrict_log(action->evaluation, "redirect",
                 arena_printf(session->scratch, "<%s>: %s triggers REDIRECT %.*s", subject_name(action),
                              restrict_class(action->subject), SLICE_ARGS(action->text)));
    return VERDICT_DUNNO;
}

static enum verdict do_bcc(const struct action *action)
{
    struct smtp_session *session = action->evaluation->session;
    struct str address = STR_EMPTY;
    if (!can_act(action, "BCC"))
        return VERDICT_DUNNO;
    bool good = address_parse_path(slice_trim(action->text), ADDRESS_UTF8, &address) == ADDRESS_PARSED && address_domain(str_slice(&address)).len > 0;
    if (good) {
        struct smtpd_transaction *transaction = smtpd_transaction(session);
        char **grown = arena_alloc_array(session->arena, transaction->bcc_count + 1, sizeof *grown);
        if (transaction->bcc_count > 0)
            memcpy(grown, transaction->bcc, transaction->bcc_count * sizeof *grown);
        grown[transaction->bcc_count++] = arena_slice(session->arena, str_slice(&address));
        transaction->bcc = grown;
    }
    str_free(&address);
    if (!good)
        return bad_entry(action, "user@domain target");
    restrict_log(action->evaluation, "bcc",
                 arena_printf(session->scratch, "<%s>: %s triggers BCC %.*s", subject_name(action),
                              restrict_class(action->subject), SLICE_ARGS(action->text)));
    return VERDICT_DUNNO;
}

static enum verdict do_filter(const struct action *action)
{
    struct smtp_session *session = action->evaluation->session;
    if (!can_act(action, "FILTER"))
        return VERDICT_DUNNO;
    if (action->text.len == 0) {
        log_warning("access table %s entry \"%s\" has FILTER entry without value", action->table, entry_key(action));
        return VERDICT_DUNNO;
    }
    if (memchr(action->text.data, ':', action->text.len) == NULL)
        return bad_entry(action, "transport:destination");
    session->content_filter = arena_slice(session->arena, action->text);
    restrict_log(action->evaluation, "filter",
                 arena_printf(session->scratch, "<%s>: %s triggers FILTER %s", subject_name(action),
                              restrict_class(action->subject), session->content_filter));
    return VERDICT_DUNNO;
}

static enum verdict do_prepend(const struct action *action)
{
    struct smtp_session *session = action->evaluation->session;
    struct slice rest = action->text;
    if (!has_message(action, "PREPEND"))
        return VERDICT_DUNNO;
    if (action->evaluation->stage == STAGE_END_OF_DATA) {
        log_warning("access table %s: action PREPEND must be used before smtpd_end_of_data_restrictions", action->table);
        return VERDICT_DUNNO;
    }
    if (header_take(&rest).name.len == 0)
        return bad_entry(action, "header: text");
    session->prepended = arena_printf(session->arena, "%s%.*s\n", session->prepended != NULL ? session->prepended : "",
                                      SLICE_ARGS(action->text));
    return VERDICT_DUNNO;
}

static const struct { const char *word; enum verdict (*run)(const struct action *action); } actions[] = {
    {"OK", do_ok}, {"RELAY", do_ok}, {"DUNNO", do_dunno}, {"REJECT", do_reject}, {"DEFER", do_defer},
    {"DEFER_IF_PERMIT", do_defer_if_permit}, {"DEFER_IF_REJECT", do_defer_if_reject}, {"WARN", do_warn}, {"INFO", do_info},
    {"HOLD", do_hold}, {"DISCARD", do_discard}, {"REDIRECT", do_redirect}, {"BCC", do_bcc}, {"FILTER", do_filter},
    {"PREPEND", do_prepend},
};

/* --- reading an entry ------------------------------------------------------------------------------- */

static bool is_all_digits(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!text_is_digit(text.data[i]))
            return false;
    return text.len > 0;
}

/* "permit_mynetworks, reject": the entry is a list of restrictions. */
static enum verdict run_as_list(const struct action *action)
{
    struct arena *arena = action->evaluation->session->scratch;
    struct restrict_list list = {.name = action->key};
    const struct slice entry = slice_of(action->value);
    for (size_t i = 0; i < entry.len; i++)
        if (entry.data[i] == ':') {
            log_warning("access table %s has entry with lookup table: %s", action->table, action->value);
            log_warning("do not specify lookup tables inside SMTPD access maps");
            log_warning("define a restriction class and specify its name instead.");
            return restrict_broken(action->evaluation);
        }
    list.count = config_split_list(action->value, arena, &list.words);
    if (list.count == 0) {
        log_warning("access table %s entry %s has empty value", action->table, action->value);
        return VERDICT_PERMIT;
    }
    enum restrict_stage outer = action->evaluation->subject;
    action->evaluation->subject = action->subject;
    enum verdict verdict = restrict_evaluate_words(action->evaluation, &list);
    action->evaluation->subject = outer;
    return verdict;
}

enum verdict restrict_access_action(struct evaluation *evaluation, const char *table, const char *value, const char *key,
                                    enum restrict_stage subject)
{
    /* A blank in front (a policy service may send one) makes it a list, as in Postfix. */
    bool is_list = text_is_space(*value);
    struct action action = {evaluation, table, value, key, slice_of(value), subject};
    struct slice word = action.text;
    size_t len = 0;
    while (len < word.len && !text_is_space(word.data[len]))
        len++;
    word.len = len;
    /* Blanks at the end stay: policyd-spf's headers have some. */
    action.text = slice_skip(action.text, len);
    while (action.text.len > 0 && text_is_space(action.text.data[0]))
        action.text = slice_skip(action.text, 1);
    if (is_list)
        return run_as_list(&action);
    if (is_all_digits(word) && action.text.len == 0 && len == strlen(value))
        return do_ok(&action); /* access(5): an all-numerical result is OK, for the sake of popauth tables */
    if (is_all_digits(word) && len == 3 && action.text.len > 0 && (*value == '4' || *value == '5')) {
        int64_t code = (value[0] - '0') * 100 + (value[1] - '0') * 10 + (value[2] - '0');
        return refuse(&action, code, code < 500 ? "4.7.1" : "5.7.1", "Access denied");
    }
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (slice_equal_nocase(word, slice_of(actions[i].word)))
            return actions[i].run(&action);
    action.text = slice_of(value);
    return run_as_list(&action);
}
