/* SPDX-License-Identifier: ISC */
/* Who owns an address (smtpd_sender_login_maps), and the addresses that a message's header shows as its author. */
#ifndef POSTHORN_ACCESS_OWNER_H
#define POSTHORN_ACCESS_OWNER_H

#include "common/access/restrict.h"

enum owner_status {
    OWNER_IS_LOGIN,  /* the login is among its owners */
    OWNER_IS_OTHER,  /* it has owners, and the login is none of them */
    OWNER_NONE,      /* the tables do not know it */
    OWNER_UNCERTAIN, /* a table failed; logged */
};

/* address: rewritten, internal form. login NULL: nobody. Waits for lookup. */
enum owner_status owner_find(const char *address, const char *login, struct arena *arena) MUST_CHECK;
/* Names separated by commas or blanks; without case. Pure. */
bool owner_list_has(struct slice owners, const char *login);

/* --- from_addresses.c: pure, fuzzed ----------------------------------------------------------- */

#define FROM_ADDRESS_LIMIT 50

struct from_address {
    const char *header;  /* "From", "Sender", "Resent-From", "Resent-Sender" */
    const char *address; /* internal form; "" for an empty one */
};

struct from_addresses {
    struct from_address list[FROM_ADDRESS_LIMIT];
    size_t count;
    bool is_incomplete; /* more than the limit, or the header section is too long to be seen whole */
};

/*
 * Every address in the From and Sender headers (and their Resent- twins) at the start of a message (lines end in LF).
 * Wherever programs disagree about which address is meant, all that could be meant are listed. is_all: nothing follows
 * the text. Memory from the arena.
 */
void from_addresses_collect(struct slice text, bool is_all, struct arena *arena, struct from_addresses *from);

/* --- from_login.c: smtpd_from_login_check ------------------------------------------------------- */

/* struct smtp_server_policy: on_headers. */
void from_login_note(struct smtp_session *session, struct slice text, bool is_all);
/* At the end of the data: NULL, or the reply that refuses the message. Waits for lookup. */
const char *from_login_check(struct smtp_session *session);

#endif
