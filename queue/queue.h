/* SPDX-License-Identifier: ISC */
/*
 * The queue role from inside: a message's life, and which file does which part of it.
 *
 *   intake.c    SUBMIT -> journal or file -> durable -> the client's 250
 *   schedule.c  which message is active, which waits until when
 *   route.c     asks lookup where the recipients go
 *   transport.c destinations, their concurrency, DELIVER and its results
 *   settle.c    what all results together mean: done, deferred, bounced
 *   store.c     how that is written down
 *   bounce.c    notifications
 *   disk.c      the two threads that write and sync
 *   probe.c     address verification: messages that are never stored
 */
#ifndef POSTHORN_QUEUE_QUEUE_H
#define POSTHORN_QUEUE_QUEUE_H

#include <sys/queue.h>

#include "common/config/config.h"
#include "common/mail/bounce_message.h"
#include "common/mail/bounce_template.h"
#include "common/mail/queue_protocol.h"
#include "common/mail/verify_record.h"
#include "common/process/ipc.h"
#include "common/process/role.h"
#include "common/spool/spool.h"

/* --- settings.c ------------------------------------------------------------------ */

struct queue_settings {
    int64_t minimal_backoff, maximal_backoff; /* seconds */
    int64_t maximal_lifetime, bounce_lifetime, delay_warning;
    int64_t minfree; /* bytes */
    size_t active_limit;
    size_t bounce_size_limit;
    unsigned delay_resolution;
    bool long_ids, soft_bounce;
    const char *host_name, *mail_name, *double_bounce_sender, *two_bounce_recipient;
    const char *bounce_recipient, *delay_recipient, *error_recipient;
    const char *filter_next_hop; /* default_filter_nexthop */
    const char *origin;    /* myorigin */
    bool use_utf8;         /* smtputf8_enable */
    bool threaded_bounces; /* enable_threaded_bounces */
    bool notify_bounce, notify_two_bounce, notify_delay;
    int64_t verify_positive_expire, verify_negative_expire; /* seconds */
    bool verify_negative_cache;
    size_t verify_pending_limit;
    const struct config *config;
};
extern struct queue_settings settings;
void settings_load(const struct config *config);

/* --- a message -------------------------------------------------------------------- */

enum message_state {
    MESSAGE_INTAKE,  /* not yet on stable storage */
    MESSAGE_FRESH,   /* waits for a place among the active ones */
    MESSAGE_ACTIVE,  /* being routed and delivered */
    MESSAGE_SETTLING,/* results are in; its state is being written */
    MESSAGE_WAITING, /* until it is due */
    MESSAGE_HELD,
};

enum message_wish { /* what an admin asked for while it was busy */
    WISH_DELETE = 1,
    WISH_HOLD = 2,
    WISH_EXPIRE = 4,
    WISH_RETRY = 8, /* try at once */
};

/* Every message in the spool has one; 100,000 deferred ones are about 6 MB. */
struct message {
    uint32_t serial;
    uint32_t due; /* when it is tried again, in seconds since the machine started; 0: now */
    uint32_t heap_index;
    uint8_t state;  /* enum message_state */
    uint8_t where;  /* enum spool_place */
    uint8_t wishes; /* enum message_wish */
    struct active *active; /* its contents, while they are in memory */
    char queue_id[SPOOL_ID_SIZE];
};

enum outcome { OUTCOME_NONE = 0, OUTCOME_SENT, OUTCOME_DEFERRED, OUTCOME_BOUNCED };

/* A recipient in this attempt. */
struct target {
    uint8_t outcome; /* enum outcome */
    bool changed;    /* its state differs from what is stored */
};

/* A message in memory. */
struct active {
    struct message *message;
    struct arena *arena; /* all below lives here unless said otherwise */
    struct envelope envelope;
    struct stored_recipient *recipients;
    struct target *targets;
    uint8_t retry_flags;
    unsigned char *frame; /* a small message's frame, from malloc; NULL: read back when needed */
    uint32_t frame_size;
    bool frame_counted;
    struct slice content; /* inside frame */
    uint64_t content_offset, content_size, content_hash, file_end;
    int64_t active_us;
    unsigned jobs;        /* deliveries that have not been answered */
    bool routed;
    uint8_t route_losses; /* questions about it that ended with the lookup process */
    bool corrupt;
    bool silent;          /* no bounce about it: made by the queue itself as a double bounce */
    struct journal_place place;
    struct journal_entry entry;
    bool counted;         /* among the active ones */
    bool evacuating;      /* on its way out of the journal */
    struct probe *probe;  /* not NULL: no mail, an address probe */
    struct intake_client *client; /* whose SUBMIT waits; NULL: none */
    uint32_t request;
    void (*stored)(struct active *active, int error); /* instead of a client's reply: bounces */
    void *stored_context;
    TAILQ_ENTRY(active) link; /* fresh list */
    TAILQ_ENTRY(active) route_link;
};
TAILQ_HEAD(active_list, active);

/* --- message.c: the table of all messages, and reading them ----------------------------- */

struct message *message_find(uint32_t serial);
struct message *message_find_id(struct slice queue_id);
struct message *message_new(uint32_t serial, const char *queue_id, enum spool_place where);
void message_free(struct message *message); /* not active; frees nothing on disk */
size_t message_count(void);
/* Calls for each; the handler may free the message it is given. */
void message_each(void (*handler)(struct message *message, void *context), void *context);
/* The message that comes after serial in an order that stays the same while the table does not grow. */
struct message *message_after(uint32_t *cursor);

