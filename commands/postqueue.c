/* SPDX-License-Identifier: ISC */
/*
 * postqueue, and mailq by its other name: lists the queue and asks for another attempt. Run by anybody; the queue
 * decides who may. On a stopped system the superuser still gets a listing, straight from the spool.
 */
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "commands/queue_client.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/quote.h"

enum mode { MODE_NONE, MODE_LIST, MODE_JSON, MODE_FLUSH, MODE_FLUSH_ID, MODE_FLUSH_SITE };

static enum mode mode;
static const char *subject; /* of -i and -s */

/* --- the listing for people ------------------------------------------------------------------- */

struct totals {
    uint64_t bytes;
    unsigned long messages;
    bool long_ids;
};

static void print_heading(bool long_ids)
{
    if (long_ids)
        printf("%-17s %8s %-19s %s\n", "----Queue ID-----", "--Size--", "---Arrival Time----", "--Sender/Recipient------");
    else
        printf("%-11s %7s %-20s %s\n", "-Queue ID-", "--Size--", "----Arrival Time----", "-Sender/Recipient-------");
}

static void quote(struct str *out, const char *address)
{
    str_clear(out);
    quote_append_address(out, *address != '\0' ? address : "MAILER-DAEMON");
    text_make_printable(out->data, out->len);
}

static void print_recipients(const struct listed_message *message, bool long_ids, struct str *text)
{
    const char *last_reason = "";
    for (size_t i = 0; i < message->recipient_count; i++) {
        const struct listed_recipient *one = &message->recipients[i];
        if (one->reason[0] != '\0' && strcmp(one->reason, last_reason) != 0) {
            int width = 76 - (int)strlen(one->reason);
            printf("%*s(%s)\n", width > 0 ? width : 0, "", one->reason);
            last_reason = one->reason;
        }
        quote(text, one->address);
        if (long_ids)
            printf("%-17s %8s %-19s %s\n", "", "", "", str_text(text));
        else
            printf("%-11s %7s %-20s %s\n", "", "", "", str_text(text));
    }
}

static void print_message(void *context, const struct listed_message *message)
{
    struct totals *totals = context;
    struct str text = STR_EMPTY;
    char id[QUEUE_ID_SIZE + 1], date[64];
    struct tm parts;
    time_t arrival = (time_t)message->arrival_s;
    bool long_id = strlen(message->queue_id) > 11 && strchr(message->queue_id, 'z') != NULL;
    char mark = message->forced_expire ? '#' : message->queue == CONTROL_IN_ACTIVE ? '*' :
                message->queue == CONTROL_IN_HOLD ? '!' : ' ';
    if (totals->messages++ == 0)
        print_heading(long_id);
    totals->bytes += message->size;
    snprintf(id, sizeof id, "%s%c", message->queue_id, mark);
    localtime_r(&arrival, &parts);
    if (strftime(date, sizeof date, "%a %b %e %H:%M:%S %Y", &parts) == 0)
        date[0] = '\0';
    quote(&text, message->sender);
    if (long_id)
        printf("%-17s %8" PRIu64 " %19.19s %s\n", id, message->size, date, str_text(&text));
    else
        printf("%-11s %7" PRIu64 " %20.20s %s\n", id, message->size, date, str_text(&text));
    print_recipients(message, long_id, &text);
    printf("\n");
    str_free(&text);
}

static int list_for_people(struct queue_client *client)
{
    struct totals totals = {0};
    queue_client_list(client, print_message, &totals);
    if (totals.messages == 0)
        printf("Mail queue is empty\n");
    else
        printf("-- %lu Kbytes in %lu Request%s.\n", (unsigned long)(totals.bytes / 1024), totals.messages,
               totals.messages == 1 ? "" : "s");
    return EX_OK;
}

/* --- the listing for programs -------------------------------------------------------------------- */

static void json_text(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\')
            printf("\\%c", *at);
        else if (*at < 32 || *at == 127)
            printf("\\u%04X", *at);
        else
            putchar(*at);
    }
}

