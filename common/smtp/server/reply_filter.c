/* SPDX-License-Identifier: ISC */
/*
 * reply_filter: whom to ask, and what else an admin wants a refused client to read. Called by reply.c for each 4xx and 5xx
 * when one of these parameters is set. A table that fails changes nothing.
 */
#include "common/smtp/server/reply_filter.h"

#include <stdio.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mail/address_parse.h"

void expansion_filter_read(const char *text, bool allowed[256])
{
    static const char codes[] = "a\ab\bf\fn\nr\rt\tv\v";
    memset(allowed, 0, 256 * sizeof *allowed);
    while (*text != '\0') {
        unsigned char c = (unsigned char)*text++;
        if (c == '\\' && *text >= '0' && *text <= '7') {
            c = 0;
            for (unsigned i = 0; i < 3 && *text >= '0' && *text <= '7'; i++)
                c = (unsigned char)(c * 8 + (*text++ - '0'));
        } else if (c == '\\' && *text != '\0') {
            const char *code = strchr(codes, *text);
            c = (unsigned char)(code != NULL && (code - codes) % 2 == 0 ? code[1] : *text);
            text++;
        }
        allowed[c] = true;
    }
}

/* --- names in a footer ------------------------------------------------------------------- */

static const char *part_of(struct arena *arena, const char *address, const char *suffix)
{
    if (address == NULL)
        return "";
    if (strcmp(suffix, "_name") == 0)
        return *address == '\0' ? "<>" : arena_slice(arena, address_local_part(slice_of(address)));
    if (strcmp(suffix, "_domain") == 0)
        return arena_slice(arena, address_domain(slice_of(address)));
    return *suffix != '\0' ? NULL : *address == '\0' ? "<>" : address;
}

static const char *local_time(struct arena *arena)
{
    char text[32];
    time_t now = (time_t)(wall_us() / 1000000);
    struct tm parts;
    localtime_r(&now, &parts);
    strftime(text, sizeof text, "%b %d %H:%M:%S", &parts);
    return arena_strdup(arena, text);
}

