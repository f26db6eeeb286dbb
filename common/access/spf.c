/* SPDX-License-Identifier: ISC */
/*
 * spf: sender policy for mail from strangers. Called by the policy behind the recipient lists, so that mail which is
 * refused anyway costs no DNS, and answered from the transaction's memory for every recipient after the first. A
 * resolver that does not answer is a "temperror".
 */
#include "common/access/spf.h"

#include "common/access/trace.h"
#include "common/base/log.h"
#include "common/dns/spf_header.h"

#define MAX_REPLY 480 /* bytes; RFC 5321 4.5.3.1.5 has 512 with CRLF */

static struct {
    enum spf_mode mode;
    uint8_t identities;
    bool rejects_permerror, defers_temperror;
    const char *authserv_id;
    struct client_list trusted;
} spf;

/* --- settings ---------------------------------------------------------------------------------- */

/* The position of the value among the choices. */
static unsigned read_choice(const struct config *config, const char *parameter, const char *const *choices, unsigned count)
{
    const char *value = config_string(config, parameter);
    for (unsigned i = 0; i < count; i++)
        if (text_equal_nocase(value, choices[i]))
            return i;
    log_fatal("bad configuration: %s = %s", parameter, value);
}

static void read_identities(const struct config *config, struct arena *arena)
{
    char **names;
    size_t count = config_split_list(config_string(config, "smtpd_spf_identities"), arena, &names);
    for (size_t i = 0; i < count; i++)
        if (text_equal_nocase(names[i], "helo"))
            spf.identities |= SPF_HELO;
        else if (text_equal_nocase(names[i], "mailfrom"))
            spf.identities |= SPF_MAIL_FROM;
        else
            log_fatal("bad configuration: smtpd_spf_identities: \"%s\"", names[i]);
}

void spf_configure(const struct config *config, struct arena *arena)
{
    static const char *const modes[] = {"no", "mark", "reject"};
    static const char *const permanent[] = {"mark", "reject"}, *const temporary[] = {"mark", "defer"};
    spf.mode = (enum spf_mode)read_choice(config, "smtpd_spf_check", modes, 3);
    spf.rejects_permerror = read_choice(config, "smtpd_spf_permerror_action", permanent, 2) == 1;
    spf.defers_temperror = read_choice(config, "smtpd_spf_temperror_action", temporary, 2) == 1;
    spf.authserv_id = config_string(config, "smtpd_authserv_id");
    read_identities(config, arena);
    client_list_parse(&spf.trusted, "smtpd_spf_trusted_forwarders", config_string(config, "smtpd_spf_trusted_forwarders"), arena);
}

enum spf_mode spf_mode(void)
{
    return spf.mode;
}

/* --- whose mail ------------------------------------------------------------------------------------ */

const char *spf_forged_id(const struct smtp_session *session)
{
    const struct smtpd_client *client = session->owner;
    return spf.mode == SPF_OFF || client->is_mynetworks ? NULL : spf.authserv_id;
}

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

static bool is_checked(const struct smtp_session *session)
{
    const struct smtpd_client *client = session->owner;
    return session->sender != NULL && session->sasl_username == NULL && !client->is_mynetworks &&
           !is_loopback(session->client_address) &&
           client_list_find(&spf.trusted, session->client_name, session->client_address, session->scratch) != CLIENT_LIST_YES;
}

/* --- the answer -------------------------------------------------------------------------------------- */

/* Why, in the words of whoever publishes the policy, cut so that the reply fits a line. The name may be the client's
 * HELO: it is printable and bounded. */
static enum verdict refuse(struct evaluation *evaluation, const struct spf_verdict *verdict, enum restrict_stage subject)
{
    struct smtp_session *session = evaluation->session;
    const char *name = restrict_subject(evaluation, subject), *class = restrict_class(subject);
    char *text = arena_printf(session->scratch, "<%.256s>: %s rejected: SPF fail - %s does not let %s send its mail", name, class,
                              verdict->domain, session->client_address);
    if (*verdict->explanation != '\0')
        text = arena_printf(session->scratch, "%s; %s explains: %s", text, verdict->domain, verdict->explanation);
    if (strlen(text) > MAX_REPLY - 12)
        text[MAX_REPLY - 12] = '\0';
    return restrict_reject(evaluation, 550, "5.7.23", "%s", text);
}

static enum verdict judge(struct evaluation *evaluation, const struct spf_verdict *verdict, enum restrict_stage subject)
{
    const char *name = restrict_subject(evaluation, subject), *class = restrict_class(subject);
    bool is_final = subject == STAGE_SENDER || *evaluation->sender == '\0'; /* what went wrong with HELO only matters alone */
    if (verdict->result == SPF_FAIL)
        return refuse(evaluation, verdict, subject);
    if (verdict->result == SPF_TEMPERROR && spf.defers_temperror && is_final)
        return restrict_reject(evaluation, 451, "4.4.3", "<%.256s>: %s rejected: SPF check of %s: %s", name, class,
                               verdict->domain, verdict->problem);
    if (verdict->result == SPF_PERMERROR && spf.rejects_permerror && is_final)
        return restrict_reject(evaluation, 550, "5.7.24", "<%.256s>: %s rejected: SPF record of %s: %s", name, class,
                               verdict->domain, verdict->problem);
    return VERDICT_DUNNO;
}

static void trace_result(const struct spf_verdict *verdict, const char *identity)
{
    if (verdict->result != SPF_UNCHECKED)
        trace_input("SPF", identity, "%s of %s%s%s", spf_result_name(verdict->result), verdict->domain,
                    *verdict->problem != '\0' ? ": " : "", verdict->problem);
}

/* Asks once a transaction, and puts the headers in front of the message. */
static const struct spf_answer *ask(struct evaluation *evaluation)
{
    struct smtp_session *session = evaluation->session;
    struct smtpd_transaction *transaction = smtpd_transaction(session);
    if (transaction->spf != NULL)
        return transaction->spf;
    struct spf_question question = {
        .address = session->client_address,
        .helo = session->helo_name != NULL ? session->helo_name : "",
        .sender = evaluation->sender,
        .receiver = smtpd.server.my_hostname,
        .identities = spf.identities,
    };
    struct spf_answer *answer = arena_alloc(session->arena, sizeof *answer);
    resolver_spf(&question, session->arena, answer);
    trace_result(&answer->helo, "HELO");
    trace_result(&answer->mail_from, "MAIL FROM");
    struct str headers = STR_EMPTY;
    spf_header_append(&question, answer, spf.authserv_id, &headers);
    session->prepended = arena_printf(session->arena, "%s%s", session->prepended != NULL ? session->prepended : "",
                                      str_text(&headers));
    str_free(&headers);
    transaction->spf = answer;
    return answer;
}

enum verdict restrict_spf(struct evaluation *evaluation, const char *name UNUSED)
{
    if (!is_checked(evaluation->session)) {
        trace_note("this client's mail is not checked");
        return VERDICT_DUNNO;
    }
    const struct spf_answer *answer = ask(evaluation);
    if (spf.mode != SPF_REJECT)
        return VERDICT_DUNNO;
    bool is_null = *evaluation->sender == '\0';
    if (judge(evaluation, &answer->helo, STAGE_HELO) == VERDICT_REJECT)
        return VERDICT_REJECT;
    return is_null ? VERDICT_DUNNO : judge(evaluation, &answer->mail_from, STAGE_SENDER);
}
