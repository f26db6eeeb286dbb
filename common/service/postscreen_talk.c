/* SPDX-License-Identifier: ISC */
/*
 * postscreen_talk: the SMTP server that takes no mail: it lets a client show whether it pipelines without being asked,
 * speaks HTTP or ends lines with a bare newline, and answers every recipient with "later" or "no". Called by
 * postscreen.c for clients that have failed or must take these tests; none of them gets through in this session.
 */
#include <stdlib.h>
#include <time.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/address_parse.h"
#include "common/mail/quote.h"
#include "common/service/postscreen_internal.h"
#include "common/smtp/server/reply_filter.h"
#include "common/tls/server.h"

#define CLIENT(session) (session)->peer->client_address, (session)->peer->client_port

/* One dialogue. */
struct talk {
    struct postscreen_session *session;
    struct stream *stream;
    struct arena *line_arena;  /* one command's memory */
    const char *where;         /* the last command */
    char *helo_name, *sender;  /* NULL: not said */
    const char *protocol;
    unsigned ehlo_mask;
    int64_t command_count;
    const struct tls_peer *tls; /* NULL: in the clear */
    bool ends;                 /* final_reply is set, or the client is gone */
};

enum verb_flags { PAYLOAD = 1, DISABLED = 2, BEFORE_TLS = 4 /* works where encryption is demanded */ };
struct verb {
    const char *name;
    void (*run)(struct talk *talk, struct slice arguments);
    unsigned flags;
};

/* --- replies ------------------------------------------------------------------------------------- */

static const char *footer_text(const struct postscreen_session *session, const char *name)
{
    char text[32];
    time_t now = time(NULL);
    struct tm parts;
    if (strcmp(name, "client_address") == 0)
        return session->peer->client_address;
    if (strcmp(name, "client_port") == 0)
        return session->peer->client_port;
    if (strcmp(name, "server_name") == 0)
        return postscreen.my_hostname;
    if (strcmp(name, "localtime") == 0) {
        localtime_r(&now, &parts);
        strftime(text, sizeof text, "%b %d %H:%M:%S", &parts);
        return arena_strdup(session->arena, text);
    }
    log_warning_as("postscreen", "unknown macro name \"%s\" in expansion request", name);
    return "";
}

/* postscreen_expansion_filter: a character that it lacks becomes "_". */
static const char *footer_value(void *context, const char *name)
{
    const struct postscreen_session *session = context;
    char *copy = arena_strdup(session->arena, footer_text(session, name));
    for (char *c = copy; *c != '\0'; c++)
        if (!postscreen.may_expand[(unsigned char)*c])
            *c = '_';
    return copy;
}

static const char *find_footer(struct postscreen_session *session, const char *text)
{
    struct table_answer answer;
    if (*postscreen.reject_footer_maps != '\0' &&
        lookup_find(postscreen.reject_footer_maps, KEY_EXACT, "postscreen_reject_footer_maps", text, session->arena, &answer) &&
        answer.status == TABLE_FOUND)
        return answer.value;
    return postscreen.reject_footer;
}

void postscreen_put(struct postscreen_session *session, struct stream *stream, const char *text)
{
    struct str reply = STR_EMPTY;
    str_append(&reply, text);
    bool is_refusal = text[0] == '4' || text[0] == '5';
    if (is_refusal && postscreen.soft_bounce && text[0] == '5') {
        reply.data[0] = '4';
        if (reply.len > 4 && reply.data[4] == '5')
            reply.data[4] = '4';
    }
    const char *footer = is_refusal ? find_footer(session, text) : "";
    const struct evaluate_source source = {footer_value, session};
    if (*footer != '\0' && !reply_append_footer(&reply, footer, &source))
        log_warning_as("postscreen", "cannot append postscreen_reject_footer");
    stream_put(stream, str_slice(&reply));
    stream_put(stream, SLICE("\r\n"));
    str_free(&reply);
}

static void say(struct talk *talk, const char *text)
{
    postscreen_put(talk->session, talk->stream, text);
}

/* The last word. */
static void end(struct talk *talk, const char *reply)
{
    talk->session->final_reply = reply;
    talk->ends = true;
}

