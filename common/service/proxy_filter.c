/* SPDX-License-Identifier: ISC */
/*
 * proxy_filter: the client's end of smtpd_proxy_filter (SMTPD_PROXY_README). Called on the session's fiber by the SMTP library;
 * one connection for each transaction, which lookup makes, as this process may not. What the filter answers goes to our client;
 * when it is down, silent or out of step, the client gets a 4xx and keeps its message. With speed_adjust commands wait in
 * memory until the content is whole, or is more than memory shall hold: then it streams.
 */
#include "common/service/proxy_filter.h"

#include <stdlib.h>
#include <string.h>

#include "common/access/access.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/policy_spec.h"
#include "common/service/cleanup.h"
#include "common/smtp/client/content_writer.h"
#include "common/smtp/server/content.h"
#include "common/smtp/server/transcript.h"

#define LINE_MAX_READ 16000 /* what a stream can return; what is kept is line_length_limit, as in Postfix */
#define LINES_MAX 1000      /* of one reply, garbage included */

static struct {
    const char *name;     /* as in main.cf, for warnings */
    const char *endpoint; /* for lookup */
    const char *hello;
    int64_t timeout;      /* seconds: to connect, and for each command or reply */
    size_t line_limit;
    bool waits;           /* speed_adjust */
} settings;

struct proxy_filter {
    struct stream stream;
    bool is_connected;
    bool is_lost;       /* out of step or gone: not another word */
    bool in_content;    /* a QUIT would be part of it */
    bool has_begun;     /* the writer has */
    struct str waiting; /* speed_adjust: commands, each a line behind the digit that is expected */
    struct smtp_session *session; /* whose it is */
    struct str reply;   /* the last one, lines with '\n' between them */
    bool is_garbled;    /* it is none that a client may be told */
    struct content_writer writer;
};

/* --- configuration ------------------------------------------------------------------------- */

static void read_options(const struct config *config, struct arena *arena)
{
    char **words;
    size_t count = config_split_list(config_string(config, "smtpd_proxy_options"), arena, &words);
    for (size_t i = 0; i < count; i++) {
        if (!text_equal_nocase(words[i], "speed_adjust"))
            log_fatal("unknown smtpd_proxy_options value \"%s\" in \"%s\"", words[i],
                      config_string(config, "smtpd_proxy_options"));
        settings.waits = true;
    }
}

void proxy_filter_configure(const struct config *config, struct smtp_server *server)
{
    settings.name = config_string(config, "smtpd_proxy_filter");
    server->is_filtered = *settings.name != '\0';
    if (!server->is_filtered)
        return;
    struct arena *arena = arena_new();
    const char *endpoint = proxy_filter_endpoint(settings.name, arena);
    if (endpoint == NULL)
        log_fatal("smtpd_proxy_filter: bad host or port: %s", settings.name);
    settings.endpoint = mem_strdup(endpoint);
    settings.hello = config_string(config, "smtpd_proxy_ehlo");
    settings.timeout = config_seconds(config, "smtpd_proxy_timeout");
    settings.line_limit = (size_t)server->line_length_limit;
    read_options(config, arena);
    arena_free(arena);
}

/* --- one command and its reply ---------------------------------------------------------------- */

static struct proxy_filter *filter_of(const struct smtp_session *session)
{
    return session->filter;
}

/* The filter said nothing that could be passed on. */
static bool fake_reply(struct proxy_filter *filter)
{
    str_clear(&filter->reply);
    str_append(&filter->reply, "451 4.3.0 Error: queue file write error");
    smtp_session_blame(filter->session, FAULT_RESOURCE);
    return false;
}

static bool filter_is_lost(struct proxy_filter *filter, enum io_status status)
{
    filter->is_lost = true;
    if (status == IO_TIMEOUT)
        log_warning("timeout talking to proxy %s", settings.name);
    else
        log_warning("lost connection with proxy %s", settings.name);
    return fake_reply(filter);
}

/* A reply to nothing would be taken for that to the next command, in the end to the final dot. */
static bool filter_is_out_of_turn(struct proxy_filter *filter)
{
    log_warning("proxy %s speaks out of turn", settings.name);
    filter->is_lost = true;
    return fake_reply(filter);
}

static void keep_line(struct proxy_filter *filter, struct slice line)
{
    if (line.len > settings.line_limit) {
        log_warning("%s: response longer than %zu: %.30s...", settings.name, settings.line_limit, line.data);
        line.len = settings.line_limit;
    }
    if (filter->reply.len >= settings.line_limit)
        return;
    if (filter->reply.len > 0)
        str_append_char(&filter->reply, '\n');
    str_append_slice(&filter->reply, line);
    text_make_printable(filter->reply.data + filter->reply.len - line.len, line.len);
}

