/* SPDX-License-Identifier: ISC */
/*
 * The mail queue as postqueue, mailq, postsuper and postcat see it: through the running queue process, or, when the
 * mail system is stopped and the caller may, straight from the spool.
 */
#ifndef POSTHORN_COMMANDS_QUEUE_CLIENT_H
#define POSTHORN_COMMANDS_QUEUE_CLIENT_H

#include "common/config/config.h"
#include "common/mail/control_protocol.h"
#include "common/process/ipc.h"

struct queue_client {
    const struct config *config;
    struct ipc_channel *channel; /* NULL: stopped */
    int connect_error;           /* an errno, when it is stopped or may not be asked */
};

/* Ends the program with a message and an exit status of <sysexits.h>. */
void queue_client_fail(int status, const char *fmt, ...) PRINTF_LIKE(2, 3) NORETURN;
/* Reads main.cf (directory NULL: MAIL_CONFIG or the default) and runs the rest on a fiber. Returns its result. */
int queue_client_main(const char *program, const char *directory, int (*run)(struct queue_client *client));

/* Every message, in no particular order; the handler's texts are valid during the call. */
typedef void listed_handler(void *context, const struct listed_message *message);
void queue_client_list(struct queue_client *client, listed_handler *handler, void *context);
/* CONTROL_FLUSH, CONTROL_FLUSH_ID, CONTROL_FLUSH_SITE. Only on a running system. */
enum control_status queue_client_flush(struct queue_client *client, enum control_record what, const char *text);
/* Returns how many messages were changed, each of which the handler was told. */
typedef void changed_handler(const struct control_change *change, const char *queue_id);
unsigned queue_client_change(struct queue_client *client, const struct control_change *change,
                             changed_handler *changed);
/* One message. False: there is none. *fd (or -1) is open for reading when its content is in a file. */
bool queue_client_read(struct queue_client *client, const char *queue_id, struct arena *arena,
                       struct control_content *content, int *fd) MUST_CHECK;

/* queue_offline.c: the same on the spool of a stopped system. */
void queue_offline_list(const struct config *config, listed_handler *handler, void *context);
unsigned queue_offline_change(const struct config *config, const struct control_change *change,
                              changed_handler *changed);
bool queue_offline_read(const struct config *config, const char *queue_id, struct arena *arena,
                        struct control_content *content, int *fd) MUST_CHECK;
/* postsuper -s and -p: a start's repairs, without a start. */
void queue_offline_check(const struct config *config);

#endif