/* --- verbs ------------------------------------------------------------------------------------------ */

static bool next_word(struct slice *rest, struct slice *word)
{
    return slice_next_token(rest, " ", word);
}

static void keep(char **slot, struct slice text)
{
    free(*slot);
    *slot = text.data != NULL ? mem_strndup(text.data, text.len) : NULL;
}

static void begin_anew(struct talk *talk, struct slice name)
{
    keep(&talk->helo_name, name);
    text_make_printable(talk->helo_name, strlen(talk->helo_name));
    keep(&talk->sender, slice_range(NULL, 0));
}

static bool offers_tls(const struct talk *talk)
{
    return postscreen.offers_tls && talk->tls == NULL && tls_server_is_ready();
}

static void run_helo(struct talk *talk, struct slice arguments)
{
    struct slice name;
    if (!next_word(&arguments, &name)) {
        say(talk, "501 Syntax: HELO hostname");
        return;
    }
    begin_anew(talk, name);
    say(talk, arena_printf(talk->line_arena, "250 %s", postscreen.my_hostname));
}

static void find_ehlo_mask(struct talk *talk)
{
    struct table_answer answer;
    talk->ehlo_mask = postscreen.ehlo_mask;
    if (*postscreen.ehlo_maps != '\0' &&
        lookup_find(postscreen.ehlo_maps, KEY_EXACT, "postscreen_discard_ehlo_keyword_address_maps", talk->session->peer->client_address,
                    talk->line_arena, &answer) && answer.status == TABLE_FOUND)
        talk->ehlo_mask = smtp_ehlo_mask(answer.value, NULL);
}

static void run_ehlo(struct talk *talk, struct slice arguments)
{
    static const struct { unsigned bit; const char *text; } keywords[] = {
        {EHLO_SIZE, "SIZE"}, {EHLO_VRFY, "VRFY"}, {EHLO_ETRN, "ETRN"},
        {EHLO_STARTTLS, "STARTTLS"}, {EHLO_ENHANCEDSTATUSCODES, "ENHANCEDSTATUSCODES"},
        {EHLO_8BITMIME, "8BITMIME"}, {EHLO_DSN, "DSN"}, {EHLO_SMTPUTF8, "SMTPUTF8"}, {EHLO_CHUNKING, "CHUNKING"}};
    struct slice name;
    struct str lines = STR_EMPTY;
    if (!next_word(&arguments, &name)) {
        say(talk, "501 Syntax: EHLO hostname");
        return;
    }
    begin_anew(talk, name);
    talk->protocol = "ESMTP";
    find_ehlo_mask(talk);
    unsigned hidden = talk->ehlo_mask | (postscreen.hides_vrfy ? EHLO_VRFY : 0u) | (postscreen.use_utf8 ? 0u : EHLO_SMTPUTF8) |
                      (offers_tls(talk) ? 0u : EHLO_STARTTLS);
    size_t last = 0;
    str_printf(&lines, "250-%s", postscreen.my_hostname);
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        if ((hidden & keywords[i].bit) != 0)
            continue;
        str_append(&lines, "\r\n");
        last = lines.len;
        str_printf(&lines, "250-%s", keywords[i].text);
        if (keywords[i].bit == EHLO_SIZE && postscreen.message_size_limit > 0)
            str_printf(&lines, " %llu", (unsigned long long)postscreen.message_size_limit);
    }
    lines.data[last + 3] = ' ';
    say(talk, str_text(&lines));
    str_free(&lines);
}

