/* SPDX-License-Identifier: ISC */
/*
 * cyrus_setup: where Cyrus SASL's configuration is, and which rights follow from it. Called before confinement. Debian keeps
 * the file in /etc/postfix/sasl, others in the library's own directories; sasldb, SQL, LDAP and Kerberos each need something more.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/cyrus.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/process/role.h"

#define LARGEST_FILE 65536
#define DIRECTORY_LIMIT 16

/* --- finding it ------------------------------------------------------------------------------------- */

static char *make_search_path(const char *config_path, const struct config *config)
{
    struct str path = STR_EMPTY;
    if (*config_path != '\0')
        str_printf(&path, "%s:", config_path);
    str_printf(&path, "%s/sasl:/etc/sasl2:/etc/sasl:/usr/lib/sasl2:/usr/lib/sasl", config_directory(config));
    return path.data;
}

static char *read_file(const char *path, size_t *len)
{
    char *text = mem_alloc(LARGEST_FILE);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = fd >= 0 ? read(fd, text, LARGEST_FILE) : -1;
    if (fd >= 0 && close(fd) != 0)
        count = -1;
    if (count < 0) {
        free(text);
        return NULL;
    }
    *len = (size_t)count;
    return text;
}

static char *find_file(const struct cyrus_setup *setup, size_t *len, char **text)
{
    struct slice rest = slice_of(setup->search_path), directory;
    while (slice_next_token(&rest, ":", &directory)) {
        char *path = mem_printf("%.*s/%s.conf", SLICE_ARGS(directory), setup->application);
        *text = read_file(path, len);
        if (*text != NULL)
            return path;
        if (errno != ENOENT && errno != ENOTDIR)
            log_warning("open %s: %s", path, strerror(errno));
        free(path);
    }
    return NULL;
}

/* --- what follows from it -------------------------------------------------------------------------------- */

static void add_directory(struct cyrus_setup *setup, const char *path, size_t len)
{
    if (setup->directory_count < DIRECTORY_LIMIT)
        setup->directories[setup->directory_count++] = mem_strndup(path, len);
}

/* The directory, not the file: databases are replaced by renaming, and SQLite wants its journal. */
static void add_directory_of(struct cyrus_setup *setup, struct slice path)
{
    const char *slash = path.len > 0 && path.data[0] == '/' ? memrchr(path.data, '/', path.len) : NULL;
    if (slash != NULL)
        add_directory(setup, path.data, slash == path.data ? 1 : (size_t)(slash - path.data));
}

/* Kerberos: its environment names files, as "FILE:/etc/krb5.keytab" or without the type. */
static void add_directory_of_variable(struct cyrus_setup *setup, const char *name)
{
    struct slice path = slice_of(getenv(name) != NULL ? getenv(name) : "");
    const char *slash = path.len > 0 ? memchr(path.data, '/', path.len) : NULL;
    if (slash != NULL)
        add_directory_of(setup, slice_skip(path, (size_t)(slash - path.data)));
}

static void read_options(struct cyrus_setup *setup, struct slice file)
{
    struct slice hosts = cyrus_config_find(file, "sql_hostnames");
    struct slice saslauthd = cyrus_config_find(file, "saslauthd_path");
    if (saslauthd.len > 0)
        setup->saslauthd_path = mem_strndup(saslauthd.data, saslauthd.len);
    add_directory_of(setup, cyrus_config_find(file, "sasldb_path"));
    add_directory_of(setup, cyrus_config_find(file, "sql_database"));
    add_directory_of(setup, cyrus_config_find(file, "keytab"));
    if (hosts.len > 0 || cyrus_config_find(file, "ldapdb_uri").len > 0)
        setup->rights |= RIGHT_CONNECT_INET;
}

struct cyrus_setup *cyrus_setup_make(const char *application, const char *config_path, const struct config *config)
{
    struct cyrus_setup *setup = mem_alloc(sizeof *setup);
    char *text = NULL;
    size_t len = 0;
    setup->application = mem_strdup(application);
    setup->queue_directory = mem_strdup(config_string(config, "queue_directory"));
    setup->search_path = make_search_path(config_path, config);
    setup->rights = RIGHT_READ_FILES | RIGHT_CONNECT_UNIX;
    setup->directories = mem_alloc_array(DIRECTORY_LIMIT + 1, sizeof *setup->directories);
    add_directory(setup, "/etc", 4); /* sasldb2, hosts, resolv.conf, nsswitch.conf */
    add_directory(setup, "/dev/urandom", 12);
    add_directory_of_variable(setup, "KRB5_CONFIG");
    add_directory_of_variable(setup, "KRB5_KTNAME");
    add_directory(setup, config_directory(config), strlen(config_directory(config)));
    setup->file = find_file(setup, &len, &text);
    if (setup->file != NULL)
        read_options(setup, slice_range(text, len));
    if (text != NULL)
        mem_wipe(text, len); /* may hold sql_passwd */
    free(text);
    return setup;
}
