/* SPDX-License-Identifier: ISC */
/*
 * layout: mail_owner and setgid_group, and the directory tree below queue_directory and data_directory.
 * Called as root or as an ordinary user (then everything is the caller's). Every directory is opened
 * without following a symlink and changed through its descriptor, so that whoever owns the parent cannot
 * redirect root. Failures are problems in words, never an exit.
 */
#include "common/process/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"

enum owner_kind { OWNER_ROOT, OWNER_MAIL };
enum group_kind { GROUP_SAME, GROUP_SETGID };

static const struct {
    const char *name; /* below queue_directory */
    enum owner_kind owner;
    enum group_kind group;
    mode_t mode;
} queue_directories[] = {
    {"active", OWNER_MAIL, GROUP_SAME, 0700},   {"bounce", OWNER_MAIL, GROUP_SAME, 0700},
    {"corrupt", OWNER_MAIL, GROUP_SAME, 0700},  {"defer", OWNER_MAIL, GROUP_SAME, 0700},
    {"deferred", OWNER_MAIL, GROUP_SAME, 0700}, {"flush", OWNER_MAIL, GROUP_SAME, 0700},
    {"hold", OWNER_MAIL, GROUP_SAME, 0700},     {"incoming", OWNER_MAIL, GROUP_SAME, 0700},
    {"private", OWNER_MAIL, GROUP_SAME, 0700},  {"maildrop", OWNER_MAIL, GROUP_SETGID, 0730},
    {"public", OWNER_MAIL, GROUP_SETGID, 0710}, {"pid", OWNER_ROOT, GROUP_SAME, 0755},
    {"saved", OWNER_MAIL, GROUP_SAME, 0700},    {"trace", OWNER_MAIL, GROUP_SAME, 0700},
};

/* --- ids ----------------------------------------------------------------------------- */

static void bad_name(struct config_problems *problems, const struct config *config, const char *parameter,
                     const char *what, const char *value)
{
    struct config_origin where = config_origin(config, parameter);
    config_problems_add(problems, where, true, "file %s/main.cf: parameter %s: %s: %s",
                        config_directory(config), parameter, what, value);
}

static bool find_user(const struct config *config, const char *parameter, uid_t *uid, gid_t *gid,
                      struct config_problems *problems)
{
    const char *name = config_string(config, parameter);
    const struct passwd *user = getpwnam(name);
    if (user == NULL) {
        bad_name(problems, config, parameter, "unknown user name value", name);
        return false;
    }
    if (user->pw_uid == 0 || user->pw_gid == 0) {
        bad_name(problems, config, parameter, "this user is root, or in group root", name);
        return false;
    }
    *uid = user->pw_uid;
    *gid = user->pw_gid;
    return true;
}

bool mail_ids_load(const struct config *config, struct mail_ids *ids, struct config_problems *problems)
{
    *ids = (struct mail_ids){geteuid() == 0, geteuid(), getegid(), getegid()};
    if (!ids->is_root)
        return true;
    if (!find_user(config, "mail_owner", &ids->uid, &ids->gid, problems))
        return false;
    const char *name = config_string(config, "setgid_group");
    const struct group *group = getgrnam(name);
    if (group == NULL) {
        bad_name(problems, config, "setgid_group", "unknown group name", name);
        return false;
    }
    if (group->gr_gid == 0 || group->gr_gid == ids->gid) {
        bad_name(problems, config, "setgid_group", "this is the group of root or of mail_owner", name);
        return false;
    }
    ids->setgid = group->gr_gid;
    return true;
}

bool mail_ids_of_role(const struct config *config, const char *parameter, const struct mail_ids *owner,
                      uid_t *uid, gid_t *gid, struct config_problems *problems)
{
    *uid = owner->uid;
    *gid = owner->gid;
    if (!owner->is_root || *config_string(config, parameter) == '\0')
        return true;
    return find_user(config, parameter, uid, gid, problems);
}

/* --- directories ----------------------------------------------------------------------- */

struct directory {
    const char *path;
    uid_t uid;
    gid_t gid;     /* (gid_t)-1: whatever it is */
    mode_t mode;
};

struct layout {
    const struct mail_ids *ids;
    bool repair;
    struct config_problems *problems;
};

static void note(const struct layout *layout, bool fatal, const char *path, const char *what)
{
    config_problems_add(layout->problems, (struct config_origin){NULL, 0}, fatal, "%s: %s", path, what);
}

static bool note_errno(const struct layout *layout, const char *path, const char *call)
{
    config_problems_add(layout->problems, (struct config_origin){NULL, 0}, true, "%s %s: %s", call, path,
                        strerror(errno));
    return false;
}

static bool set_owner(const struct layout *layout, const struct directory *want, int fd)
{
    if (layout->ids->is_root && fchown(fd, want->uid, want->gid) < 0)
        return note_errno(layout, want->path, "chown");
    if (fchmod(fd, want->mode) < 0)
        return note_errno(layout, want->path, "chmod");
    return true;
}

