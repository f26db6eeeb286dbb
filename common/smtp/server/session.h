/* SPDX-License-Identifier: ISC */
/*
 * One SMTP session: the dialogue of RFC 5321 with PIPELINING, SIZE, 8BITMIME, ENHANCEDSTATUSCODES, DSN, SMTPUTF8
 * and CHUNKING, in Postfix's words. Runs on a fiber of its own; knows no policy (policy.h).
 * Idle sessions are many: this struct is small and holds no buffer between commands.
 */
#ifndef POSTHORN_SMTP_SERVER_SESSION_H
#define POSTHORN_SMTP_SERVER_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/stream.h"
#include "common/config/config.h"
#include "common/mail/envelope.h"
#include "common/sasl/sasl_mechanism.h"
#include "common/smtp/server/policy.h"
#include "common/tls/tls_peer.h"

enum smtp_verb_id {
    VERB_HELO, VERB_EHLO, VERB_XCLIENT, VERB_XFORWARD, VERB_STARTTLS, VERB_AUTH, VERB_MAIL, VERB_RCPT,
    VERB_DATA, VERB_BDAT, VERB_RSET, VERB_NOOP, VERB_VRFY, VERB_ETRN, VERB_QUIT, VERB_UNKNOWN, VERB_COUNT
};

enum ehlo_keyword {
    EHLO_PIPELINING = 1 << 0, EHLO_SIZE = 1 << 1, EHLO_VRFY = 1 << 2, EHLO_ETRN = 1 << 3,
    EHLO_STARTTLS = 1 << 4, EHLO_AUTH = 1 << 5, EHLO_ENHANCEDSTATUSCODES = 1 << 6, EHLO_8BITMIME = 1 << 7,
    EHLO_DSN = 1 << 8, EHLO_SMTPUTF8 = 1 << 9, EHLO_CHUNKING = 1 << 10, EHLO_XCLIENT = 1 << 11,
    EHLO_XFORWARD = 1 << 12, EHLO_SILENT_DISCARD = 1 << 13,
};

/* What all sessions of a service share: main.cf, read once. Times in seconds, sizes in bytes. */
struct smtp_limits { /* what $stress may change */
    int64_t timeout, hard_error_limit, junk_command_limit;
    bool per_request_deadline;
};

struct smtp_server {
    const struct smtp_server_policy *policy;
    const char *my_hostname, *mail_name, *banner;
    int64_t timeout;
    int64_t error_sleep;
    int64_t soft_error_limit, hard_error_limit, junk_command_limit;
    int64_t min_data_rate;     /* bytes a second */
    bool per_request_deadline; /* timeout is for a whole command and its reply, not for each read */
    struct smtp_limits calm, stressed;
    int64_t recipient_limit, recipient_overshoot_limit;
    int64_t line_length_limit;
    uint64_t message_size_limit; /* 0: none */
    int64_t hopcount_limit;
    int64_t bare_newline_reject_code;
    unsigned discard_ehlo; /* mask of enum ehlo_keyword */
    const char *discard_ehlo_maps; /* smtpd_discard_ehlo_keyword_address_maps */
    bool tls_offered, tls_enforced, tls_wrapper, tls_asks_certificate, tls_received_header;
    bool helo_required, strict_addresses, disable_vrfy, delay_reject, forbid_pipelining, use_utf8;
    bool complete_headers, allow_minus, replace_stray_cr;
    bool keep_originals; /* enable_original_recipient */
    bool detects_8bit;   /* detect_8bit_encoding_header */
    size_t header_size_limit;
    const char *undisclosed_recipients;
    bool is_filtered; /* the policy's: smtpd_proxy_filter */
    bool soft_bounce, open_late, hide_client, filters_replies, forbids_non_letters;
    const char *command_filter, *reject_footer, *reject_footer_maps, *reject_filter_maps;
    bool may_expand[256]; /* smtpd_expansion_filter */
    bool auth_enabled, auth_needs_tls;     /* smtpd_sasl_auth_enable; only inside TLS */
    bool auth_old_keyword, auth_in_header; /* broken_sasl_auth_clients, smtpd_sasl_authenticated_header */
    size_t auth_response_limit;
    bool log_client_port; /* smtpd_client_port_logging */
    unsigned notify_mask; /* notify_classes: transcript.h */
    size_t history_limit; /* smtpd_history_flush_threshold: lines */
    bool forbid_bare_newline, reject_bare_newline, note_bare_newline; /* smtpd_forbid_bare_newline: not "no"; "reject"; "note" */
    struct slice *drop_headers;
    size_t drop_header_count;
    char **noop_commands;
    size_t noop_command_count;
    char **forbidden_commands;
    size_t forbidden_command_count;
};

