/* SPDX-License-Identifier: ISC */
/*
 * The access policy of a service that takes mail in (SMTPD_ACCESS): its settings, one client's state, the peers it asks.
 * Used by smtpd, submission and whoever wants to know what they would say.
 */
#ifndef POSTHORN_ACCESS_ACCESS_H
#define POSTHORN_ACCESS_ACCESS_H

#include <stdbool.h>

#include "common/dns/dns_protocol.h"
#include "common/dns/spf_protocol.h"
#include "common/mail/cleanup_protocol.h"
#include "common/mail/lookup_protocol.h"
#include "common/smtp/server/session.h"
#include "common/access/client_list.h"

enum restrict_stage {
    STAGE_CLIENT, STAGE_HELO, STAGE_SENDER, STAGE_RELAY, STAGE_RECIPIENT, STAGE_DATA, STAGE_END_OF_DATA, STAGE_ETRN,
    STAGE_COUNT,
    SUBJECT_REVERSE_CLIENT = STAGE_COUNT, /* no stage: what a refusal is about */
    SUBJECT_SASL_LOGIN,
    SUBJECT_CLIENT_CERTIFICATE,
    SUBJECT_COUNT
};

/* A restriction list or class: its words, with tables as "type:name". */
struct restrict_list {
    const char *name; /* the parameter or class */
    char **words;
    size_t count;
    const struct restriction **restrictions; /* of each word, NULL: it is none; not there for lists that tables give */
};

/* unverified_sender_*, unverified_recipient_* */
struct unverified_settings {
    int64_t reject_code, defer_code;
    const char *reason;   /* "": the server's own words */
    bool tempfail_defers; /* *_tempfail_action = defer: at once */
};

/* This service's policy, read once. */
struct smtpd_settings {
    struct smtp_server server;
    struct restrict_list lists[STAGE_COUNT];
    struct restrict_list *classes;
    size_t class_count;
    struct restrict_list logged_permits; /* smtpd_log_access_permit_actions */
    struct client_list mynetworks, own_addresses, proxy_addresses, mx_backup_networks, limit_exceptions, bare_newline_exclusions, policy_trace;
    struct client_list xclient_hosts, xforward_hosts;
    const char *service;
    size_t session_limit, sessions; /* smtpd_session_limit, 0: none; those past postscreen */
    size_t spool_limit; /* spool files that may be open at once */
    int64_t reject_code, defer_code, relay_reject_code, access_reject_code, access_defer_code;
    int64_t invalid_name_code, non_fqdn_code, multi_recipient_bounce_code;
    int64_t unknown_codes[CLASS_DEFAULT]; /* by enum address_class */
    bool knows_no_users[CLASS_DEFAULT];   /* "-o local_recipient_maps=": whoever it is, this service takes it */
    int64_t plaintext_code;
    const char *relay_certificates; /* relay_clientcerts */
    int64_t unknown_client_code, unknown_hostname_code, unknown_address_code, rbl_code;
    bool unknown_helo_defers, unknown_address_defers; /* *_tempfail_action = defer: at once */
    const char *rbl_reply_maps, *default_rbl_reply;
    const char *dns_reply_filter;  /* "": none */
    char **maps_rbl_domains;
    size_t maps_rbl_domain_count;
    bool uses_ipv4, uses_ipv6; /* inet_protocols */
    struct unverified_settings unverified_sender, unverified_recipient;
    const char *null_access_key;
    const char *stress;
    bool relay_first, reject_unlisted_recipient, reject_unlisted_sender, soft_bounce, show_unknown_table;
    bool trusts_routing;
    unsigned address_flags;      /* enum address_question_flags: of every ADDRESS about a recipient */
    const char *address_profile; /* the cleanup service whose tables count, "" for main.cf's; NULL: likewise */
    bool looks_up_names;
    bool behind_postscreen;
    bool behind_proxy;     /* smtpd_upstream_proxy_protocol = haproxy */
    int64_t proxy_timeout; /* seconds */
    bool from_login_check;  /* smtpd_from_login_check */
    const char *sender_login_maps;
};
extern struct smtpd_settings smtpd;

