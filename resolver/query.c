/* SPDX-License-Identifier: ISC */
/*
 * query: one question to the name servers, through c-ares on the event loop. c-ares chooses server, port and id, checks
 * where an answer came from, retries, and turns to TCP when an answer was cut; the reply itself is read by
 * dns_message. The number of questions under way is bounded: beyond it the answer is "cannot say now".
 */
#include <ares.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

#include "common/base/fiber.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/hostname.h"
#include "resolver/resolver.h"

#define MAX_IN_FLIGHT 8192
#define MAX_ALIASES 10
#define RECEIVE_BUFFER 1048576 /* bytes; hundreds of answers may come at once, and a lost one costs seconds */
#define QUERY_TIMEOUT 60 /* seconds, whatever resolv.conf says */
#define TICK_MS 50       /* how exact time-outs are */

/* A socket of c-ares. */
struct socket_watch {
    int fd;
    struct event *event;
    UT_hash_handle hh;
};

/* A question under way. The fiber may give up first: then c-ares' answer finds nobody. */
struct question {
    struct fiber_cond done;
    bool is_done, is_abandoned;
    int status;
    struct str reply;
};

static ares_channel channel;
static struct socket_watch *watches;
static struct event *tick;
static size_t in_flight;

/* --- sockets and time ------------------------------------------------------------------- */

static void on_socket(evutil_socket_t fd, short what, void *arg UNUSED)
{
    ares_process_fd(channel, (what & EV_READ) != 0 ? fd : ARES_SOCKET_BAD, (what & EV_WRITE) != 0 ? fd : ARES_SOCKET_BAD);
}

static void unwatch(struct socket_watch *watch)
{
    HASH_DEL(watches, watch);
    event_free(watch->event);
    free(watch);
}

/* c-ares wants other events on a socket, or (neither) is about to close it. */
static void on_socket_state(void *arg UNUSED, ares_socket_t fd, int readable, int writable)
{
    struct socket_watch *watch;
    HASH_FIND_INT(watches, &fd, watch);
    if (watch != NULL)
        unwatch(watch);
    if (!readable && !writable)
        return;
    watch = mem_alloc(sizeof *watch);
    watch->fd = fd;
    watch->event = event_new(fiber_loop_base(), fd, (short)((readable ? EV_READ : 0) | (writable ? EV_WRITE : 0) | EV_PERSIST),
                             on_socket, NULL);
    if (watch->event == NULL || event_add(watch->event, NULL) < 0)
        log_fatal("cannot watch descriptor %d: %s", fd, strerror(errno));
    HASH_ADD_INT(watches, fd, watch);
}

static void start_tick(void)
{
    static const struct timeval interval = {0, TICK_MS * 1000};
    if (!evtimer_pending(tick, NULL) && event_add(tick, &interval) < 0)
        log_fatal("cannot start a timer");
}

static void on_tick(evutil_socket_t fd UNUSED, short what UNUSED, void *arg UNUSED)
{
    ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    if (in_flight > 0)
        start_tick();
}

/* --- one question ----------------------------------------------------------------------------- */

static void on_reply(void *arg, int status, int timeouts UNUSED, unsigned char *data, int len)
{
    struct question *question = arg;
    in_flight--;
    if (question->is_abandoned) {
        free(question);
        return;
    }
    question->is_done = true;
    question->status = status;
    if (data != NULL && len > 0)
        str_append_bytes(&question->reply, data, (size_t)len);
    fiber_cond_signal(&question->done);
}

/*
 * Newer releases of c-ares would rather hand out a parsed record; our own parser wants the answer's bytes, which is what
 * ares_query() gives in all of them.
 */
static void send_question(const char *name, uint16_t type, struct question *question)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    ares_query(channel, name, 1, type, on_reply, question);
#pragma GCC diagnostic pop
}

/* NULL: no answer in time. The caller frees it with question_free(). */
static struct question *ask_servers(const char *name, uint16_t type, int64_t deadline)
{
    struct question *question = mem_alloc(sizeof *question);
    int64_t latest = deadline_in_s(QUERY_TIMEOUT);
    if (deadline > latest)
        deadline = latest;
    if (in_flight >= MAX_IN_FLIGHT) {
        log_warning("more than %d DNS questions under way", MAX_IN_FLIGHT);
        free(question);
        return NULL;
    }
    in_flight++;
    send_question(name, type, question);
    start_tick();
    while (!question->is_done)
        if (fiber_cond_wait(&question->done, deadline) != WAIT_OK && !question->is_done) {
            question->is_abandoned = true; /* on_reply frees it */
            return NULL;
        }
    return question;
}

