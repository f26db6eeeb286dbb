/* SPDX-License-Identifier: ISC */
/* What the files of the lookup role share. */
#ifndef POSTHORN_LOOKUP_LOOKUP_H
#define POSTHORN_LOOKUP_LOOKUP_H

#include <sys/queue.h>

#include "common/mail/lookup_protocol.h"
#include "common/mail/resolve.h"
#include "common/process/role.h"

extern const struct role lookup_role;

/* A question from a role, answered now or by a fiber of its own. */
struct question {
    struct ipc_channel *channel; /* NULL: the asker is gone, nobody wants the answer */
    uint32_t id;
    uint16_t type;
    struct str body;
    struct arena *arena;
    void (*answer)(struct question *question);
    LIST_ENTRY(question) link;
};

/* Runs `answer` with a copy of the message: on a fiber when it may wait. */
void question_ask(struct ipc_channel *channel, const struct ipc_message *message,
                  void (*answer)(struct question *question), bool may_wait);
/* The malformed question of a role: does not return. */
void question_is_malformed(struct question *question);
/* Sends the answer; a descriptor stays the caller's. */
void question_reply(struct question *question, const struct str *answer, int fd);
void questions_of_lost_channel(struct ipc_channel *channel);
/* Ends the process when no question is under way (now or later). */
void questions_drain(void);

/* --- what a role may ask about ----------------------------------------------------------- */

/* Collects the tables that main.cf and master.cf name: no other is opened, whoever asks. Before confinement. */
void known_tables_collect(const struct config *config);
bool known_tables_has(const char *spec);
/* The same for servers that smtpd and submission may have connected: takes those that a list's items name. */
void known_endpoints_collect(char *const *items, size_t count, struct arena *arena);
/* The value of a smtpd_proxy_filter. */
void known_endpoints_collect_filter(const char *text, struct arena *arena);
bool known_endpoints_has(const char *endpoint);
/* The directories that hold them, for Landlock; NULL-terminated. */
const char *const *known_tables_directories(void);

/* --- answers ---------------------------------------------------------------------------- */

void answers_open(const struct config *config);
struct resolver *answers_resolver(void);
/* A list of tables, opened once; NULL when the configuration does not name them. */
struct maps *answers_maps(const char *text, const char *parameter, struct arena *arena);

/* Cleanup services with overrides of their own. Before confinement. */
void profiles_open(const struct config *config);
/* The one of that name, or the one of main.cf. */
struct resolver *profile_resolver(const char *name);
bool profiles_may_wait(void);

/* The configuration that routes address probes: another one only when an address_verify_ parameter asks for it. */
const struct config *probe_config(const struct config *config);
void answer_find(struct ipc_channel *channel, struct ipc_message *message);
void answer_find_many(struct ipc_channel *channel, struct ipc_message *message);
void answer_address(struct ipc_channel *channel, struct ipc_message *message);
void answer_route(struct ipc_channel *channel, struct ipc_message *message);
void answer_check(struct ipc_channel *channel, struct ipc_message *message);
void answer_rewrite(struct ipc_channel *channel, struct ipc_message *message);
void answer_connect(struct ipc_channel *channel, struct ipc_message *message);
/* The same, for servers that the configuration names as policy services and no others. */
void answer_connect_known(struct ipc_channel *channel, struct ipc_message *message);

#endif