/* The address as it stands between the brackets; nobody will deliver to it, so that its syntax does not matter. */
static struct slice take_address(struct talk *talk, struct slice text)
{
    struct str address = STR_EMPTY;
    bool quoted = false;
    while (text.len > 0 && text.data[0] == ' ')
        text = slice_skip(text, 1);
    char stop = text.len > 0 && text.data[0] == '<' ? '>' : ' ';
    if (stop == '>')
        text = slice_skip(text, 1);
    for (; text.len > 0 && (quoted || text.data[0] != stop); text = slice_skip(text, 1)) {
        if (text.data[0] == '"') {
            quoted = !quoted;
            continue;
        }
        if (text.data[0] == '\\') {
            text = slice_skip(text, 1);
            if (text.len == 0)
                break;
        }
        str_append_char(&address, text.data[0]);
    }
    char *copy = arena_slice(talk->line_arena, str_slice(&address));
    str_free(&address);
    text_make_printable(copy, strlen(copy));
    char *colon = *copy == '@' ? strchr(copy, ':') : NULL;
    return slice_of(colon != NULL ? colon + 1 : copy);
}

static void run_mail(struct talk *talk, struct slice arguments)
{
    const char *colon = arguments.len > 0 ? memchr(arguments.data, ':', arguments.len) : NULL;
    if (postscreen.helo_required && talk->helo_name == NULL)
        say(talk, "503 5.5.1 Error: send HELO/EHLO first");
    else if (talk->sender != NULL)
        say(talk, "503 5.5.1 Error: nested MAIL command");
    else if (colon == NULL)
        say(talk, "501 5.5.4 Syntax: MAIL FROM:<address>");
    else {
        keep(&talk->sender, take_address(talk, slice_skip(arguments, (size_t)(colon + 1 - arguments.data))));
        say(talk, "250 2.1.0 Ok");
    }
}

static void run_rcpt(struct talk *talk, struct slice arguments)
{
    const struct postscreen_session *session = talk->session;
    const char *colon = arguments.len > 0 ? memchr(arguments.data, ':', arguments.len) : NULL;
    if (talk->sender == NULL) {
        say(talk, "503 5.5.1 Error: need MAIL command");
        return;
    }
    if (colon == NULL) {
        say(talk, "501 5.5.4 Syntax: RCPT TO:<address>");
        return;
    }
    struct slice address = take_address(talk, slice_skip(arguments, (size_t)(colon + 1 - arguments.data)));
    char *reply = arena_strdup(talk->line_arena, session->rcpt_reply);
    if (postscreen.soft_bounce && reply[0] == '5')
        reply[0] = reply[4] = '4';
    struct str from = STR_EMPTY, to = STR_EMPTY;
    quote_append_address(&from, talk->sender);
    quote_append_address(&to, arena_slice(talk->line_arena, address));
    log_info_as("postscreen", "NOQUEUE: reject: RCPT from [%s]:%s: %s; from=<%s>, to=<%s>, proto=%s, helo=<%s>", CLIENT(session),
                reply, str_text(&from), str_text(&to), talk->protocol, talk->helo_name != NULL ? talk->helo_name : "");
    str_free(&from);
    str_free(&to);
    say(talk, session->rcpt_reply);
}

static void run_data(struct talk *talk, struct slice arguments)
{
    struct slice word;
    log_info_as("postscreen", "DATA without valid RCPT from [%s]:%s", CLIENT(talk->session));
    end(talk, next_word(&arguments, &word) ? "501 5.5.4 Syntax: DATA" : talk->sender == NULL ?
        "503 5.5.1 Error: need RCPT command" : "554 5.5.1 Error: no valid recipients");
}

static void run_bdat(struct talk *talk, struct slice arguments)
{
    struct slice word;
    log_info_as("postscreen", "BDAT without valid RCPT from [%s]:%s", CLIENT(talk->session));
    end(talk, (talk->ehlo_mask & EHLO_CHUNKING) != 0 ? "502 5.5.1 Error: command not implemented" :
        !next_word(&arguments, &word) ? "501 5.5.4 Syntax: BDAT count [LAST]" : talk->sender == NULL ?
        "554 5.5.1 Error: need MAIL command" : "554 5.5.1 Error: no valid recipients");
}

static void run_rset(struct talk *talk, struct slice arguments UNUSED)
{
    keep(&talk->sender, slice_range(NULL, 0));
    say(talk, "250 2.0.0 Ok");
}

static void run_noop(struct talk *talk, struct slice arguments UNUSED)
{
    say(talk, "250 2.0.0 Ok");
}

