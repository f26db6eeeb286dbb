/* SPDX-License-Identifier: ISC */
/* layout: names of folders and files in a spool. Pure but for the creation of missing folders. */
#include "common/spool/layout.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SEGMENT_PREFIX "journal."
#define MOST_SEGMENTS 1000000u

const char *spool_place_name(enum spool_place place)
{
    static const char *const names[PLACE_COUNT] = {"incoming", "incoming", "deferred", "hold", "corrupt"};
    return names[place];
}

void spool_directory(char path[SPOOL_PATH_SIZE], enum spool_place place, uint32_t serial)
{
    if (place == PLACE_DEFERRED)
        snprintf(path, SPOOL_PATH_SIZE, "deferred/%X", (unsigned)(serial % DEFERRED_DIRECTORIES));
    else
        snprintf(path, SPOOL_PATH_SIZE, "%s", spool_place_name(place));
}

void spool_path(char path[SPOOL_PATH_SIZE], enum spool_place place, const char *queue_id, uint32_t serial)
{
    spool_directory(path, place, serial);
    size_t len = strlen(path);
    snprintf(path + len, SPOOL_PATH_SIZE - len, "/%s", queue_id);
}

void spool_segment_path(char path[SPOOL_PATH_SIZE], unsigned number)
{
    snprintf(path, SPOOL_PATH_SIZE, "incoming/" SEGMENT_PREFIX "%06u", number % MOST_SEGMENTS);
}

bool spool_segment_number(const char *name, unsigned *number)
{
    const size_t prefix = sizeof SEGMENT_PREFIX - 1;
    if (strncmp(name, SEGMENT_PREFIX, prefix) != 0 || strlen(name) != prefix + 6)
        return false;
    *number = 0;
    for (const char *digit = name + prefix; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9')
            return false;
        *number = *number * 10 + (unsigned)(*digit - '0');
    }
    return true;
}

static int make_directory(int queue_directory, const char *path, const char **failed)
{
    if (mkdirat(queue_directory, path, 0700) == 0 || errno == EEXIST)
        return 0;
    *failed = path;
    return -1;
}

int spool_make_directories(int queue_directory, const char **failed)
{
    static const char *const directories[] = {"incoming", "active", "deferred", "hold", "corrupt"};
    static char path[SPOOL_PATH_SIZE];
    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++)
        if (make_directory(queue_directory, directories[i], failed) < 0)
            return -1;
    for (uint32_t i = 0; i < DEFERRED_DIRECTORIES; i++) {
        spool_directory(path, PLACE_DEFERRED, i);
        if (make_directory(queue_directory, path, failed) < 0)
            return -1;
    }
    return 0;
}
