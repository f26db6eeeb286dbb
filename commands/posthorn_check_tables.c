/* SPDX-License-Identifier: ISC */
/*
 * posthorn_check_tables: every "type:name" in every setting: is there such a type, and is what it names there, readable,
 * fresh and not empty. Opens text files only, builds nothing, and asks no database.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands/posthorn_check.h"
#include "common/base/mem.h"
#include "common/config/logical_line.h"
#include "common/config/main_cf.h"
#include "common/config/parameter.h"
#include "common/table/file_stamp.h"

static const struct check_advice missing = {
    "table-missing", CHECK_ERROR,
    "Every look-up in this table fails, and mail that needs it is answered with 451 or stays in the queue.",
    "Create the file (an empty one will do for postmap), or take the table out of the setting."};
static const struct check_advice unreadable = {
    "table-unreadable", CHECK_ERROR,
    "Every look-up in this table fails, and mail that needs it is answered with 451 or stays in the queue.",
    "Correct the file's owner and mode, or its name."};
static const struct check_advice stale = {
    "table-stale", CHECK_WARNING,
    "The text was changed after the table was built from it. Posthorn goes by the text and builds the table anew when it may "
    "write there; other programs still see the old one.",
    "Run postmap on the file (postalias for aliases)."};
static const struct check_advice empty = {
    "table-empty", CHECK_WARNING, "The table has no entry, so each look-up finds nothing.",
    "Fill it, or take it out of the setting."};
static const struct check_advice only_foreign = {
    "table-in-foreign-format", CHECK_ERROR,
    "Berkeley DB files cannot be read here, and the text that the table was made from is gone: every look-up fails.",
    "Write the entries into the text file again; postmap -s of the Postfix that made the file lists them."};
static const struct check_advice unknown_type = {
    "table-type-unknown", CHECK_ERROR, "There is no such kind of table: every look-up fails and is answered with 451.",
    "Write type:name with one of the types that postconf -m lists."};
static const struct check_advice unsupported_type = {
    "table-type-unsupported", CHECK_ERROR,
    "Postfix has this kind of table and this build has not: every look-up fails and is answered with 451.",
    "Use one of the types that postconf -m lists; hash, lmdb and texthash read the same text."};
static const struct check_advice bad_list_file = {
    "list-file-unreadable", CHECK_ERROR, "The value is read from this file; without it the server does not start.",
    "Correct the file's name, or its owner and mode."};

enum table_kind { KIND_OTHER, KIND_INDEXED, KIND_TEXT, KIND_SETTINGS, KIND_LIST, KIND_AMBIGUOUS };

/* All types that Postfix knows. KIND_AMBIGUOUS: the same word begins a socket's address. */
static const struct {
    const char *name;
    enum table_kind kind;
} types[] = {
    {"btree", KIND_INDEXED}, {"cdb", KIND_INDEXED}, {"dbm", KIND_INDEXED}, {"hash", KIND_INDEXED}, {"lmdb", KIND_INDEXED},
    {"sdbm", KIND_INDEXED}, {"cidr", KIND_TEXT}, {"pcre", KIND_TEXT}, {"regexp", KIND_TEXT}, {"texthash", KIND_TEXT},
    {"ldap", KIND_SETTINGS}, {"memcache", KIND_SETTINGS}, {"mongodb", KIND_SETTINGS}, {"mysql", KIND_SETTINGS},
    {"pgsql", KIND_SETTINGS}, {"sqlite", KIND_SETTINGS}, {"pipemap", KIND_LIST}, {"unionmap", KIND_LIST},
    {"environ", KIND_OTHER}, {"fail", KIND_OTHER}, {"inline", KIND_OTHER}, {"internal", KIND_OTHER}, {"nis", KIND_OTHER},
    {"nisplus", KIND_OTHER}, {"randmap", KIND_OTHER}, {"socketmap", KIND_OTHER}, {"static", KIND_OTHER},
    {"debug", KIND_OTHER}, {"tcp", KIND_AMBIGUOUS}, {"unix", KIND_AMBIGUOUS},
};

static const char *const supported[] = {
#define TABLE_TYPE(name) #name,
#include "common/table/table_type_names.def"
#undef TABLE_TYPE
};

struct subject {
    struct check *check;
    const struct check_view *view;
    const char *parameter;
    struct config_origin where;
    const char *spec; /* as written, without "proxy:" */
};

