/* SPDX-License-Identifier: ISC */
/*
 * Strings that know their length. `struct slice` borrows bytes and owns nothing; `struct str` owns
 * a growing buffer that always ends in a NUL beyond its length, so str.data is also a C string.
 */
#ifndef POSTHORN_BASE_STR_H
#define POSTHORN_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/status.h"

struct slice {
    const char *data;
    size_t len;
};

#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
/* For printf's "%.*s". */
#define SLICE_ARGS(s) (int)(s).len, (s).data

struct slice slice_of(const char *text); /* text may be NULL: an empty slice */
struct slice slice_range(const char *data, size_t len);
bool slice_equal(struct slice a, struct slice b);
bool slice_equal_nocase(struct slice a, struct slice b); /* ASCII only */
bool slice_starts_with_nocase(struct slice text, struct slice prefix);
struct slice slice_trim(struct slice text); /* blanks, tabs, CR, LF off both ends */
struct slice slice_skip(struct slice text, size_t count);
/* The next word before any of the separators; *rest moves past it. False at the end. */
bool slice_next_token(struct slice *rest, const char *separators, struct slice *token);
/* The whole text as an unsigned decimal number; false on junk, emptiness or overflow. */
bool slice_to_u64(struct slice text, uint64_t *number);

struct str {
    char *data; /* never NULL after the first append; use str_text() */
    size_t len;
    size_t cap;
};

#define STR_EMPTY ((struct str){NULL, 0, 0})

void str_free(struct str *s);  /* releases the buffer; s is empty and usable again */
void str_clear(struct str *s); /* keeps the buffer */
void str_reserve(struct str *s, size_t extra);
void str_append(struct str *s, const char *text);
void str_append_bytes(struct str *s, const void *data, size_t len);
void str_append_slice(struct str *s, struct slice text);
void str_append_char(struct str *s, char c);
void str_printf(struct str *s, const char *fmt, ...) PRINTF_LIKE(2, 3); /* appends */
void str_vprintf(struct str *s, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));
void str_truncate(struct str *s, size_t len);
const char *str_text(const struct str *s); /* "" when empty; valid until the next change */
struct slice str_slice(const struct str *s);
char *str_detach(struct str *s); /* the caller frees it; s is empty again */

/* ASCII, whatever the locale. */
void text_lowercase(char *text);
bool text_equal_nocase(const char *a, const char *b);
static inline char text_lower_char(char c) { return (c >= 'A' && c <= 'Z') ? (char)(c + 32) : c; }
static inline bool text_is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static inline bool text_is_digit(char c) { return c >= '0' && c <= '9'; }
static inline bool text_is_alnum(char c)
{
    return text_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool text_is_ascii(struct slice text);
/* Bytes of the UTF-8 character (RFC 3629) at the start of the text; 0 when there is none. */
size_t text_utf8_length(struct slice text);
/* Appends the text with control bytes and what is not ASCII written as in C: "\\r\\n\\303". */
void text_escape(struct slice text, struct str *out);
/* Replaces control bytes and what is not UTF-8 by '?', for logs and replies (Postfix's printable()). */
void text_make_printable(char *text, size_t len);

#endif
