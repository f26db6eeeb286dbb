/* SPDX-License-Identifier: ISC */
/*
 * auth_client: the service's questions to auth, for the AUTH verb. Called on the session's fiber, waits for the answer. An
 * auth process that is down or slow is "cannot say now" (454), logged here. A step is asked once: what crashed auth is not
 * said to its successor.
 */
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/service/service.h"
#include "common/tls/server.h"

#define WAIT_FOR_AUTH 10   /* seconds until a restarted auth process serves */
#define ANSWER_SLACK 5     /* seconds that an answer may take beyond auth's own limit */

/* This service's login settings, read once. */
static struct {
    enum sasl_type type;
    const char *path, *config_path, *service, *realm, *host_name;
    uint32_t properties, tls_properties;
    struct client_list exceptions, filter;
    int64_t timeout;
} settings;

static uint32_t read_properties(const struct config *config, const char *parameter)
{
    uint32_t mask;
    struct slice bad;
    if (!sasl_properties_parse(config_string(config, parameter), &mask, &bad))
        log_fatal("%s: unknown SASL security option: %.*s", parameter, SLICE_ARGS(bad));
    return mask;
}

void auth_client_configure(const struct config *config)
{
    static struct arena *arena; /* lives as long as the process */
    const char *type = config_string(config, "smtpd_sasl_type");
    if (!config_bool(config, "smtpd_sasl_auth_enable"))
        return;
    arena = arena_new();
    if (strcmp(type, "dovecot") != 0 && strcmp(type, "cyrus") != 0)
        log_fatal("unsupported SASL server implementation: %s", type);
    settings.type = strcmp(type, "dovecot") == 0 ? SASL_DOVECOT : SASL_CYRUS;
    settings.path = config_string(config, "smtpd_sasl_path");
    settings.config_path = config_string(config, "cyrus_sasl_config_path");
    settings.service = config_string(config, "smtpd_sasl_service");
    settings.realm = config_string(config, "smtpd_sasl_local_domain");
    settings.host_name = config_string(config, "myhostname");
    settings.properties = read_properties(config, "smtpd_sasl_security_options");
    settings.tls_properties = read_properties(config, "smtpd_sasl_tls_security_options");
    settings.timeout = config_seconds(config, "auth_timeout");
    client_list_parse(&settings.exceptions, "smtpd_sasl_exceptions_networks",
                      config_string(config, "smtpd_sasl_exceptions_networks"), arena);
    client_list_parse(&settings.filter, "smtpd_sasl_mechanism_filter",
                      config_string(config, "smtpd_sasl_mechanism_filter"), arena);
}

bool auth_client_is_exception(struct smtp_session *session)
{
    return client_list_find(&settings.exceptions, session->client_name, session->client_address, session->scratch) ==
           CLIENT_LIST_YES;
}

/* --- one question -------------------------------------------------------------------------------------- */

static void cannot_say(struct sasl_answer *answer, const char *reason, struct arena *arena)
{
    *answer = (struct sasl_answer){SASL_UNAVAILABLE, 0, arena_strdup(arena, reason), arena_strdup(arena, "")};
}

/* body holds a password: it is wiped. */
static void ask(struct smtp_session *session, enum sasl_record type, struct str *body, struct sasl_answer *answer)
{
    struct str reply = STR_EMPTY;
    enum ipc_status status = IPC_LOST;
    struct ipc_channel *channel = role_wait_peer(ROLE_AUTH, NULL, deadline_in_s(WAIT_FOR_AUTH));
    if (channel != NULL)
        status = ipc_call(channel, (uint16_t)type, str_slice(body), -1, &reply, NULL,
                          deadline_in_s(settings.timeout + ANSWER_SLACK));
    mem_wipe(body->data, body->cap);
    str_free(body);
    if (status == IPC_OK) {
        if (!sasl_answer_decode(str_slice(&reply), session->scratch, answer))
            log_fatal("auth: malformed answer");
    } else {
        log_warning("auth service: %s", status == IPC_TIMEOUT ? "no answer in time" : status == IPC_CANCELLED ?
                    "cancelled" : "connection lost");
        cannot_say(answer, "Connection lost to authentication server", session->scratch);
    }
    str_free(&reply);
}

