/* SPDX-License-Identifier: ISC */
/*
 * posthorn_check_rights: users and groups that the configuration names, and who may read or change what. Looks at names,
 * owners and modes only; "postfix set-permissions" is what changes them.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands/posthorn_check.h"
#include "common/config/logical_line.h"
#include "common/config/main_cf.h"

static const struct check_advice no_such_user = {
    "user-missing", CHECK_ERROR, "The server does not start without it.",
    "Create the account (useradd --system, groupadd --system), or correct the name."};
static const struct check_advice privileged_user = {
    "user-privileged", CHECK_ERROR,
    "What is broken into would then be broken into with these rights; the server refuses to start.",
    "Give the mail system an account of its own."};
static const struct check_advice shared_user = {
    "user-shared", CHECK_WARNING,
    "Whoever is this user can read and change the mail queue, and the mail system can meddle with that user's files.",
    "Give the mail system an account, and a user id, of its own."};
static const struct check_advice world_writable = {
    "config-writable", CHECK_ERROR, "Every user of this host can become root by changing it.", "chmod go-w; chown root."};
static const struct check_advice foreign_owner = {
    "config-owner", CHECK_WARNING, "Its owner can become root by changing it.", "chown root."};
static const struct check_advice readable_secret = {
    "password-readable", CHECK_ERROR, "Every user of this host can read the password or key in it.",
    "chmod 640 and chgrp to the group that must read it, or chmod 600."};
static const struct check_advice bad_directory = {
    "directory-rights", CHECK_ERROR, "Other users could plant, read or remove mail.",
    "Run postfix set-permissions, or correct owner and mode."};
static const struct check_advice no_directory = {
    "directory-missing", CHECK_NOTE, "The server makes it at its first start.", "Nothing, unless the name is wrong."};

/* --- users ---------------------------------------------------------------------------------- */

static bool is_shared(const struct passwd *owner, const char **other, struct arena *arena)
{
    struct passwd *user;
    uid_t uid = owner->pw_uid;
    const char *name = arena_strdup(arena, owner->pw_name); /* the next call reuses the memory */
    *other = NULL;
    setpwent();
    while ((user = getpwent()) != NULL && *other == NULL)
        if (user->pw_uid == uid && strcmp(user->pw_name, name) != 0)
            *other = arena_strdup(arena, user->pw_name);
    endpwent();
    return *other != NULL;
}

static void check_user(struct check *check, const char *parameter)
{
    const struct check_view *view = &check->views[0];
    const char *name = check_value(view, parameter), *other;
    struct config_origin where = check_locate(check, view, parameter, NULL, 0);
    const struct passwd *user = getpwnam(name);
    if (user == NULL)
        check_report(check, &no_such_user, where, "%s: there is no user \"%s\"", parameter, name);
    else if (user->pw_uid == 0 || user->pw_gid == 0)
        check_report(check, &privileged_user, where, "%s: \"%s\" is root, or in group root", parameter, name);
    else if (strcmp(parameter, "mail_owner") == 0 && strcmp(name, "nobody") == 0)
        check_report(check, &shared_user, where, "mail_owner is \"nobody\", whom many programs run as");
    else if (strcmp(parameter, "mail_owner") == 0 && is_shared(user, &other, check->arena))
        check_report(check, &shared_user, where, "mail_owner \"%s\" has the same user id as \"%s\"", name, other);
}

static void check_users(struct check *check)
{
    const struct check_view *view = &check->views[0];
    const char *owner = check_value(view, "mail_owner"), *group_name = check_value(view, "setgid_group");
    struct config_origin where = check_locate(check, view, "setgid_group", NULL, 0);
    check_user(check, "mail_owner");
    check_user(check, "default_privs");
    if (strcmp(owner, check_value(view, "default_privs")) == 0)
        check_report(check, &shared_user, check_locate(check, view, "default_privs", NULL, 0),
                     "default_privs is \"%s\", the mail_owner", owner);
    const struct group *group = getgrnam(group_name);
    const struct passwd *user = getpwnam(owner);
    if (group == NULL)
        check_report(check, &no_such_user, where, "setgid_group: there is no group \"%s\"", group_name);
    else if (group->gr_gid == 0)
        check_report(check, &privileged_user, where, "setgid_group: \"%s\" is root's group", group_name);
    else if (user != NULL && user->pw_gid == group->gr_gid && geteuid() == 0)
        check_report(check, &shared_user, where, "setgid_group \"%s\" is mail_owner's own group", group_name);
}

/* --- files ------------------------------------------------------------------------------------- */

/* An ordinary user's own installation belongs to that user. */
static bool is_trusted_owner(uid_t uid)
{
    return uid == 0 || uid == geteuid();
}

static void check_config_file(struct check *check, const char *name)
{
    const char *directory = config_directory(check->config);
    const char *path = *name != '\0' ? arena_printf(check->arena, "%s/%s", directory, name) : directory;
    struct config_origin where = {path, 0};
    struct stat st;
    if (stat(path, &st) != 0)
        return;
    if ((st.st_mode & S_IWOTH) != 0)
        check_report(check, &world_writable, where, "%s can be written by everybody (mode %04o)", path,
                     (unsigned)(st.st_mode & 07777));
    else if (!is_trusted_owner(st.st_uid))
        check_report(check, &foreign_owner, where, "%s belongs to user id %u", path, (unsigned)st.st_uid);
}

