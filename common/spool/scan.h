/* SPDX-License-Identifier: ISC */
/*
 * Reading a journal segment after a crash: which frames are there, what is damaged, and which of that
 * had been acknowledged. Pure: works on bytes in memory. Fuzzed.
 */
#ifndef POSTHORN_SPOOL_SCAN_H
#define POSTHORN_SPOOL_SCAN_H

#include "common/spool/frame.h"

enum scan_kind {
    SCAN_FRAME,       /* a good frame */
    SCAN_BAD_MESSAGE, /* a MESSAGE frame whose content is damaged; its envelope is good */
    SCAN_DAMAGED,     /* bytes in which no frame could be found, between frames or at the end */
};

struct scan_region {
    enum scan_kind kind;
    uint32_t offset; /* in the segment */
    uint32_t size;
    struct frame frame; /* of SCAN_FRAME and SCAN_BAD_MESSAGE; borrows from the segment */
};

struct scan {
    struct scan_region *regions;
    size_t count;
    uint32_t synced_end; /* up to here all had been on stable storage */
    uint32_t prior_end;  /* what its frames say of the segment before; 0 when it has none */
    bool has_frames;
};

/* Finds all frames of this generation. Release with scan_free(). */
void segment_scan(struct slice segment, uint64_t generation, struct scan *scan);
/*
 * Decides what counts. known_end: the successor's prior_end, or 0 when no later segment has frames.
 * Drops what was never acknowledged: regions from known_end on, or, in the last segment, from the first
 * damage behind synced_end. SCAN_DAMAGED and SCAN_BAD_MESSAGE regions that stay are real damage.
 * Returns where the log of this segment ends.
 */
uint32_t scan_settle(struct scan *scan, uint32_t known_end);
void scan_free(struct scan *scan);

#endif
