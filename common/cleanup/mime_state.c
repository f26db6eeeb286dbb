/* SPDX-License-Identifier: ISC */
/*
 * mime_state: header or body, and whose. Called by the content checks with as much of a message as is in memory. It follows
 * Postfix in what it takes for a header, a boundary and the end of a header, so that the same pieces reach the same
 * checks. Every text is some message: nothing here can fail.
 */
#include "common/cleanup/mime_state.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/cleanup/content_type.h"
#include "common/cleanup/header_class.h"

struct mime_boundary {
    struct mime_boundary *outer;
    size_t len;
    uint8_t type, subtype; /* of parts that do not say */
    char text[];
};

void mime_init(struct mime_state *state, const struct mime_rules *rules)
{
    *state = (struct mime_state){.rules = *rules, .type = TYPE_TEXT, .subtype = SUBTYPE_PLAIN};
}

static void pop_boundary(struct mime_state *state)
{
    struct mime_boundary *inner = state->boundaries;
    state->boundaries = inner->outer;
    state->depth--;
    free(inner);
}

void mime_free(struct mime_state *state)
{
    while (state->boundaries != NULL)
        pop_boundary(state);
    str_free(&state->normal);
}

static void enter(struct mime_state *state, enum mime_part part, uint8_t type, uint8_t subtype)
{
    state->part = part;
    state->type = type;
    state->subtype = subtype;
    state->encoding = state->domain = ENCODING_7BIT;
    if (part == MIME_BODY)
        state->body_offset = 0;
}

static void report(struct mime_state *state, struct mime_item *item, enum mime_error error, struct slice about)
{
    if ((state->rules.reports & error) == 0 || (state->errors & error) != 0)
        return;
    state->errors |= error;
    item->errors |= error;
    item->about = about;
}

static bool has_8bit(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] > 127)
            return true;
    return false;
}

/* --- headers --------------------------------------------------------------------------- */

/* Several boundaries in one header are wrong, and whichever the next program believes must not hide a header from us. */
static void push_boundaries(struct mime_state *state, struct slice rest, struct mime_item *item)
{
    struct str value = STR_EMPTY;
    bool is_digest = state->subtype == SUBTYPE_DIGEST;
    while (content_type_boundary(&rest, &value)) {
        if (state->depth > state->rules.nesting_limit + 1) {
            report(state, item, MIME_ERROR_NESTING, item->text);
        } else {
            size_t len = value.len < state->rules.boundary_limit ? value.len : state->rules.boundary_limit;
            struct mime_boundary *boundary = mem_alloc(sizeof *boundary + len);
            *boundary = (struct mime_boundary){.outer = state->boundaries, .len = len,
                                               .type = is_digest ? TYPE_MESSAGE : TYPE_TEXT,
                                               .subtype = is_digest ? SUBTYPE_RFC822 : SUBTYPE_PLAIN};
            if (len > 0)
                memcpy(boundary->text, value.data, len);
            state->boundaries = boundary;
            state->depth++;
        }
        str_clear(&value);
    }
    str_free(&value);
}

static void read_mime_header(struct mime_state *state, struct mime_item *item)
{
    const char *colon = memchr(item->text.data, ':', item->text.len);
    struct slice value = slice_skip(item->text, (size_t)(colon - item->text.data) + 1), rest;
    if ((item->class & HEADER_CONTENT_TYPE) != 0) {
        uint8_t type = TYPE_OTHER;
        if (!content_type_parse(value, &type, &state->subtype, &rest))
            state->type = TYPE_OTHER;
        else if (type != TYPE_OTHER)
            state->type = type;
        if (type == TYPE_MULTIPART)
            push_boundaries(state, rest, item);
    } else if (content_encoding_parse(value, &state->encoding)) {
        state->domain = content_encoding_domain(state->encoding);
    }
}

/* "Name :" becomes "Name:", as in everything that reads it later. */
static struct slice normalize(struct mime_state *state, struct slice text, size_t name_length)
{
    if (text.data[name_length] == ':')
        return text;
    struct slice rest = slice_skip(text, name_length);
    while (rest.len > 0 && rest.data[0] != ':')
        rest = slice_skip(rest, 1);
    str_clear(&state->normal);
    str_append_bytes(&state->normal, text.data, name_length);
    str_append_slice(&state->normal, rest);
    return str_slice(&state->normal);
}