static void run_vrfy(struct talk *talk, struct slice arguments)
{
    struct slice word;
    say(talk, !next_word(&arguments, &word) ? "501 5.5.4 Syntax: VRFY address" :
        postscreen.disable_vrfy ? "502 5.5.1 VRFY command is disabled" : talk->session->rcpt_reply);
}

static void run_etrn(struct talk *talk, struct slice arguments)
{
    struct slice word;
    say(talk, postscreen.helo_required && talk->helo_name == NULL ? "503 5.5.1 Error: send HELO/EHLO first" :
        !next_word(&arguments, &word) ? "500 Syntax: ETRN domain" : "458 Unable to queue messages");
}

static void run_quit(struct talk *talk, struct slice arguments UNUSED)
{
    end(talk, "221 2.0.0 Bye");
}

/* RFC 3207: nothing that was said before survives, not even what was sent ahead. */
static void run_starttls(struct talk *talk, struct slice arguments)
{
    struct postscreen_session *session = talk->session;
    struct slice word;
    if (next_word(&arguments, &word)) {
        say(talk, "501 5.5.4 Syntax: STARTTLS");
        return;
    }
    if (talk->tls != NULL || !offers_tls(talk)) {
        say(talk, talk->tls != NULL ? "554 5.5.1 Error: TLS already active" : "502 5.5.1 Error: command not implemented");
        return;
    }
    say(talk, "220 2.0.0 Ready to start TLS");
    enum io_status status = stream_flush(talk->stream, deadline_in_s(postscreen.command_time_s[postscreen_is_stressed()]));
    stream_discard_input(talk->stream);
    keep(&talk->helo_name, slice_range(NULL, 0));
    keep(&talk->sender, slice_range(NULL, 0));
    const char *client = arena_printf(session->arena, "[%s]:%s", CLIENT(session));
    if (status != IO_OK || !tls_server_accept(talk->stream, client, &talk->tls)) {
        postscreen_log_hangup(session);
        talk->ends = true;
    }
}

static const struct verb verbs[] = {
    {"HELO", run_helo, BEFORE_TLS}, {"EHLO", run_ehlo, BEFORE_TLS}, {"STARTTLS", run_starttls, BEFORE_TLS}, {"XCLIENT", run_noop, DISABLED},
    {"XFORWARD", run_noop, DISABLED}, {"AUTH", run_noop, DISABLED}, {"MAIL", run_mail, 0}, {"RCPT", run_rcpt, 0},
    {"DATA", run_data, 0}, {"BDAT", run_bdat, PAYLOAD}, {"RSET", run_rset, 0}, {"NOOP", run_noop, BEFORE_TLS},
    {"VRFY", run_vrfy, 0}, {"ETRN", run_etrn, 0}, {"QUIT", run_quit, BEFORE_TLS},
};

/* --- tests --------------------------------------------------------------------------------------------- */

static const char *escaped(struct talk *talk, struct slice text)
{
    struct str out = STR_EMPTY;
    text_escape(slice_range(text.data, text.len > 100 ? 100 : text.len), &out);
    const char *copy = arena_slice(talk->line_arena, str_slice(&out));
    str_free(&out);
    return copy;
}

static bool is_asked(const struct talk *talk, enum postscreen_test test)
{
    return (talk->session->todo & ~talk->session->done & TEST_BIT(test)) != 0;
}

/* Takes the test back that may have been passed before. True: the connection is dropped. */
static bool fail(struct talk *talk, enum postscreen_test test, const char *drop_reply)
{
    struct postscreen_session *session = talk->session;
    unsigned bit = TEST_BIT(test);
    session->passed &= ~bit;
    session->stamps->expires_s[test] = STAMP_DISABLED;
    session->done |= bit; /* once a session is enough */
    if (postscreen_fail(session, test, drop_reply, "550 5.5.1 Protocol error")) {
        talk->ends = true;
        return true;
    }
    if (postscreen.actions[test] == ACTION_IGNORE) { /* for a while it counts as passed */
        session->failed &= ~bit;
        session->passed |= bit;
        session->stamps->expires_s[test] = wall_us() / 1000000 + postscreen.ttl_s[test];
        for (unsigned i = 0; i < TEST_COUNT; i++)
            if (postscreen.ttl_s[i] > 0 && session->stamps->expires_s[test] > wall_us() / 1000000 + postscreen.ttl_s[i])
                session->stamps->expires_s[test] = wall_us() / 1000000 + postscreen.ttl_s[i];
    }
    return false;
}

