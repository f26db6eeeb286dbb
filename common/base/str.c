/* SPDX-License-Identifier: ISC */
/*
 * str: the one string type. Pure; used everywhere.
 */
#include "common/base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "common/base/mem.h"

struct slice slice_of(const char *text)
{
    return (struct slice){text, text != NULL ? strlen(text) : 0};
}

struct slice slice_range(const char *data, size_t len)
{
    return (struct slice){data, len};
}

bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool slice_equal_nocase(struct slice a, struct slice b)
{
    return a.len == b.len && slice_starts_with_nocase(a, b);
}

bool slice_starts_with_nocase(struct slice text, struct slice prefix)
{
    if (text.len < prefix.len)
        return false;
    for (size_t i = 0; i < prefix.len; i++)
        if (text_lower_char(text.data[i]) != text_lower_char(prefix.data[i]))
            return false;
    return true;
}

struct slice slice_trim(struct slice text)
{
    while (text.len > 0 && text_is_space(text.data[text.len - 1]))
        text.len--;
    while (text.len > 0 && text_is_space(text.data[0]))
        text = slice_skip(text, 1);
    return text;
}

struct slice slice_skip(struct slice text, size_t count)
{
    if (count > text.len)
        count = text.len;
    if (count > 0) {
        text.data += count;
        text.len -= count;
    }
    return text;
}

bool slice_next_token(struct slice *rest, const char *separators, struct slice *token)
{
    while (rest->len > 0 && strchr(separators, rest->data[0]) != NULL)
        *rest = slice_skip(*rest, 1);
    size_t len = 0;
    while (len < rest->len && (rest->data[len] == '\0' || strchr(separators, rest->data[len]) == NULL))
        len++;
    *token = slice_range(rest->data, len);
    *rest = slice_skip(*rest, len);
    return len > 0;
}

bool slice_to_u64(struct slice text, uint64_t *number)
{
    uint64_t value = 0;
    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!text_is_digit(text.data[i]))
            return false;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.data[i] - '0'), &value))
            return false;
    }
    *number = value;
    return true;
}

void str_free(struct str *s)
{
    free(s->data);
    *s = STR_EMPTY;
}

void str_clear(struct str *s)
{
    str_truncate(s, 0);
}

void str_reserve(struct str *s, size_t extra)
{
    size_t needed;
    if (__builtin_add_overflow(s->len, extra, &needed) || needed >= SIZE_MAX / 2)
        mem_exhausted(extra);
    if (needed + 1 <= s->cap)
        return;
    size_t cap = s->cap * 2 > 64 ? s->cap * 2 : 64;
    s->cap = needed + 1 > cap ? needed + 1 : cap;
    s->data = mem_realloc_array(s->data, s->cap, 1);
    s->data[s->len] = '\0';
}

void str_append(struct str *s, const char *text)
{
    str_append_bytes(s, text, strlen(text));
}

void str_append_bytes(struct str *s, const void *data, size_t len)
{
    str_reserve(s, len);
    if (len > 0)
        memcpy(s->data + s->len, data, len);
    s->len += len;
    s->data[s->len] = '\0';
}

void str_append_slice(struct str *s, struct slice text)
{
    str_append_bytes(s, text.data, text.len);
}

void str_append_char(struct str *s, char c)
{
    str_append_bytes(s, &c, 1);
}

void str_vprintf(struct str *s, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    if (len < 0)
        mem_exhausted(0);
    str_reserve(s, (size_t)len);
    vsnprintf(s->data + s->len, (size_t)len + 1, fmt, again);
    va_end(again);
    s->len += (size_t)len;
}

void str_printf(struct str *s, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    str_vprintf(s, fmt, args);
    va_end(args);
}

void str_truncate(struct str *s, size_t len)
{
    if (len < s->len)
        s->len = len;
    if (s->data != NULL)
        s->data[s->len] = '\0';
}

const char *str_text(const struct str *s)
{
    return s->data != NULL ? s->data : "";
}

struct slice str_slice(const struct str *s)
{
    return (struct slice){str_text(s), s->len};
}

char *str_detach(struct str *s)
{
    char *data = s->data != NULL ? s->data : mem_strdup("");
    *s = STR_EMPTY;
    return data;
}

void text_lowercase(char *text)
{
    for (; *text != '\0'; text++)
        *text = text_lower_char(*text);
}

bool text_equal_nocase(const char *a, const char *b)
{
    return slice_equal_nocase(slice_of(a), slice_of(b));
}

/* Bytes that follow the first one of a sequence; -1: no sequence begins so. */
static int utf8_follow_count(unsigned char first)
{
    return first < 0x80 ? 0 : first >= 0xc2 && first <= 0xdf ? 1 : (first & 0xf0) == 0xe0 ? 2 :
           first >= 0xf0 && first <= 0xf4 ? 3 : -1;
}

bool text_is_ascii(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] > 127)
            return false;
    return true;
}

size_t text_utf8_length(struct slice text)
{
    const unsigned char *at = (const unsigned char *)text.data;
    int follow = text.len > 0 ? utf8_follow_count(at[0]) : -1;
    if (follow < 0 || text.len <= (size_t)follow)
        return 0;
    for (int i = 1; i <= follow; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    /* Overlong forms, surrogates, beyond U+10FFFF. */
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) ||
        (at[0] == 0xf4 && at[1] > 0x8f))
        return 0;
    return (size_t)follow + 1;
}

void text_make_printable(char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        size_t count = text_utf8_length(slice_range(text + i, len - i));
        bool is_control = c < 32 || c == 127 || (count == 2 && c == 0xc2 && (unsigned char)text[i + 1] < 0xa0);
        if (count == 0 || is_control)
            memset(text + i, '?', count > 0 ? count : 1);
        i += count > 0 ? count : 1;
    }
}

void text_escape(struct slice text, struct str *out)
{
    static const char codes[] = "abtnvfr"; /* of the bytes 7 to 13 */
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 7 && c <= 13)
            str_printf(out, "\\%c", codes[c - 7]);
        else if (c < ' ' || c > '~')
            str_printf(out, "\\%03o", c);
        else
            str_printf(out, c == '\\' ? "\\%c" : "%c", c);
    }
}
