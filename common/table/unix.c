/* SPDX-License-Identifier: ISC */
/*
 * unix:passwd.byname and unix:group.byname -- the system's users and groups, in the format of their files. Asks the
 * C library's name services, so it blocks for as long as they do (local files in practice).
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/table/table_types.h"

typedef enum table_status unix_lookup(const char *name, struct str *value, int *error);

/* glibc says "not found" in several ways besides a NULL entry. */
static bool means_not_found(int error)
{
    return error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM;
}

static enum table_status find_user(const char *name, struct str *value, int *error)
{
    errno = 0;
    const struct passwd *user = getpwnam(name);
    *error = errno;
    if (user == NULL)
        return means_not_found(*error) ? TABLE_NOT_FOUND : TABLE_ERROR;
    str_printf(value, "%s:%s:%ld:%ld:%s:%s:%s", user->pw_name, user->pw_passwd, (long)user->pw_uid,
               (long)user->pw_gid, user->pw_gecos, user->pw_dir, user->pw_shell);
    return TABLE_FOUND;
}

static enum table_status find_group(const char *name, struct str *value, int *error)
{
    errno = 0;
    const struct group *group = getgrnam(name);
    *error = errno;
    if (group == NULL)
        return means_not_found(*error) ? TABLE_NOT_FOUND : TABLE_ERROR;
    str_printf(value, "%s:%s:%ld:", group->gr_name, group->gr_passwd, (long)group->gr_gid);
    for (char **member = group->gr_mem; *member != NULL; member++)
        str_printf(value, "%s%s", *member, member[1] != NULL ? "," : "");
    return TABLE_FOUND;
}

struct unix_table {
    unix_lookup *lookup;
};

static void *unix_open(const char *name, const struct config *config UNUSED, unsigned flags UNUSED, char **error)
{
    unix_lookup *lookup = strcmp(name, "passwd.byname") == 0  ? find_user
                          : strcmp(name, "group.byname") == 0 ? find_group
                                                              : NULL;
    if (lookup == NULL) {
        *error = mem_printf("unknown table: unix:%s", name);
        return NULL;
    }
    struct unix_table *table = mem_alloc(sizeof *table);
    table->lookup = lookup;
    return table;
}

static enum table_status unix_find(void *data, struct slice key, struct str *value, char **error,
                                   int64_t deadline UNUSED)
{
    struct unix_table *table = data;
    char *name = mem_strndup(key.data, key.len);
    int code;
    enum table_status status = table->lookup(name, value, &code);
    if (status == TABLE_ERROR)
        *error = mem_printf("error looking up %s: %s", name, strerror(code));
    free(name);
    return status;
}

const struct table_type table_unix = {.name = "unix", .open = unix_open, .close = free, .find = unix_find};
