/* SPDX-License-Identifier: ISC */
/*
 * content_addresses: ADDRESS_REWRITING for one message. Header addresses get their full form here, without asking anybody;
 * canonical tables and masquerading are asked of lookup, for the envelope sender and all header addresses in one question.
 * Called by the SMTP library when the header is complete, and when the message is handed over.
 */
#include "common/service/cleanup.h"

#include <strings.h>

#include "common/base/log.h"
#include "common/cleanup/header_addresses.h"
#include "common/cleanup/header_class.h"

/* A header with addresses, found before the header section is edited. */
struct address_header {
    const char *at; /* its text, from the colon on */
    struct slice name;
    struct header_addresses addresses;
    unsigned role;
    bool is_changed;
    struct address_header *next;
};

struct header_rewriter {
    struct smtp_session *session;
    const struct rewrite_rules *rules;
    struct header_rules *edit; /* its arena holds what is parsed, for this part of the header section */
    struct address_header *headers; /* in order; NULL: parsed when they are met */
};

static struct arena *arena_of(struct header_rewriter *rewriter)
{
    if (rewriter->edit->arena == NULL)
        rewriter->edit->arena = arena_new();
    return rewriter->edit->arena;
}

/* --- one header ------------------------------------------------------------------------------ */

static unsigned role_of(struct slice name)
{
    unsigned class = header_class_find(name);
    return (class & HEADER_SENDER) != 0 ? ROLE_HEADER_SENDER : (class & HEADER_RECIPIENT) != 0 ? ROLE_HEADER_RECIPIENT : 0;
}

static void complete_address(const struct rewrite_rules *rules, struct header_address *address, bool *is_changed)
{
    struct str before = STR_EMPTY, after = STR_EMPTY;
    tokens_externalize(&address->tokens, &before);
    rewrite_tokens(rules, &address->tokens);
    tokens_externalize(&address->tokens, &after);
    *is_changed = *is_changed || !slice_equal(str_slice(&before), str_slice(&after));
    str_free(&before);
    str_free(&after);
}

static void parse_header(const struct rewrite_rules *rules, struct slice rest, struct arena *arena,
                         struct address_header *header)
{
    struct slice value = slice_skip(rest, 1);
    while (value.len > 0 && value.data[value.len - 1] == '\n')
        value.len--;
    header_addresses_parse(value, cleanup.token_limit, arena, &header->addresses);
    for (size_t i = 0; i < header->addresses.count; i++)
        complete_address(rules, header->addresses.list[i], &header->is_changed);
}

static bool write_header(const struct address_header *header, struct str *out)
{
    struct str stripped = STR_EMPTY;
    if (!header->is_changed)
        return false;
    header_addresses_format(&header->addresses, header->name, out, &stripped);
    if (stripped.len > 0)
        log_warning_as("cleanup", "stripping too many comments from address: %.100s...", str_text(&stripped));
    str_free(&stripped);
    return true;
}

/* header_edit's question about each header that stays. */
static bool rewrite_header(void *context, struct slice name, struct slice rest, struct str *out)
{
    struct header_rewriter *rewriter = context;
    unsigned role = role_of(name);
    if (role == 0)
        return false;
    while (rewriter->headers != NULL && rewriter->headers->at != rest.data)
        rewriter->headers = rewriter->headers->next;
    if (rewriter->headers != NULL)
        return write_header(rewriter->headers, out);
    if (header_addresses_are_full(slice_skip(rest, 1)))
        return false;
    struct address_header header = {.name = name, .role = role};
    parse_header(rewriter->rules, rest, arena_of(rewriter), &header);
    return write_header(&header, out);
}

/* --- the envelope sender ------------------------------------------------------------------------- */

/* Without tables: the full form, and the null sender for mail from the mail system itself. */
static char *complete_sender(struct smtp_session *session)
{
    char *sender = rewrite_address(&cleanup.local, session->sender, session->arena);
    const char *at = strchr(sender, '@');
    bool is_system = at != NULL && slice_equal_nocase(slice_range(sender, (size_t)(at - sender)), SLICE("MAILER-DAEMON")) &&
                     text_equal_nocase(at + 1, cleanup.local.origin);
    return is_system ? arena_strdup(session->arena, "") : sender;
}

static bool sender_needs_tables(const struct smtp_session *session)
{
    return session->final_sender == NULL && *session->sender != '\0' &&
           (cleanup.mapped_roles & ROLE_ENVELOPE_SENDER) != 0;
}

