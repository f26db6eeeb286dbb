/* SPDX-License-Identifier: ISC */
/*
 * The child table of the supervisor. A slot is a service that should run; a process is one running instance
 * of it. During a reload there are two: the successor that starts, and the current one that drains afterwards.
 */
#ifndef POSTHORN_MASTER_SUPERVISOR_H
#define POSTHORN_MASTER_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "common/base/log.h"
#include "common/config/config.h"
#include "common/process/layout.h"
#include "common/process/role.h"
#include "master/backoff.h"
#include "master/listeners.h"
#include "master/plan.h"

struct event;

struct slot {
    TAILQ_ENTRY(slot) link;
    enum role_id role;
    char *service;
    struct config *config;
    struct listener_set listeners;
    uid_t uid;
    gid_t gid;
    struct backoff backoff;
    unsigned restarts;
    unsigned early_ends;    /* in a row, before it was ready */
    bool wanted;            /* false: the configuration no longer has it */
    struct process *current;
    struct process *successor;
    struct event *restart;  /* armed while it waits for its next start */
};

struct process {
    TAILQ_ENTRY(process) link;
    struct slot *slot; /* NULL once it is drained: nobody starts it again */
    enum role_id role;
    char *service;
    pid_t pid;
    char *path;
    struct ipc_channel *channel; /* NULL once lost */
    bool ready;
    bool draining;
    bool asked_to_end;      /* got SIGTERM when its deadline passed; the next is SIGKILL */
    int64_t ready_at;       /* clock_ms() */
    struct event *deadline; /* it lost its channel, or drains too long */
};

TAILQ_HEAD(slot_list, slot);
TAILQ_HEAD(process_list, process);

struct supervisor {
    char *config_directory;
    char *daemon_directory;
    struct config *config;
    struct mail_ids ids;
    struct slot_list slots;
    struct process_list processes;
    int log_fd;       /* -1: none yet */
    bool foreground;
    bool verbose;
    bool was_ready;   /* all slots were ready once */
    bool stopping;
    int64_t started_at; /* wall_us() */
    unsigned reloads;
    int waiting_fd;   /* "master -w": tells the parent that waits how the start went; -1 */
    int exit_status;
    const char *explains; /* "master -x": the service that is asked, and the only one that is started; or NULL */
};
extern struct supervisor supervisor;

/* supervise.c */
void supervise_init(void);
struct slot *slot_find(enum role_id role, const char *service);
void slot_start(struct slot *slot); /* now; the slot has no process, or gets a successor */
void slot_free(struct slot *slot);
void process_drain(struct process *process, int64_t limit_ms);
void process_end(const struct process *process); /* now; it is started again */
void supervise_broadcast_log(void);
bool supervise_all_ready(void);
void supervise_process_ready(struct process *process);
void supervise_channel_lost(struct process *process);

#define EXIT_NOT_EXECUTED 127 /* what the child ends with when exec fails */

/* process.c: one new process of a slot, or NULL when it could not be made. */
struct process *process_spawn(struct slot *slot) MUST_CHECK;
void process_free(struct process *process);
/* A sealed memory file with the configuration; the caller closes it. -1 with errno when there is no descriptor for it. */
int process_config_descriptor(const struct config *config) MUST_CHECK;

/* connect.c */
void connect_as_client(struct process *process); /* to every server that serves */
void connect_as_server(struct process *process); /* with every client that lives */

/* reload.c: *problems gets what is wrong. False: the old configuration stays in force. */
bool supervisor_load(struct config_problems *problems) MUST_CHECK;

/* "postfix check": reads and checks everything, opens nothing; creates missing directories. */
bool supervisor_check(struct config_problems *problems) MUST_CHECK;
/* Reads and applies the configuration again, with the lines that Postfix logs. The same result. */
bool supervisor_reload(struct config_problems *problems) MUST_CHECK;
void supervisor_report(const struct config_problems *problems);

/* main.c */
void supervisor_ready(void);                     /* everything serves */
void supervisor_start_failed(const struct slot *slot); /* a process ended before it was ready, at first start */

/* stop.c: gently lets sessions and deliveries end within seconds; otherwise at once. */
void supervisor_stop(bool gently);
void supervisor_process_ended(void); /* while stopping */

/* log.c */
enum log_sink master_log_kind(const struct config *config); /* where lines of every role go */
bool master_log_open(const struct config *config, struct config_problems *problems) MUST_CHECK;
void master_log_reopen(void); /* and tell every role */
void master_log_lost(void);   /* a role says that its log is gone */

/* key_files.c: opens the files of certificates and keys for the process that holds them, and again when they change. */
void key_files_configure(void); /* the slots are those of a new configuration */
void key_files_send_all(struct process *process);

/* control.c */
void control_open(void);

/*
 * explain.c. A service's answer to one request of "posthorn explain", on a fiber: the bytes, or false with *problem (constant).
 */
bool explain_ask(const char *service, struct slice request, struct str *answer, const char **problem) MUST_CHECK;
/* Line of the control protocol: "explain SERVICE HEX". */
void explain_answer_control(struct slice arguments, struct str *answer);
/* "master -x": keeps only what the service needs to form an opinion. */
void explain_reduce_plan(struct plan *plan);
/* "master -x", when everything serves: asks what standard input says, prints the answer, ends. */
void explain_and_stop(void);

/* notify.c: the readiness protocol of systemd; nothing happens without NOTIFY_SOCKET. */
void notify_init(void);
void notify_send(const char *text);

#endif
