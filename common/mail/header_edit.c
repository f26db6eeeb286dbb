/* SPDX-License-Identifier: ISC */
/*
 * header_edit: what Postfix's cleanup does to headers, in one pass and without a copy of the body. Called by
 * the servers that take mail in, once a message. Everything here was written by strangers.
 */
#include "common/mail/header_edit.h"

#include "common/mail/auth_results.h"

enum seen { SEEN_DATE = 1, SEEN_FROM = 2, SEEN_RESENT_ID = 4, SEEN_RESENT_DATE = 8, SEEN_RESENT_FROM = 16, SEEN_TO = 32 };

/* The length of the line with its LF; of what is left when there is no LF. */
static size_t line_length(struct slice text)
{
    const char *end = text.len > 0 ? memchr(text.data, '\n', text.len) : NULL;
    return end != NULL ? (size_t)(end - text.data) + 1 : text.len;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The name of "Name:" or "Name :" (RFC 5322 4.5.8); empty when the line is no header. */
static struct slice header_name(struct slice line)
{
    size_t len = 0;
    while (len < line.len && line.data[len] != ':' && line.data[len] > ' ' && line.data[len] < 127)
        len++;
    size_t colon = len;
    while (colon < line.len && is_blank(line.data[colon]))
        colon++;
    if (len == 0 || colon == line.len || line.data[colon] != ':')
        return SLICE("");
    return slice_range(line.data, len);
}

struct header_line header_take(struct slice *text)
{
    struct header_line header = {.name = header_name(*text)};
    if (header.name.len == 0)
        return header;
    size_t len = line_length(*text);
    while (len < text->len && is_blank(text->data[len]))
        len += line_length(slice_skip(*text, len));
    const char *colon = memchr(text->data + header.name.len, ':', len - header.name.len);
    header.rest = slice_range(colon, (size_t)(text->data + len - colon));
    *text = slice_skip(*text, len);
    return header;
}

static bool is_dropped(const struct header_rules *rules, struct slice name)
{
    for (size_t i = 0; i < rules->drop_count; i++)
        if (slice_equal_nocase(rules->drop[i], name))
            return true;
    return false;
}

/* own: how many of ours are still to come. */
static bool is_forged(const struct header_rules *rules, const struct header_line *header, unsigned *own)
{
    if (rules->forged_results_id == NULL || !slice_equal_nocase(header->name, SLICE("authentication-results")) ||
        !auth_results_claims(slice_skip(header->rest, 1), slice_of(rules->forged_results_id)))
        return false;
    if (*own == 0)
        return true;
    --*own;
    return false;
}

static unsigned header_seen(struct slice name)
{
    static const struct { struct slice name; unsigned seen; } table[] = {
        {SLICE("date"), SEEN_DATE}, {SLICE("from"), SEEN_FROM},
        {SLICE("resent-message-id"), SEEN_RESENT_ID}, {SLICE("resent-date"), SEEN_RESENT_DATE},
        {SLICE("resent-from"), SEEN_RESENT_FROM}, {SLICE("to"), SEEN_TO}, {SLICE("cc"), SEEN_TO},
        {SLICE("resent-to"), SEEN_TO}, {SLICE("resent-cc"), SEEN_TO}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (slice_equal_nocase(name, table[i].name))
            return table[i].seen;
    return 0;
}

static bool is_resent_name(struct slice name)
{
    static const struct slice names[] = {SLICE("bcc"), SLICE("cc"), SLICE("date"), SLICE("from"), SLICE("message-id"),
                                         SLICE("reply-to"), SLICE("sender"), SLICE("to")};
    if (!slice_starts_with_nocase(name, SLICE("resent-")))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (slice_equal_nocase(slice_skip(name, 7), names[i]))
            return true;
    return false;
}

static struct slice header_value(struct slice rest)
{
    struct slice value = slice_skip(rest, 1);
    while (value.len > 0 && text_is_space(value.data[0]))
        value = slice_skip(value, 1);
    while (value.len > 0 && value.data[value.len - 1] == '\n')
        value.len--;
    return value;
}

static void note_header(const struct header_line *header, struct header_facts *facts)
{
    facts->seen |= header_seen(header->name);
    if (slice_equal_nocase(header->name, SLICE("received")))
        facts->received_count++;
    else if (is_resent_name(header->name)) {
        facts->is_resent = true;
        if (slice_equal_nocase(header->name, SLICE("resent-message-id")) && facts->resent_message_id.data == NULL) {
            facts->resent_message_id = header_value(header->rest);
            facts->resent_came_first = !facts->has_message_id;
        }
    }
    else if (slice_equal_nocase(header->name, SLICE("message-id")) && !facts->has_message_id) {
        facts->has_message_id = true;
        facts->message_id = header_value(header->rest);
    } else if (slice_equal_nocase(header->name, SLICE("content-transfer-encoding"))) {
        struct slice value = header_value(header->rest);
        facts->says_8bit = facts->says_8bit || slice_equal_nocase(value, SLICE("8bit")) ||
                           slice_equal_nocase(value, SLICE("binary"));
    }
}

static void add_header(struct str *out, const char *prefix, const char *name, const char *value)
{
    str_append(out, prefix);
    str_append(out, name);
    str_append(out, ": ");
    str_append(out, value);
    str_append_char(out, '\n');
}

/* RFC 5322 3.6.6: a resent message is completed in its Resent- block and nowhere else. */
static void complete_headers(const struct header_rules *rules, struct header_facts *facts, struct str *out)
{
    unsigned seen = facts->seen;
    const char *prefix = facts->is_resent ? "Resent-" : "";
    bool has_id = facts->is_resent ? (seen & SEEN_RESENT_ID) != 0 : facts->has_message_id;
    if (!has_id) {
        add_header(out, prefix, "Message-Id", rules->new_message_id);
        if (facts->is_resent)
            facts->added_resent_message_id = true;
        else {
            facts->has_message_id = facts->added_message_id = true;
            facts->message_id = slice_of(rules->new_message_id);
        }
    }
    if ((seen & (facts->is_resent ? SEEN_RESENT_DATE : SEEN_DATE)) == 0)
        add_header(out, prefix, "Date", rules->new_date);
    if ((seen & (facts->is_resent ? SEEN_RESENT_FROM : SEEN_FROM)) == 0)
        add_header(out, prefix, "From", rules->new_from);
    if ((seen & SEEN_TO) == 0 && rules->new_to != NULL && *rules->new_to != '\0') {
        str_append(out, rules->new_to);
        str_append_char(out, '\n');
    }
}

struct slice header_mbox_line(struct slice text)
{
    size_t quotes = 0;
    while (quotes < text.len && text.data[quotes] == '>')
        quotes++;
    struct slice line = slice_skip(text, quotes);
    bool is_separator = line.len >= 5 && memcmp(line.data, "From ", 5) == 0;
    return slice_range(text.data, is_separator ? line_length(text) : 0);
}

/* A mailbox separator in front would turn the header section into text at the next mbox reader. */
void header_defuse_mbox_line(struct slice *text, struct str *out)
{
    struct slice line = header_mbox_line(*text);
    if (line.len == 0)
        return;
    str_append(out, "X-Mailbox-Line: ");
    str_append_slice(out, line);
    *text = slice_skip(*text, line.len);
}

/* What is behind the limit is lost, and the white space before it. */
static void cut_header(size_t limit, struct header_line *header)
{
    size_t kept = limit > header->name.len ? limit - header->name.len : 0;
    while (kept > 1 && text_is_space(header->rest.data[kept - 1]))
        kept--;
    header->rest.len = kept > 0 ? kept : 1;
}

/* Up to where lines belong to headers that are known to be whole: the next line begins, and not with a blank. */
static size_t complete_length(struct slice text)
{
    for (size_t at = text.len; at > 1; at--)
        if (text.data[at - 2] == '\n' && !is_blank(text.data[at - 1]))
            return at - 1;
    const char *last = text.len > 0 ? memrchr(text.data, '\n', text.len) : NULL;
    return last != NULL ? (size_t)(last - text.data) + 1 : text.len;
}

size_t header_edit(struct slice content, bool is_all, const struct header_rules *rules, struct str *out,
                   struct header_facts *facts)
{
    struct slice text = slice_range(content.data, is_all || rules->is_whole ? content.len : complete_length(content));
    size_t end = text.len;
    if (!rules->is_continued) {
        *facts = (struct header_facts){.message_id = SLICE(""), .own_results = rules->own_results};
        header_defuse_mbox_line(&text, out);
    }
    for (;;) {
        struct header_line header = header_take(&text);
        if (header.name.len == 0)
            break;
        note_header(&header, facts);
        if (is_dropped(rules, header.name) || is_forged(rules, &header, &facts->own_results))
            continue;
        if (rules->size_limit > 0 && header.name.len + header.rest.len > rules->size_limit + 1)
            cut_header(rules->size_limit, &header);
        if (rules->rewrite != NULL && rules->rewrite(rules->context, header.name, header.rest, out))
            continue;
        str_append_slice(out, header.name);
        str_append_slice(out, header.rest);
        if (header.rest.data[header.rest.len - 1] != '\n' && text.len > 0)
            str_append_char(out, '\n');
    }
    facts->ended = text.len > 0;
    if (rules->complete && (facts->ended || is_all))
        complete_headers(rules, facts, out);
    if (facts->ended) { /* a body without a blank line before it gets one */
        str_append_char(out, '\n');
        if (text.data[0] == '\n')
            text = slice_skip(text, 1);
    }
    return end - text.len;
}
