/* SPDX-License-Identifier: ISC */
/*
 * postscreen: decides about a connection before the SMTP server sees it: permanent lists, what is remembered, then the
 * tests before the greeting. Called by listener.c on the connection's fiber; looks at input without taking it. The
 * state role being down means that nobody is remembered; lists that fail count nothing.
 */
#include "common/service/postscreen.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <uthash.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/delivery_report.h"
#include "common/service/postscreen_internal.h"
#include "common/state/state_client.h"

#define STORE "postscreen"
#define PEEK_SIZE 1023
#define SLICE_MS 100 /* how soon an allow list's answer ends the wait before the greeting */

struct postscreen_client {
    char *address;
    unsigned sessions, new_passes;
    struct postscreen_stamps stamps;
    UT_hash_handle hh;
};

static struct {
    struct postscreen_client *clients;
    size_t sessions;
    bool stressed;
} state;

/* --- sessions of one client ---------------------------------------------------------------- */

unsigned postscreen_client_sessions(const struct postscreen_client *client)
{
    return client->sessions;
}

static struct postscreen_client *client_begin(const char *address)
{
    struct postscreen_client *client;
    HASH_FIND_STR(state.clients, address, client);
    if (client == NULL) {
        client = mem_alloc(sizeof *client);
        client->address = mem_strdup(address);
        HASH_ADD_KEYPTR(hh, state.clients, client->address, strlen(client->address), client);
    }
    client->sessions++;
    return client;
}

static void client_end(struct postscreen_client *client)
{
    if (--client->sessions > 0)
        return;
    HASH_DEL(state.clients, client);
    free(client->address);
    free(client);
}

bool postscreen_is_stressed(void)
{
    return state.stressed;
}

static void count_session(int change)
{
    size_t high = (size_t)(postscreen.pre_queue_limit * 9 / 10), low = (size_t)(postscreen.pre_queue_limit * 7 / 10);
    state.sessions += (size_t)change;
    if (!state.stressed && high > 0 && state.sessions >= high) {
        state.stressed = true;
        log_info_as("postscreen", "entering STRESS mode with %zu connections", state.sessions);
    } else if (state.stressed && state.sessions <= low) {
        state.stressed = false;
        log_info_as("postscreen", "leaving STRESS mode with %zu connections", state.sessions);
    }
}

/* --- words ------------------------------------------------------------------------------------ */

void postscreen_begin_phase(struct postscreen_session *session, const char *phase)
{
    session->phase = phase;
    session->phase_us = wall_us();
}

const char *postscreen_elapsed(struct postscreen_session *session)
{
    struct str text = STR_EMPTY;
    delivery_format_delay(&text, wall_us() - session->phase_us, postscreen.delay_resolution);
    const char *copy = arena_slice(session->arena, str_slice(&text));
    str_free(&text);
    return copy;
}

#define CLIENT(session) (session)->peer->client_address, (session)->peer->client_port

void postscreen_log_hangup(struct postscreen_session *session)
{
    session->is_gone = session->is_refused = true;
    log_info_as("postscreen", "HANGUP after %s from [%s]:%s in %s", postscreen_elapsed(session), CLIENT(session), session->phase);
}

bool postscreen_has_failed(const struct postscreen_session *session)
{
    return session->failed != 0 || session->is_denied || session->is_vetoed;
}

bool postscreen_fail(struct postscreen_session *session, enum postscreen_test test, const char *drop_reply,
                     const char *enforce_reply)
{
    session->failed |= TEST_BIT(test);
    switch (postscreen.actions[test]) {
    case ACTION_DROP:
        session->is_refused = true;
        session->final_reply = drop_reply;
        return true;
    case ACTION_ENFORCE:
        session->is_refused = true;
        session->rcpt_reply = enforce_reply;
        break;
    case ACTION_IGNORE:
        break;
    }
    return false;
}

/* --- permanent lists ---------------------------------------------------------------------------- */