static void give_header(struct mime_state *state, struct slice text, size_t name_length, struct mime_item *item)
{
    item->part = state->part;
    item->text = normalize(state, text, name_length);
    item->class = header_class_find(slice_range(text.data, name_length));
    item->ends_line = true;
    if (!state->rules.is_disabled && (item->class & (HEADER_CONTENT_TYPE | HEADER_ENCODING)) != 0)
        read_mime_header(state, item);
    if ((state->rules.reports & MIME_ERROR_8BIT_HEADER) != 0 && has_8bit(item->text))
        report(state, item, MIME_ERROR_8BIT_HEADER, item->text);
}

/* The next piece of a line, with its LF if it has one. False: its end has not come yet. */
static bool find_piece(const struct mime_state *state, struct slice rest, bool is_all, size_t *text, size_t *all)
{
    size_t limit = rest.len < state->rules.line_limit ? rest.len : state->rules.line_limit;
    const char *end = limit > 0 ? memchr(rest.data, '\n', limit) : NULL;
    *text = end != NULL ? (size_t)(end - rest.data) : limit;
    *all = *text + (end != NULL ? 1 : 0);
    return end != NULL || limit == state->rules.line_limit || (is_all && limit > 0);
}

/* A header and its continuation lines, cut when it has reached the limit. False: its end has not come yet. */
static bool take_header(struct mime_state *state, struct slice *rest, bool is_all, size_t name_length,
                        struct mime_item *item)
{
    size_t at = 0, text, all, kept;
    for (;;) {
        if (!find_piece(state, slice_skip(*rest, at), is_all, &text, &all))
            return false;
        kept = at + text;
        at += all;
        bool ended = all > text, cut = kept >= state->rules.header_limit;
        if (cut || (at == rest->len && is_all)) {
            state->is_skipping = cut;
            state->inside_line = cut && !ended;
            break;
        }
        if (at == rest->len)
            return false;
        if (ended && rest->data[at] != ' ' && rest->data[at] != '\t')
            break;
    }
    if (kept > state->rules.header_limit)
        kept = state->rules.header_limit > name_length ? state->rules.header_limit : name_length + 1;
    while (state->is_skipping && kept > name_length + 1 && text_is_space(rest->data[kept - 1]))
        kept--; /* the beginning of a line that is lost */
    give_header(state, slice_range(rest->data, kept), name_length, item);
    *rest = slice_skip(*rest, at);
    return true;
}

/* What is left of a header that was cut. */
static void skip_header(struct mime_state *state, struct slice *rest)
{
    while (rest->len > 0) {
        if (!state->inside_line && rest->data[0] != ' ' && rest->data[0] != '\t') {
            state->is_skipping = false;
            return;
        }
        const char *end = memchr(rest->data, '\n', rest->len);
        state->inside_line = end == NULL;
        *rest = slice_skip(*rest, end != NULL ? (size_t)(end - rest->data) + 1 : rest->len);
    }
}

/* --- the end of a header ---------------------------------------------------------------- */

/* Multipart and message must be in plain sight: RFC 2045 section 6.4, RFC 2046 sections 5.2.2 and 5.2.3. */
static void check_encoding(struct mime_state *state, struct mime_item *item)
{
    bool wrong = false;
    if (state->type == TYPE_MULTIPART || (state->type == TYPE_MESSAGE && state->subtype == SUBTYPE_RFC822))
        wrong = state->encoding != state->domain;
    else if (state->type == TYPE_MESSAGE && (state->subtype == SUBTYPE_PARTIAL || state->subtype == SUBTYPE_EXTERNAL))
        wrong = state->domain != ENCODING_7BIT;
    if (wrong)
        report(state, item, MIME_ERROR_ENCODING, slice_of(content_encoding_name(state->encoding)));
}