struct directory_rule {
    const char *name; /* below queue_directory */
    bool of_owner;    /* belongs to mail_owner, not to root */
    mode_t forbidden;
};

static void check_directory(struct check *check, struct config_origin where, const char *path, bool of_owner, mode_t forbidden)
{
    const struct passwd *owner = getpwnam(check_value(&check->views[0], "mail_owner"));
    struct stat st;
    if (stat(path, &st) != 0) {
        if (errno == ENOENT)
            check_report(check, &no_directory, where, "there is no directory %s yet", path);
        return;
    }
    if (!S_ISDIR(st.st_mode))
        check_report(check, &bad_directory, where, "%s is not a directory", path);
    else if ((st.st_mode & forbidden) != 0)
        check_report(check, &bad_directory, where, "%s has mode %04o", path, (unsigned)(st.st_mode & 07777));
    else if (of_owner ? (owner != NULL && st.st_uid != owner->pw_uid && st.st_uid != geteuid())
                      : !is_trusted_owner(st.st_uid))
        check_report(check, &bad_directory, where, "%s belongs to user id %u", path, (unsigned)st.st_uid);
}

static void check_directories(struct check *check)
{
    static const struct directory_rule rules[] = {
        {"private", true, 0077}, {"maildrop", true, 0007}, {"public", true, 0027}, {"incoming", true, 0077},
        {"active", true, 0077},  {"deferred", true, 0077}, {"hold", true, 0077},
    };
    const struct check_view *view = &check->views[0];
    const char *queue = check_value(view, "queue_directory"), *data = check_value(view, "data_directory");
    struct config_origin where = check_locate(check, view, "queue_directory", NULL, 0);
    check_directory(check, where, queue, false, 0022);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const char *path = arena_printf(check->arena, "%s/%s", queue, rules[i].name);
        if (access(path, F_OK) == 0)
            check_directory(check, where, path, rules[i].of_owner, rules[i].forbidden);
    }
    check_directory(check, check_locate(check, view, "data_directory", NULL, 0), data, true, 0022);
}

/* --- passwords ------------------------------------------------------------------------------------ */

/* The line of a non-empty password in a table's settings; 0: none. */
static unsigned password_line(const char *path)
{
    struct str text = STR_EMPTY;
    struct logical_line line = {.text = STR_EMPTY};
    struct slice name, value;
    const char *why;
    unsigned found = 0;
    if (!config_read_file(path, &text))
        str_clear(&text);
    struct logical_line_reader reader = {.rest = str_slice(&text)};
    while (found == 0 && logical_line_next(&reader, &line))
        if (logical_line_split_setting(str_slice(&line.text), &name, &value, &why) && value.len > 0 &&
            (slice_equal(name, SLICE("password")) || slice_equal(name, SLICE("bind_pw"))))
            found = line.first_line;
    str_free(&line.text);
    str_free(&text);
    return found;
}

static bool is_world_readable(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IROTH) != 0;
}

static void check_settings_file(struct check *check, const char *path)
{
    struct config_origin where = {path, password_line(path)};
    if (where.line > 0 && is_world_readable(path))
        check_report(check, &readable_secret, where, "%s holds a password and can be read by everybody", path);
}

static void check_secret(struct check *check, struct config_origin where, const char *path, const char *what)
{
    if (is_world_readable(path))
        check_report(check, &readable_secret, where, "%s holds %s and can be read by everybody", path, what);
}

static void check_setting(struct check *check, const struct check_view *view, const char *name)
{
    static const char *const with_settings[] = {"pgsql:", "mysql:", "ldap:", "sqlite:", "mongodb:"};
    char **items;
    size_t count = config_split_list(check_value(view, name), check->arena, &items);
    for (size_t i = 0; i < count; i++) {
        const char *item = items[i] + (strncmp(items[i], "proxy:", 6) == 0 ? 6 : 0), *path = strchr(item, '/');
        struct config_origin where = check_locate(check, view, name, items[i], 0);
        for (size_t k = 0; path != NULL && k < sizeof with_settings / sizeof with_settings[0]; k++)
            if (strncmp(item, with_settings[k], strlen(with_settings[k])) == 0)
                check_settings_file(check, path);
        if (path == NULL)
            continue;
        if (check_has_suffix(name, "_sasl_password_maps")) {
            check_secret(check, where, path, "passwords");
            check_secret(check, where, arena_printf(check->arena, "%s.lmdb", path), "passwords");
        } else if (check_has_suffix(name, "_tls_key_file") || check_has_suffix(name, "_tls_eckey_file") ||
                   check_has_suffix(name, "_tls_chain_files")) {
            check_secret(check, where, path, "a private key");
        }
    }
}

void check_rights(struct check *check)
{
    check_users(check);
    check_config_file(check, "");
    check_config_file(check, "main.cf");
    check_config_file(check, "master.cf");
    check_directories(check);
    check_each_setting(check, check_setting);
}