enum acl { ACL_DUNNO, ACL_PERMIT, ACL_REJECT };

static enum acl evaluate(struct postscreen_session *session, char *const *words, size_t count, unsigned depth);

static enum acl ask_table(struct postscreen_session *session, const char *table, unsigned depth, bool *failed)
{
    struct table_answer answer;
    char **words;
    *failed = !lookup_find(table, KEY_EXACT, "postscreen_access_list", session->peer->client_address, session->arena, &answer) ||
              answer.status == TABLE_ERROR;
    if (*failed)
        log_warning_as("postscreen", "postscreen_access_list: %s: table lookup error -- ignoring the remainder of this access list", table);
    if (*failed || answer.status != TABLE_FOUND || depth >= 10)
        return ACL_DUNNO;
    size_t count = config_split_list(answer.value, session->arena, &words);
    return evaluate(session, words, count, depth + 1);
}

static enum acl evaluate(struct postscreen_session *session, char *const *words, size_t count, unsigned depth)
{
    for (size_t i = 0; i < count; i++) {
        const char *word = words[i];
        bool failed = false;
        enum acl result = ACL_DUNNO;
        if (text_equal_nocase(word, "permit"))
            result = ACL_PERMIT;
        else if (text_equal_nocase(word, "reject"))
            result = ACL_REJECT;
        else if (text_equal_nocase(word, "permit_mynetworks"))
            result = client_list_find(&smtpd.mynetworks, NULL, session->peer->client_address, session->arena) == CLIENT_LIST_YES ?
                     ACL_PERMIT : ACL_DUNNO;
        else if (strchr(word, ':') != NULL)
            result = ask_table(session, word, depth, &failed);
        else if (text_equal_nocase(word, "dunno"))
            return ACL_DUNNO;
        else {
            log_warning_as("postscreen", "postscreen_access_list: unknown command: %s -- ignoring the remainder of this access list", word);
            return ACL_DUNNO;
        }
        if (result != ACL_DUNNO || failed)
            return result;
    }
    return ACL_DUNNO;
}

/* --- what is remembered ---------------------------------------------------------------------------- */

/* Services with tables of their own remember by themselves. */
static const char *cache_key(struct postscreen_session *session)
{
    return arena_printf(session->arena, "%s %s", postscreen.cache_map, session->peer->client_address);
}

/* True: all results are still good. */
static bool recall(struct postscreen_session *session)
{
    struct slice record;
    int64_t now_s = wall_us() / 1000000;
    bool found = false;
    if (session->client->sessions > 1) { /* another session of this client knows */
        session->todo = postscreen_stamps_todo(session->stamps, postscreen.tests, now_s);
        session->is_new = postscreen_stamps_are_new(session->stamps);
        return false;
    }
    *session->stamps = (struct postscreen_stamps){{0}};
    if (*postscreen.cache_map != '\0' && !postscreen_has_failed(session))
        found = state_get(STORE, cache_key(session), session->arena, &record);
    if (found)
        postscreen_stamps_parse(record, session->stamps);
    session->is_new = postscreen_stamps_are_new(session->stamps);
    session->todo = postscreen_stamps_todo(session->stamps, postscreen.tests, found ? now_s : STAMP_NEW + 1);
    return found && session->todo == 0 && !postscreen_has_failed(session);
}

static void remember(struct postscreen_session *session)
{
    struct str record = STR_EMPTY;
    int64_t lifetime_s = postscreen_stamps_last(session->stamps) - wall_us() / 1000000 + postscreen.retention_s;
    if (session->passed == 0 || *postscreen.cache_map == '\0' || lifetime_s <= 0)
        return;
    postscreen_stamps_print(session->stamps, postscreen.tests, &record);
    state_put(STORE, cache_key(session), str_slice(&record), (uint32_t)lifetime_s);
    str_free(&record);
}

/* --- before the greeting ------------------------------------------------------------------------------ */