static bool is_supported(struct slice type)
{
    for (size_t i = 0; i < sizeof supported / sizeof supported[0]; i++)
        if (slice_equal(type, slice_of(supported[i])))
            return true;
    return false;
}

/* --- files ------------------------------------------------------------------------------------ */

static const char *full_path(const struct subject *subject, const char *name)
{
    if (name[0] == '/')
        return name;
    return arena_printf(subject->check->arena, "%s/%s", check_value(subject->view, "queue_directory"), name);
}

static bool has_entries(struct slice text)
{
    struct logical_line_reader reader = {.rest = text};
    struct logical_line line = {.text = STR_EMPTY};
    bool found = logical_line_next(&reader, &line);
    str_free(&line.text);
    return found;
}

/* A text that can be read; larger ones than a configuration's are not empty. */
static void check_text(const struct subject *subject, const char *path)
{
    struct str text = STR_EMPTY;
    struct stat st;
    if (stat(path, &st) != 0 && errno == ENOENT)
        check_report(subject->check, &missing, subject->where, "%s: there is no file %s", subject->spec, path);
    else if (!config_read_file(path, &text) && errno != EFBIG)
        check_report(subject->check, &unreadable, subject->where, "%s: cannot read %s: %s", subject->spec, path,
                     strerror(errno));
    else if (st.st_size <= (off_t)MAIN_CF_MAX_BYTES && !has_entries(str_slice(&text)))
        check_report(subject->check, &empty, subject->where, "%s has no entries", subject->spec);
    str_free(&text);
}

static void check_indexed(const struct subject *subject, struct slice type, const char *path)
{
    struct arena *arena = subject->check->arena;
    const char *suffix = slice_equal(type, SLICE("cdb")) ? "cdb" : "lmdb";
    const char *built_path = arena_printf(arena, "%s.%s", path, suffix), *berkeley = arena_printf(arena, "%s.db", path);
    struct file_stamp source = file_stamp_get(path), built = file_stamp_get(built_path);
    if (!source.exists && !built.exists && access(berkeley, F_OK) == 0) {
        check_report(subject->check, &only_foreign, subject->where, "%s: there is %s, but neither %s nor %s",
                     subject->spec, berkeley, path, built_path);
        return;
    }
    if (source.exists || !built.exists)
        check_text(subject, path);
    else if (access(built_path, R_OK) != 0)
        check_report(subject->check, &unreadable, subject->where, "%s: cannot read %s: %s", subject->spec, built_path,
                     strerror(errno));
    if (source.exists && built.exists && file_stamp_newer(source, built))
        check_report(subject->check, &stale, subject->where, "%s: %s is older than %s", subject->spec, built_path, path);
}

/* sqlite's database is a file, too. */
static void check_settings_file(const struct subject *subject, struct slice type, const char *path)
{
    struct str text = STR_EMPTY;
    struct logical_line line = {.text = STR_EMPTY};
    struct slice name, value;
    const char *why;
    check_text(subject, path);
    check_database_file(subject->check, type, subject->spec, path);
    if (!slice_equal(type, SLICE("sqlite")) || !config_read_file(path, &text)) {
        str_free(&text);
        return;
    }
    struct logical_line_reader reader = {.rest = str_slice(&text)};
    while (logical_line_next(&reader, &line))
        if (logical_line_split_setting(str_slice(&line.text), &name, &value, &why) && slice_equal(name, SLICE("dbpath"))) {
            const char *database = arena_slice(subject->check->arena, value);
            struct config_origin where = {path, line.first_line};
            if (access(database, R_OK) != 0)
                check_report(subject->check, errno == ENOENT ? &missing : &unreadable, where, "%s: database %s: %s",
                             subject->spec, database, strerror(errno));
        }
    str_free(&line.text);
    str_free(&text);
}

/* --- one specification ------------------------------------------------------------------------- */

static enum table_kind kind_of(struct slice type, bool *known)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (slice_equal(type, slice_of(types[i].name))) {
            *known = true;
            return types[i].kind;
        }
    *known = false;
    return KIND_OTHER;
}

static void check_spec(const struct subject *subject, bool must_be_table);

/* "pipemap:{a:b, c:d}" */
static void check_parts(const struct subject *subject, const char *name)
{
    char **parts;
    size_t len = strlen(name);
    if (len < 2 || name[0] != '{' || name[len - 1] != '}')
        return;
    const char *inner = arena_strndup(subject->check->arena, name + 1, len - 2);
    size_t count = config_split_list(inner, subject->check->arena, &parts);
    for (size_t i = 0; i < count; i++) {
        struct subject part = *subject;
        part.spec = parts[i];
        check_spec(&part, true);
    }
}

