/* SPDX-License-Identifier: ISC */
/*
 * forge_answer: servers that were taken over. We are everybody whom the role asks; it is given something to do, its first
 * questions are answered as they should be and the next one as no honest server would. Called by forge.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/dns/dns_protocol.h"
#include "common/mail/lookup_protocol.h"
#include "common/mail/queue_protocol.h"
#include "common/state/state_protocol.h"
#include "common/tls/keys_protocol.h"
#include "master/graph.h"
#include "tests/tools/forge.h"

enum { MOST_HONEST = 5, STEP_MS = 5, LAST_STEP = 200 };

enum lie {
    LIE_EMPTY, LIE_ONES, LIE_COUNTS, LIE_NOISE, LIE_LONG, LIE_DESCRIPTOR, LIE_TWICE, LIE_QUESTION, LIE_HANGS_UP, LIE_COUNT,
};
static const char *const lie_names[] = {"nothing", "ones", "counts", "noise", "four megabytes", "a descriptor", "an answer twice",
                                        "a question", "the end"};

static int servers[ROLE_COUNT];
static char big[4 << 20];
static unsigned asked;

static char *text(const char *constant)
{
    return (char *)(uintptr_t)constant;
}

/* --- what an honest server says --------------------------------------------------------------------------- */

static void answer_address(struct str *body)
{
    char *expanded[] = {text("anna@example.test")};
    const struct address_answer answer = {
        .address_class = CLASS_VIRTUAL_MAILBOX, .address = expanded[0], .unknown_in = text(""), .failed_table = text(""),
        .transport = text("lmtp"), .next_hop = text(""), .expanded = expanded, .expanded_count = 1, .canonical = expanded[0],
        .expansion_reason = text("")};
    address_answer_encode(&answer, body);
}

static void answer_lookup(uint16_t type, struct str *body)
{
    const struct route route = {TABLE_FOUND, text("lmtp"), text("unix:private/x"), text("anna@example.test"), text("")};
    const struct table_answer nothing = {TABLE_NOT_FOUND, text(""), text("")};
    if (type == LOOKUP_ADDRESS)
        answer_address(body);
    else if (type == LOOKUP_ROUTE)
        route_encode(&route, body);
    else if (type == LOOKUP_FIND)
        table_answer_encode(&nothing, body);
}

static void answer_honestly(enum role_id server, uint16_t type, struct str *body)
{
    const struct dns_peername peer = {PEERNAME_OK, PEERNAME_OK, text("localhost"), text("localhost"), text("")};
    const struct keys_identity nobody = {0};
    if (server == ROLE_LOOKUP)
        answer_lookup(type, body);
    else if (server == ROLE_RESOLVER && type == DNS_PEERNAME)
        dns_peername_encode(&peer, body);
    else if (server == ROLE_KEYS)
        keys_identity_encode(&nobody, body);
    else if (server == ROLE_STATE)
        state_value_encode(false, SLICE(""), body);
    else if (server == ROLE_QUEUE && type == QUEUE_IDS) {
        ipc_put_u32(body, 1);
        ipc_put_u32(body, 256);
    } else if (server == ROLE_QUEUE) {
        ipc_put_u8(body, SUBMIT_OK);
        ipc_put_text(body, "");
    }
}

/* --- and what others say ----------------------------------------------------------------------------------- */

static void answer_with_lie(int fd, enum lie lie, const struct record *question, enum role_id server)
{
    static const char counts[] = "\2\1\0\0\0a\377\377\377\177\377\377\377\177\1\0\0\0\0";
    struct str body = STR_EMPTY;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    uint32_t id = question->id;
    for (size_t i = 0; i < 200; i++)
        big[i] = (char)((i * 2654435761u + question->type * 40503u) >> 9);
    answer_honestly(server, question->type, &body);
    switch (lie) {
    case LIE_EMPTY: send_record(fd, 0, FLAG_REPLY, id, SLICE(""), -1); break;
    case LIE_ONES: send_record(fd, 0, FLAG_REPLY, id, SLICE("\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"), -1); break;
    case LIE_COUNTS: send_record(fd, 0, FLAG_REPLY, id, slice_range(counts, sizeof counts), -1); break;
    case LIE_NOISE: send_record(fd, 0, FLAG_REPLY, id, slice_range(big, 200), -1); break;
    case LIE_LONG: send_record(fd, 0, FLAG_REPLY, id, slice_range(big, sizeof big), -1); break;
    case LIE_DESCRIPTOR: send_record(fd, 0, FLAG_REPLY, id, str_slice(&body), null); break;
    case LIE_TWICE:
        send_record(fd, 0, FLAG_REPLY, id, str_slice(&body), -1);
        send_record(fd, 0, FLAG_REPLY, id, str_slice(&body), null);
        break;
    case LIE_QUESTION: send_record(fd, question->type, FLAG_REQUEST, id, SLICE(""), -1); break;
    default: shutdown(fd, SHUT_RDWR); break;
    }
    close(null);
    str_free(&body);
}

/* --- something to do ------------------------------------------------------------------------------------------ */

static unsigned commands_sent;

/* A line at a time: who talks before the greeting is not listened to. */
static void go_on_with_dialogue(int fd)
{
    static const char *const commands[] = {
        "EHLO client.example\r\n", "MAIL FROM:<a@example.org>\r\n", "RCPT TO:<anna@example.test>\r\n", "DATA\r\n",
        "Subject: x\r\n\r\ny\r\n.\r\n", "AUTH PLAIN AGEAYgBj\r\n", "VRFY anna\r\n", "QUIT\r\n"};
    char reply[4096];
    if (recv(fd, reply, sizeof reply, MSG_DONTWAIT) > 0 && commands_sent < sizeof commands / sizeof commands[0]) {
        const char *command = commands[commands_sent++];
        (void)!send(fd, command, strlen(command), MSG_NOSIGNAL);
    }
}