/* Nothing failed and trusted lists know the client: it need not take the other tests. */
static void pass_by_list(struct postscreen_session *session)
{
    int64_t expires_s = wall_us() / 1000000 + session->dnsbl_ttl_s;
    if (postscreen_has_failed(session) || session->score >= postscreen.dnsbl_threshold || postscreen.allow_threshold >= 0 ||
        session->score > postscreen.allow_threshold)
        return;
    for (unsigned i = 0; i < TEST_COUNT; i++) {
        if (i == TEST_DNSBL)
            continue;
        if ((session->todo & TEST_BIT(i)) != 0) {
            session->done |= TEST_BIT(i);
            session->passed |= TEST_BIT(i);
        }
        if (session->stamps->expires_s[i] < expires_s)
            session->stamps->expires_s[i] = expires_s;
    }
}

/* The client spoke, or is gone. True: the connection is to be dropped. */
static bool take_pregreet(struct postscreen_session *session, int fd)
{
    char bytes[PEEK_SIZE];
    struct str text = STR_EMPTY;
    ssize_t n = recv(fd, bytes, sizeof bytes, MSG_PEEK);
    if (n <= 0) {
        postscreen_log_hangup(session);
        return true;
    }
    text_escape(slice_range(bytes, (size_t)n), &text);
    log_info_as("postscreen", "PREGREET %zd after %s from [%s]:%s: %.100s", n, postscreen_elapsed(session), CLIENT(session),
                str_text(&text));
    str_free(&text);
    session->done |= TEST_BIT(TEST_PREGREET);
    return postscreen_fail(session, TEST_PREGREET, "521 5.5.1 Protocol error", "550 5.5.1 Protocol error");
}

/* Says half a greeting and waits whether the client takes it for a whole one. True: the connection is to be dropped. */
static bool wait_for_pregreet(struct postscreen_session *session, struct fiber_fd *connection, struct dnsbl_score **score,
                              int64_t deadline)
{
    for (;;) {
        char byte;
        ssize_t n = recv(connection->fd, &byte, 1, MSG_PEEK);
        if (n >= 0 || (errno != EAGAIN && errno != EINTR))
            return take_pregreet(session, connection->fd);
        if (*score != NULL && dnsbl_is_complete(*score)) { /* an allow list may make waiting needless */
            dnsbl_finish(*score, session);
            *score = NULL;
            session->done |= TEST_BIT(TEST_DNSBL);
            pass_by_list(session);
            if ((session->done & TEST_BIT(TEST_PREGREET)) != 0)
                return false;
        }
        bool is_impatient = *score != NULL && postscreen.allow_threshold < 0;
        int64_t until = is_impatient && deadline_in_ms(SLICE_MS) < deadline ? deadline_in_ms(SLICE_MS) : deadline;
        enum wait_status status = fiber_wait_fd(connection, FIBER_READ, until);
        if (status == WAIT_CANCELLED) {
            session->is_gone = session->is_refused = true;
            return true;
        }
        if (status == WAIT_TIMEOUT && clock_ms() >= deadline)
            return false;
    }
}

static void conclude_pregreet(struct postscreen_session *session)
{
    unsigned bit = TEST_BIT(TEST_PREGREET);
    if ((session->todo & bit) != 0 && ((session->failed | session->done) & bit) == 0) {
        session->stamps->expires_s[TEST_PREGREET] = wall_us() / 1000000 + postscreen.ttl_s[TEST_PREGREET];
        session->passed |= bit;
    }
    if (postscreen.actions[TEST_PREGREET] == ACTION_IGNORE)
        session->failed &= ~bit; /* and asked again the next time */
}

