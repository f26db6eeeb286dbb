/* SPDX-License-Identifier: ISC */
/* A damaged or hostile .cdb file is "damaged" or "not found", never more. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/table/indexed_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool count(void *context, struct slice key, struct slice value)
{
    size_t *bytes = context;
    for (size_t i = 0; i < key.len; i++)
        *bytes += (unsigned char)key.data[i];
    for (size_t i = 0; i < value.len; i++)
        *bytes += (unsigned char)value.data[i];
    return true;
}

static void try_file(const char *path, struct slice key)
{
    const char *why;
    char *error = NULL;
    struct slice value;
    size_t bytes = 0;
    void *file = indexed_cdb.open(path, &error);
    if (file != NULL) {
        if (indexed_cdb.find(file, key, &value, &why) == INDEXED_FOUND)
            (void)count(&bytes, value, value);
        (void)indexed_cdb.walk(file, count, &bytes, &why);
        indexed_cdb.close(file);
    }
    free(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = memfd_create("cdb", 0);
    if (fd >= 0 && write(fd, data, size) == (ssize_t)size) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        try_file(path, SLICE("one"));
        try_file(path, slice_range((const char *)data, size < 16 ? size : 16));
    }
    if (fd >= 0)
        close(fd);
    return 0;
}
