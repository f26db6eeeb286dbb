/* SPDX-License-Identifier: ISC */
/*
 * tls: what smtpd and submission do about TLS: settings, handshake, and what a client's certificate must be. Called by the
 * SMTP library through service_policy.
 */
#include "common/base/log.h"
#include "common/service/service.h"
#include "common/tls/server.h"

void service_tls_open(const struct config *config, const char *service)
{
    tls_server_open(config, service);
    const struct tls_settings *settings = tls_server_settings();
    smtpd.server.tls_offered = settings->level.use;
    smtpd.server.tls_enforced = settings->level.enforce;
    smtpd.server.tls_wrapper = settings->level.wrapper;
    smtpd.server.tls_asks_certificate = settings->asks_certificate;
    smtpd.server.tls_received_header = config_bool(config, "smtpd_tls_received_header");
}

const char *service_before_tls(struct smtp_session *session)
{
    if (tls_server_is_ready())
        return NULL;
    if (smtpd.server.tls_wrapper)
        log_warning("Wrapper-mode request dropped from %s for service %s. TLS context initialization failed. For details see "
                    "earlier warnings in your logs.", session->client, smtpd.service);
    return "454 4.7.0 TLS not available due to local problem";
}

bool service_start_tls(struct smtp_session *session)
{
    return tls_server_accept(&session->stream, session->client, &session->tls);
}

const char *service_after_tls(struct smtp_session *session, bool *at_once)
{
    const char *problem = session->tls->has_certificate ? "Client certificate not trusted" : "No client certificate presented";
    *at_once = smtpd.server.tls_wrapper;
    if (!tls_server_settings()->requires_certificate || session->tls->is_trusted)
        return NULL;
    log_info("NOQUEUE: abort: TLS from %s: %s", session->client, problem);
    return arena_printf(session->scratch, "421 4.7.1 %s Error: %s", smtpd.server.my_hostname, problem);
}