static void check_unknown(const struct subject *subject, const char *colon)
{
    if (colon == NULL)
        check_report(subject->check, &unknown_type, subject->where, "\"%s\" in %s is no type:name", subject->spec,
                     subject->parameter);
    else
        check_report(subject->check, &unknown_type, subject->where, "unknown table type \"%.*s\" in %s",
                     (int)(colon - subject->spec), subject->spec, subject->parameter);
}

static void check_spec(const struct subject *given, bool must_be_table)
{
    struct subject subject = *given;
    bool known = false;
    while (slice_starts_with_nocase(slice_of(subject.spec), SLICE("proxy:")))
        subject.spec += 6;
    const char *colon = strchr(subject.spec, ':');
    struct slice type = colon != NULL ? slice_range(subject.spec, (size_t)(colon - subject.spec)) : (struct slice){"", 0};
    enum table_kind kind = kind_of(type, &known);
    if (!known) {
        if (must_be_table)
            check_unknown(&subject, colon);
        return;
    }
    if (!is_supported(type) && kind != KIND_AMBIGUOUS)
        check_report(subject.check, &unsupported_type, subject.where, "table type \"%.*s\" in %s is not supported",
                     SLICE_ARGS(type), subject.parameter);
    if (kind == KIND_LIST)
        check_parts(&subject, colon + 1);
    else if (kind == KIND_INDEXED)
        check_indexed(&subject, type, full_path(&subject, colon + 1));
    else if (kind == KIND_TEXT && colon[1] != '{')
        check_text(&subject, full_path(&subject, colon + 1));
    else if (kind == KIND_SETTINGS && (colon[1] == '/' || colon[1] == '.'))
        check_settings_file(&subject, type, full_path(&subject, colon + 1));
}

/* --- settings ------------------------------------------------------------------------------------- */

/* What the server writes by itself, and what only lists tables of other parameters. */
static bool is_no_lookup(const char *name)
{
    return check_has_suffix(name, "_cache_database") || check_has_suffix(name, "_cache_map") ||
           strcmp(name, "address_verify_map") == 0 || strcmp(name, "proxy_read_maps") == 0 ||
           strcmp(name, "alias_database") == 0 || /* what newaliases makes */
           strcmp(name, "proxy_write_maps") == 0;
}

static bool holds_only_tables(const char *name)
{
    return check_has_suffix(name, "_maps") || check_has_suffix(name, "_checks");
}

/* "!" before a table in a match list means that what is found there does not match. */
static void check_items(struct check *check, const struct check_view *view, const char *name)
{
    char **items;
    size_t count = config_split_list(check_value(view, name), check->arena, &items);
    for (size_t i = 0; i < count; i++) {
        struct subject subject = {check, view, name, {NULL, 0}, items[i] + strspn(items[i], "!")};
        bool is_access = i > 0 && slice_starts_with_nocase(slice_of(items[i - 1]), SLICE("check_")) &&
                         check_has_suffix(items[i - 1], "_access");
        subject.where = check_locate(check, view, name, items[i], 0);
        check_spec(&subject, is_access || holds_only_tables(name));
    }
}

static void check_setting(struct check *check, const struct check_view *view, const char *name)
{
    const struct parameter *parameter = parameter_find(name);
    bool is_text = parameter == NULL || parameter->type == PARAMETER_STRING;
    if (is_text && !is_no_lookup(name))
        check_items(check, view, name);
}

/* "mydestination = /etc/postfix/domains" */
static void check_list_files(struct check *check)
{
    static const char *const names[] = {"mydestination", "relay_domains", "virtual_alias_domains",
                                        "virtual_mailbox_domains", "inet_interfaces"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct config_problems problems = {0};
        char **items;
        if (!config_is_set(check->config, names[i]) || config_string_if_valid(check->config, names[i]) == NULL)
            continue;
        config_read_list(check->config, names[i], check->arena, &items, &problems);
        for (size_t k = 0; k < problems.count; k++)
            check_report(check, &bad_list_file, problems.list[k].where, "%s", problems.list[k].text);
        config_problems_free(&problems);
    }
}

void check_tables(struct check *check)
{
    check_each_setting(check, check_setting);
    check_list_files(check);
}