/* Reads main.cf; fatal when nothing protects relaying. With the rights of the caller (role->open). */
void smtpd_configure(const struct config *config, const char *service);
/* Finds the name of a client and how sure it is; waits for the resolver. Takes memory that client_name_forget() frees. */
struct smtpd_client;
struct rate_client;
void client_name_lookup(struct smtpd_client *client, const char *address);
void client_name_forget(struct smtpd_client *client);
/* Reads the loopback names from the hosts file, while it can be seen. */
void client_name_open(void);

/*
 * What an imagined client (posthorn explain) is told instead of asking others: it counts nowhere and leaves no trace. Texts
 * belong to whoever imagines.
 */
struct supposed_address {
    const char *address; /* NULL: none */
    uint8_t status;      /* enum verify_status */
    const char *text;
};
struct supposition {
    const char *policy_action; /* of every policy service; NULL: they are really asked */
    struct supposed_address sender, recipient; /* what address verification knows */
};

/* One connection's policy state: session->owner. */
struct smtpd_client {
    bool is_mynetworks, is_own;
    bool is_known;                       /* on_connect has run */
    const struct supposition *supposed; /* NULL: a real client */
    bool holds_policy; /* the transaction keeps connections to policy services */
    uint8_t name_status, reverse_status; /* enum peername_status */
    char *name, *reverse_name;           /* "unknown" when there is none, or it is not believed */
    struct rate_client *rate;            /* counters of its network; NULL: not counted */
    char *deferred[STAGE_SENDER + 1]; /* smtpd_delay_reject = no: what client, helo and sender lists put off */
};

/* One transaction's: session->transaction, in session->arena. */
struct smtpd_transaction {
    char *redirect;
    char **bcc;
    size_t bcc_count;
    const struct spf_answer *spf; /* NULL: not asked yet */
    struct access_memory *access_memory; /* access_memory.c: what tables said of client, HELO and sender */
    struct from_addresses *from; /* smtpd_from_login_check: what the header says; NULL: not asked */
    bool is_charged;      /* the message counts for its login: login_limit.c */
    unsigned spool_queue; /* which queue process gave the spool file */
};
struct smtpd_transaction *smtpd_transaction(struct smtp_session *session);

/* --- peers: false means "cannot say now", and has been logged ------------------------------- */
bool lookup_find(const char *maps, enum table_key_kind kind, const char *parameter, const char *key,
                 struct arena *arena, struct table_answer *answer) MUST_CHECK;
/* Several questions in one round trip; all are answered or none. */
bool lookup_find_many(const struct table_question *questions, size_t count, struct arena *arena, struct table_answer *answers) MUST_CHECK;
/* Many lines for content checks; the addresses of a message. The question is freed. */
bool lookup_check(struct str *question, struct arena *arena, struct check_answer *answer) MUST_CHECK;
bool lookup_rewrite(const struct rewrite_question *question, struct arena *arena, struct rewrite_answer *answer) MUST_CHECK;
bool lookup_address(const char *address, bool expand, struct arena *arena, struct address_answer *answer) MUST_CHECK;

/* A connected, non-blocking descriptor to an endpoint that the configuration names ("unix:path", "inet:host:port").
 * -1: *error says why. */
int lookup_connect(const char *endpoint, int64_t timeout_ms, struct arena *arena, const char **error) MUST_CHECK;

/* Never fail: at worst DNS_TEMPORARY or PEERNAME_TEMPORARY. Memory from the arena. */
void resolver_query(const char *name, enum dns_type type, struct arena *arena, struct dns_answer *answer);
/* Past smtpd_dns_reply_filter: what Postfix asks of the C library. */
void resolver_query_unfiltered(const char *name, enum dns_type type, struct arena *arena, struct dns_answer *answer);
void resolver_peername(const char *address, struct arena *arena, struct dns_peername *peer);
/* At worst SPF_TEMPERROR. */
void resolver_spf(const struct spf_question *question, struct arena *arena, struct spf_answer *answer);

#endif
