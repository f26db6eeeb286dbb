/* SPDX-License-Identifier: ISC */
/*
 * A disk that can lose power. Records every change that goes through spool_io, with what it knows to be on
 * stable storage, and writes the directory as it could be found after a crash at any step. It promises no
 * more than POSIX: unsynced bytes survive sector by sector or not, a name only when its directory was synced.
 */
#ifndef POSTHORN_TESTS_DISK_MODEL_H
#define POSTHORN_TESTS_DISK_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Begins to record changes below this directory (an absolute path), which is empty. */
void disk_model_start(const char *directory);
void disk_model_stop(void);
/* The number of steps so far; a crash at step n has seen the first n. */
size_t disk_model_steps(void);

enum disk_survival {
    SURVIVES_NOTHING, /* only what was synced */
    SURVIVES_ALL,
    SURVIVES_BY_CHANCE,
};
/* Writes what is found after a crash at this step into another, empty directory (with the spool's folders). */
void disk_model_crash(size_t step, enum disk_survival survival, unsigned seed, const char *into);

/* Makes calls fail: asked before each; NULL: none. Returns an errno or 0. */
struct spool_io_event;
void disk_model_set_faults(int (*fault)(const struct spool_io_event *event));

#endif
