/* SPDX-License-Identifier: ISC */
/* The folders of a spool (docs/spool.md) and the names in them. */
#ifndef POSTHORN_SPOOL_LAYOUT_H
#define POSTHORN_SPOOL_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"

/* Where a message is. */
enum spool_place {
    PLACE_JOURNAL = 0,  /* a frame of incoming/journal.NNNNNN */
    PLACE_INCOMING = 1, /* incoming/ID: large, or too long in the journal; not yet deferred */
    PLACE_DEFERRED = 2, /* deferred/X/ID: waits for another attempt */
    PLACE_HOLD = 3,     /* hold/ID */
    PLACE_CORRUPT = 4,  /* corrupt/ID: damaged, for the admin */
    PLACE_COUNT
};

#define SPOOL_PATH_SIZE 80
#define SPOOL_ID_SIZE 24 /* a queue id with its NUL: all forms fit */
#define DEFERRED_DIRECTORIES 16

/* The file of a message with its own file, below the queue directory. */
void spool_path(char path[SPOOL_PATH_SIZE], enum spool_place place, const char *queue_id, uint32_t serial);
/* The directory that spool_path() puts it in. */
void spool_directory(char path[SPOOL_PATH_SIZE], enum spool_place place, uint32_t serial);
void spool_segment_path(char path[SPOOL_PATH_SIZE], unsigned number);
/* True when a name in incoming/ is that of a segment. */
bool spool_segment_number(const char *name, unsigned *number) MUST_CHECK;
/* What Postfix calls the queue: "incoming", "deferred", "hold", "corrupt". */
const char *spool_place_name(enum spool_place place);

/* Creates what is missing. -1 with errno, *failed tells the directory. */
int spool_make_directories(int queue_directory, const char **failed) MUST_CHECK;

#endif
