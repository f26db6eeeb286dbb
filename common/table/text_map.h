/* SPDX-License-Identifier: ISC */
/* A table in memory: the entries of a source text, by key. */
#ifndef POSTHORN_TABLE_TEXT_MAP_H
#define POSTHORN_TABLE_TEXT_MAP_H

#include "common/table/text_source.h"

struct text_map;

enum text_map_duplicates {
    DUPLICATE_WARN,    /* the first stays, with a warning */
    DUPLICATE_IGNORE,  /* the first stays */
    DUPLICATE_REPLACE, /* the last wins */
};

struct text_map *text_map_new(void);
void text_map_free(struct text_map *map);
/* False when the key was there (its value is the new one when replace says so). */
bool text_map_add(struct text_map *map, struct slice key, struct slice value, bool replace);
bool text_map_find(const struct text_map *map, struct slice key, struct slice *value);
size_t text_map_count(const struct text_map *map);
/* In the order added; false past the end. */
bool text_map_at(const struct text_map *map, size_t index, struct slice *key, struct slice *value);

/*
 * Reads a whole source text. fold: keys in lower case. title names the table in the warning about duplicates
 * ("hash:/etc/x"); NULL: "file, line N: duplicate entry".
 */
void text_map_read(struct text_map *map, struct text_source *source, bool fold, const char *title,
                   enum text_map_duplicates duplicates);

#endif
