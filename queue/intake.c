/* SPDX-License-Identifier: ISC */
/*
 * intake: takes messages in from smtpd and its like, and from the queue itself. A SUBMIT is answered when the
 * message is on stable storage, or with the reason why it is not; then nothing of it is left. Bytes come
 * from a role that talks to strangers: the record is checked to its end, the queue id against its serial.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/spool/spool_io.h"
#include "queue/queue.h"

#define SERIALS_AT_ONCE 256
#define SPACE_VALID_MS 1000
#define SUBMIT_LIMIT (48u * 1024 * 1024)

/* A channel to a role that submits. Outlives the channel while answers are due. */
struct intake_client {
    struct ipc_channel *channel; /* NULL: gone */
    size_t references;
    struct intake_client *next;
};

/* A file that a client writes content into, until SUBMIT or ABANDON. */
struct upload {
    uint32_t serial;
    int fd;
    struct intake_client *client;
    struct upload *next;
};

static struct intake_client *clients;
static struct upload *uploads;
static size_t upload_count, in_flight;

/* --- clients --------------------------------------------------------------------------- */

void intake_peer_opened(struct ipc_channel *channel)
{
    struct intake_client *client = mem_alloc(sizeof *client);
    client->channel = channel;
    client->references = 1;
    client->next = clients;
    clients = client;
}

static struct intake_client *client_of(const struct ipc_channel *channel)
{
    struct intake_client *client = clients;
    while (client != NULL && client->channel != channel)
        client = client->next;
    return client;
}

static void client_release(struct intake_client *client)
{
    if (client != NULL && --client->references == 0)
        free(client);
}

static void reply_status(struct ipc_channel *channel, uint32_t id, enum submit_status status, const char *reason)
{
    struct str body = STR_EMPTY;
    ipc_put_u8(&body, (uint8_t)status);
    ipc_put_text(&body, reason);
    ipc_reply(channel, id, str_slice(&body), -1);
    str_free(&body);
}

void intake_answer(struct intake_client *client, uint32_t request, struct slice body)
{
    if (client->channel != NULL)
        ipc_reply(client->channel, request, body, -1);
    client_release(client);
}

/* --- space ----------------------------------------------------------------------------- */

enum submit_status intake_check_space(uint64_t size)
{
    static int64_t valid_until;
    static uint64_t available;
    if (clock_ms() >= valid_until) {
        struct statvfs info;
        if (fstatvfs(spool.directory, &info) < 0) {
            log_warning("cannot tell the free space of the queue: %s", strerror(errno));
            return SUBMIT_OK;
        }
        available = (uint64_t)info.f_bavail * info.f_frsize;
        valid_until = clock_ms() + SPACE_VALID_MS;
    }
    return available < size + (uint64_t)settings.minfree ? SUBMIT_NO_SPACE : SUBMIT_OK;
}

/* --- IDS, SPOOL_OPEN, ABANDON ----------------------------------------------------------- */

struct ids_question {
    struct intake_client *client;
    uint32_t id;
};

static void answer_ids(struct ipc_channel *channel, uint32_t id, uint32_t first)
{
    struct str body = STR_EMPTY;
    ipc_put_u32(&body, first);
    ipc_put_u32(&body, SERIALS_AT_ONCE);
    ipc_reply(channel, id, str_slice(&body), -1);
    str_free(&body);
}

/* A block in which no message lives: after 2^32 messages the numbers begin again. */
static bool take_free_serials(uint32_t *first)
{
    for (int attempt = 0; attempt < 1000; attempt++) {
        bool used = false;
        if (!spool_take_serials(&spool, SERIALS_AT_ONCE, first))
            return false;
        for (uint32_t i = 0; i < SERIALS_AT_ONCE && !used; i++)
            used = message_find(*first + i) != NULL;
        if (!used)
            return true;
    }
    return false;
}

static void ids_fiber(void *arg)
{
    struct ids_question *question = arg;
    uint32_t first;
    bool taken = false;
    while (question->client->channel != NULL && !(taken = take_free_serials(&first))) {
        disk_kick();
        if (fiber_sleep_until(deadline_in_ms(5)) != WAIT_OK)
            break;
    }
    if (taken)
        answer_ids(question->client->channel, question->id, first);
    client_release(question->client);
    free(question);
}

static void on_ids(struct ipc_channel *channel, struct ipc_message *message)
{
    uint32_t first;
    if (take_free_serials(&first)) {
        answer_ids(channel, message->id, first);
        return;
    }
    struct ids_question *question = mem_alloc(sizeof *question);
    question->client = client_of(channel);
    question->client->references++;
    question->id = message->id;
    fiber_spawn("serials", ids_fiber, question);
}

