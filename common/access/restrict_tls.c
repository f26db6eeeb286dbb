/* SPDX-License-Identifier: ISC */
/*
 * restrict_tls: restrictions on encryption and on clients' certificates. A fingerprint that a table knows counts whether or
 * not a CA vouches for the certificate: the handshake has proved that the client has its key.
 */
#include "common/base/log.h"
#include "common/access/restrict.h"

enum verdict restrict_plaintext_session(struct evaluation *evaluation, const char *name UNUSED)
{
    if (evaluation->session->tls != NULL)
        return VERDICT_DUNNO;
    return restrict_reject(evaluation, smtpd.plaintext_code, "4.7.1", "Session encryption is required");
}

static const struct tls_peer *peer_with_certificate(struct evaluation *evaluation, const char *name)
{
    const struct smtp_session *session = evaluation->session;
    if (session->tls != NULL && session->tls->has_certificate)
        return session->tls;
    if (!session->server->tls_asks_certificate && (session->tls != NULL || strcmp(name, "check_ccert_access") == 0))
        log_warning("%s is requested, but \"smtpd_tls_ask_ccert = no\"", name);
    return NULL;
}

enum verdict restrict_permit_tls_clientcerts(struct evaluation *evaluation, const char *name)
{
    bool permits_all = text_equal_nocase(name, "permit_tls_all_clientcerts");
    const struct tls_peer *peer = peer_with_certificate(evaluation, permits_all ? "permit_tls_all_clientcerts" : "permit_tls_clientcerts");
    if (peer == NULL)
        return VERDICT_DUNNO;
    if (permits_all && peer->is_trusted)
        return VERDICT_PERMIT;
    const char *prints[2] = {peer->public_key_fingerprint, peer->fingerprint};
    for (size_t i = 0; i < 2 && *smtpd.relay_certificates != '\0'; i++) {
        struct table_answer answer;
        if (!lookup_find(smtpd.relay_certificates, KEY_EXACT, "relay_clientcerts", prints[i], evaluation->session->scratch, &answer) ||
            answer.status == TABLE_ERROR) {
            log_warning("relay_clientcerts: lookup error for fingerprint '%s', pkey fingerprint %s", prints[0], prints[1]);
            return restrict_lookup_failed(evaluation, restrict_subject(evaluation, evaluation->subject));
        }
        if (answer.status == TABLE_FOUND)
            return VERDICT_PERMIT;
    }
    return VERDICT_DUNNO;
}

/* --- check_ccert_access ------------------------------------------------------------------------------- */

enum { CERTIFICATE_PRINT = 1, PUBLIC_KEY_PRINT, ORDER_LIMIT = 4 };

struct ccert_search {
    const char *table;
    int order[ORDER_LIMIT];
    size_t count;
};

static bool parse_order(const char *text, struct ccert_search *search)
{
    struct slice rest = slice_of(text), word;
    while (slice_next_token(&rest, ", \t\r\n=", &word)) {
        int print = slice_equal_nocase(word, SLICE("cert_fingerprint")) ? CERTIFICATE_PRINT :
                    slice_equal_nocase(word, SLICE("pubkey_fingerprint")) ? PUBLIC_KEY_PRINT : 0;
        if (search->count == 0 && slice_equal_nocase(word, SLICE("search_order")))
            continue;
        if (print == 0 || search->count == ORDER_LIMIT) {
            log_warning("check_ccert_access: unexpected action '%.*s'", SLICE_ARGS(word));
            return false;
        }
        search->order[search->count++] = print;
    }
    return search->count > 0;
}

/* "type:name", or "type:name, { search_order = cert_fingerprint, pubkey_fingerprint }". */
static bool parse_search(struct evaluation *evaluation, const char *argument, struct ccert_search *search)
{
    char **items;
    size_t count = config_split_list(argument, evaluation->session->scratch, &items);
    *search = (struct ccert_search){.table = count > 0 ? items[0] : NULL};
    for (size_t i = 1; i < count; i++)
        if (!parse_order(items[i], search))
            return false;
    if (search->count == 0) {
        search->order[search->count++] = CERTIFICATE_PRINT;
        search->order[search->count++] = PUBLIC_KEY_PRINT;
    }
    return search->table != NULL && strchr(search->table, ':') != NULL;
}

enum verdict restrict_check_ccert_access(struct evaluation *evaluation, const char *name UNUSED)
{
    const char *argument = restrict_argument(evaluation);
    struct ccert_search search;
    enum verdict verdict = VERDICT_DUNNO;
    if (argument == NULL || !parse_search(evaluation, argument, &search)) {
        log_warning("restriction check_ccert_access: bad argument \"%s\": need maptype:mapname", argument != NULL ? argument : "check_ccert_access");
        return restrict_broken(evaluation);
    }
    const struct tls_peer *peer = peer_with_certificate(evaluation, "check_ccert_access");
    for (size_t i = 0; peer != NULL && i < search.count; i++) {
        const char *print = search.order[i] == CERTIFICATE_PRINT ? peer->fingerprint : peer->public_key_fingerprint;
        bool found = restrict_access_try(evaluation, search.table, KEY_EXACT, print, SUBJECT_CLIENT_CERTIFICATE, &verdict);
        if (found && verdict != VERDICT_DUNNO)
            return verdict;
    }
    return verdict;
}