static bool is_forbidden(struct talk *talk, struct slice command)
{
    struct slice rest = slice_of(postscreen.forbidden_commands), word;
    char first = command.len > 0 ? text_lower_char(command.data[0]) : '\0';
    if ((command.len > 1 && command.data[command.len - 1] == ':') || (postscreen.use_utf8 && !text_is_utf8(command)))
        return true;
    while (slice_next_token(&rest, ", \t\r\n", &word)) {
        struct table_answer answer;
        if (slice_equal_nocase(word, SLICE("Bogus}}"))) /* the rest of the pattern in the default value */
            continue;
        if (slice_equal(word, SLICE("regexp:{{/^[^A-Z]/"))) {
            if (first < 'a' || first > 'z')
                return true;
        } else if (memchr(word.data, ':', word.len) == NULL ? slice_equal_nocase(word, command) :
                   lookup_find(arena_slice(talk->line_arena, word), KEY_EXACT, "postscreen_forbidden_commands",
                               arena_slice(talk->line_arena, command), talk->line_arena, &answer) && answer.status == TABLE_FOUND)
            return true;
    }
    return false;
}

/* Up to the first recipient without an offence: that is how a mail client behaves. */
static void pass_at_rcpt(struct postscreen_session *session)
{
    for (unsigned test = TEST_PIPELINING; test < TEST_COUNT; test++) {
        unsigned bit = TEST_BIT(test);
        if ((session->todo & bit) == 0 || ((session->passed | session->failed) & bit) != 0)
            continue;
        session->passed |= bit;
        session->stamps->expires_s[test] = wall_us() / 1000000 + postscreen.ttl_s[test];
    }
}

/* True: the connection is dropped. */
static bool test_command(struct talk *talk, const struct verb *verb, const char *before, struct slice command, struct slice arguments)
{
    const struct postscreen_session *session = talk->session;
    if (verb == NULL && is_asked(talk, TEST_NON_SMTP) && is_forbidden(talk, command)) {
        char *name = arena_slice(talk->line_arena, command);
        text_make_printable(name, command.len);
        log_info_as("postscreen", "NON-SMTP COMMAND from [%s]:%s after %s: %.100s %s", CLIENT(session), before, name,
                    escaped(talk, arguments));
        if (fail(talk, TEST_NON_SMTP, "521 5.7.0 Error: I can break rules, too. Goodbye."))
            return true;
    }
    bool has_payload = verb != NULL && (verb->flags & PAYLOAD) != 0;
    struct slice more = stream_buffered(talk->stream);
    if (!has_payload && is_asked(talk, TEST_PIPELINING) && more.len > 0) {
        char *name = arena_slice(talk->line_arena, command);
        text_make_printable(name, command.len);
        log_info_as("postscreen", "COMMAND PIPELINING from [%s]:%s after %.100s: %s", CLIENT(session), name, escaped(talk, more));
        if (fail(talk, TEST_PIPELINING, "521 5.5.1 Protocol error"))
            return true;
    }
    return false;
}

/* --- lines ------------------------------------------------------------------------------------------------ */

static const struct verb *find_verb(struct slice command)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (slice_equal_nocase(command, slice_of(verbs[i].name)))
            return &verbs[i];
    return NULL;
}

static void filter_command(struct talk *talk, struct slice *line)
{
    struct table_answer answer;
    if (*postscreen.command_filter == '\0')
        return;
    const char *key = arena_slice(talk->line_arena, *line);
    if (!lookup_find(postscreen.command_filter, KEY_EXACT, "postscreen_command_filter", key, talk->line_arena, &answer) ||
        answer.status != TABLE_FOUND)
        return;
    log_info_as("postscreen", "[%s]:%s: replacing command \"%.100s\" with \"%.100s\"", CLIENT(talk->session), key, answer.value);
    *line = slice_of(answer.value);
}