enum session_flags {
    SESSION_HANGUP = 1 << 0,         /* end after the present reply */
    SESSION_ESMTP = 1 << 1,
    SESSION_BAD_PIPELINING = 1 << 2, /* reported once */
    SESSION_IN_TRANSACTION = 1 << 3,
    SESSION_UTF8_WANTED = 1 << 4,    /* MAIL ... SMTPUTF8 */
    SESSION_8BITMIME = 1 << 5,
    SESSION_HOLD = 1 << 7,           /* the policy's: keep the message in hold/ */
    SESSION_DISCARD = 1 << 8,        /* the policy's: take the message and forget it */
    SESSION_HIDE_AUTH = 1 << 9,      /* the policy's: smtpd_sasl_exceptions_networks: EHLO does not offer it */
    SESSION_MAY_XCLIENT = 1 << 16,   /* the policy's: smtpd_authorized_xclient_hosts */
    SESSION_MAY_XFORWARD = 1 << 17,  /* the policy's: smtpd_authorized_xforward_hosts */
    SESSION_BEGINS_ANEW = 1 << 18,   /* after XCLIENT: greet again */
    SESSION_SCREENED = 1 << 19,      /* postscreen has looked at how it begins */
    SESSION_SENT_BARE_LF = 1 << 20,  /* smtpd_forbid_bare_newline = note: said at the end */
    SESSION_BARE_NEWLINE_OK = 1 << 6, /* the policy's: smtpd_forbid_bare_newline_exclusions */
};

/* Whose message a trusted filter brings back (XFORWARD): until the transaction ends. */
struct smtp_forward {
    char *name, *address, *port, *protocol; /* "unknown" when not said */
    char *helo, *ident;                     /* NULL when not said */
    char *client;                           /* "name[address]" */
    bool has_client;                        /* more than ident and domain was said */
    bool has_domain, is_local;              /* SOURCE=: whose header rewriting applies */
};

/* How far BDAT is: a failed chunk swallows what follows until LAST. */
enum bdat_state { BDAT_NONE, BDAT_RECEIVING, BDAT_FAILED };

struct content; /* content.h */

/* What the postmaster may want to read: transcript.h. */
struct smtp_transcript {
    struct str text; /* "In:  QUIT\nOut: 221 2.0.0 Bye\n" */
    size_t lines;
};

struct smtp_session {
    struct stream stream;
    const struct smtp_server *server;
    void *owner;         /* the policy's, for the whole session */
    void *transaction;   /* the policy's, in `arena`; NULL at the start of each */

    char *client_name;   /* "unknown" */
    char *client_address;
    char *client_port;
    char *client;        /* "name[address]", for logs and replies */
    char *server_address, *server_port; /* our end: ask smtp_session_server_address(), _port() */
    struct smtp_forward *forward; /* NULL: no XFORWARD */
    char *helo_name;     /* NULL before HELO; printable */
    char *sasl_method, *sasl_username, *sasl_sender; /* NULL: not logged in; sender: AUTH= of MAIL */
    const struct tls_peer *tls; /* NULL: plaintext */
    const char *reverse_name; /* the policy's; NULL: the same as client_name */
    const char *present_recipient; /* of the RCPT that runs; scratch memory */
    struct smtp_transcript *transcript; /* NULL: nothing kept */
    struct slice command_line; /* the present one, in scratch memory, when transcripts may be wanted */
    const char *end_reason; /* "timeout"; NULL: it ended as it should */
    uint8_t faults, blame; /* enum smtp_fault: of refusals so far, of the next one (0: the protocol's) */
    char *denied;        /* the reply that refused this client, or NULL */
    struct arena *scratch; /* one command's memory */

    const char *where;   /* the last command, for the log */
    unsigned flags;      /* enum session_flags */
    unsigned ehlo_mask;  /* keywords not offered to this client */
    enum bdat_state bdat;
    uint32_t error_count, junk_count;
    uint32_t fills;      /* of the input buffer */
    int64_t budget_ms;   /* smtpd_per_request_deadline: what is left for this command */
    uint32_t commands[VERB_COUNT], succeeded[VERB_COUNT];