/* True: the connection is to be dropped. */
static bool conclude_dnsbl(struct postscreen_session *session)
{
    if (session->score < postscreen.dnsbl_threshold) {
        session->stamps->expires_s[TEST_DNSBL] = wall_us() / 1000000 + session->dnsbl_ttl_s;
        session->passed |= TEST_BIT(TEST_DNSBL);
        return false;
    }
    log_info_as("postscreen", "DNSBL rank %d for [%s]:%s", session->score, CLIENT(session));
    const char *text = arena_printf(session->arena, "521 5.7.1 Service unavailable; client [%s] blocked using %s",
                                    session->peer->client_address, session->list_name);
    char *softer = arena_strdup(session->arena, text);
    memcpy(softer, "550", 3);
    bool is_dropped = postscreen_fail(session, TEST_DNSBL, text, softer);
    if (postscreen.actions[TEST_DNSBL] == ACTION_IGNORE)
        session->failed &= ~TEST_BIT(TEST_DNSBL);
    return is_dropped;
}

static bool send_teaser(struct postscreen_session *session, int fd)
{
    const char *text = arena_printf(session->arena, "220-%s\r\n", postscreen.teaser);
    size_t len = strlen(text);
    if (send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len)
        return true;
    postscreen_log_hangup(session);
    return false;
}

/* True: the connection is to be dropped. */
static bool run_early_tests(struct postscreen_session *session, struct fiber_fd *connection)
{
    int64_t deadline = deadline_in_s(postscreen.greet_wait_s[state.stressed]);
    struct dnsbl_score *score = NULL;
    bool drop = false;
    postscreen_begin_phase(session, "tests before SMTP handshake");
    if ((session->todo & TEST_BIT(TEST_PREGREET)) != 0 && !send_teaser(session, connection->fd))
        return true;
    if ((session->todo & TEST_BIT(TEST_DNSBL)) != 0)
        score = dnsbl_begin(session->peer->client_address);
    if ((session->todo & TEST_BIT(TEST_PREGREET)) != 0)
        drop = wait_for_pregreet(session, connection, &score, deadline);
    if (score != NULL) {
        if (!drop && !dnsbl_wait(score, deadline))
            log_debug("postscreen: lists answer too late for [%s]:%s", CLIENT(session));
        dnsbl_finish(score, session);
        pass_by_list(session);
    }
    if (drop)
        return true;
    conclude_pregreet(session);
    return (session->todo & TEST_BIT(TEST_DNSBL)) != 0 && conclude_dnsbl(session);
}

/* --- the decision -------------------------------------------------------------------------------------- */

static bool refuse(struct postscreen_session *session, const char *reply)
{
    session->is_refused = true;
    session->final_reply = reply;
    return true;
}

/* Too many at once. True: refused. */
static bool is_too_many(struct postscreen_session *session)
{
    if (postscreen.connection_limit <= 0 || session->client->sessions <= postscreen.connection_limit)
        return false;
    log_info_as("postscreen", "NOQUEUE: reject: CONNECT from [%s]:%s: too many connections", CLIENT(session));
    return refuse(session, "421 4.7.0 Error: too many connections");
}

/* Clients beyond smtpd_session_limit are postscreen(8)'s queue of those that wait for an SMTP server. True: refused. */
static bool is_queue_full(struct postscreen_session *session)
{
    if (smtpd.session_limit == 0 || smtpd.sessions < smtpd.session_limit + (size_t)postscreen.post_queue_limit)
        return false;
    log_info_as("postscreen", "NOQUEUE: reject: CONNECT from [%s]:%s: all server ports busy", CLIENT(session));
    return refuse(session, "421 4.3.2 All server ports are busy");
}

/* True: decided, one way or the other. */
static bool ask_permanent_lists(struct postscreen_session *session)
{
    switch (evaluate(session, postscreen.access_list.words, postscreen.access_list.count, 0)) {
    case ACL_PERMIT:
        log_info_as("postscreen", "%sLISTED [%s]:%s", postscreen.respectful ? "ALLOW" : "WHITE", CLIENT(session));
        return true;
    case ACL_REJECT:
        log_info_as("postscreen", "%sLISTED [%s]:%s", postscreen.respectful ? "DENY" : "BLACK", CLIENT(session));
        if (postscreen.deny_action == ACTION_DROP)
            return refuse(session, "521 5.3.2 Service currently unavailable");
        if (postscreen.deny_action == ACTION_ENFORCE) {
            session->is_denied = session->is_refused = true;
            session->rcpt_reply = "550 5.3.2 Service currently unavailable";
        }
        return false;
    case ACL_DUNNO:
        break;
    }
    return false;
}

