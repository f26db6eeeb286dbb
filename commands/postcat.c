/* SPDX-License-Identifier: ISC */
/*
 * postcat: shows a message of the queue, by its id (-q) or as a file of the spool. For root and mail_owner with -q;
 * a file for whoever can read it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "commands/queue_client.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/bounce_message.h"
#include "common/spool/message_file.h"
#include "common/spool/spool_io.h"

static struct {
    bool envelope, header, body, by_id;
    char **names;
    int name_count;
} wanted;

/* --- showing ------------------------------------------------------------------------------------- */

static void print_field(const char *name, const char *text)
{
    if (text != NULL && text[0] != '\0')
        printf("named_attribute: %s=%s\n", name, text);
}

static void print_envelope(const struct control_content *content)
{
    const struct envelope *envelope = &content->envelope;
    char date[64];
    time_t seconds = (time_t)(envelope->arrival_us / 1000000);
    struct tm parts;
    localtime_r(&seconds, &parts);
    if (strftime(date, sizeof date, "%a %b %e %H:%M:%S %Y", &parts) == 0)
        date[0] = '\0';
    printf("message_size: %" PRIu64 " %" PRIu64 " %zu 0 %" PRIu64 " 0\n", content->content_size,
           content->content_offset, envelope->recipient_count, content->content_size);
    printf("message_arrival_time: %s\n", date);
    printf("create_time: %s\n", date);
    print_field("log_ident", envelope->queue_id);
    print_field("rewrite_context", "remote");
    print_field("envelope_id", envelope->dsn_envelope_id);
    print_field("sasl_method", envelope->sasl_method);
    print_field("sasl_username", envelope->sasl_username);
    print_field("sasl_sender", envelope->sasl_sender);
    print_field("content_filter", envelope->content_filter);
    printf("sender: %s\n", envelope->sender);
    print_field("log_client_name", envelope->client_name);
    print_field("log_client_address", envelope->client_address);
    print_field("log_client_port", envelope->client_port);
    print_field("log_helo_name", envelope->helo_name);
    print_field("log_protocol_name", envelope->protocol_name);
    if (envelope->flags & ENVELOPE_8BITMIME)
        print_field("encoding", "8bit");
    for (size_t i = 0; i < envelope->recipient_count; i++) {
        const struct recipient *one = &envelope->recipients[i];
        print_field("dsn_orig_rcpt", one->dsn_original);
        if (one->notify != 0)
            printf("named_attribute: notify_flags=%u\n", one->notify);
        if (one->original[0] != '\0')
            printf("original_recipient: %s\n", one->original);
        printf("%s: %s\n", content->done[i] ? "done_recipient" : "recipient", one->address);
    }
}

static void print_text(struct slice text)
{
    if (fwrite(text.data, 1, text.len, stdout) != text.len)
        queue_client_fail(EX_IOERR, "output write error: %s", strerror(errno));
    if (text.len > 0 && text.data[text.len - 1] != '\n')
        putchar('\n');
}

static void print_message(const char *name, const struct control_content *content)
{
    struct slice header = bounce_headers_of(content->content);
    struct slice body = slice_skip(content->content, header.len);
    if (wanted.envelope) {
        printf("*** ENVELOPE RECORDS %s ***\n", name);
        print_envelope(content);
        printf("*** MESSAGE CONTENTS %s ***\n", name);
    }
    if (wanted.header)
        print_text(header);
    if (wanted.body)
        print_text(body);
    if (wanted.envelope)
        printf("*** HEADER EXTRACTED %s ***\n*** MESSAGE FILE END %s ***\n", name, name);
}

/* --- getting ------------------------------------------------------------------------------------------ */

static void load_content(const char *name, struct control_content *content, int fd, struct arena *arena)
{
    if (fd < 0)
        return;
    char *bytes = arena_alloc(arena, (size_t)content->content_size + 1);
    if (spool_io_read(fd, bytes, (size_t)content->content_size, (off_t)content->content_offset) < 0)
        queue_client_fail(EX_IOERR, "%s: %s", name, strerror(errno));
    content->content = slice_range(bytes, (size_t)content->content_size);
    close(fd);
}

static void show_queued(struct queue_client *client, const char *queue_id)
{
    struct arena *arena = arena_new();
    struct control_content content;
    struct str name = STR_EMPTY;
    int fd = -1;
    if (!queue_client_read(client, queue_id, arena, &content, &fd))
        queue_client_fail(1, "open queue file %s: No such file or directory", queue_id);
    load_content(queue_id, &content, fd, arena);
    str_printf(&name, "%s/%s", control_queue_name(content.queue), queue_id);
    print_message(str_text(&name), &content);
    str_free(&name);
    arena_free(arena);
}

static void show_file(const char *path)
{
    struct arena *arena = arena_new();
    struct stored_message message;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        queue_client_fail(1, "open %s: %s", path, strerror(errno));
    if (message_file_read(fd, arena, &message) != STORED_OK)
        queue_client_fail(EX_DATAERR, "%s: not a queue file of this mail system, or damaged", path);
    struct control_content content = {.envelope = message.envelope, .content_offset = message.content_offset,
                                      .content_size = message.frame.content_len, .in_file = true};
    content.done = arena_alloc_array(arena, message.envelope.recipient_count, sizeof(bool));
    for (size_t i = 0; i < message.envelope.recipient_count; i++)
        content.done[i] = message.recipients[i].done;
    load_content(path, &content, fd, arena);
    print_message(path, &content);
    arena_free(arena);
}

static int run(struct queue_client *client)
{
    for (int i = 0; i < wanted.name_count; i++)
        show_queued(client, wanted.names[i]);
    return EX_OK;
}

int main(int argc, char **argv)
{
    const char *directory = NULL;
    struct log_options options = {.sink = LOG_TO_STDERR, .fd = -1, .component = "postcat"};
    log_open(&options);
    for (int option; (option = getopt(argc, argv, "bc:dehnoqrs:v")) != -1;) {
        switch (option) {
        case 'b': wanted.body = true; break;
        case 'c': directory = optarg; break;
        case 'e': wanted.envelope = true; break;
        case 'h': wanted.header = true; break;
        case 'q': wanted.by_id = true; break;
        case 'd': case 'n': case 'o': case 'r': case 's': /* of Postfix's record format: there is nothing to show */
            break;
        case 'v': log_set_verbose(true); break;
        default: queue_client_fail(EX_USAGE, "usage: postcat [-b (body text)] [-c config_dir] [-e (envelope records)] "
                                             "[-h (header text)] [-q (access queue)] [-v] [file(s)...]");
        }
    }
    if (!wanted.body && !wanted.header && !wanted.envelope)
        wanted.body = wanted.header = wanted.envelope = true;
    wanted.names = argv + optind;
    wanted.name_count = argc - optind;
    if (wanted.by_id)
        return queue_client_main("postcat", directory, run);
    if (wanted.name_count == 0)
        show_file("/dev/stdin");
    for (int i = 0; i < wanted.name_count; i++)
        show_file(wanted.names[i]);
    return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}