    /* The transaction. */
    struct arena *arena; /* NULL between transactions */
    char *sender;        /* internal form; NULL outside */
    int64_t arrival_us;
    char *dsn_envelope_id;
    uint8_t dsn_return;
    uint64_t announced_size;
    struct recipient *recipients;
    size_t recipient_count, recipient_room;
    uint32_t *recipient_index; /* cmd_rcpt.c: finds duplicates */
    char *only_recipient; /* the one accepted RCPT, internal form; NULL with several */
    uint32_t accepted_count, overshoot_count;
    char queue_id[QUEUE_ID_SIZE]; /* "" before the first accepted recipient */
    uint32_t serial;
    char *content_filter;         /* the policy's: transport:nexthop, or NULL */
    void *filter;                 /* the policy's: where the message goes instead of the queue; NULL: not begun */
    char *mail_command;           /* MAIL as the client said it, for that filter */
    char *prepended;              /* headers that a restriction put in front, each with its LF; or NULL */
    struct content *content;      /* while DATA or BDAT runs */
    void *checker;                /* the policy's content checks; NULL: none for this message */
    char *final_sender;           /* the policy's: the sender after address rewriting; NULL: as the client said */
    const char *final_recipient;  /* the last accepted one, after canonical_maps */
};

/* Fills the settings from main.cf; text is borrowed from the configuration, arrays from the arena. */
void smtp_server_configure(struct smtp_server *server, const struct config *config, struct arena *arena);

/* message_drop_headers of that configuration. */
void smtp_server_drop_headers(struct smtp_server *server, const struct config *config, struct arena *arena);
/* Many clients are there: from now on (no longer) the limits that main.cf has for $stress. */
void smtp_server_set_stress(struct smtp_server *server, bool is_stressed);

/* EHLO keywords by name to a mask of enum ehlo_keyword; unknown ones are warned of, unless parameter is NULL. */
unsigned smtp_ehlo_mask(const char *list, const char *parameter);

/* A session that has not begun. Takes over fd; the texts are copied; owner is the policy's. What is known of the client
 * beforehand (a login, an encrypted transport) may be set before it runs. */
struct smtp_session *smtp_session_new(const struct smtp_server *server, int fd, const char *client_name,
                                      const char *client_address, const char *client_port, void *owner);
/* Runs it on the present fiber, from "connect from" to "disconnect from", and frees it. */
void smtp_session_run(struct smtp_session *session);

/* Another client from now on (XCLIENT, PROXY header); the texts are copied. */
void smtp_session_set_client(struct smtp_session *session, const char *name, const char *address, const char *port);
void smtp_session_set_server(struct smtp_session *session, const char *address, const char *port);
/* Our end of a connection as text; "unknown" when it is no Internet socket. */
#define SMTP_ADDRESS_SIZE 46
#define SMTP_PORT_SIZE 8
void smtp_local_endpoint(int fd, char address[SMTP_ADDRESS_SIZE], char port[SMTP_PORT_SIZE]);
/* The address and port of ours that the client talks to; "unknown" when it came through no Internet socket. */
const char *smtp_session_server_address(struct smtp_session *session);
const char *smtp_session_server_port(struct smtp_session *session);

/* What a table says, by the policy; NULL: nothing, or it failed, which has been logged. In scratch memory. */
const char *smtp_session_find(struct smtp_session *session, const char *maps, const char *parameter, const char *key);

/* Counts an event of this client's: NULL, or the reply to refuse it with, which lives until the end of the command. */
const char *smtp_session_count(struct smtp_session *session, enum smtp_event event);

/* Bytes that the client said it is: "SMTP", "ESMTP", "UTF8SMTP". */
const char *smtp_session_protocol(const struct smtp_session *session);
/* As the client wrote it, of the first accepted RCPT; NULL before: for logs of what is not about one recipient. */
const char *smtp_session_first_recipient(const struct smtp_session *session);
/* The sender that goes into the envelope. */
char *smtp_session_sender(const struct smtp_session *session);
/* The queue id, or "NOQUEUE". */
const char *smtp_session_id(const struct smtp_session *session);

/* Ends the transaction: sender, recipients, content and everything the policy knows of it. */
void smtp_session_reset(struct smtp_session *session);

/* --- between the files of this folder ------------------------------------------------------- */