static struct rewrite_question question_of(struct smtp_session *session)
{
    return (struct rewrite_question){.profile = (char *)(uintptr_t)cleanup.profile, .queue_id = session->queue_id,
                                     .flags = cleanup.skips_maps ? REWRITE_NO_MAPS : 0,
                                     .sender = smtp_session_sender(session)};
}

bool cleanup_rewrite_sender(struct smtp_session *session)
{
    struct rewrite_question question = question_of(session);
    struct rewrite_answer answer;
    struct role_address sender = {ROLE_ENVELOPE_SENDER, NULL};
    if (session->final_sender != NULL)
        return true;
    sender.address = complete_sender(session);
    if (*sender.address == '\0' || !sender_needs_tables(session)) {
        session->final_sender = sender.address;
        return true;
    }
    question.addresses = &sender;
    question.count = 1;
    if (!lookup_rewrite(&question, session->arena, &answer) || answer.failed)
        return false;
    session->final_sender = answer.addresses[0];
    return true;
}

/* --- all headers at once --------------------------------------------------------------------------- */

static size_t count_addresses(const struct address_header *headers)
{
    size_t count = 0;
    for (const struct address_header *header = headers; header != NULL; header = header->next)
        count += header->addresses.count;
    return count;
}

static struct address_header *collect_headers(struct header_rewriter *rewriter, struct slice text)
{
    struct address_header *first = NULL, **end = &first;
    struct arena *arena = arena_of(rewriter);
    text = slice_skip(text, header_mbox_line(text).len);
    for (;;) {
        struct header_line line = header_take(&text);
        unsigned role = role_of(line.name);
        if (line.name.len == 0)
            break;
        if (role == 0)
            continue;
        struct address_header *header = arena_alloc(arena, sizeof *header);
        *header = (struct address_header){.at = line.rest.data, .name = line.name, .role = role};
        parse_header(rewriter->rules, line.rest, arena, header);
        *end = header;
        end = &header->next;
    }
    return first;
}

static void put_address(struct header_address *address, const char *result, const char *before, bool *is_changed)
{
    struct str external = STR_EMPTY;
    if (strcmp(result, before) == 0)
        return;
    address_quote_local(slice_of(result), &external);
    struct arena *arena = address->tokens.arena;
    tokens_scan(&address->tokens, arena, slice_of(arena_slice(arena, str_slice(&external))));
    *is_changed = true;
    str_free(&external);
}

static void put_results(struct address_header *headers, const struct role_address *asked, char *const *results)
{
    size_t at = 0;
    for (struct address_header *header = headers; header != NULL; header = header->next)
        for (size_t i = 0; i < header->addresses.count; i++, at++)
            put_address(header->addresses.list[i], results[at], asked[at].address, &header->is_changed);
}

static void add_question(const struct address_header *headers, struct arena *arena, struct rewrite_question *question)
{
    for (const struct address_header *header = headers; header != NULL; header = header->next)
        for (size_t i = 0; i < header->addresses.count; i++) {
            struct str internal = STR_EMPTY;
            tokens_internalize(&header->addresses.list[i]->tokens, &internal);
            question->addresses[question->count++] =
                (struct role_address){(uint8_t)header->role, arena_slice(arena, str_slice(&internal))};
            str_free(&internal);
        }
}

/* One question about the sender and everybody in the headers. */
static bool ask_about_headers(struct header_rewriter *rewriter, struct slice text)
{
    struct smtp_session *session = rewriter->session;
    struct arena *arena = arena_of(rewriter);
    struct rewrite_question question = question_of(session);
    struct rewrite_answer answer;
    rewriter->headers = collect_headers(rewriter, text);
    question.addresses = arena_alloc_array(arena, count_addresses(rewriter->headers) + 1, sizeof *question.addresses);
    bool with_sender = sender_needs_tables(session);
    if (with_sender)
        question.addresses[question.count++] = (struct role_address){ROLE_ENVELOPE_SENDER, complete_sender(session)};
    add_question(rewriter->headers, arena, &question);
    if (question.count == 0)
        return true;
    if (!lookup_rewrite(&question, arena, &answer) || answer.failed)
        return false;
    if (with_sender)
        session->final_sender = arena_strdup(session->arena, answer.addresses[0]);
    put_results(rewriter->headers, question.addresses + with_sender, answer.addresses + with_sender);
    return true;
}