static bool is_reply_line(struct slice line)
{
    size_t digits = 0;
    while (digits < line.len && text_is_digit(line.data[digits]))
        digits++;
    return digits == 3 && (line.len == 3 || line.data[3] == ' ' || line.data[3] == '-');
}

/* Lines that are no reply are warned of and read over, as Postfix does; our client is not told such a thing. */
static bool read_reply(struct proxy_filter *filter)
{
    int64_t deadline = deadline_in_s(settings.timeout);
    struct slice line;
    char code[3] = {0};
    str_clear(&filter->reply);
    filter->is_garbled = false;
    for (unsigned lines = 0; lines < LINES_MAX; lines++) {
        enum io_status status = stream_read_line(&filter->stream, LINE_MAX_READ, &line, NULL, deadline);
        if (status != IO_OK)
            return filter_is_lost(filter, status);
        keep_line(filter, line);
        if (lines == 0 && line.len >= sizeof code)
            memcpy(code, line.data, sizeof code);
        bool is_reply = is_reply_line(line);
        filter->is_garbled = filter->is_garbled || !is_reply || memcmp(code, line.data, sizeof code) != 0;
        if (is_reply && (line.len == 3 || line.data[3] == ' '))
            return true;
        if (!is_reply)
            log_warning("received garbage from proxy %s: %.*s", settings.name, line.len > 100 ? 100 : (int)line.len, line.data);
    }
    return filter_is_lost(filter, IO_TOO_LONG);
}

static char reply_class(const struct proxy_filter *filter)
{
    return filter->is_garbled ? '\0' : str_text(&filter->reply)[0];
}

/* A stray CR, which a client may send inside quotes, is no line end here and shall be none there. */
static void put_command(struct stream *stream, struct slice command)
{
    size_t start = stream->out.len;
    stream_put(stream, command);
    for (size_t i = start; i < stream->out.len; i++)
        if (stream->out.data[i] == '\r' || stream->out.data[i] == '\n')
            stream->out.data[i] = ' ';
    stream_put(stream, SLICE("\r\n"));
}

/* Sends a command ("": none, the greeting is due) and reads its reply. False: filter->reply is what our client gets. */
static bool exchange(struct smtp_session *session, struct slice command, char expected)
{
    struct proxy_filter *filter = filter_of(session);
    if (filter->is_lost)
        return fake_reply(filter);
    if (command.len > 0 && stream_buffered(&filter->stream).len > 0)
        return filter_is_out_of_turn(filter);
    if (command.len > 0) {
        put_command(&filter->stream, command);
        enum io_status status = stream_flush(&filter->stream, deadline_in_s(settings.timeout));
        if (status != IO_OK)
            return filter_is_lost(filter, status);
    }
    if (!read_reply(filter))
        return false;
    char class = reply_class(filter);
    if (class == expected)
        return true;
    const char *said = content_filter_reply_line(session);
    if (command.len > 0)
        log_warning("proxy %s rejected \"%.*s\": \"%s\"", settings.name, SLICE_ARGS(command), said);
    else
        log_warning("proxy %s rejected \"connection request\": \"%s\"", settings.name, said);
    return class == '4' || class == '5' ? false : fake_reply(filter);
}

/* --- XFORWARD (XFORWARD_README) ------------------------------------------------------------------ */

/* Octets behind the word in a command whose reply repeats it: RFC 5321 section 4.5.3.1.5. */
#define XFORWARD_ROOM (512 - (sizeof "250 XFORWARD\r\n" - 1))

enum forwarded { FORWARDS_NAME, FORWARDS_ADDR, FORWARDS_PORT, FORWARDS_HELO, FORWARDS_IDENT, FORWARDS_PROTO, FORWARDS_SOURCE,
                 FORWARDS_COUNT };
static const char *const attribute_names[FORWARDS_COUNT] = {
    [FORWARDS_NAME] = "NAME", [FORWARDS_ADDR] = "ADDR", [FORWARDS_PORT] = "PORT", [FORWARDS_HELO] = "HELO",
    [FORWARDS_IDENT] = "IDENT", [FORWARDS_PROTO] = "PROTO", [FORWARDS_SOURCE] = "SOURCE"};

