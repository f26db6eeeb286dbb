/* SPDX-License-Identifier: ISC */
/*
 * files: the newest content of each file that the supervisor sent, as keys and certificates; texts are wiped at once. What
 * waits for its other half stays here. Called by role.c and store.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/table/rhs_file.h"
#include "keys/store.h"

#define FILE_LIMIT (1024 * 1024)
#define TABLE_LIMIT (64 * 1024 * 1024)

struct file {
    char *path;
    struct pem_file content; /* of a table: only what is wrong with it */
    struct table_entry *entries;
    size_t entry_count, room;
    UT_hash_handle hh;
};

static struct file *files;

static void wipe(struct str *text)
{
    if (text->data != NULL)
        OPENSSL_cleanse(text->data, text->cap);
    str_free(text);
}

static bool read_all(int fd, size_t limit, struct str *text, char **problem)
{
    struct stat info;
    ssize_t n;
    /* At once: growing would leave copies of a key behind. */
    size_t room = fstat(fd, &info) == 0 && info.st_size >= 0 && (size_t)info.st_size < limit ? (size_t)info.st_size + 1 : limit + 1;
    str_reserve(text, room);
    while (text->len < room && (n = read(fd, text->data + text->len, room - text->len)) != 0) {
        if (n < 0) {
            *problem = mem_printf("cannot be read: %s", strerror(errno));
            return false;
        }
        text->len += (size_t)n;
    }
    if (text->len == room) /* or it grew meanwhile, and will be sent again */
        *problem = mem_strdup(room > limit ? "is too large" : "is being written to");
    return *problem == NULL;
}

static void drop_entries(struct file *file)
{
    for (size_t i = 0; i < file->entry_count; i++) {
        free(file->entries[i].name);
        pem_free(&file->entries[i].content);
    }
    free(file->entries);
    file->entries = NULL;
    file->entry_count = file->room = 0;
}

static void add_entry(void *context, struct slice key, struct slice value)
{
    struct file *file = context;
    struct str text = STR_EMPTY;
    if (file->entry_count == file->room) {
        file->room = file->room * 2 + 16;
        file->entries = mem_realloc_array(file->entries, file->room, sizeof *file->entries);
    }
    struct table_entry *entry = &file->entries[file->entry_count++];
    *entry = (struct table_entry){.name = mem_strndup(key.data, key.len)};
    str_reserve(&text, value.len + 1);
    if (rhs_file_decode(value, &text))
        pem_parse(str_slice(&text), &entry->content);
    else
        entry->content.problem = mem_strdup("the value is not what postmap -F makes");
    wipe(&text);
}

static void parse_table(struct slice text, struct file *file)
{
    if (built_table_walk(text, add_entry, file))
        return;
    drop_entries(file);
    file->content.problem = mem_strdup("is damaged, or no table that postmap built");
}

static struct file *find(const char *path)
{
    struct file *file;
    HASH_FIND_STR(files, path, file);
    return file;
}

void files_take(const char *path, bool is_table, int error, int fd)
{
    struct file *file = find(path);
    struct str text = STR_EMPTY;
    char *problem = error != 0 ? mem_printf("cannot be opened: %s", strerror(error)) : NULL;
    if (file == NULL) {
        file = mem_alloc(sizeof *file);
        file->path = mem_strdup(path);
        HASH_ADD_KEYPTR(hh, files, file->path, strlen(file->path), file);
    }
    pem_free(&file->content);
    drop_entries(file);
    if (problem != NULL || !read_all(fd, is_table ? TABLE_LIMIT : FILE_LIMIT, &text, &problem))
        file->content.problem = problem;
    else if (is_table)
        parse_table(str_slice(&text), file);
    else
        pem_parse(str_slice(&text), &file->content);
    wipe(&text);
    close(fd);
}

static const struct file *find_whole(const char *path, char **problem)
{
    const struct file *file = find(path);
    if (file != NULL && file->content.problem == NULL)
        return file;
    *problem = mem_printf("%s %s", path, file == NULL ? "did not come" : file->content.problem);
    return NULL;
}

const struct pem_file *files_find(const char *path, char **problem)
{
    const struct file *file = find_whole(path, problem);
    return file != NULL ? &file->content : NULL;
}

bool files_find_table(const char *path, const struct table_entry **entries, size_t *count, char **problem)
{
    const struct file *file = find_whole(path, problem);
    if (file == NULL)
        return false;
    *entries = file->entries;
    *count = file->entry_count;
    return true;
}