static void put_client(struct smtp_session *session, struct str *body)
{
    const struct tls_peer *tls = session->tls;
    struct sasl_client client = {
        .type = (uint8_t)settings.type,
        .path = (char *)settings.path,
        .config_path = (char *)settings.config_path,
        .service = (char *)settings.service,
        .realm = (char *)settings.realm,
        .host_name = (char *)settings.host_name,
        .properties = tls != NULL ? settings.tls_properties : settings.properties,
        .client_address = session->client_address,
        .client_port = session->client_port,
        .server_address = (char *)smtp_session_server_address(session),
        .server_port = (char *)smtp_session_server_port(session),
        .is_encrypted = tls != NULL,
        .cipher_bits = tls != NULL ? (uint32_t)tls->cipher_bits_used : 0,
        .certificate_name = tls != NULL && tls->has_certificate && tls->is_trusted ? (char *)tls->subject : NULL,
    };
    unsigned char binding[TLS_BINDING_SIZE];
    const char *binding_type = NULL;
    if (tls != NULL && settings.type == SASL_CYRUS) /* Dovecot's protocol has no place for it */
        client.binding = slice_range((const char *)binding,
                                     tls_server_channel_binding(&session->stream, &binding_type, binding));
    client.binding_type = (char *)binding_type;
    sasl_client_encode(&client, body);
}

/* --- what may be offered ---------------------------------------------------------------------------------- */

static bool is_filtered(struct smtp_session *session, const char *mechanism)
{
    return settings.filter.count > 0 &&
           client_list_find(&settings.filter, mechanism, "", session->scratch) != CLIENT_LIST_YES;
}

const char *auth_client_mechanisms(struct smtp_session *session)
{
    struct sasl_answer answer;
    struct str body = STR_EMPTY, offered = STR_EMPTY;
    struct slice word;
    put_client(session, &body);
    ask(session, SASL_ASK_MECHANISMS, &body, &answer);
    struct slice rest = slice_of(answer.status == SASL_DONE ? answer.text : "");
    while (slice_next_token(&rest, " ", &word))
        if (!is_filtered(session, arena_slice(session->scratch, word)))
            str_printf(&offered, "%s%.*s", offered.len > 0 ? " " : "", SLICE_ARGS(word));
    const char *list = offered.len > 0 ? arena_slice(session->scratch, str_slice(&offered)) : NULL;
    str_free(&offered);
    if (list == NULL)
        log_warning("no SASL authentication mechanisms for %s: %s", session->client,
                    answer.status == SASL_DONE ? "none fits the security options and the filter" : answer.text);
    return list;
}

/* --- the exchange ------------------------------------------------------------------------------------------- */

void auth_client_start(struct smtp_session *session, const char *mechanism, const struct slice *initial,
                       struct sasl_answer *answer)
{
    struct str body = STR_EMPTY;
    if (is_filtered(session, mechanism)) { /* hidden is not enough: EXTERNAL is hidden by default for a reason */
        cannot_say(answer, settings.type == SASL_DOVECOT ? "Invalid authentication mechanism" : "no mechanism available",
                   session->scratch);
        answer->status = SASL_FAILED;
        return;
    }
    str_reserve(&body, 4096 + (initial != NULL ? initial->len : 0)); /* at once: growing would leave copies */
    put_client(session, &body);
    ipc_put_text(&body, mechanism);
    ipc_put_bool(&body, initial != NULL);
    ipc_put_slice(&body, initial != NULL ? *initial : slice_range(NULL, 0));
    ask(session, SASL_ASK_START, &body, answer);
}

void auth_client_continue(struct smtp_session *session, uint64_t exchange, struct slice response,
                          struct sasl_answer *answer)
{
    struct str body = STR_EMPTY;
    str_reserve(&body, 64 + response.len);
    ipc_put_u64(&body, exchange);
    ipc_put_slice(&body, response);
    ask(session, SASL_ASK_CONTINUE, &body, answer);
}

void auth_client_cancel(struct smtp_session *session UNUSED, uint64_t exchange)
{
    struct ipc_channel *channel = role_peer(ROLE_AUTH, NULL);
    struct str body = STR_EMPTY;
    ipc_put_u64(&body, exchange);
    if (channel != NULL)
        ipc_notify(channel, SASL_ASK_CANCEL, str_slice(&body), -1);
    str_free(&body);
}