struct active *active_new(struct message *message);
void active_free(struct active *active);
/* Reads the message from its file or from the journal. False: logged, and dealt with (damaged, gone). */
bool active_load(struct message *message) MUST_CHECK;
/* A journal message's content in memory. */
bool active_load_content(struct active *active) MUST_CHECK;
/* Memory for contents is bounded: keeps the frame, or releases it to be read back later. */
void active_keep_frame(struct active *active);
void active_release_frame(struct active *active);
/* A message's own file, for reading; -1 with errno. */
int message_open_file(const struct message *message) MUST_CHECK;
/* A whole message for listings and copies: nothing of it is kept. */
enum stored_status message_peek(const struct message *message, struct arena *arena, struct stored_message *stored,
                                struct slice *content, int *fd) MUST_CHECK;
size_t active_open_recipients(const struct active *active);

/* --- disk.c ---------------------------------------------------------------------- */

extern struct spool spool;
extern uint32_t queue_segment_size; /* SEGMENT_SIZE; tests set less before the start */
void disk_start(void);
/* Something was added to the journal or to the file operations. */
void disk_kick(void);
/* A message could not be given a file of its own: no more of that for a while. */
void disk_put_off_evacuation(void);
/* Waits until no file operation is left. */
void disk_wait_files(int64_t deadline);
/* Waits until all is on stable storage. The spool may be closed then, in the same turn of the loop. */
void disk_drain(void);

/* --- intake.c ---------------------------------------------------------------------- */

extern const struct ipc_edge intake_edge;
void intake_peer_opened(struct ipc_channel *channel);
/* Writes a new message; ->stored is called when it is durable or has failed (then it is freed by the caller). */
void intake_store(struct active *active);
/* No more than the spool takes now: SUBMIT_OK or SUBMIT_NO_SPACE. */
enum submit_status intake_check_space(uint64_t size);
/* Answers a question and lets go of the client, which may be gone. */
void intake_answer(struct intake_client *client, uint32_t request, struct slice body);
void intake_drain(void);
bool intake_is_idle(void);

/* --- schedule.c ----------------------------------------------------------------------- */

void schedule_start(void);
void schedule_arrived(struct active *active);       /* durable: take it up when there is room */
void schedule_wait(struct message *message, int64_t retry_at); /* seconds since 1970 */
void schedule_hold(struct message *message);
void schedule_remove(struct message *message);      /* from the waiting ones */
void schedule_left_active(void);                    /* one place among the active ones is free */
void schedule_retry_now(struct message *message);
void schedule_flush(void);
size_t schedule_active_count(void);

/* --- route.c -------------------------------------------------------------------------- */

void route_message(struct active *active);
void route_peer_opened(void);

/* --- transport.c ------------------------------------------------------------------ */

void transport_add(struct active *active, const char *transport, const char *next_hop, const uint32_t *indexes,
                   size_t count);
void transport_peer_opened(void);
void transport_tick(void);
void transport_flush(void); /* suspended destinations may be tried again */
void transport_reload(void);
size_t transport_in_flight(void); /* deliveries that an agent has */

/* --- settle.c ------------------------------------------------------------------- */

/* Takes one recipient's result in. */
void settle_recipient(struct active *active, uint32_t index, const struct recipient_result *result);
/* Decides one recipient here and logs it, as component "error" or "discard". */
void settle_locally(struct active *active, uint32_t index, const char *component, enum delivery_status status,
                    const char *dsn, const char *reason);
/* A delivery was answered, or the routing is complete. */
void settle_check(struct active *active);
/* Does what an admin asked for to a message that is not busy. True: it has been taken care of. */
bool settle_wishes(struct message *message);
/* True when wishes must wait for a delivery or the disk. */
bool message_is_busy(const struct message *message);

/* --- probe.c ------------------------------------------------------------------------ */

/* Probes the address, or joins a probe under way; the client, one of whose references is given away here, gets the result. */
void probe_ask(struct intake_client *client, uint32_t request, const struct verify_question *question);
/* settle.c: a probe's recipient has a result; the probe is through. */
void probe_take_result(struct active *active, const struct recipient_result *result);
void probe_settled(struct active *active);

/* --- store.c ------------------------------------------------------------------------- */

/* The message is gone: from the spool, and from memory. */
void store_remove(struct message *message);
/* Keeps a message, with what is known of its recipients, in deferred/ (until retry_at, seconds) or hold/. */
void store_keep(struct message *message, enum spool_place where, int64_t retry_at);
/* Writes down who is done so far, of a message that is still being delivered: the system stops. */
void store_note_done(struct message *message);
/* Damaged: out of the way. */
void store_corrupt(struct active *active);
/* Too long in the journal: it gets a file of its own while it is delivered. */
void store_evacuate(struct active *active);

/* --- bounce.c ---------------------------------------------------------------------------- */

enum bounce_kind { BOUNCE_FAILED, BOUNCE_DELAYED, BOUNCE_DELIVERED };
/* Notifies whom it may concern of the recipients marked; done(active, error) follows, at once or later. */
void bounce_send(struct active *active, enum bounce_kind kind, const bool *marked,
                 void (*done)(struct active *active, int error));
bool bounces_are_idle(void); /* none waits for lookup */

/* --- bounce_texts.c ---------------------------------------------------------------------- */

void bounce_texts_load(void); /* of the present settings */
const struct bounce_text *bounce_text_for(enum bounce_kind kind, bool for_postmaster);

/* --- load.c, control.c, showq.c --------------------------------------------------------- */

void load_start(void);  /* deferred/ and hold/, in the background */
bool load_is_complete(void);
void control_open(const struct config *config); /* resolves user names; before confinement */
void control_serve(int fd); /* an accepted connection; owned by it from now on */
void showq_serve(int fd);

#endif
