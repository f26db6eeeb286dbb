/* SPDX-License-Identifier: ISC */
/* posthorn_explain_print: the whole way to the decision, and what decided, for people and for programs. Pure but for the output. */
#include "commands/posthorn_explain.h"

#include "commands/json.h"

#define WORD_DEPTH 128 /* nested restrictions: deeper than the evaluator goes */

static bool is_refusal(const struct trace_event *event)
{
    return event->kind == TRACE_VERDICT && (strcmp(event->name, "reject") == 0 || strcmp(event->name, "defer") == 0);
}

static bool refuses(const char *reply)
{
    return reply[0] == '4' || reply[0] == '5';
}

/* --- the decision ------------------------------------------------------------------------------ */

/* The restriction that a verdict belongs to: the nearest word of its depth before it. */
static const struct trace_event *word_of_verdict(const struct explain *explain, size_t verdict)
{
    for (size_t i = verdict; i-- > 0;)
        if (explain->events[i].kind == TRACE_WORD && explain->events[i].depth == explain->events[verdict].depth)
            return &explain->events[i];
    return NULL;
}

/* The first verdict with the very reply (an earlier deferral may have become it), else the first refusal. */
static const struct trace_event *find_decider(const struct explain *explain, size_t from)
{
    for (int exact = 1; exact >= 0; exact--)
        for (size_t i = exact ? 0 : from; i < explain->count; i++) {
            const struct trace_event *event = &explain->events[i];
            if (exact ? event->kind == TRACE_VERDICT && strcmp(event->text, explain->reply) == 0 : is_refusal(event))
                return word_of_verdict(explain, i);
        }
    return NULL;
}

void explain_find_decision(struct explain *explain)
{
    size_t last_command = 0;
    explain->command = "CONNECT";
    explain->reply = "";
    for (size_t i = 0; i < explain->count; i++) {
        const struct trace_event *event = &explain->events[i];
        if (event->kind == TRACE_COMMAND) {
            explain->command = event->text;
            last_command = i;
        } else if (event->kind == TRACE_REPLY && !refuses(explain->reply))
            explain->reply = event->text;
    }
    explain->outcome = explain->reply[0] == '4' ? OUTCOME_DEFER : explain->reply[0] == '5' ? OUTCOME_REJECT : OUTCOME_ACCEPT;
    if (*explain->reply == '\0')
        explain->outcome = OUTCOME_DEFER;
    if (explain->outcome != OUTCOME_ACCEPT)
        explain->decider = find_decider(explain, last_command);
}

struct config_origin explain_locate(struct explain *explain, const struct trace_event *word)
{
    struct slice rest = slice_of(word->text), first;
    const struct config_origin nowhere = {NULL, 0};
    if (!slice_next_token(&rest, " ", &first) || *check_value(explain->view, word->name) == '\0')
        return nowhere; /* a list that a table gave has no line */
    return check_locate(&explain->check, explain->view, word->name, arena_slice(explain->check.arena, first), word->nth);
}

/* A list that nobody set, or that a setting implies. */
static bool is_default(const struct explain *explain, const struct trace_event *word)
{
    return *check_value(explain->view, word->name) != '\0';
}

/* "main.cf:42", "default", or "". */
static const char *place(struct explain *explain, const struct trace_event *word)
{
    struct config_origin where = explain_locate(explain, word);
    if (where.file == NULL)
        return is_default(explain, word) ? "default" : "";
    const char *slash = strrchr(where.file, '/');
    return arena_printf(explain->check.arena, "%s:%u", slash != NULL ? slash + 1 : where.file, where.line);
}

/* --- for people ----------------------------------------------------------------------------------- */

static const char *const outcome_names[] = {"accept", "reject", "defer"};

static void print_verdict(FILE *out, const struct trace_event *event)
{
    if (strcmp(event->name, "dunno") == 0)
        fputs("-> no objection\n", out);
    else if (*event->text != '\0')
        fprintf(out, "-> %s: %s\n", event->name, event->text);
    else
        fprintf(out, "-> %s\n", event->name);
}