static void run_line(struct talk *talk, struct slice line)
{
    struct slice command = SLICE(""), rest;
    const char *before = talk->where;
    filter_command(talk, &line);
    rest = line;
    if (next_word(&rest, &command) && rest.len > 0)
        rest = slice_skip(rest, 1);
    const struct verb *verb = find_verb(command);
    talk->where = verb != NULL ? verb->name : "UNIMPLEMENTED";
    if (test_command(talk, verb, before, command, rest))
        return;
    if (verb != NULL && verb->run == run_rcpt)
        pass_at_rcpt(talk->session);
    if (++talk->command_count > postscreen.command_count_limit && (verb == NULL || verb->run != run_quit)) {
        log_info_as("postscreen", "COMMAND COUNT LIMIT from [%s]:%s after %s", CLIENT(talk->session), before);
        end(talk, arena_printf(talk->session->arena, "421 %s Service unavailable - try again later", postscreen.my_hostname));
    } else if (verb == NULL || (verb->flags & DISABLED) != 0)
        say(talk, "502 5.5.2 Error: command not recognized");
    else if (postscreen.demands_tls && talk->tls == NULL && (verb->flags & BEFORE_TLS) == 0)
        say(talk, "530 5.7.0 Must issue a STARTTLS command first");
    else
        verb->run(talk, rest);
}

/* True: the connection is dropped. */
static bool test_newline(struct talk *talk, struct slice line)
{
    if (!is_asked(talk, TEST_BARE_NEWLINE))
        return false;
    log_info_as("postscreen", "BARE NEWLINE from [%s]:%s after %s", CLIENT(talk->session), escaped(talk, line));
    return fail(talk, TEST_BARE_NEWLINE, "521 5.5.1 Protocol error");
}

static void read_failed(struct talk *talk, enum io_status status)
{
    struct postscreen_session *session = talk->session;
    if (status == IO_TIMEOUT) {
        log_info_as("postscreen", "COMMAND TIME LIMIT from [%s]:%s after %s", CLIENT(session), talk->where);
        end(talk, arena_printf(session->arena, "421 4.4.2 %s Error: timeout exceeded", postscreen.my_hostname));
    } else if (status == IO_TOO_LONG) {
        log_info_as("postscreen", "COMMAND LENGTH LIMIT from [%s]:%s after %s", CLIENT(session), talk->where);
        end(talk, arena_printf(session->arena, "421 %s Service unavailable - try again later", postscreen.my_hostname));
    } else {
        postscreen_log_hangup(session);
        talk->ends = true;
    }
}

static void take_line(struct talk *talk)
{
    struct slice line;
    bool bare_lf;
    int64_t deadline = deadline_in_s(postscreen.command_time_s[postscreen_is_stressed()]);
    enum io_status status = stream_flush(talk->stream, deadline);
    if (status == IO_OK)
        status = stream_read_line(talk->stream, (size_t)postscreen.line_limit, &line, &bare_lf, deadline);
    if (status != IO_OK) {
        read_failed(talk, status);
        return;
    }
    line = slice_of(arena_slice(talk->line_arena, line)); /* ends at a NUL, as in Postfix */
    if (!bare_lf || !test_newline(talk, line))
        run_line(talk, line);
    arena_reset(talk->line_arena);
}

void postscreen_talk(struct postscreen_session *session, struct stream *stream)
{
    struct talk talk = {.session = session, .stream = stream, .line_arena = arena_new(), .where = "CONNECT", .protocol = "SMTP"};
    session->is_refused = true;
    postscreen_begin_phase(session, "tests after SMTP handshake");
    if (postscreen_has_failed(session))
        session->todo |= DEEP_TESTS; /* a bad client shows what else it does, for the log */
    if ((session->failed & TEST_BIT(TEST_PREGREET)) == 0)
        say(&talk, postscreen.greeting);
    while (!talk.ends)
        take_line(&talk);
    free(talk.helo_name);
    free(talk.sender);
    arena_free(talk.line_arena);
}