/* Which attributes the reply to EHLO asks for, as bits. */
static unsigned find_attributes(struct slice lines)
{
    struct slice line, word;
    unsigned wanted = 0;
    while (slice_next_token(&lines, "\n", &line)) {
        line = slice_skip(line, line.len < 4 ? line.len : 4);
        if (!slice_next_token(&line, " \t", &word) || !slice_equal_nocase(word, SLICE("XFORWARD")))
            continue;
        while (slice_next_token(&line, " \t", &word))
            for (unsigned i = 0; i < FORWARDS_COUNT; i++)
                if (slice_equal_nocase(word, slice_of(attribute_names[i])))
                    wanted |= 1u << i;
    }
    return wanted;
}

static const char *internet_address(struct smtp_session *session, const char *address)
{
    return strchr(address, ':') != NULL ? arena_printf(session->scratch, "IPv6:%s", address) : address;
}

static void collect_values(struct smtp_session *session, const char *values[FORWARDS_COUNT])
{
    const struct smtp_forward *forward = session->forward;
    bool is_forwarded = forward != NULL && forward->has_client;
    bool is_local = forward != NULL && forward->has_domain ? forward->is_local : cleanup_is_local_client(session);
    values[FORWARDS_NAME] = is_forwarded ? forward->name : session->client_name;
    values[FORWARDS_ADDR] = internet_address(session, is_forwarded ? forward->address : session->client_address);
    values[FORWARDS_PORT] = is_forwarded ? forward->port : session->client_port;
    values[FORWARDS_HELO] = is_forwarded ? forward->helo : session->helo_name;
    values[FORWARDS_IDENT] = forward != NULL ? forward->ident : NULL;
    values[FORWARDS_PROTO] = is_forwarded ? forward->protocol : smtp_session_protocol(session);
    values[FORWARDS_SOURCE] = is_local ? "LOCAL" : "REMOTE";
    for (unsigned i = 0; i < FORWARDS_COUNT; i++)
        if (values[i] == NULL || (i != FORWARDS_HELO && i != FORWARDS_IDENT && strcmp(values[i], "unknown") == 0))
            values[i] = "[UNAVAILABLE]";
}

static void append_xtext(struct str *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte < 33 || byte > 126 || byte == '+')
            str_printf(out, "+%02X", byte);
        else
            str_append_char(out, *text);
    }
}

static bool send_attributes(struct smtp_session *session, unsigned wanted)
{
    const char *values[FORWARDS_COUNT];
    struct str command = STR_EMPTY, one = STR_EMPTY;
    bool ok = true;
    collect_values(session, values);
    for (unsigned i = 0; i <= FORWARDS_COUNT && ok; i++) {
        str_clear(&one);
        if (i < FORWARDS_COUNT && (wanted & (1u << i)) == 0)
            continue;
        if (i < FORWARDS_COUNT) {
            str_printf(&one, " %s=", attribute_names[i]);
            append_xtext(&one, values[i]);
            if (one.len > XFORWARD_ROOM)
                log_warning("XFORWARD command payload %s=%.10s... exceeds SMTP protocol limit", attribute_names[i], values[i]);
        }
        bool is_full = command.len + one.len > sizeof "XFORWARD" - 1 + XFORWARD_ROOM;
        if (command.len > 0 && (is_full || i == FORWARDS_COUNT)) {
            ok = exchange(session, str_slice(&command), '2');
            str_clear(&command);
        }
        if (command.len == 0)
            str_append(&command, "XFORWARD");
        str_append_slice(&command, str_slice(&one));
    }
    str_free(&command);
    str_free(&one);
    return ok;
}

/* --- opening and closing --------------------------------------------------------------------------- */

/* A filter that does not want us, or not what every filter must take, is one that is out of order. */
static bool greet(struct smtp_session *session)
{
    struct proxy_filter *filter = filter_of(session);
    const char *hello = arena_printf(session->scratch, "EHLO %s", settings.hello);
    if (!exchange(session, SLICE(""), '2') || !exchange(session, slice_of(hello), '2'))
        return fake_reply(filter);
    unsigned wanted = find_attributes(str_slice(&filter->reply));
    if (wanted != 0 && !send_attributes(session, wanted))
        return fake_reply(filter);
    return true;
}

static bool connect_filter(struct smtp_session *session)
{
    struct proxy_filter *filter = filter_of(session);
    const char *error;
    int fd = lookup_connect(settings.endpoint, settings.timeout * 1000, session->scratch, &error);
    if (fd < 0) {
        log_warning("connect to proxy filter %s: %s", settings.name, error);
        return fake_reply(filter);
    }
    stream_init(&filter->stream, fd);
    filter->is_connected = true;
    return greet(session) && exchange(session, slice_of(session->mail_command), '2');
}