/* What a restriction answered without asking anybody stands on its line. */
static void print_word(struct explain *explain, FILE *out, size_t at)
{
    const struct trace_event *event = &explain->events[at];
    const struct trace_event *next = at + 1 < explain->count && event[1].kind == TRACE_VERDICT && event[1].depth == event->depth ?
        &event[1] : NULL;
    const char *where = place(explain, event);
    fprintf(out, "%*s%s%s%s%s", 4 + 4 * event->depth, "", event->text, *where != '\0' ? "  [" : "", where, *where != '\0' ? "]" : "");
    if (next != NULL) {
        fputs("  ", out);
        print_verdict(out, next);
    } else
        fputc('\n', out);
}

/* The table's name was just read in the restriction, and may hold the whole table. */
static void print_input(FILE *out, int indent, const struct trace_event *event)
{
    static const int longest = 60;
    size_t len = strlen(event->text), quote = len;
    const char *key = strstr(event->text, " \"");
    if (key != NULL)
        quote = (size_t)(key - event->text);
    bool is_cut = strcmp(event->name, "table") == 0 && quote > (size_t)longest;
    fprintf(out, "%*s%s: %.*s%s%s = %s\n", indent, "", event->name, is_cut ? longest : (int)quote, event->text, is_cut ? "..." : "",
            event->text + quote, event->result);
}

/* Lines that only repeat what the dialogue shows. */
static bool is_repetition(const struct trace_event *event)
{
    static const char *const begins[] = {"connect from ", "disconnect from ", "lost connection after "};
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++)
        if (slice_starts_with_nocase(slice_of(event->text), slice_of(begins[i])))
            return true;
    return strstr(event->text, ": reject: ") != NULL || strstr(event->text, ": client=") != NULL;
}

static void print_event(struct explain *explain, FILE *out, size_t at)
{
    const struct trace_event *event = &explain->events[at];
    int indent = 4 + 4 * event->depth;
    switch (event->kind) {
    case TRACE_COMMAND:
        fprintf(out, "\n%s\n", event->text);
        break;
    case TRACE_REPLY:
        fprintf(out, "  = %s\n", event->text);
        break;
    case TRACE_LIST:
        fprintf(out, "%*s%s\n", indent - 2, "", event->name);
        break;
    case TRACE_WORD:
        print_word(explain, out, at);
        break;
    case TRACE_INPUT:
        print_input(out, indent, event);
        break;
    case TRACE_VERDICT:
        if (at > 0 && event[-1].kind == TRACE_WORD && event[-1].depth == event->depth)
            break; /* print_word did it */
        fprintf(out, "%*s", indent + 4, "");
        print_verdict(out, event);
        break;
    case TRACE_LOG:
        if (!is_repetition(event))
            fprintf(out, "%*slog: %s%s\n", indent, "", event->name, event->text);
        break;
    default:
        fprintf(out, "%*snote: %s\n", indent, "", event->text);
    }
}

static void print_question(const struct explain *explain, FILE *out)
{
    const struct explain_request *request = &explain->request;
    fprintf(out, "Client %s%s%s%s%s%s, service %s, %s %s.\n", request->address, *request->name != '\0' ? " named " : "", request->name,
            *request->login != '\0' ? ", logged in as " : "", request->login, request->is_encrypted ? ", encrypted" : "",
            explain->service, explain->is_live ? "the running server with" : "a dry run of", config_directory(explain->check.config));
}

static bool has_supposed_policy(const struct explain *explain)
{
    for (size_t i = 0; i < explain->count && *explain->request.policy != '\0'; i++)
        if (explain->events[i].kind == TRACE_INPUT && strcmp(explain->events[i].name, "policy service") == 0)
            return true;
    return false;
}

