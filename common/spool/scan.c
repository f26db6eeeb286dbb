/* SPDX-License-Identifier: ISC */
/*
 * scan: walks a segment frame by frame and finds its way again behind damage. Used at start-up.
 *
 * A batch is written by one call and synced by one call; a crash may leave any part of the last batch. Each
 * frame says up to where the log was synced when it was written, so what is damaged before the largest such
 * offset had been acknowledged and is kept for the admin, and what is damaged behind it never was.
 */
#include "common/spool/scan.h"

#include <stdlib.h>

#include "common/base/mem.h"

static void scan_add(struct scan *scan, const struct scan_region *region)
{
    if ((scan->count & (scan->count + 1)) == 0)
        scan->regions = mem_realloc_array(scan->regions, (scan->count + 1) * 2, sizeof *scan->regions);
    scan->regions[scan->count++] = *region;
}

/* The frame of this generation at an offset, if there is one. */
static bool scan_frame_at(struct slice segment, uint64_t generation, size_t offset, struct scan_region *region)
{
    enum frame_status status = frame_parse(slice_skip(segment, offset), &region->frame);
    if (status != FRAME_OK && status != FRAME_BAD_CONTENT)
        return false;
    if (region->frame.generation != generation)
        return false;
    region->kind = status == FRAME_OK ? SCAN_FRAME : SCAN_BAD_MESSAGE;
    region->offset = (uint32_t)offset;
    region->size = (uint32_t)frame_size((size_t)region->frame.content_len, region->frame.envelope_len);
    return region->size <= segment.len - offset;
}

static void scan_damage(struct scan *scan, size_t from, size_t to)
{
    struct scan_region gap = {.kind = SCAN_DAMAGED, .offset = (uint32_t)from, .size = (uint32_t)(to - from)};
    if (to > from)
        scan_add(scan, &gap);
}

void segment_scan(struct slice segment, uint64_t generation, struct scan *scan)
{
    size_t at = SEGMENT_DATA_OFFSET, good_until = SEGMENT_DATA_OFFSET;
    *scan = (struct scan){.synced_end = SEGMENT_DATA_OFFSET};
    /* Most of a segment is zeros or damage: only what looks like a frame is parsed. */
    while ((at = frame_find(segment, at)) < segment.len) {
        struct scan_region region;
        if (!scan_frame_at(segment, generation, at, &region)) {
            at += 8;
            continue;
        }
        scan_damage(scan, good_until, at);
        scan_add(scan, &region);
        if (region.frame.synced_end > scan->synced_end && region.frame.synced_end <= at)
            scan->synced_end = region.frame.synced_end;
        scan->prior_end = region.frame.prior_end;
        scan->has_frames = true;
        at += region.size;
        good_until = at;
    }
    scan_damage(scan, good_until, segment.len);
}

uint32_t scan_settle(struct scan *scan, uint32_t known_end)
{
    uint32_t end = known_end != 0 ? known_end : UINT32_MAX;
    uint32_t reached = SEGMENT_DATA_OFFSET;
    size_t kept = 0;
    for (size_t i = 0; i < scan->count; i++) {
        struct scan_region *region = &scan->regions[i];
        bool torn = known_end == 0 && region->kind != SCAN_FRAME && region->offset + region->size > scan->synced_end;
        if (torn && region->kind == SCAN_DAMAGED && region->offset < scan->synced_end) {
            region->size = scan->synced_end - region->offset; /* its first part had been acknowledged */
            scan->regions[kept++] = *region;
            reached = scan->synced_end;
        }
        if (torn || region->offset >= end)
            break;
        if (region->offset + region->size > end)
            region->size = end - region->offset;
        reached = region->offset + region->size;
        scan->regions[kept++] = *region;
    }
    scan->count = kept;
    return known_end != 0 ? known_end : reached;
}

void scan_free(struct scan *scan)
{
    free(scan->regions);
    *scan = (struct scan){0};
}