static const char *value_of(struct smtp_session *session, const char *name, const char *recipient)
{
    if (strcmp(name, "localtime") == 0)
        return local_time(session->scratch);
    if (strncmp(name, "sender", 6) == 0)
        return part_of(session->scratch, session->sender, name + 6);
    if (strncmp(name, "recipient", 9) == 0)
        return part_of(session->scratch, recipient, name + 9);
    const struct { const char *name, *value; } values[] = {
        {"server_name", session->server->my_hostname}, {"client", session->client}, {"client_port", session->client_port},
        {"client_address", session->client_address}, {"client_name", session->client_name},
        {"reverse_client_name", session->reverse_name != NULL ? session->reverse_name : session->client_name},
        {"helo_name", session->helo_name != NULL ? session->helo_name : ""},
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        if (strcmp(values[i].name, name) == 0)
            return values[i].value;
    return NULL;
}

/* A stranger's text is no template: its dollars are doubled. */
const char *reply_macro_escape(struct smtp_session *session, const char *value)
{
    struct str safe = STR_EMPTY;
    for (; *value != '\0'; value++) {
        str_append(&safe, *value == '$' ? "$" : "");
        str_append_char(&safe, session->server->may_expand[(unsigned char)*value] ? *value : '_');
    }
    const char *copy = arena_slice(session->scratch, str_slice(&safe));
    str_free(&safe);
    return copy;
}

const char *reply_macro_value(struct smtp_session *session, const char *name, const char *recipient)
{
    const char *value = value_of(session, name, recipient);
    if (value != NULL)
        return reply_macro_escape(session, value);
    log_warning("unknown macro name \"%s\" in expansion request", name);
    return NULL;
}

static const char *lookup(void *context, const char *name)
{
    struct smtp_session *session = context;
    return reply_macro_value(session, name, session->present_recipient);
}

/* --- footers --------------------------------------------------------------------------------- */

/* Where the last line of the reply begins; (size_t)-1 when it is no reply. */
static size_t last_line(const struct str *reply)
{
    size_t at = 0;
    for (;;) {
        const char *line = str_text(reply) + at;
        if (reply->len < at + 4 || !text_is_digit(line[0]) || !text_is_digit(line[1]) || !text_is_digit(line[2]) ||
            (line[3] != ' ' && line[3] != '-'))
            return (size_t)-1;
        const char *end = strstr(line, "\r\n");
        if (end == NULL || end[2] == '\0')
            return at;
        at = (size_t)(end + 2 - str_text(reply));
    }
}

/* The bytes of "5.7.1" at the start of the text, or 0. */
static size_t status_length(const char *text)
{
    size_t len = 0, dots = 0;
    while (text_is_digit(text[len]) || (text[len] == '.' && len > 0 && text[len - 1] != '.'))
        dots += text[len++] == '.';
    return dots == 2 && len >= 5 && len <= 9 && text[1] == '.' && text[len - 1] != '.' &&
           (text[0] == '2' || text[0] == '4' || text[0] == '5') ? len : 0;
}

bool reply_append_footer(struct str *reply, const char *template, const struct evaluate_source *source)
{
    size_t start = last_line(reply), before = reply->len;
    struct str prefix = STR_EMPTY, why = STR_EMPTY;
    bool added = false, good = start != (size_t)-1;
    if (!good)
        return false;
    size_t status = status_length(str_text(reply) + start + 4);
    str_append_bytes(&prefix, reply->data + start, 3 + 1 + status);
    for (const char *at = template, *next; good && at != NULL; at = next) {
        const char *end = strstr(at, "\\n");
        next = end != NULL ? end + 2 : NULL;
        if (at == template && strncmp(at, "\\c", 2) == 0)
            at += 2; /* goes on in the same line */
        else {
            added = true;
            prefix.data[3] = next != NULL ? '-' : ' ';
            str_append(reply, "\r\n");
            str_append_slice(reply, str_slice(&prefix));
            str_append(reply, status > 0 ? " " : "");
        }
        good = evaluate_text(source, slice_range(at, end != NULL ? (size_t)(end - at) : strlen(at)), reply, &why);
    }
    if (!good)
        str_truncate(reply, before);
    else if (added)
        reply->data[start + 3] = '-';
    str_free(&prefix);
    str_free(&why);
    return good;
}

static void append_footer(struct smtp_session *session, struct str *reply)
{
    const struct smtp_server *server = session->server;
    const struct evaluate_source source = {lookup, session};
    const char *footer = NULL;
    if (*server->reject_footer_maps != '\0')
        footer = smtp_session_find(session, server->reject_footer_maps, "smtpd_reject_footer_maps", str_text(reply));
    if (footer == NULL)
        footer = server->reject_footer;
    if (*footer != '\0' && !reply_append_footer(reply, footer, &source))
        log_warning("%s: cannot append smtpd_reject_footer", session->client);
}

/* --- the whole reply ---------------------------------------------------------------------------- */

static void replace(struct smtp_session *session, struct str *reply)
{
    const char *other = smtp_session_find(session, session->server->reject_filter_maps, "smtpd_reject_filter_maps", str_text(reply));
    if (other == NULL)
        return;
    bool is_reply = (other[0] == '4' || other[0] == '5') && text_is_digit(other[1]) && text_is_digit(other[2]) &&
                    (other[3] == ' ' || other[3] == '-') && (!text_is_digit(other[4]) || other[4] == other[0]);
    if (!is_reply) {
        log_warning("%s: ignoring invalid reject filter result: %s", smtp_session_id(session), other);
        return;
    }
    log_info("%s: reply filter in: %s", smtp_session_id(session), str_text(reply));
    log_info("%s: reply filter out: %s", smtp_session_id(session), other);
    str_clear(reply);
    str_append(reply, other);
}

static void soften(struct str *reply)
{
    for (char *line = reply->data; line != NULL && *line == '5';) {
        line[0] = '4';
        if (strlen(line) > 4 && line[4] == '5')
            line[4] = '4';
        line = strstr(line, "\r\n");
        line = line != NULL ? line + 2 : NULL;
    }
}

void reply_filter(struct smtp_session *session, struct str *reply)
{
    if (*session->server->reject_filter_maps != '\0')
        replace(session, reply);
    append_footer(session, reply);
    if (session->server->soft_bounce)
        soften(reply);
}