/* While it is written the file is named after its serial alone. */
static void upload_path(uint32_t serial, char path[SPOOL_PATH_SIZE])
{
    char name[QUEUE_ID_SIZE];
    queue_id_make(name, 0, serial, false);
    spool_path(path, PLACE_INCOMING, name, serial);
}

static struct upload **upload_find(uint32_t serial, const struct intake_client *client)
{
    struct upload **at = &uploads;
    while (*at != NULL && ((*at)->serial != serial || (*at)->client != client))
        at = &(*at)->next;
    return at;
}

/* Takes the upload out of the list; the descriptor is the caller's. */
static int upload_take(struct upload **at)
{
    struct upload *upload = *at;
    int fd = upload->fd;
    *at = upload->next;
    upload_count--;
    free(upload);
    return fd;
}

static void upload_drop(struct upload **at)
{
    char path[SPOOL_PATH_SIZE];
    upload_path((*at)->serial, path);
    if (spool_io_close(upload_take(at)) < 0 || spool_io_unlink(spool.directory, path) < 0)
        log_warning("%s: %s", path, strerror(errno));
}

static void answer_spool_open(struct ipc_channel *channel, uint32_t id, enum submit_status status, int fd)
{
    const char byte = (char)status;
    ipc_reply(channel, id, slice_range(&byte, 1), fd);
}

/* Clients' files hold our descriptors: a quarter of those stays for everything else. */
static bool upload_has_room(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) != 0 || upload_count < limit.rlim_cur / 4 * 3;
}

/* -1 with errno: nothing of it is left. */
static int upload_create(const char *path)
{
    errno = EMFILE;
    int fd = upload_has_room() ? spool_io_create(spool.directory, path, O_RDWR | O_EXCL) : -1;
    if (fd < 0 || lseek(fd, FILE_CONTENT_OFFSET, SEEK_SET) >= 0)
        return fd;
    int error = errno;
    if (spool_io_close(fd) < 0 || spool_io_unlink(spool.directory, path) < 0)
        log_warning("%s: %s", path, strerror(errno));
    errno = error;
    return -1;
}

static void on_spool_open(struct ipc_channel *channel, struct ipc_message *message)
{
    struct ipc_reader reader = ipc_reader_of(message->body);
    struct intake_client *client = client_of(channel);
    char path[SPOOL_PATH_SIZE];
    uint32_t serial = ipc_get_u32(&reader);
    if (!ipc_reader_finish(&reader) || message_find(serial) != NULL || *upload_find(serial, client) != NULL) {
        ipc_violation(channel, "malformed SPOOL_OPEN");
        return;
    }
    upload_path(serial, path);
    int fd = upload_create(path);
    if (fd < 0) {
        log_warning("create file %s: %s", path, strerror(errno));
        answer_spool_open(channel, message->id, errno == ENOSPC || errno == EDQUOT ? SUBMIT_NO_SPACE : SUBMIT_ERROR, -1);
        return;
    }
    struct upload *upload = mem_alloc(sizeof *upload);
    *upload = (struct upload){serial, fd, client, uploads};
    uploads = upload;
    upload_count++;
    answer_spool_open(channel, message->id, SUBMIT_OK, fd);
}

static void on_abandon(struct ipc_channel *channel, struct ipc_message *message)
{
    struct ipc_reader reader = ipc_reader_of(message->body);
    struct upload **at = upload_find(ipc_get_u32(&reader), client_of(channel));
    if (!ipc_reader_finish(&reader)) {
        ipc_violation(channel, "malformed ABANDON");
        return;
    }
    if (*at != NULL)
        upload_drop(at);
}

static void intake_lost(struct ipc_channel *channel)
{
    struct intake_client **at = &clients;
    while (*at != NULL && (*at)->channel != channel)
        at = &(*at)->next;
    struct intake_client *client = *at;
    if (client == NULL)
        return;
    *at = client->next;
    client->channel = NULL;
    for (struct upload **upload = &uploads; *upload != NULL;)
        if ((*upload)->client == client)
            upload_drop(upload);
        else
            upload = &(*upload)->next;
    client_release(client);
}

/* --- storing ------------------------------------------------------------------------------ */

