/* SPDX-License-Identifier: ISC */
/*
 * login_limit: how many messages and recipients a login may send in a time, so that a stolen password sends little.
 * Posthorn's own. Called by the policy for each RCPT that everything else permits; costs nothing when no limit is
 * configured or nobody is logged in. The counts are in `state`, shared by all services, and survive a restart; while it is
 * down this process counts for itself. A limit that a table cannot say defers the mail.
 */
#include "common/service/login_limit.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/process/role.h"
#include "common/service/login_rate.h"
#include "common/state/state_client.h"

#define STORE "login"
#define KEY_LOGIN_LIMIT 300

enum limit_kind { LIMIT_MESSAGES, LIMIT_RECIPIENTS, LIMIT_COUNT };

static const struct {
    const char *parameter, *what;
    char letter; /* begins the key */
} kinds[LIMIT_COUNT] = {
    [LIMIT_MESSAGES] = {"smtpd_sasl_message_limit", "messages", 'm'},
    [LIMIT_RECIPIENTS] = {"smtpd_sasl_recipient_limit", "recipients", 'r'},
};

static struct {
    bool is_used;
    bool holds;
    struct {
        bool is_used;
        char *maps;             /* "" when there are none */
        struct login_rate rate; /* for whom no table knows */
    } limits[LIMIT_COUNT];
} settings;

/* --- configuration --------------------------------------------------------------------------------- */

/* Elements with a colon are tables, the others limits. */
static void configure_one(const struct config *config, enum limit_kind kind, struct arena *arena)
{
    struct str maps = STR_EMPTY, rates = STR_EMPTY;
    char **items;
    size_t count = config_split_list(config_string(config, kinds[kind].parameter), arena, &items);
    for (size_t i = 0; i < count; i++) {
        struct str *list = strchr(items[i], ':') != NULL ? &maps : &rates;
        str_printf(list, "%s%s", list->len > 0 ? ", " : "", items[i]);
    }
    if (!login_rate_parse(str_slice(&rates), &settings.limits[kind].rate))
        log_fatal("bad configuration: %s = %s", kinds[kind].parameter, config_string(config, kinds[kind].parameter));
    settings.limits[kind].is_used = maps.len > 0 || settings.limits[kind].rate.count > 0;
    settings.limits[kind].maps = mem_strdup(str_text(&maps));
    str_free(&maps);
    str_free(&rates);
}

void login_limit_configure(const struct config *config)
{
    struct arena *arena = arena_new();
    const char *action = config_string(config, "smtpd_sasl_limit_action");
    for (unsigned kind = 0; kind < LIMIT_COUNT; kind++) {
        configure_one(config, (enum limit_kind)kind, arena);
        settings.is_used = settings.is_used || settings.limits[kind].is_used;
    }
    settings.holds = strcmp(action, "hold") == 0;
    if (!settings.holds && strcmp(action, "defer") != 0)
        log_fatal("bad configuration: smtpd_sasl_limit_action = %s", action);
    arena_free(arena);
}

/* --- one recipient ------------------------------------------------------------------------------------- */

/* What this login may. False: cannot be said, and the recipient is refused for now. */
static bool find_rate(struct evaluation *evaluation, enum limit_kind kind, struct login_rate *rate)
{
    const char *login = evaluation->session->sasl_username;
    const char *maps = settings.limits[kind].maps;
    struct table_answer answer;
    *rate = settings.limits[kind].rate;
    if (*maps == '\0')
        return true;
    bool answered = lookup_find(maps, KEY_EXACT, kinds[kind].parameter, login, evaluation->session->scratch, &answer);
    if (answered && answer.status == TABLE_NOT_FOUND)
        return true;
    if (answered && answer.status == TABLE_FOUND && login_rate_parse(slice_of(answer.value), rate))
        return true;
    if (answered && answer.status == TABLE_FOUND)
        log_warning("%s: %s: bad limit for %.100s: %.100s", kinds[kind].parameter, answer.table, login, answer.value);
    else
        log_warning("%s lookup error for \"%.100s\"", kinds[kind].parameter, login);
    (void)restrict_lookup_failed(evaluation, evaluation->recipient);
    return false;
}

/* "3 messages", "1 message". */
static char *amount(enum limit_kind kind, uint32_t limit, struct arena *arena)
{
    size_t len = strlen(kinds[kind].what) - (limit == 1);
    return arena_printf(arena, "%u %.*s", limit, (int)len, kinds[kind].what);
}

static void exceeded(struct evaluation *evaluation, enum limit_kind kind, const struct state_window *window)
{
    struct smtp_session *session = evaluation->session;
    const char *period = login_rate_period(window->seconds, session->scratch);
    char *what = arena_printf(session->scratch, "user %s exceeds the limit of %s in %s", session->sasl_username,
                              amount(kind, window->limit, session->scratch), period);
    if (!settings.holds || session->server->is_filtered) { /* what goes through a filter cannot be held here */
        evaluation->is_broken = true; /* a limit is no restriction that warn_if_reject stands before */
        (void)restrict_reject(evaluation, 450, "4.7.1", "<%s>: Recipient address rejected: %s", evaluation->recipient, what);
        evaluation->is_broken = false;
        return;
    }
    if ((session->flags & SESSION_HOLD) == 0)
        restrict_log(evaluation, "hold", arena_printf(session->scratch, "<%s>: %s", session->sasl_username, what));
    session->flags |= SESSION_HOLD;
}

/* What posthorn explain asks counts nowhere: 0 when there would be room, or 1 + the index of the full window. */
static unsigned look(const char *key, struct login_rate *rate)
{
    if (!state_is_there())
        return 0;
    unsigned full = state_charge(STORE, key, 0, rate->windows, rate->count);
    for (unsigned i = 0; full == 0 && i < rate->count; i++)
        if (rate->windows[i].limit > 0 && rate->windows[i].count >= rate->windows[i].limit)
            full = i + 1;
    return full;
}

/* True when there was room. */
static bool charge(struct evaluation *evaluation, enum limit_kind kind)
{
    struct login_rate rate;
    if (!settings.limits[kind].is_used)
        return true;
    if (!find_rate(evaluation, kind, &rate))
        return false;
    if (rate.count == 0)
        return true;
    char *key = arena_printf(evaluation->session->scratch, "%c:%.*s", kinds[kind].letter, KEY_LOGIN_LIMIT,
                             evaluation->session->sasl_username);
    text_lowercase(key);
    const struct smtpd_client *client = evaluation->session->owner;
    unsigned full = client->supposed != NULL ? look(key, &rate) : state_charge(STORE, key, 1, rate.windows, rate.count);
    if (full == 0)
        return true;
    exceeded(evaluation, kind, &rate.windows[full - 1]);
    return settings.holds;
}

bool login_limit_take(struct evaluation *evaluation)
{
    struct smtp_session *session = evaluation->session;
    if (!settings.is_used || session->sasl_username == NULL)
        return true;
    if (!smtpd_transaction(session)->is_charged) {
        if (!charge(evaluation, LIMIT_MESSAGES))
            return false;
        smtpd_transaction(session)->is_charged = true;
    }
    return charge(evaluation, LIMIT_RECIPIENTS);
}
