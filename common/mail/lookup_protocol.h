/* SPDX-License-Identifier: ISC */
/*
 * Records between every role and lookup, the one process that opens tables and databases, knows the
 * address classes of ADDRESS_CLASS and VIRTUAL, and connects to configured sockets for roles that may not.
 * Each question is one round trip: a RCPT command costs one, a routed message one.
 */
#ifndef POSTHORN_MAIL_LOOKUP_PROTOCOL_H
#define POSTHORN_MAIL_LOOKUP_PROTOCOL_H

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/mail/envelope.h"
#include "common/process/ipc_codec.h"

enum lookup_record {
    LOOKUP_FIND = 1,    /* request {struct table_question}  -> {struct table_answer} */
    LOOKUP_ADDRESS = 2, /* request {u8 flags, text address, text profile} -> {struct address_answer} */
    LOOKUP_ROUTE = 3,   /* request {text sender, u32 n, n * text address} -> {n * struct route} */
    LOOKUP_ROUTE_PROBE = 5, /* the same as ROUTE for address probes (address_verify_transport_maps and its like) */
    LOOKUP_FIND_MANY = 6, /* request {u32 n, n * struct table_question} -> {n * struct table_answer} */
    LOOKUP_CONNECT = 4, /* request {text endpoint, u32 timeout_ms} -> {u8 ok, text peer_name, text peer_address, text error} [+ fd] */
    LOOKUP_CHECK = 8,   /* content checks: cleanup_protocol.h */
    LOOKUP_REWRITE = 9, /* addresses of a message: cleanup_protocol.h */
};

/* --- one key in one list of tables ------------------------------------------------- */

enum table_status {
    TABLE_FOUND = 0,
    TABLE_NOT_FOUND = 1,
    TABLE_ERROR = 2, /* cannot say: broken table, database down. Always a 4xx, never "not found". */
};

/* How the key is varied until something is found. */
enum table_key_kind {
    KEY_EXACT = 0,     /* as it is (tables fold case themselves) */
    KEY_ADDRESS = 1,   /* user+ext@domain, user@domain, user+ext, user, @domain: virtual(5), canonical(5) */
    KEY_DOMAIN = 2,    /* a.b.c, then parents as parent_domain_matches_subdomains says: access(5) */
    KEY_ADDRESS_ACCESS = 3, /* address, domain, parents, user@: access(5) */
    KEY_NETWORK = 4,   /* 1.2.3.4, 1.2.3, 1.2, 1; IPv6 likewise: access(5) */
};

struct table_question {
    char *maps;     /* the parameter's evaluated value: "hash:/etc/a, pgsql:/etc/b.cf" */
    uint8_t kind;   /* enum table_key_kind */
    char *parameter;/* which parameter asks, for warnings and match rules: "virtual_mailbox_maps" */
    char *key;
};

struct table_answer {
    uint8_t status;  /* enum table_status */
    char *value;     /* when found; otherwise "" */
    char *table;     /* "hash:/etc/a": which one answered or failed; "" when none did */
};

void table_question_encode(const struct table_question *question, struct str *out);
bool table_question_decode(struct slice body, struct arena *arena, struct table_question *question) MUST_CHECK;
void table_answer_encode(const struct table_answer *answer, struct str *out);
bool table_answer_decode(struct slice body, struct arena *arena, struct table_answer *answer) MUST_CHECK;
/* Of FIND_MANY. */
void table_questions_encode(const struct table_question *questions, size_t count, struct str *out);
bool table_questions_decode(struct slice body, struct arena *arena, struct table_question **questions, size_t *count) MUST_CHECK;
bool table_answers_decode(struct slice body, struct arena *arena, struct table_answer *answers, size_t count) MUST_CHECK;

/* --- one recipient (or sender) address: class, existence, expansion -------------------- */

enum address_class {
    CLASS_LOCAL = 0,           /* mydestination, inet_interfaces, proxy_interfaces */
    CLASS_VIRTUAL_ALIAS = 1,   /* virtual_alias_domains */
    CLASS_VIRTUAL_MAILBOX = 2, /* virtual_mailbox_domains */
    CLASS_RELAY = 3,           /* relay_domains */
    CLASS_DEFAULT = 4,         /* anything else: needs permission to relay */
};

enum address_validity {
    ADDRESS_VALID = 0,
    ADDRESS_UNKNOWN = 1, /* "User unknown in <table>": only for classes that have a recipient table */
    ADDRESS_ERROR = 2,   /* a table failed: 451 4.3.0 */
};

enum address_question_flags {
    ADDRESS_EXPAND = 1,    /* also canonical_maps, masquerading and virtual_alias_maps, recursively */
    ADDRESS_NO_MAPS = 2,   /* receive_override_options = no_address_mappings: none of them */
    ADDRESS_COPIES = 4,    /* also recipient_bcc_maps */
    ADDRESS_IS_SENDER = 8, /* sender_canonical_maps say that it exists, too */
};

struct address_answer {
    uint8_t address_class;  /* enum address_class */
    uint8_t validity;       /* enum address_validity */
    char *address;          /* rewritten: domain appended, percent hack and source route removed as configured */
    char *unknown_in;       /* "virtual mailbox table", "local recipient table", ... for the 550 text */
    char *failed_table;     /* with ADDRESS_ERROR: "pgsql:/etc/postfix/x.cf" */
    char *transport, *next_hop;
    /* With ADDRESS_EXPAND: the addresses that virtual_alias_maps make of it (at least one: itself). */
    char **expanded;
    size_t expanded_count;
    bool expansion_failed;  /* a table failed or a limit was exceeded, expansion_reason says which */
    char *canonical;        /* what was expanded: the address after canonical_maps */
    struct recipient *copies; /* with ADDRESS_COPIES: recipient_bcc_maps, aliases expanded */
    size_t copy_count;
    char *expansion_reason; /* the 451's enhanced status and text: "4.6.0 Alias expansion error" */
    bool routed;            /* user%other@domain, a!b@domain: relaying it needs allow_untrusted_routing */
    bool bad_syntax;        /* no valid domain: 5.1.3 */
};

void address_answer_encode(const struct address_answer *answer, struct str *out);
bool address_answer_decode(struct slice body, struct arena *arena, struct address_answer *answer) MUST_CHECK;

/* --- where each recipient of a message goes -------------------------------------------- */

struct route {
    uint8_t status;      /* enum table_status: TABLE_ERROR defers */
    char *transport;     /* a master.cf service name: "lmtp", "virtual", "error" */
    char *next_hop;      /* "unix:private/dovecot-lmtp", "[mx.example]:25", "example.com" */
    char *address;       /* rewritten recipient */
    char *reason;        /* with TABLE_ERROR */
};

void route_question_encode(const char *sender, const char *const *addresses, size_t count, struct str *out);
bool route_question_decode(struct slice body, struct arena *arena, char **sender, char ***addresses,
                           size_t *count) MUST_CHECK;
void route_encode(const struct route *route, struct str *out); /* repeated count times */
bool route_answer_decode(struct slice body, struct arena *arena, struct route **routes, size_t *count) MUST_CHECK;

#endif