static void end_with_blank_line(struct mime_state *state)
{
    state->body_offset = 0;
    if (state->type == TYPE_MESSAGE && (state->subtype == SUBTYPE_RFC822 || state->subtype == SUBTYPE_GLOBAL))
        enter(state, MIME_NESTED, TYPE_TEXT, SUBTYPE_PLAIN);
    else if (state->type == TYPE_MULTIPART)
        enter(state, MIME_BODY, TYPE_OTHER, SUBTYPE_OTHER);
    else
        state->part = MIME_BODY;
}

/* Returns true when a blank line is put in front of the line that ended the header. */
static bool end_header(struct mime_state *state, struct slice line, struct mime_item *item)
{
    bool was_primary = state->part == MIME_PRIMARY;
    check_encoding(state, item);
    if (line.len == 0) {
        end_with_blank_line(state);
        return false;
    }
    state->part = MIME_BODY;
    state->body_offset = 0;
    if (was_primary)
        *item = (struct mime_item){.part = MIME_BODY, .text = SLICE(""), .ends_line = true, .is_inserted = true,
                                   .errors = item->errors, .about = item->about};
    return was_primary;
}

/* --- body --------------------------------------------------------------------------------- */

static bool line_matches(const struct mime_boundary *boundary, struct slice line)
{
    return line.len >= 2 + boundary->len && memcmp(line.data + 2, boundary->text, boundary->len) == 0;
}

static void find_boundary(struct mime_state *state, struct slice line)
{
    struct mime_boundary *boundary = state->boundaries;
    while (boundary != NULL && !line_matches(boundary, line))
        boundary = boundary->outer;
    if (boundary == NULL)
        return;
    while (state->boundaries != boundary)
        pop_boundary(state);
    struct slice tail = slice_skip(line, 2 + boundary->len);
    if (tail.len >= 2 && tail.data[0] == '-' && tail.data[1] == '-') {
        pop_boundary(state);
        enter(state, MIME_BODY, TYPE_OTHER, SUBTYPE_OTHER);
    } else {
        enter(state, MIME_MULTIPART, boundary->type, boundary->subtype);
    }
}

static void give_body(struct mime_state *state, struct slice text, bool ends_line, struct mime_item *item)
{
    if ((state->rules.reports & MIME_ERROR_8BIT_BODY) != 0 && state->encoding == ENCODING_7BIT && has_8bit(text))
        report(state, item, MIME_ERROR_8BIT_BODY, text);
    if (state->boundaries != NULL && !state->inside_line && text.len > 2 && text.data[0] == '-' && text.data[1] == '-')
        find_boundary(state, text);
    item->part = MIME_BODY;
    item->text = text;
    item->ends_line = ends_line;
    item->offset = state->body_offset;
    state->body_offset += text.len + 1;
    state->inside_line = !ends_line;
}

bool mime_next(struct mime_state *state, struct slice *rest, bool is_all, struct mime_item *item)
{
    size_t text, all;
    *item = (struct mime_item){.text = SLICE("")};
    if (state->is_skipping)
        skip_header(state, rest);
    if (!find_piece(state, *rest, is_all, &text, &all))
        return false;
    struct slice line = slice_range(rest->data, text);
    if (state->part != MIME_BODY && !state->inside_line) {
        size_t name_length = header_name_length(line);
        if (name_length > 0)
            return take_header(state, rest, is_all, name_length, item);
        if (end_header(state, line, item))
            return true;
    }
    give_body(state, line, all > text, item);
    *rest = slice_skip(*rest, all);
    return true;
}

const char *mime_error_text(unsigned errors)
{
    static const struct { enum mime_error error; const char *text; } texts[] = {
        {MIME_ERROR_NESTING, "5.6.0 MIME nesting exceeds safety limit"},
        {MIME_ERROR_8BIT_HEADER, "5.6.0 improper use of 8-bit data in message header"},
        {MIME_ERROR_8BIT_BODY, "5.6.0 improper use of 8-bit data in message body"},
        {MIME_ERROR_ENCODING, "5.6.0 invalid message/* or multipart/* encoding domain"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if ((errors & texts[i].error) != 0)
            return texts[i].text;
    return "5.6.0";
}