static bool check_owner(const struct layout *layout, const struct directory *want, int fd)
{
    struct stat is;
    if (fstat(fd, &is) < 0)
        return note_errno(layout, want->path, "stat");
    bool owner_differs = layout->ids->is_root &&
                         (is.st_uid != want->uid || (want->gid != (gid_t)-1 && is.st_gid != want->gid));
    bool mode_differs = (is.st_mode & 07777 & ~want->mode & 022) != 0; /* somebody else could write */
    if (layout->repair && (owner_differs || (is.st_mode & 07777) != want->mode))
        return set_owner(layout, want, fd);
    if (owner_differs)
        note(layout, false, want->path, "unexpected owner or group; try: postfix set-permissions");
    if (mode_differs)
        note(layout, false, want->path, "group or other writable");
    return true;
}

static bool prepare_directory(const struct layout *layout, const struct directory *want, int follow)
{
    bool created = mkdir(want->path, 0700) == 0;
    if (!created && errno != EEXIST)
        return note_errno(layout, want->path, "mkdir");
    int fd = open(want->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | follow);
    if (fd < 0)
        return note_errno(layout, want->path, "open directory");
    bool works = created ? set_owner(layout, want, fd) : check_owner(layout, want, fd);
    close(fd);
    return works;
}

/* The parents of a configured directory, with the usual mode; an admin may keep them elsewhere by symlink. */
static bool make_parents(const struct layout *layout, const char *path)
{
    char *copy = mem_strdup(path);
    bool works = true;
    for (char *slash = strchr(copy + 1, '/'); works && slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            works = note_errno(layout, copy, "mkdir");
        *slash = '/';
    }
    free(copy);
    return works;
}

/* queue_directory and data_directory themselves may be symlinks: their parents belong to the admin. */
static bool prepare_top(const struct layout *layout, const struct directory *want)
{
    return make_parents(layout, want->path) && prepare_directory(layout, want, 0);
}

static bool prepare_queue(const struct layout *layout, const char *top, uid_t root)
{
    const struct mail_ids *ids = layout->ids;
    struct directory queue = {top, root, (gid_t)-1, 0755};
    bool works = prepare_top(layout, &queue);
    for (size_t i = 0; works && i < sizeof queue_directories / sizeof queue_directories[0]; i++) {
        char *path = mem_printf("%s/%s", top, queue_directories[i].name);
        struct directory want = {
            .path = path,
            .uid = queue_directories[i].owner == OWNER_MAIL ? ids->uid : root,
            .gid = queue_directories[i].group == GROUP_SETGID ? ids->setgid : (gid_t)-1,
            .mode = queue_directories[i].mode,
        };
        works = prepare_directory(layout, &want, O_NOFOLLOW);
        free(path);
    }
    return works;
}

char *layout_empty_root(const struct config *config)
{
    return mem_printf("%s/empty", config_string(config, "data_directory"));
}

char *layout_state_directory(const struct config *config)
{
    return mem_printf("%s/state", config_string(config, "data_directory"));
}

/* Always repaired: the user may have changed. */
static bool prepare_state(const struct layout *layout, const struct config *config)
{
    uid_t uid;
    gid_t gid;
    if (!mail_ids_of_role(config, "state_process_user", layout->ids, &uid, &gid, layout->problems))
        return false;
    char *path = layout_state_directory(config);
    struct directory state = {path, uid, gid, 0700};
    bool works = prepare_directory(layout, &state, O_NOFOLLOW);
    free(path);
    return works;
}

bool layout_prepare(const struct config *config, const struct mail_ids *ids, bool repair,
                    struct config_problems *problems)
{
    struct layout layout = {ids, repair, problems};
    uid_t root = ids->is_root ? 0 : ids->uid;
    struct directory data = {config_string(config, "data_directory"), ids->uid, (gid_t)-1, 0700};
    if (!prepare_queue(&layout, config_string(config, "queue_directory"), root) || !prepare_top(&layout, &data))
        return false;
    /* Always repaired: it becomes the root directory of confined roles, in a directory that is not root's. */
    struct layout strict = {ids, true, problems};
    char *path = layout_empty_root(config);
    struct directory empty = {path, root, (gid_t)-1, 0755};
    bool works = prepare_directory(&strict, &empty, O_NOFOLLOW);
    free(path);
    return works && prepare_state(&strict, config);
}

/* --- programs ------------------------------------------------------------------------------ */

static char *choose_directory(const char *configured, const char *only_ours, const char *built_in)
{
    char *program = mem_printf("%s/%s", configured, only_ours);
    bool is_ours = access(program, X_OK) == 0;
    free(program);
    return mem_strdup(is_ours ? configured : built_in);
}

char *layout_daemon_directory(const struct config *config)
{
    return choose_directory(config_string(config, "daemon_directory"), "lookup", POSTHORN_DAEMONDIR);
}

char *layout_command_directory(const struct config *config)
{
    return choose_directory(config_string(config, "command_directory"), "posthorn", POSTHORN_SBINDIR);
}
