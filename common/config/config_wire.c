/* SPDX-License-Identifier: ISC */
/*
 * config_wire: a configuration as bytes, from the supervisor (config_send) to a daemon
 * (config_receive), through a file descriptor both can seek: a sealed memfd. The receiver trusts
 * nothing: every count, length and NUL is checked before use. All integers are 32 bits, little-endian:
 *
 *   "PHCF" version  directory  count {name value file line}...  count {name value}...
 *
 * A string is its length, its bytes and a NUL. The second list holds the defaults that were computed
 * from the system, which the daemon can no longer ask.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/config/config_internal.h"
#include "common/config/idn.h"

#define WIRE_MAGIC "PHCF"
#define WIRE_VERSION 1
#define WIRE_MAX_BYTES ((size_t)32 * 1024 * 1024)
#define WIRE_MAX_COUNT 50000

static void put_u32(struct str *out, uint32_t number)
{
    for (unsigned shift = 0; shift < 32; shift += 8)
        str_append_char(out, (char)(number >> shift & 0xff));
}

static void put_text(struct str *out, const char *text)
{
    size_t len = strlen(text);
    put_u32(out, (uint32_t)len);
    str_append_bytes(out, text, len + 1);
}

static void put_settings(struct str *out, const struct config *config)
{
    put_u32(out, (uint32_t)config->count);
    for (size_t i = 0; i < config->count; i++) {
        const struct config_entry *entry = config->entries[i];
        put_text(out, entry->name);
        put_text(out, entry->value);
        put_text(out, entry->where.file != NULL ? entry->where.file : "");
        put_u32(out, entry->where.line);
    }
}

static void put_system_default(struct str *out, const struct config *config, const char *name)
{
    put_text(out, name);
    put_text(out, config_system_default(config, name));
}

static void put_system_defaults(struct str *out, const struct config *config)
{
    uint32_t count = 0;
    while (config_system_names[count] != NULL)
        count++;
    put_u32(out, count);
    for (uint32_t i = 0; i < count; i++)
        put_system_default(out, config, config_system_names[i]);
}

void config_encode(const struct config *config, struct str *out)
{
    str_append(out, WIRE_MAGIC);
    put_u32(out, WIRE_VERSION);
    put_text(out, config->directory);
    put_settings(out, config);
    put_system_defaults(out, config);
}

/* myorigin may name a file that the daemon cannot read: send its content as the setting. */
static struct config *resolve_files(const struct config *config)
{
    static const char *const names[] = {"myorigin"};
    struct str ignored = STR_EMPTY;
    const char *origin = config_try_evaluate(config, "myorigin", &ignored);
    str_free(&ignored);
    bool is_file = config_is_set(config, "myorigin") && config_raw(config, "myorigin")[0] == '/';
    return config_with_overrides(config, names, &origin, is_file && origin != NULL ? 1 : 0);
}

void config_send(const struct config *config, int fd)
{
    struct str out = STR_EMPTY;
    struct config *resolved = resolve_files(config);
    config_encode(resolved, &out);
    config_free(resolved);
    for (size_t done = 0; done < out.len;) {
        ssize_t wrote = pwrite(fd, out.data + done, out.len - done, (off_t)done);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            log_fatal("cannot hand over the configuration: %s", strerror(errno));
        done += (size_t)wrote;
    }
    str_free(&out);
}

static bool take_u32(struct slice *rest, uint32_t *number)
{
    if (rest->len < 4)
        return false;
    *number = 0;
    for (unsigned i = 0; i < 4; i++)
        *number |= (uint32_t)(unsigned char)rest->data[i] << (8 * i);
    *rest = slice_skip(*rest, 4);
    return true;
}

/* A string that ends where it says, with no NUL before. */
static bool take_text(struct slice *rest, const char **text)
{
    uint32_t len;
    if (!take_u32(rest, &len) || len >= rest->len || rest->data[len] != '\0' ||
        memchr(rest->data, '\0', len) != NULL)
        return false;
    *text = rest->data;
    *rest = slice_skip(*rest, (size_t)len + 1);
    return true;
}

static bool take_count(struct slice *rest, uint32_t *count)
{
    return take_u32(rest, count) && *count <= WIRE_MAX_COUNT;
}

static bool take_settings(struct slice *rest, struct config *config)
{
    uint32_t count, line;
    const char *name, *value, *file, *known_file = "", *known_copy = NULL;
    if (!take_count(rest, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!take_text(rest, &name) || !take_text(rest, &value) || !take_text(rest, &file) ||
            !take_u32(rest, &line) || name[0] == '\0' || config_find(config, name) != NULL)
            return false;
        if (strcmp(file, known_file) != 0) {
            known_file = file;
            known_copy = file[0] != '\0' ? arena_strdup(config->arena, file) : NULL;
        }
        config_put(config, slice_of(name), slice_of(value),
                   (struct config_origin){known_copy, line});
    }
    return true;
}

static bool take_system_defaults(struct slice *rest, struct config *config)
{
    uint32_t count;
    const char *name, *value;
    if (!take_count(rest, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!take_text(rest, &name) || !take_text(rest, &value) ||
            config_cache_find(config->cache->system, name) != NULL)
            return false;
        config_cache_put(config->cache, &config->cache->system, name, value);
    }
    return rest->len == 0;
}

struct config *config_decode(struct slice bytes)
{
    uint32_t version;
    const char *directory;
    struct slice magic = slice_range(bytes.data, bytes.len < 4 ? bytes.len : 4);
    if (!slice_equal(magic, SLICE(WIRE_MAGIC)))
        return NULL;
    bytes = slice_skip(bytes, 4);
    if (!take_u32(&bytes, &version) || version != WIRE_VERSION || !take_text(&bytes, &directory))
        return NULL;
    struct config *config = config_new(directory);
    if (!take_settings(&bytes, config) || !take_system_defaults(&bytes, config)) {
        config_free(config);
        return NULL;
    }
    config->received = true;
    return config;
}

static bool read_exactly(int fd, char *data, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t got = pread(fd, data + done, len - done, (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

/* Its receiver is about to lose the right to open a library. */
static void load_what_values_need(const struct config *config)
{
    bool is_ascii = true;
    for (size_t i = 0; i < config->count && is_ascii; i++)
        is_ascii = idn_is_ascii(config->entries[i]->value) && strstr(config->entries[i]->value, "xn--") == NULL;
    if (!is_ascii)
        idn_load();
}

struct config *config_receive(int fd)
{
    struct stat status;
    if (fstat(fd, &status) < 0 || status.st_size <= 0 || (size_t)status.st_size > WIRE_MAX_BYTES)
        return NULL;
    size_t len = (size_t)status.st_size;
    char *data = mem_alloc(len);
    struct config *config =
        read_exactly(fd, data, len) ? config_decode(slice_range(data, len)) : NULL;
    free(data);
    if (config != NULL)
        load_what_values_need(config);
    return config;
}
