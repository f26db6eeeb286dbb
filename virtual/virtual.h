/* SPDX-License-Identifier: ISC */
/* Inside the virtual role: settings, mailboxes, and the ways to write into them. */
#ifndef POSTHORN_VIRTUAL_VIRTUAL_H
#define POSTHORN_VIRTUAL_VIRTUAL_H

#include <sys/types.h>

#include "common/mail/delivery_agent.h"
#include "common/process/role.h"

/* --- settings.c ------------------------------------------------------------------------ */

enum mailbox_lock { LOCK_FCNTL = 1, LOCK_FLOCK = 2, LOCK_DOTLOCK = 4 };

struct virtual_settings {
    const char *base; /* virtual_mailbox_base, absolute */
    const char *mailbox_maps, *uid_maps, *gid_maps;
    uint64_t minimum_uid;
    uint64_t mailbox_limit;  /* octets of a mailbox file or a Maildir message; 0: none */
    unsigned locks;          /* enum mailbox_lock */
    unsigned lock_attempts;
    int64_t lock_delay;      /* seconds */
    int64_t stale_lock_time; /* seconds */
    bool strict_ownership;
    bool adds_original;      /* enable_original_recipient */
    char host_name[256];     /* for Maildir names */
    const char *problem;     /* what keeps this role from delivering anything, or NULL */
};

extern struct virtual_settings virtual_settings;
void virtual_settings_load(const struct config *config);

/* --- mailbox.c: whose mailbox, where, with which rights ------------------------------------ */

struct mailbox {
    char *path; /* ends in '/' for a Maildir */
    uid_t uid;
    gid_t gid;
};

/* What became of a recipient, for delivery_report_one(). dsn NULL: nothing yet. */
struct mailbox_result {
    const char *dsn;
    const char *reason;
};

/* Asks the three tables. False: *failure tells, and a warning was logged where it is the admin's to mend. */
bool mailbox_find(const char *address, struct arena *arena, struct mailbox *mailbox,
                  struct mailbox_result *failure) MUST_CHECK;
/* The path for a table's value, or NULL when it would lead out of the base. Pure. */
char *mailbox_path(const char *base, const char *value, struct arena *arena);
/* A user or group id as tables hold it. Pure. */
bool mailbox_parse_id(const char *text, uint64_t least, uint32_t *id) MUST_CHECK;

/* --- owner.c: acting as the mailbox's owner --------------------------------------------------- */

/* Learns the process's own ids and gives up every capability but those to change ids. */
void owner_start(void);
/* True when this process may act as that user. */
bool owner_is_possible(uid_t uid, gid_t gid);
/* Between the two nothing may wait: all fibers share the ids. */
void owner_become(uid_t uid, gid_t gid);
void owner_return(void);

/* --- message.c: what is written ------------------------------------------------------------------ */

/* Appends Return-Path, X-Original-To and Delivered-To as Postfix writes them. */
void message_put_header(const struct delivery *delivery, const struct recipient *to, struct str *out);

enum message_status {
    MESSAGE_OK = 0,
    MESSAGE_CORRUPT,     /* the content does not match its hash */
    MESSAGE_READ_ERROR,  /* errno tells */
    MESSAGE_WRITE_ERROR, /* errno tells */
};

/* Writes header and content to fd. as_mbox: "From " at the start of a line is quoted, a blank line ends it. */
enum message_status message_write(int fd, struct slice header, struct delivery_content *content, bool as_mbox)
    MUST_CHECK;

/* --- sync.c: fsync for many -------------------------------------------------------------------------- */

/* fsync(fd), shared with all others that ask in the same turn. 0 or an errno. Waits. */
int sync_shared(int fd) MUST_CHECK;

/* --- maildir.c, mbox.c ----------------------------------------------------------------------------------- */

/* Both decide nothing themselves: dsn "2.0.0" with "delivered to maildir", or what went wrong. They may wait.
 * dsn NULL: the content is corrupt. */
struct mailbox_result maildir_deliver(const struct mailbox *mailbox, struct slice header,
                                       struct delivery_job *job);
struct mailbox_result mbox_deliver(const struct mailbox *mailbox, struct slice header, struct delivery_job *job,
                                    const struct recipient *to);
/* Postfix's enhanced status for an errno of a mailbox operation. Pure. */
const char *mailbox_dsn(int error, const char *otherwise);

/* --- deliver.c ------------------------------------------------------------------------------------------------ */

void virtual_deliver(struct delivery_job *job);

#endif