/* The outcome is known: tell whoever waits, then go on with the message or forget it. */
static void intake_stored(struct active *active, int error)
{
    struct intake_client *client = active->client;
    bool no_space = error == ENOSPC || error == EDQUOT;
    in_flight--;
    active->client = NULL;
    if (error != 0)
        log_warning("%s: queue file write error: %s", active->message->queue_id, strerror(error));
    if (client != NULL && client->channel != NULL)
        reply_status(client->channel, active->request,
                     error == 0 ? SUBMIT_OK : no_space ? SUBMIT_NO_SPACE : SUBMIT_ERROR,
                     error == 0 ? "" : "queue file write error");
    client_release(client);
    if (active->stored != NULL)
        active->stored(active, error);
    if (error == 0) {
        schedule_arrived(active);
        return;
    }
    struct message *message = active->message;
    active_free(active);
    message_free(message);
}

static void intake_durable(struct journal_entry *entry, int error)
{
    struct active *active = (struct active *)((char *)entry - offsetof(struct active, entry));
    if (error == 0)
        active_keep_frame(active);
    intake_stored(active, error);
}

static void intake_sealed(struct file_op *op)
{
    struct active *active = (struct active *)op->pieces[FILE_OP_PIECES - 1].iov_base;
    int error = op->error;
    free(op);
    active_release_frame(active);
    intake_stored(active, error);
}

/* Content is in the client's file: the envelope goes behind it, the header in front. */
static void intake_seal_upload(struct active *active, int fd)
{
    struct message *message = active->message;
    struct str envelope = STR_EMPTY;
    char path[SPOOL_PATH_SIZE];
    struct stat info;
    upload_path(message->serial, path);
    struct file_op *op = file_op_new(FILE_SEAL, path, intake_sealed);
    spool_path(op->new_path, PLACE_INCOMING, message->queue_id, message->serial);
    envelope_encode(&active->envelope, &envelope);
    message_file_header(message->serial, active->envelope.arrival_us, active->content_size, active->content_hash,
                        str_slice(&envelope), op->header);
    op->fd = fd;
    op->offset = (int64_t)(FILE_CONTENT_OFFSET + active->content_size);
    op->pieces[0] = (struct iovec){arena_slice(active->arena, str_slice(&envelope)), envelope.len};
    op->piece_count = 1;
    op->pieces[FILE_OP_PIECES - 1].iov_base = active;
    message->where = PLACE_INCOMING;
    active->content_offset = FILE_CONTENT_OFFSET;
    active->file_end = frame_file_end(active->content_size, (uint32_t)envelope.len);
    str_free(&envelope);
    if (fstat(fd, &info) < 0 || (uint64_t)info.st_size != FILE_CONTENT_OFFSET + active->content_size) {
        log_warning("%s: the content is not as long as announced", message->queue_id);
        op->error = EIO;
        if (spool_io_close(fd) < 0 || spool_io_unlink(spool.directory, path) < 0)
            log_warning("%s: %s", path, strerror(errno));
        intake_sealed(op);
        return;
    }
    spool_add_file_op(&spool, op);
}

static void intake_created(struct file_op *op)
{
    struct active *active = (struct active *)op->pieces[FILE_OP_PIECES - 1].iov_base;
    free(op->pieces[0].iov_base);
    free(op->pieces[2].iov_base);
    op->pieces[FILE_OP_PIECES - 1].iov_base = active;
    intake_sealed(op);
}

/* Too long for the journal (very many recipients): a file of its own at once. */
static void intake_create_file(struct active *active)
{
    struct message *message = active->message;
    struct str envelope = STR_EMPTY;
    char path[SPOOL_PATH_SIZE];
    char *block = mem_alloc(FILE_CONTENT_OFFSET);
    spool_path(path, PLACE_INCOMING, message->queue_id, message->serial);
    struct file_op *op = file_op_new(FILE_CREATE, path, intake_created);
    envelope_encode(&active->envelope, &envelope);
    message_file_header(message->serial, active->envelope.arrival_us, active->content_size, active->content_hash,
                        str_slice(&envelope), (unsigned char *)block);
    active->file_end = frame_file_end(active->content_size, (uint32_t)envelope.len);
    active->content_offset = FILE_CONTENT_OFFSET;
    op->pieces[0] = (struct iovec){block, FILE_CONTENT_OFFSET};
    op->pieces[1] = (struct iovec){(void *)(uintptr_t)active->content.data, active->content.len};
    op->pieces[2].iov_len = envelope.len;
    op->pieces[2].iov_base = str_detach(&envelope);
    op->pieces[FILE_OP_PIECES - 1].iov_base = active;
    op->piece_count = 3;
    message->where = PLACE_INCOMING;
    spool_add_file_op(&spool, op);
}