static bool is_vetoed(struct postscreen_session *session)
{
    if (client_list_find(&postscreen.interfaces, NULL, session->peer->server_address, session->arena) == CLIENT_LIST_YES)
        return false;
    session->is_vetoed = session->is_refused = true;
    log_info_as("postscreen", "%sLIST VETO [%s]:%s", postscreen.respectful ? "ALLOW" : "WHITE", CLIENT(session));
    return true;
}

/* True: a dialogue with the server that says no must follow. */
static bool needs_dialogue(const struct postscreen_session *session)
{
    unsigned deep = session->todo & DEEP_TESTS;
    return session->is_refused || (session->passed & DEEP_TESTS) != deep;
}

/* Everything that can be told without a dialogue. True: the dialogue must follow. */
static bool screen(struct postscreen_session *session, struct fiber_fd *connection)
{
    if (is_too_many(session) || is_queue_full(session) || ask_permanent_lists(session))
        return false;
    if (recall(session)) {
        log_info_as("postscreen", "PASS OLD [%s]:%s", CLIENT(session));
        return false;
    }
    is_vetoed(session);
    if (postscreen.pre_queue_limit > 0 && state.sessions >= (size_t)postscreen.pre_queue_limit) {
        log_info_as("postscreen", "reject: connect from [%s]:%s: all screening ports busy", CLIENT(session));
        refuse(session, "421 4.3.2 All screening ports are busy");
        return false;
    }
    if ((session->todo & EARLY_TESTS) != 0 && run_early_tests(session, connection))
        return false;
    return needs_dialogue(session);
}

static void conclude(struct postscreen_session *session)
{
    if (postscreen_has_failed(session))
        session->passed = 0;
    if (session->passed != 0 && session->passed == session->todo)
        log_info_as("postscreen", "PASS %s [%s]:%s", session->is_new && session->client->new_passes++ == 0 ? "NEW" : "OLD",
                    CLIENT(session));
    remember(session);
}

static void say_no(struct postscreen_session *session, struct stream *stream)
{
    if (!session->is_gone && session->final_reply != NULL) {
        postscreen_put(session, stream, session->final_reply);
        if (stream_flush(stream, deadline_in_ms(0)) != IO_OK)
            session->is_gone = true; /* best effort, as it is no friend's */
    }
    log_info_as("postscreen", "DISCONNECT [%s]:%s", CLIENT(session));
}

bool postscreen_admits(int fd, const struct postscreen_peer *peer)
{
    struct postscreen_session session = {
        .peer = peer,
        .final_reply = "421 4.3.2 Service currently unavailable",
        .rcpt_reply = "450 4.3.2 Service currently unavailable",
        .arena = arena_new(),
    };
    struct fiber_fd connection;
    log_info_as("postscreen", "CONNECT from [%s]:%s to [%s]:%s", CLIENT(&session), peer->server_address, peer->server_port);
    session.client = client_begin(peer->client_address);
    session.stamps = &session.client->stamps;
    count_session(1);
    fiber_fd_init(&connection, fd);
    bool needs_talk = screen(&session, &connection);
    fiber_fd_detach(&connection);
    bool is_admitted = !needs_talk && !session.is_refused;
    struct stream stream;
    if (!is_admitted)
        stream_init(&stream, fd);
    if (needs_talk)
        postscreen_talk(&session, &stream);
    conclude(&session);
    if (!is_admitted) {
        say_no(&session, &stream);
        stream_close(&stream);
    }
    count_session(-1);
    client_end(session.client);
    arena_free(session.arena);
    return is_admitted;
}