bool cleanup_prepare_headers(struct smtp_session *session, struct slice text, struct header_rules *rules)
{
    const struct rewrite_rules *context = cleanup_is_local_client(session) ? &cleanup.local :
                                          cleanup.rewrites_remote ? &cleanup.remote : NULL;
    if (context != NULL) {
        struct header_rewriter *rewriter = arena_alloc(session->arena, sizeof *rewriter);
        *rewriter = (struct header_rewriter){.session = session, .rules = context, .edit = rules};
        rules->rewrite = rewrite_header;
        rules->context = rewriter;
        if ((cleanup.mapped_roles & (ROLE_HEADER_SENDER | ROLE_HEADER_RECIPIENT)) != 0 &&
            !ask_about_headers(rewriter, text))
            return false;
    }
    return rules->is_continued || cleanup_rewrite_sender(session);
}

/* --- recipients ---------------------------------------------------------------------------------------- */

static char **gather_copies(struct smtp_session *session, size_t *count)
{
    const struct smtpd_transaction *transaction = session->transaction;
    const struct content_checker *checker = session->checker;
    size_t by_access = transaction != NULL ? transaction->bcc_count : 0, by_checks = checker != NULL ? checker->copy_count : 0;
    char **copies = arena_alloc_array(session->arena, by_access + by_checks + 1, sizeof *copies);
    if (by_access > 0)
        memcpy(copies, transaction->bcc, by_access * sizeof *copies);
    if (by_checks > 0)
        memcpy(copies + by_access, checker->copies, by_checks * sizeof *copies);
    *count = by_access + by_checks;
    return copies;
}

static bool is_listed(const struct envelope *envelope, const struct recipient *copy)
{
    for (size_t i = 0; i < envelope->recipient_count; i++) {
        const struct recipient *one = &envelope->recipients[i];
        if (text_equal_nocase(one->address, copy->address) &&
            (!smtpd.server.keep_originals ||
             (text_equal_nocase(one->original, copy->original) && one->notify == copy->notify && *one->dsn_original == '\0')))
            return true;
    }
    return false;
}

static void append_copies(struct smtp_session *session, struct envelope *envelope, const struct rewrite_answer *answer)
{
    struct recipient *all = arena_alloc_array(session->arena, envelope->recipient_count + answer->copy_count, sizeof *all);
    if (envelope->recipient_count > 0)
        memcpy(all, envelope->recipients, envelope->recipient_count * sizeof *all);
    envelope->recipients = all;
    for (size_t i = 0; i < answer->copy_count; i++) {
        if (is_listed(envelope, &answer->copies[i]))
            continue;
        all[envelope->recipient_count++] = answer->copies[i];
    }
}

/* qmgr(8) sorts by domain, then by address. */
static bool sorts_before(const char *one, const char *other)
{
    const char *at = strrchr(one, '@'), *other_at = strrchr(other, '@');
    int order = at == NULL || other_at == NULL ? (at == NULL) - (other_at == NULL) : strcasecmp(at, other_at);
    return order != 0 ? order < 0 : strcmp(one, other) < 0;
}

/* REDIRECT: the first recipient is left, as qmgr(8) sorts them, and it is another one. */
static void redirect(struct smtp_session *session, struct envelope *envelope)
{
    const struct smtpd_transaction *transaction = session->transaction;
    const struct content_checker *checker = session->checker;
    char *target = checker != NULL && checker->redirect != NULL ? checker->redirect :
                   transaction != NULL ? transaction->redirect : NULL;
    if (target == NULL)
        return;
    struct recipient *only = arena_alloc(session->arena, sizeof *only);
    *only = envelope->recipients[0];
    for (size_t i = 1; i < envelope->recipient_count; i++)
        if (sorts_before(envelope->recipients[i].address, only->address))
            *only = envelope->recipients[i];
    only->address = rewrite_address(&cleanup.local, target, session->arena);
    envelope->recipients = only;
    envelope->recipient_count = 1;
    envelope->content_filter = NULL;
}

bool cleanup_add_copies(struct smtp_session *session, struct envelope *envelope)
{
    const struct content_checker *checker = session->checker;
    struct rewrite_question question = question_of(session);
    struct rewrite_answer answer;
    question.copies = gather_copies(session, &question.copy_count);
    question.flags |= (cleanup.copies_senders ? REWRITE_SENDER_BCC : 0u) | (cleanup.copies_always ? REWRITE_ALWAYS_BCC : 0u);
    if (checker != NULL && checker->filter != NULL)
        envelope->content_filter = checker->filter;
    else if (envelope->content_filter == NULL && *cleanup.content_filter != '\0')
        envelope->content_filter = (char *)(uintptr_t)cleanup.content_filter;
    if (question.copy_count > 0 || cleanup.copies_always || (cleanup.copies_senders && *question.sender != '\0')) {
        if (!lookup_rewrite(&question, session->arena, &answer) || answer.failed)
            return false;
        append_copies(session, envelope, &answer);
    }
    redirect(session, envelope);
    return true;
}