static int start_dialogue(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)target_port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    commands_sent = 0;
    must(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "smtpd", "connect", strerror(errno));
    return fd;
}

static int start_message(void)
{
    int fd = target_connect(ROLE_SMTPD, false);
    struct record record;
    struct recipient to = {text("anna@example.test"), text("anna@example.test"), text(""), 0};
    struct submission submission = {.content = SLICE("Subject: x\n\ny\n"), .content_size = 14};
    struct str body = STR_EMPTY;
    send_record(fd, QUEUE_IDS, FLAG_REQUEST, 1, SLICE(""), -1);
    if (!receive_record(fd, 3000, &record, NULL) || record.length < 4)
        return fd;
    memcpy(&submission.serial, record.body, 4);
    submission.envelope = (struct envelope){.sender = text("a@example.org"), .recipients = &to, .recipient_count = 1,
                                            .arrival_us = 1};
    queue_id_make(submission.envelope.queue_id, 1, submission.serial, false);
    submission_encode(&submission, &body);
    send_record(fd, QUEUE_SUBMIT, FLAG_REQUEST, 2, str_slice(&body), -1);
    must(receive_record(fd, 3000, &record, NULL) && record.length > 0 && record.body[0] == SUBMIT_OK, "queue", "SUBMIT",
         "a message was not taken");
    str_free(&body);
    return fd;
}

static int start_delivery(void)
{
    int fd = target_connect(ROLE_QUEUE, false);
    struct delivery_recipient to = {0, {text("anna@example.test"), text(""), text(""), 0}};
    const struct delivery delivery = {
        .envelope = {.queue_id = "12345ABCDE", .sender = text("a@example.org")}, .transport = text("lmtp"),
        .next_hop = text("unix:private/x"), .content = SLICE("Subject: x\n\ny\n"), .content_size = 14, .recipients = &to,
        .recipient_count = 1};
    struct str body = STR_EMPTY;
    delivery_encode(&delivery, &body);
    send_record(fd, DELIVER, FLAG_REQUEST, 1, str_slice(&body), -1);
    str_free(&body);
    return fd;
}

static const struct { enum role_id role; int (*start)(void); } works[] = {
    {ROLE_SMTPD, start_dialogue}, {ROLE_SUBMISSION, start_dialogue}, {ROLE_QUEUE, start_message}, {ROLE_LMTP, start_delivery},
    {ROLE_VIRTUAL, start_delivery}};

/* --- one run --------------------------------------------------------------------------------------------------- */

static void connect_servers(void)
{
    for (int role = 0; role < ROLE_COUNT; role++)
        servers[role] = graph_has_edge(target_role, (enum role_id)role) ? target_connect((enum role_id)role, true) : -1;
}

static enum role_id next_question(struct record *question, int work)
{
    struct pollfd pollers[ROLE_COUNT];
    for (int role = 0; role < ROLE_COUNT; role++)
        pollers[role] = (struct pollfd){.fd = servers[role], .events = POLLIN};
    for (int step = 0; step < LAST_STEP && target_is_alive(); step++) {
        if (target_role == ROLE_SMTPD || target_role == ROLE_SUBMISSION)
            go_on_with_dialogue(work);
        if (poll(pollers, ROLE_COUNT, STEP_MS) > 0)
            for (int role = 0; role < ROLE_COUNT; role++)
                if (pollers[role].revents != 0 && servers[role] >= 0 && receive_record(servers[role], 0, question, NULL) &&
                    (question->flags & FLAG_REQUEST) != 0)
                    return (enum role_id)role;
    }
    return ROLE_COUNT;
}

/* True when the question that was to be lied to came. */
static bool lie_after(unsigned honest, enum lie lie, int (*start)(void))
{
    struct record question;
    char edge[64];
    enum role_id server = ROLE_COUNT;
    bool lied = false;
    connect_servers();
    int work = start();
    for (unsigned i = 0; !lied && (server = next_question(&question, work)) != ROLE_COUNT; i++) {
        struct str body = STR_EMPTY;
        asked++;
        lied = i == honest;
        snprintf(edge, sizeof edge, "%s <- %s, question %u of type %u", role_name(target_role), role_name(server), i, question.type);
        answer_honestly(server, question.type, &body);
        if (lied)
            answer_with_lie(servers[server], lie, &question, server);
        else
            send_record(servers[server], 0, FLAG_REPLY, question.id, str_slice(&body), -1);
        str_free(&body);
    }
    if (lied) {
        usleep(50000);
        close(work);
        for (int role = 0; role < ROLE_COUNT; role++)
            if (servers[role] >= 0)
                close(servers[role]);
        target_judge(edge, lie_names[lie], false);
        return true;
    }
    close(work);
    for (int role = 0; role < ROLE_COUNT; role++)
        if (servers[role] >= 0)
            close(servers[role]);
    return false;
}

void answer_as_servers(void)
{
    for (size_t i = 0; i < sizeof works / sizeof works[0]; i++) {
        bool came = works[i].role == target_role;
        for (unsigned honest = 0; came && honest < MOST_HONEST; honest++)
            for (int lie = 0; came && lie < LIE_COUNT; lie++)
                came = lie_after(honest, (enum lie)lie, works[i].start);
        if (works[i].role == target_role)
            must(asked >= LIE_COUNT, role_name(target_role), "servers", "it asked nobody");
    }
}
