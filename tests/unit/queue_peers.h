/* SPDX-License-Identifier: ISC */
/*
 * The queue role inside a test: started in a temporary queue directory, with a lookup and delivery agents played
 * by this process over socket pairs. What a recipient's local part begins with decides what becomes of it.
 */
#ifndef POSTHORN_TESTS_QUEUE_PEERS_H
#define POSTHORN_TESTS_QUEUE_PEERS_H

#include "common/mail/queue_protocol.h"
#include "common/process/ipc.h"
#include "queue/queue.h"

/* Parameters by name and value, NULL at the end; may be NULL. directory exists. Call on a fiber. */
void queue_peers_start(const char *directory, const char *const *parameters);
/* Another channel to the queue, as an smtpd has it. */
struct ipc_channel *queue_peers_client(void);

/* Takes a block of serials and hands them out. */
uint32_t queue_peers_serial(struct ipc_channel *channel);
/* Encodes a submission with these recipients (separated by blanks). */
void queue_peers_submission(uint32_t serial, const char *sender, const char *recipients, struct slice content,
                            struct str *out, char queue_id[QUEUE_ID_SIZE]);
/* The whole: serial, SUBMIT, answer. queue_id may be NULL. */
enum submit_status queue_peers_submit(struct ipc_channel *channel, const char *sender, const char *recipients,
                                      const char *content, char queue_id[QUEUE_ID_SIZE]);

/* What the agents saw. */
struct queue_peers_seen {
    unsigned deliveries, recipients, routes;
    char last_content[65536];
    char last_sender[256];
    char last_recipient[256];
};
extern struct queue_peers_seen seen;
/* The answer to "flip..." recipients: deferred until this is set. */
extern bool queue_peers_flip;
extern const char *queue_peers_flip_only; /* or for this address alone; NULL: for all */
/* Kills the agents' channel and connects a new one. */
void queue_peers_restart_agent(void);
extern unsigned queue_peers_hold_answers; /* agents do not answer while it is set */
extern bool queue_peers_draining;
/* Called before the agent says that a recipient is delivered or bounced. May be NULL. */
extern void (*queue_peers_on_answer)(const char *queue_id, uint32_t index);

#endif