void explain_print_text(struct explain *explain, FILE *out)
{
    print_question(explain, out);
    for (size_t i = 0; i < explain->count; i++)
        print_event(explain, out, i);
    fprintf(out, "\nResult: %s at \"%s\": %s\n", outcome_names[explain->outcome], explain->command, explain->reply);
    if (has_supposed_policy(explain))
        fprintf(out, "Supposed: policy services say \"%s\" (--ask-policy asks them, and they may remember it)\n", explain->request.policy);
    if (explain->decider != NULL) {
        struct config_origin where = explain_locate(explain, explain->decider);
        fprintf(out, "Decided by: %s in %s", explain->decider->text, explain->decider->name);
        if (where.file != NULL)
            fprintf(out, " (%s, line %u)", where.file, where.line);
        else if (is_default(explain, explain->decider))
            fputs(" (by default)", out);
        fputc('\n', out);
    } else if (explain->outcome != OUTCOME_ACCEPT)
        fputs("Decided by: no restriction, but the protocol or a setting that the reply names\n", out);
    const char *advice = explain_advice(explain);
    if (*advice != '\0')
        fprintf(out, "What to do: %s\n", advice);
}

/* --- for programs ------------------------------------------------------------------------------------- */

static void print_member(FILE *out, const char *name, const char *text)
{
    fprintf(out, ", \"%s\": ", name);
    json_print_text(out, text);
}

static void print_place_members(FILE *out, struct config_origin where)
{
    print_member(out, "file", where.file);
    if (where.file != NULL)
        fprintf(out, ", \"line\": %u", where.line);
    else
        fputs(", \"line\": null", out);
}

static void print_json_event(struct explain *explain, FILE *out, const struct trace_event *event)
{
    static const struct { const char *kind, *name, *text, *result; } members[] = {
        [TRACE_COMMAND] = {"command", NULL, "command", NULL}, [TRACE_REPLY] = {"reply", NULL, "reply", NULL},
        [TRACE_LIST] = {"list", "list", NULL, NULL}, [TRACE_WORD] = {"restriction", "list", "restriction", NULL},
        [TRACE_INPUT] = {"input", "asked", "question", "answer"}, [TRACE_VERDICT] = {"verdict", "verdict", "reply", NULL},
        [TRACE_LOG] = {"log", "label", "text", NULL}, [TRACE_NOTE] = {"note", NULL, "text", NULL},
    };
    if (event->kind == 0 || event->kind >= sizeof members / sizeof members[0])
        return;
    fprintf(out, ",\n  {\"kind\": \"%s\", \"depth\": %u", members[event->kind].kind, event->depth);
    if (members[event->kind].name != NULL)
        print_member(out, members[event->kind].name, event->name);
    if (members[event->kind].text != NULL)
        print_member(out, members[event->kind].text, event->text);
    if (members[event->kind].result != NULL)
        print_member(out, members[event->kind].result, event->result);
    if (event->kind == TRACE_WORD)
        print_place_members(out, explain_locate(explain, event));
    fputc('}', out);
}

void explain_print_json(struct explain *explain, FILE *out)
{
    const struct explain_request *request = &explain->request;
    fprintf(out, "{\"result\": \"%s\"", outcome_names[explain->outcome]);
    print_member(out, "reply", explain->reply);
    print_member(out, "at", explain->command);
    fputs(", \"decided_by\": ", out);
    if (explain->decider != NULL) {
        fputs("{\"restriction\": ", out);
        json_print_text(out, explain->decider->text);
        print_member(out, "list", explain->decider->name);
        print_place_members(out, explain_locate(explain, explain->decider));
        fputc('}', out);
    } else
        fputs("null", out);
    print_member(out, "advice", explain_advice(explain));
    print_member(out, "supposed_policy", has_supposed_policy(explain) ? explain->request.policy : NULL);
    print_member(out, "service", explain->service);
    print_member(out, "configuration", config_directory(explain->check.config));
    fprintf(out, ", \"live\": %s", explain->is_live ? "true" : "false");
    print_member(out, "client", request->address);
    print_member(out, "helo", request->helo);
    print_member(out, "sender", request->sender);
    print_member(out, "recipient", request->recipient);
    print_member(out, "login", *request->login != '\0' ? request->login : NULL);
    fprintf(out, ", \"encrypted\": %s, \"events\": [\n  {\"kind\": \"start\"}", request->is_encrypted ? "true" : "false");
    for (size_t i = 0; i < explain->count; i++)
        print_json_event(explain, out, &explain->events[i]);
    fputs("\n]}\n", out);
}
