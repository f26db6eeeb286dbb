/* SPDX-License-Identifier: ISC */
/* What the files of postscreen share: its settings, one client's state. */
#ifndef POSTHORN_SERVICE_POSTSCREEN_INTERNAL_H
#define POSTHORN_SERVICE_POSTSCREEN_INTERNAL_H

#include "common/access/access.h"
#include "common/base/stream.h"
#include "common/service/postscreen.h"
#include "common/service/postscreen_tests.h"

enum postscreen_action { ACTION_IGNORE, ACTION_ENFORCE, ACTION_DROP };

struct postscreen_settings {
    bool enabled, behind_proxy, disable_vrfy, hides_vrfy, helo_required, respectful, soft_bounce, offers_tls, demands_tls;
    unsigned tests;                              /* those that are enabled */
    enum postscreen_action actions[TEST_COUNT], deny_action;
    int64_t ttl_s[TEST_COUNT], dnsbl_min_ttl_s, dnsbl_max_ttl_s, retention_s;
    int64_t greet_wait_s[2], command_time_s[2];  /* calm, under stress */
    int64_t dnsbl_timeout_s, proxy_timeout_s;
    int64_t dnsbl_threshold, allow_threshold;
    int64_t connection_limit, pre_queue_limit, post_queue_limit, command_count_limit, line_limit;
    const char *teaser, *greeting, *my_hostname, *dnsbl_reply_map, *cache_map, *command_filter, *ehlo_maps, *forbidden_commands;
    const char *reject_footer, *reject_footer_maps;
    struct restrict_list access_list;
    struct client_list interfaces;               /* postscreen_allowlist_interfaces */
    struct postscreen_site *sites;
    size_t site_count;
    unsigned ehlo_mask;
    uint64_t message_size_limit;
    bool use_utf8;
    unsigned delay_resolution;
    bool may_expand[256];                        /* postscreen_expansion_filter */
};
extern struct postscreen_settings postscreen;

/* What all sessions of one address share while one of them is here. */
struct postscreen_client;
unsigned postscreen_client_sessions(const struct postscreen_client *client);

struct postscreen_session {
    const struct postscreen_peer *peer;
    struct postscreen_client *client;
    struct postscreen_stamps *stamps;    /* the client's */
    unsigned todo, passed, failed, done; /* of enum postscreen_test */
    bool is_new, is_denied, is_vetoed, is_refused /* not for the SMTP server */, is_gone, hangs_up;
    const char *final_reply, *rcpt_reply;
    const char *phase;
    int64_t phase_us;                    /* wall clock of its beginning */
    struct arena *arena;
    /* the DNS lists */
    int score;
    const char *list_name;
    int64_t dnsbl_ttl_s;
};

bool postscreen_is_stressed(void);
void postscreen_begin_phase(struct postscreen_session *session, const char *phase);
/* "0.12": since the phase began. */
const char *postscreen_elapsed(struct postscreen_session *session);
/* HANGUP: the client is gone. */
void postscreen_log_hangup(struct postscreen_session *session);
bool postscreen_has_failed(const struct postscreen_session *session);

/* Marks a test as failed and applies its action. True: the connection is to be dropped now. */
bool postscreen_fail(struct postscreen_session *session, enum postscreen_test test, const char *drop_reply,
                     const char *enforce_reply);

/* --- DNS lists ------------------------------------------------------------------------------------ */
struct dnsbl_score;
/* Asks all lists at once; the answers come on fibers of their own. */
struct dnsbl_score *dnsbl_begin(const char *address);
/* Waits until all have answered. False: the deadline came first; what is known counts. */
bool dnsbl_wait(struct dnsbl_score *score, int64_t deadline);
bool dnsbl_is_complete(const struct dnsbl_score *score);
/* Takes the sum into the session. The score is not the caller's afterwards. */
void dnsbl_finish(struct dnsbl_score *score, struct postscreen_session *session);

/* --- the SMTP server that says no --------------------------------------------------------------------- */
/* Talks to a client that may not pass now, or has tests to take that need a dialogue. Closes the stream. */
void postscreen_talk(struct postscreen_session *session, struct stream *stream);
/* One reply with its footer; text without CRLF. */
void postscreen_put(struct postscreen_session *session, struct stream *stream, const char *text);

#endif