static void print_json(void *context UNUSED, const struct listed_message *message)
{
    struct str text = STR_EMPTY;
    quote(&text, message->sender);
    printf("{\"queue_name\": \"%s\", \"queue_id\": \"%s\", \"arrival_time\": %" PRId64 ", \"message_size\": %" PRIu64
           ", \"forced_expire\": %s, \"sender\": \"",
           control_queue_name(message->queue), message->queue_id, message->arrival_s, message->size,
           message->forced_expire ? "true" : "false");
    json_text(str_text(&text));
    printf("\", \"recipients\": [");
    for (size_t i = 0; i < message->recipient_count; i++) {
        quote(&text, message->recipients[i].address);
        printf("%s{\"address\": \"", i > 0 ? ", " : "");
        json_text(str_text(&text));
        putchar('"');
        if (message->recipients[i].reason[0] != '\0') {
            printf(", \"delay_reason\": \"");
            json_text(message->recipients[i].reason);
            putchar('"');
        }
        putchar('}');
    }
    printf("]}\n");
    str_free(&text);
}

/* --- trying again ----------------------------------------------------------------------------------- */

static int flush(struct queue_client *client, enum control_record what)
{
    if (client->channel == NULL)
        queue_client_fail(EX_UNAVAILABLE, "Cannot flush mail queue - mail system is down");
    enum control_status status = queue_client_flush(client, what, subject);
    if (status == CONTROL_DENIED)
        queue_client_fail(EX_NOPERM, "User %ld is not allowed to flush the mail queue", (long)getuid());
    return EX_OK;
}

static int run(struct queue_client *client)
{
    bool listing = mode == MODE_LIST || mode == MODE_JSON;
    bool direct = geteuid() == 0 || access("incoming", R_OK | X_OK) == 0;
    if (listing && client->channel == NULL && !direct)
        queue_client_fail(EX_UNAVAILABLE, "Queue report unavailable - mail system is down (Connect to the Postfix %s service: %s)",
                          "showq", strerror(client->connect_error));
    if (listing && client->channel == NULL)
        log_warning("Mail system is down -- accessing queue directly (Connect to the Postfix %s service: %s)", "showq",
                    strerror(client->connect_error));
    switch (mode) {
    case MODE_LIST:
        return list_for_people(client);
    case MODE_JSON:
        queue_client_list(client, print_json, NULL);
        return EX_OK;
    case MODE_FLUSH:
        return flush(client, CONTROL_FLUSH);
    case MODE_FLUSH_ID:
        return flush(client, CONTROL_FLUSH_ID);
    default:
        return flush(client, CONTROL_FLUSH_SITE);
    }
}

static void usage(void) NORETURN;
static void usage(void)
{
    queue_client_fail(EX_USAGE, "usage: postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site");
}

static void choose(enum mode wanted, const char *text)
{
    if (mode != MODE_NONE)
        usage();
    mode = wanted;
    subject = text;
}

static void check_subject(void)
{
    if (mode == MODE_FLUSH_ID && (*subject == '\0' || strspn(subject, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                                      "abcdefghijklmnopqrstuvwxyz") != strlen(subject)))
        queue_client_fail(EX_USAGE, "Cannot flush queue ID - invalid name: \"%.100s%s\"", subject,
                          strlen(subject) > 100 ? "..." : "");
    if (mode == MODE_FLUSH_SITE && (*subject == '\0' || strlen(subject) > 255 || strpbrk(subject, " \t\"'\\/@") != NULL))
        queue_client_fail(EX_USAGE, "Cannot flush mail queue - invalid destination: \"%.100s%s\"", subject,
                          strlen(subject) > 100 ? "..." : "");
}

int main(int argc, char **argv)
{
    const char *directory = NULL;
    bool is_mailq = argc > 0 && strcmp(basename(argv[0]), "mailq") == 0;
    struct log_options options = {.sink = LOG_TO_STDERR, .fd = -1, .component = "postqueue"};
    log_open(&options);
    if (is_mailq)
        mode = MODE_LIST;
    for (int option; (option = getopt(argc, argv, "c:fi:jps:v")) != -1;) {
        switch (option) {
        case 'c': directory = optarg; break;
        case 'f': choose(MODE_FLUSH, NULL); break;
        case 'i': choose(MODE_FLUSH_ID, optarg); break;
        case 'j': choose(MODE_JSON, NULL); break;
        case 'p':
            if (!is_mailq)
                choose(MODE_LIST, NULL);
            break;
        case 's': choose(MODE_FLUSH_SITE, optarg); break;
        case 'v': log_set_verbose(true); break;
        default: usage();
        }
    }
    if (mode == MODE_NONE || argc > optind)
        usage();
    check_subject();
    return queue_client_main("postqueue", directory, run);
}