/* One command line, cut at blanks. "<...>" , quotes and parentheses keep blanks together. */
struct smtp_token {
    char *text;      /* NUL-terminated */
    size_t len;      /* the text may hold NUL bytes: a stranger sent it */
    bool is_broken;  /* a quote or bracket was not closed, or there is a NUL */
};
struct smtp_command {
    struct smtp_token *tokens;
    size_t count;
    struct slice line; /* as it came */
};
/* Pure; fuzzed. Memory from the arena. */
void smtp_command_parse(struct slice line, struct arena *arena, struct smtp_command *command);
struct slice smtp_token_slice(const struct smtp_token *token);
/* Tokens with one blank between them, from number `from` up to before `end`. In scratch memory. */
const char *smtp_command_join(struct smtp_session *session, const struct smtp_command *command, size_t from, size_t end);
bool smtp_token_is(const struct smtp_token *token, const char *word); /* without case */
/* Is the word in a list of words and tables? */
bool smtp_command_is_in(struct smtp_session *session, const struct smtp_token *token, char *const *list, size_t count,
                        const char *parameter);
/* UTF-8 as RFC 3629 defines it. */
bool text_is_utf8(struct slice text);

/* Verbs: true when the command succeeded. */
typedef bool smtp_verb_run(struct smtp_session *session, const struct smtp_command *command);
smtp_verb_run smtp_cmd_helo, smtp_cmd_ehlo, smtp_cmd_mail, smtp_cmd_rcpt, smtp_cmd_data, smtp_cmd_bdat, smtp_cmd_rset,
    smtp_cmd_noop, smtp_cmd_vrfy, smtp_cmd_etrn, smtp_cmd_quit, smtp_cmd_starttls, smtp_cmd_auth,
    smtp_cmd_xclient, smtp_cmd_xforward;
/* HTTP, a mail header, TLS bytes in place of a command: true when that was all, and has been said. */
bool smtp_session_ends_for_foreigner(struct smtp_session *session, const struct smtp_command *command);

/* Lines for Received, as struct received_line wants them; NULL: none. Scratch memory. */
const char *smtp_session_encryption_trace(struct smtp_session *session);
/* The handshake, and what follows from it. False: the session is over. */
bool smtp_session_start_tls(struct smtp_session *session);
/* smtpd_tls_wrappermode: before the greeting. The same result. */
bool smtp_session_begin_wrapped(struct smtp_session *session);

/* Gives the message its queue id and logs "client="; NULL or the reply when the queue gives none. */
const char *smtp_session_name_message(struct smtp_session *session);
/* What XFORWARD said, made when there is none yet; describe after changes of name, address or port. */
struct smtp_forward *smtp_forward_begin(struct smtp_session *session);
void smtp_forward_describe(struct smtp_session *session);
void smtp_forward_end(struct smtp_session *session);

/* Is AUTH there for this client now: with smtpd_tls_auth_only inside TLS only? */
bool smtp_session_may_auth(const struct smtp_session *session);
/* How much of a client's bytes may be shown in a log: not what follows AUTH and its mechanism. */
size_t smtp_loggable_length(struct slice text);

/* Puts one reply line; errors slow the client down and 421 and 521 end the session. */
void smtp_reply(struct smtp_session *session, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A reply that may have lines, '\n' between them. */
void smtp_reply_text(struct smtp_session *session, const char *text);
/* The same, and returns false: `return smtp_refuse(...)`. */
bool smtp_refuse(struct smtp_session *session, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Puts lines of ours, each with its CRLF. */
void smtp_reply_lines(struct smtp_session *session, struct slice lines);
/* A line, or a message, had a bare LF. */
void smtp_session_note_bare_lf(struct smtp_session *session);
/* True when this line or message is to be refused for a bare LF in it. */
bool smtp_session_refuses_bare_lf(const struct smtp_session *session);
/* " from=<> to=<> proto=SMTP helo=<>": the tail of reject lines. recipient may be NULL. */
const char *smtp_session_log_tail(struct smtp_session *session, const char *sender, const char *recipient);
/* "to=" and "from=" in external form, from scratch memory. */
const char *smtp_session_external(struct smtp_session *session, const char *address);

/* The connection is gone or too slow: logs and ends the session. */
void smtp_session_lost(struct smtp_session *session, enum io_status status, bool with_bytes, uint64_t bytes);
int64_t smtp_session_deadline(const struct smtp_session *session);
/* Waits until more input is buffered, flushing replies first. False: the session is over. */
bool smtp_session_fill(struct smtp_session *session, uint64_t content_bytes);
/* Waits for one line and throws it away. The same result. */
bool smtp_session_skip_line(struct smtp_session *session);

#endif