static void free_filter(struct smtp_session *session)
{
    struct proxy_filter *filter = filter_of(session);
    if (filter->is_connected) {
        if (!filter->is_lost && !filter->in_content) {
            stream_put(&filter->stream, SLICE("QUIT\r\n"));
            if (stream_flush(&filter->stream, deadline_in_s(1)) != IO_OK)
                log_debug("proxy %s: QUIT was not sent", settings.name);
        }
        stream_close(&filter->stream);
    }
    str_free(&filter->waiting);
    str_free(&filter->reply);
    free(filter);
    session->filter = NULL;
}

const char *proxy_filter_open(struct smtp_session *session)
{
    session->filter = mem_alloc(sizeof(struct proxy_filter));
    filter_of(session)->session = session;
    if (settings.waits || connect_filter(session))
        return NULL;
    const char *reply = arena_slice(session->scratch, str_slice(&filter_of(session)->reply));
    smtp_session_blame(session, FAULT_NONE); /* what a filter refuses by itself */
    free_filter(session);
    return reply;
}

void proxy_filter_close(struct smtp_session *session)
{
    if (session->filter != NULL)
        free_filter(session);
}

/* --- the transaction ------------------------------------------------------------------------------------ */

const char *proxy_filter_reply(const struct smtp_session *session)
{
    return str_text(&filter_of(session)->reply);
}

const char *proxy_filter_command(struct smtp_session *session, struct slice command, char expected)
{
    struct proxy_filter *filter = filter_of(session);
    if (settings.waits) {
        str_printf(&filter->waiting, "%c%.*s\n", expected, SLICE_ARGS(command));
        return NULL;
    }
    bool accepted = exchange(session, command, expected);
    if (!accepted) {
        smtp_session_blame(session, FAULT_NONE);
        return arena_slice(session->scratch, str_slice(&filter->reply));
    }
    if (expected == '3')
        filter->in_content = true;
    return NULL;
}

/* speed_adjust: the first refusal is that of the message, as a filter must treat all recipients alike. */
static bool say_what_waited(struct smtp_session *session)
{
    struct proxy_filter *filter = filter_of(session);
    struct slice rest = str_slice(&filter->waiting), line;
    if (!connect_filter(session))
        return false;
    while (slice_next_token(&rest, "\n", &line))
        if (!exchange(session, slice_skip(line, 1), line.data[0]))
            return false;
    filter->in_content = true;
    return true;
}

static bool begin_content(struct smtp_session *session)
{
    struct proxy_filter *filter = filter_of(session);
    content_writer_start(&filter->writer, 0);
    return !settings.waits || filter->is_connected || say_what_waited(session);
}

static bool write_content(struct proxy_filter *filter, struct str *bytes)
{
    enum io_status status = IO_OK;
    if (filter->is_lost)
        fake_reply(filter);
    else
        status = stream_write(&filter->stream, str_slice(bytes), deadline_in_s(settings.timeout));
    str_free(bytes);
    return status == IO_OK ? !filter->is_lost : filter_is_lost(filter, status);
}

bool proxy_filter_pass(struct smtp_session *session, struct slice text)
{
    struct proxy_filter *filter = filter_of(session);
    struct str bytes = STR_EMPTY;
    if (!filter->has_begun && !begin_content(session))
        return false;
    filter->has_begun = true;
    content_writer_add(&filter->writer, text, &bytes);
    return write_content(filter, &bytes);
}

/* True: the filter took the message, and answers for it. */
bool proxy_filter_finish(struct smtp_session *session)
{
    struct proxy_filter *filter = filter_of(session);
    struct str bytes = STR_EMPTY;
    if (stream_has_input(&filter->stream)) { /* it may refuse early, or hang up; it cannot have taken what has not ended */
        if (!read_reply(filter))
            return false;
        filter->is_lost = true;
        return reply_class(filter) == '4' || reply_class(filter) == '5' ? false : filter_is_out_of_turn(filter);
    }
    content_writer_finish(&filter->writer, &bytes);
    if (!write_content(filter, &bytes) || !read_reply(filter))
        return false;
    filter->in_content = false;
    char class = reply_class(filter);
    if (class != '2' && class != '4' && class != '5')
        return fake_reply(filter);
    return class == '2';
}