void intake_store(struct active *active)
{
    struct message *message = active->message;
    message->state = MESSAGE_INTAKE;
    in_flight++;
    active->frame = message_build_frame(&active->envelope, message->serial, active->content, active->content_hash,
                                        &active->frame_size);
    active->content = slice_range((char *)active->frame + FRAME_HEADER_SIZE, active->content.len);
    if (active->frame_size > journal_largest_frame(spool.journal)) {
        intake_create_file(active);
    } else {
        message->where = PLACE_JOURNAL;
        active->content_offset = FRAME_HEADER_SIZE;
        active->entry = (struct journal_entry){.frame = active->frame, .size = active->frame_size, .urgent = true,
                                               .place = &active->place, .durable = intake_durable};
        journal_add(spool.journal, &active->entry);
    }
    disk_kick();
}

/* --- SUBMIT --------------------------------------------------------------------------------- */

static bool submission_is_sound(const struct submission *submission)
{
    uint32_t serial;
    return submission->envelope.recipient_count > 0 && strlen(submission->envelope.queue_id) < SPOOL_ID_SIZE &&
           queue_id_serial(slice_of(submission->envelope.queue_id), &serial) && serial == submission->serial &&
           message_find(serial) == NULL;
}

static struct active *submission_to_active(const struct submission *submission, struct arena *arena)
{
    size_t count = submission->envelope.recipient_count;
    struct message *message = message_new(submission->serial, submission->envelope.queue_id, PLACE_JOURNAL);
    struct active *active = active_new(message);
    arena_free(active->arena);
    active->arena = arena;
    active->envelope = submission->envelope;
    active->envelope.flags &= ~(uint32_t)(ENVELOPE_BOUNCE | ENVELOPE_PROBE); /* only the queue itself says that */
    active->content = submission->content;
    active->content_size = submission->content_size;
    active->content_hash = submission->content_hash;
    active->recipients = arena_alloc_array(arena, count, sizeof *active->recipients);
    active->targets = arena_alloc_array(arena, count, sizeof *active->targets);
    return active;
}

static void on_submit(struct ipc_channel *channel, struct ipc_message *message)
{
    struct arena *arena = arena_new();
    struct submission submission;
    struct intake_client *client = client_of(channel);
    if (!submission_decode(message->body, arena, &submission) || !submission_is_sound(&submission)) {
        arena_free(arena);
        ipc_violation(channel, "malformed SUBMIT");
        return;
    }
    struct upload **upload = submission.in_file ? upload_find(submission.serial, client) : NULL;
    if (upload != NULL && *upload == NULL) {
        arena_free(arena);
        ipc_violation(channel, "SUBMIT of a file that was not opened");
        return;
    }
    if (intake_check_space(submission.in_file ? 0 : submission.content_size) != SUBMIT_OK) {
        reply_status(channel, message->id, SUBMIT_NO_SPACE, "not enough free space in mail queue");
        if (upload != NULL)
            upload_drop(upload);
        arena_free(arena);
        return;
    }
    struct active *active = submission_to_active(&submission, arena);
    active->client = client;
    active->request = message->id;
    client->references++;
    if (upload == NULL) {
        intake_store(active);
        return;
    }
    in_flight++;
    active->message->state = MESSAGE_INTAKE;
    intake_seal_upload(active, upload_take(upload));
    disk_kick();
}

static void on_verify(struct ipc_channel *channel, struct ipc_message *message)
{
    struct arena *arena = arena_new();
    struct verify_question question;
    struct intake_client *client = client_of(channel);
    if (!verify_question_decode(message->body, arena, &question)) {
        arena_free(arena);
        ipc_violation(channel, "malformed VERIFY");
        return;
    }
    client->references++;
    probe_ask(client, message->id, &question);
    arena_free(arena);
}

bool intake_is_idle(void) { return in_flight == 0; }

static const struct ipc_rule intake_rules[] = {
    {QUEUE_IDS, "IDS", IPC_REQUEST, false, IPC_ANY_STATE, 0, on_ids},
    {QUEUE_SPOOL_OPEN, "SPOOL_OPEN", IPC_REQUEST, false, IPC_ANY_STATE, 4, on_spool_open},
    {QUEUE_SUBMIT, "SUBMIT", IPC_REQUEST, false, IPC_ANY_STATE, SUBMIT_LIMIT, on_submit},
    {QUEUE_VERIFY, "VERIFY", IPC_REQUEST, false, IPC_ANY_STATE, 65536, on_verify},
    {QUEUE_ABANDON, "ABANDON", IPC_NOTICE, false, IPC_ANY_STATE, 4, on_abandon},
};
const struct ipc_edge intake_edge = {
    "smtpd->queue", IPC_FROM_ROLE, intake_rules, sizeof intake_rules / sizeof intake_rules[0], intake_lost,
};
