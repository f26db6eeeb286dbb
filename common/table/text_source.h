/* SPDX-License-Identifier: ISC */
/* The text that a table is made from: "key value" lines (postmap) or "name: value" lines (aliases(5)). Pure. */
#ifndef POSTHORN_TABLE_TEXT_SOURCE_H
#define POSTHORN_TABLE_TEXT_SOURCE_H

#include "common/base/arena.h"
#include "common/config/logical_line.h"

enum source_format { SOURCE_MAP, SOURCE_ALIASES };

struct text_entry {
    struct slice key, value; /* valid until the next call */
    unsigned line;
};

struct text_source {
    const char *file; /* for warnings */
    enum source_format format;
    bool only_utf8;      /* refuse other input (smtputf8_enable) */
    bool texthash_words; /* word one warning as texthash: does */
    void (*warn)(void *context, const char *text);
    bool (*transform)(struct text_source *source, struct text_entry *entry); /* postmap -F; may be NULL */
    void *context;
    struct logical_line_reader lines;
    struct logical_line line;
    struct arena *scratch;
};

/* warn may be NULL: log_warning. */
void text_source_open(struct text_source *source, const char *file, enum source_format format,
                      struct slice text);
void text_source_close(struct text_source *source);
/* The next entry; lines that are none are warned about, with file and line, and left out. */
bool text_source_next(struct text_source *source, struct text_entry *entry);
void text_source_warn(struct text_source *source, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