static void question_free(struct question *question)
{
    str_free(&question->reply);
    free(question);
}

static enum dns_status status_of(int status)
{
    switch (status) {
    case ARES_ENOTFOUND:
    case ARES_EBADNAME: /* not a name that could exist */
        return DNS_NO_NAME;
    case ARES_ENODATA:
        return DNS_NO_DATA;
    default:
        return DNS_TEMPORARY;
    }
}

static void ask_once(const char *name, uint16_t type, int64_t deadline, struct arena *arena, struct dns_answer *answer,
                     char **alias)
{
    *alias = NULL;
    *answer = (struct dns_answer){.status = DNS_TEMPORARY};
    struct question *question = ask_servers(name, type, deadline);
    if (question == NULL)
        return;
    if (question->status != ARES_SUCCESS) {
        answer->status = (uint8_t)status_of(question->status);
        answer->ttl = UINT32_MAX; /* the cache bounds it */
    } else if (!dns_message_read((const unsigned char *)question->reply.data, question->reply.len, name, type, arena, answer,
                                 alias)) {
        log_warning("malformed DNS reply about %s (%s)", name, dns_type_name(type));
        *answer = (struct dns_answer){.status = DNS_TEMPORARY};
    }
    question_free(question);
}

void query_ask(const char *name, uint16_t type, int64_t deadline, struct arena *arena, struct dns_answer *answer)
{
    const char *at = name;
    if (cache_find(name, type, arena, answer))
        return;
    for (unsigned step = 0; step < MAX_ALIASES; step++) {
        char *alias;
        ask_once(at, type, deadline, arena, answer, &alias);
        if (alias == NULL || text_equal_nocase(alias, at)) {
            if (answer->owner == NULL && at != name)
                answer->owner = arena_strdup(arena, at);
            cache_add(name, type, answer);
            return;
        }
        at = alias;
    }
    log_warning("DNS aliases of %s lead too far", name);
    *answer = (struct dns_answer){.status = DNS_TEMPORARY};
}

/* --- start ----------------------------------------------------------------------------------------- */

static void read_resolv_conf(struct resolv_conf *conf)
{
    char text[8192];
    FILE *file = fopen("/etc/resolv.conf", "re");
    size_t len = file != NULL ? fread(text, 1, sizeof text, file) : 0;
    if (file == NULL || ferror(file))
        log_warning("cannot read /etc/resolv.conf: %m: asking the name server at 127.0.0.1");
    if (file != NULL)
        fclose(file); /* was only read */
    resolv_conf_parse(slice_range(text, len), conf);
}

void query_open(const struct config *config)
{
    struct resolv_conf conf;
    struct ares_options options = {0};
    const char *servers = config_string(config, "resolver_servers");
    read_resolv_conf(&conf);
    if (*servers != '\0' && !resolv_conf_parse_servers(servers, &conf))
        log_fatal("resolver_servers: need addresses of name servers: \"%s\"", servers);
    options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
    options.timeout = (int)conf.timeout_s * 1000;
    options.tries = (int)conf.attempts;
    options.lookups = (char *)"b"; /* no hosts file: smtpd knows the loopback names */
    options.sock_state_cb = on_socket_state;
    options.socket_receive_buffer_size = RECEIVE_BUFFER;
    int chosen = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB |
        ARES_OPT_SOCK_RCVBUF;
#ifdef ARES_OPT_QUERY_CACHE
    /* The name server remembers answers; two memories would make a changed record take twice its time. */
    options.qcache_max_ttl = 0;
    chosen |= ARES_OPT_QUERY_CACHE;
#endif
    int status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status == ARES_SUCCESS)
        status = ares_init_options(&channel, &options, chosen);
    if (status == ARES_SUCCESS)
        status = ares_set_servers_ports_csv(channel, str_text(&conf.servers));
    if (status != ARES_SUCCESS)
        log_fatal("cannot prepare DNS: %s", ares_strerror(status));
    str_free(&conf.servers);
    tick = evtimer_new(fiber_loop_base(), on_tick, NULL);
    if (tick == NULL)
        mem_exhausted(sizeof(struct event *));
}
