/* SPDX-License-Identifier: ISC */
/* What smtpd and submission are made of: the listener, the policy over the SMTP library, the way to the queue. */
#ifndef POSTHORN_SERVICE_SERVICE_H
#define POSTHORN_SERVICE_SERVICE_H

#include "common/access/access.h"
#include "common/process/role.h"

/* The main() of a program that takes mail in. */
int service_main(enum role_id id, int argc, char **argv);

/* Which lists run at which command. */
extern const struct smtp_server_policy service_policy;

/* --- listening --------------------------------------------------------------------------------- */
void listener_start(const int *fds, size_t count);
/* No new clients; role_finished() when the last session ended. */
void listener_drain(void);

/* --- TLS: callbacks of struct smtp_server_policy --------------------------------------------------- */
void service_tls_open(const struct config *config, const char *service);
const char *service_before_tls(struct smtp_session *session);
bool service_start_tls(struct smtp_session *session);
const char *service_after_tls(struct smtp_session *session, bool *at_once);

/* --- smtpd_policy_trace: for the running fiber ---------------------------------------------------- */
void policy_trace_begin(const struct smtp_session *session);
void policy_trace_end(void);
/* --- logging in: callbacks of struct smtp_server_policy (login.c) ------------------------------------- */
enum login_result {
    LOGIN_OK,
    LOGIN_FAILED,  /* wrong name or password, or the account is closed */
    LOGIN_UNKNOWN, /* the authentication service cannot say, or the client gave up: nobody's fault */
};
/* Reads main.cf; with the rights of the caller. */
void login_configure(const struct config *config);
/*
 * A response is about to be judged: waits until it may be, or returns the reply that refuses it (logged). login: the name as
 * the client said it, printable; "" when it said none. *attempt (may be NULL) is for service_login_result().
 */
const char *service_login_attempt(struct smtp_session *session, const char *method, const char *login,
                                  struct login_attempt **attempt);
void service_login_result(struct login_attempt *attempt, enum login_result result);

/* --- auth: callbacks of struct smtp_server_policy (auth_client.c) --------------------------------- */
void auth_client_configure(const struct config *config);
const char *auth_client_mechanisms(struct smtp_session *session);
void auth_client_start(struct smtp_session *session, const char *mechanism, const struct slice *initial,
                       struct sasl_answer *answer);
void auth_client_continue(struct smtp_session *session, uint64_t exchange, struct slice response,
                          struct sasl_answer *answer);
void auth_client_cancel(struct smtp_session *session, uint64_t exchange);
/* True when smtpd_sasl_exceptions_networks names this client. May wait. */
bool auth_client_is_exception(struct smtp_session *session);

/* --- the queue: callbacks of struct smtp_server_policy ------------------------------------------ */
bool queue_begin_message(struct smtp_session *session);
int queue_open_spool(struct smtp_session *session, enum submit_status *status);
enum submit_status queue_submit(struct smtp_session *session, struct submission *submission);
void queue_abandon(struct smtp_session *session);
/* The queue was restarted: serial numbers it gave before are void. */
void queue_client_reset(void);

#endif
