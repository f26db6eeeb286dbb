/* SPDX-License-Identifier: ISC */
/*
 * queue_client: names messages from a block of serial numbers fetched ahead, and hands messages to the queue. SUBMIT
 * is answered when the message is durable; without that answer the client gets a 4xx and keeps the message.
 */
#include "common/base/log.h"
#include "common/process/role.h"
#include "common/service/service.h"

#define IDS_TIMEOUT 30     /* seconds */
#define SUBMIT_TIMEOUT 300

static struct {
    uint32_t next, left;
    bool asking;
    unsigned generation; /* grows with every queue process */
    struct fiber_cond answered;
} ids;

void queue_client_reset(void)
{
    ids.left = 0;
    ids.generation++;
}

static bool ask_for_ids(void)
{
    struct str reply;
    unsigned generation = ids.generation;
    ids.asking = true;
    enum ipc_status status = role_call(ROLE_QUEUE, NULL, QUEUE_IDS, SLICE(""), &reply, NULL, deadline_in_s(IDS_TIMEOUT));
    ids.asking = false;
    if (status == IPC_OK) {
        struct ipc_reader reader = ipc_reader_of(str_slice(&reply));
        uint32_t first = ipc_get_u32(&reader), count = ipc_get_u32(&reader);
        if (!ipc_reader_finish(&reader))
            log_fatal("queue service: malformed answer to IDS");
        str_free(&reply);
        if (generation == ids.generation) { /* numbers from a queue that is gone are void */
            ids.next = first;
            ids.left = count;
        }
    } else
        log_warning("queue service: no queue id: %s", status == IPC_TIMEOUT ? "no answer in time" : "connection lost");
    fiber_cond_broadcast(&ids.answered);
    return status == IPC_OK;
}

bool queue_begin_message(struct smtp_session *session)
{
    int64_t deadline = deadline_in_s(IDS_TIMEOUT);
    while (ids.left == 0) {
        if (ids.asking) {
            if (fiber_cond_wait(&ids.answered, deadline) != WAIT_OK)
                return false;
        } else if (!ask_for_ids() || clock_ms() > deadline)
            return false;
    }
    session->serial = ids.next++;
    ids.left--;
    queue_id_make(session->queue_id, session->arrival_us, session->serial, config_bool(role_config(), "enable_long_queue_ids"));
    return true;
}

/* A queue that was restarted knows nothing of files that its predecessor gave. */
static bool spool_is_void(struct smtp_session *session)
{
    return smtpd_transaction(session)->spool_queue != ids.generation;
}

static size_t open_spools;

static void tell_abandoned(struct smtp_session *session)
{
    struct ipc_channel *channel = role_peer(ROLE_QUEUE, NULL);
    struct str body = STR_EMPTY;
    if (channel == NULL || spool_is_void(session))
        return;
    ipc_put_u32(&body, session->serial);
    ipc_notify(channel, QUEUE_ABANDON, str_slice(&body), -1);
    str_free(&body);
}

void queue_abandon(struct smtp_session *session)
{
    open_spools--;
    tell_abandoned(session);
}

static int ask_for_spool(struct smtp_session *session, enum submit_status *status)
{
    struct str body = STR_EMPTY, reply;
    int fd = -1;
    *status = SUBMIT_ERROR;
    /* Before the question: should the queue be replaced meanwhile, the file counts as the old one's. */
    smtpd_transaction(session)->spool_queue = ids.generation;
    ipc_put_u32(&body, session->serial);
    enum ipc_status answer = role_call(ROLE_QUEUE, NULL, QUEUE_SPOOL_OPEN, str_slice(&body), &reply, &fd,
                                       deadline_in_s(IDS_TIMEOUT));
    str_free(&body);
    if (answer != IPC_OK) {
        log_warning("%s: queue service: no spool file", session->queue_id);
        tell_abandoned(session); /* the answer may come yet */
        return -1;
    }
    struct ipc_reader reader = ipc_reader_of(str_slice(&reply));
    uint8_t value = ipc_get_u8(&reader);
    if (!ipc_reader_finish(&reader) || value > SUBMIT_ERROR || (value == SUBMIT_OK && fd < 0))
        log_fatal("queue service: malformed answer to SPOOL_OPEN");
    str_free(&reply);
    *status = (enum submit_status)value;
    return fd;
}

/* Counted until SUBMIT or ABANDON, and while it is asked for: the descriptors must suffice for all. */
int queue_open_spool(struct smtp_session *session, enum submit_status *status)
{
    *status = SUBMIT_ERROR;
    if (open_spools >= smtpd.spool_limit) {
        log_warning("%s: too many large messages at once", session->queue_id);
        return -1;
    }
    open_spools++;
    int fd = ask_for_spool(session, status);
    if (fd < 0)
        open_spools--;
    return fd;
}

enum submit_status queue_submit(struct smtp_session *session, struct submission *submission)
{
    struct str body = STR_EMPTY, reply;
    struct ipc_channel *channel = role_peer(ROLE_QUEUE, NULL);
    if (submission->in_file)
        open_spools--;
    if (submission->in_file && spool_is_void(session))
        channel = NULL;
    str_reserve(&body, submission->content.len + 1024);
    submission_encode(submission, &body);
    /* Not role_call(): a SUBMIT that got no answer may have been stored, and is not sent twice. */
    enum ipc_status answer = channel == NULL ? IPC_LOST :
        ipc_call(channel, QUEUE_SUBMIT, str_slice(&body), -1, &reply, NULL, deadline_in_s(SUBMIT_TIMEOUT));
    str_free(&body);
    if (answer != IPC_OK) {
        log_warning("%s: queue service: %s", session->queue_id,
                    answer == IPC_TIMEOUT ? "no answer in time" : "connection lost");
        return SUBMIT_ERROR;
    }
    struct ipc_reader reader = ipc_reader_of(str_slice(&reply));
    uint8_t value = ipc_get_u8(&reader);
    struct slice reason = ipc_get_slice(&reader);
    if (!ipc_reader_finish(&reader) || value > SUBMIT_ERROR)
        log_fatal("queue service: malformed answer to SUBMIT");
    if (value != SUBMIT_OK)
        log_warning("%s: queue service: %.*s", session->queue_id, SLICE_ARGS(reason));
    str_free(&reply);
    return (enum submit_status)value;
}
