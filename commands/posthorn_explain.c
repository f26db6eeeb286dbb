/* SPDX-License-Identifier: ISC */
/*
 * posthorn explain: what the server would say to a client, restriction by restriction, and which line of main.cf or
 * master.cf decides. The dialogue is held by the service's own program. Exit status: 0 accepted, 1 rejected, 2 deferred,
 * 64 wrong usage, 69 nobody could be asked.
 */
#include "commands/posthorn_explain.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <netdb.h>
#include <stdlib.h>
#include <sysexits.h>

#include "commands/posthorn.h"

struct options {
    const char *directory, *port, *log, *log_file;
    bool json, help;
    int encrypted; /* -1: as the service wants it */
};

static int usage(FILE *out, int status)
{
    fputs("usage: posthorn explain [-c config_dir] --client address [--name host] [--reverse-name host] [--helo name]\n"
          "                        --from sender --to recipient [--sasl login] [--mechanism name] [--tls | --no-tls]\n"
          "                        [--policy action | --ask-policy] [--port 25|587|service] [--live] [--json]\n"
          "       posthorn explain --log line|queue-id|- [--log-file file] [any of the above]\n", out);
    return status;
}

/* --- arguments --------------------------------------------------------------------------------- */

enum { OPTION_CLIENT = 256, OPTION_NAME, OPTION_REVERSE, OPTION_HELO, OPTION_FROM, OPTION_TO, OPTION_SASL, OPTION_MECHANISM,
       OPTION_TLS, OPTION_NO_TLS, OPTION_PORT, OPTION_LIVE, OPTION_JSON, OPTION_LOG, OPTION_LOG_FILE, OPTION_POLICY,
       OPTION_ASK_POLICY };

static bool parse_arguments(struct explain *explain, struct options *options, int count, char **arguments)
{
    static const struct option known[] = {
        {"client", required_argument, NULL, OPTION_CLIENT}, {"name", required_argument, NULL, OPTION_NAME},
        {"reverse-name", required_argument, NULL, OPTION_REVERSE}, {"helo", required_argument, NULL, OPTION_HELO},
        {"from", required_argument, NULL, OPTION_FROM}, {"to", required_argument, NULL, OPTION_TO},
        {"sasl", required_argument, NULL, OPTION_SASL}, {"mechanism", required_argument, NULL, OPTION_MECHANISM},
        {"tls", no_argument, NULL, OPTION_TLS}, {"no-tls", no_argument, NULL, OPTION_NO_TLS},
        {"port", required_argument, NULL, OPTION_PORT}, {"live", no_argument, NULL, OPTION_LIVE},
        {"json", no_argument, NULL, OPTION_JSON}, {"log", required_argument, NULL, OPTION_LOG},
        {"policy", required_argument, NULL, OPTION_POLICY}, {"ask-policy", no_argument, NULL, OPTION_ASK_POLICY},
        {"log-file", required_argument, NULL, OPTION_LOG_FILE}, {"config", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0},
    };
    struct explain_request *request = &explain->request;
    int letter;
    optind = 0; /* getopt was used before: start anew; arguments[-1] is the subcommand's name */
    while ((letter = getopt_long(count + 1, arguments - 1, "+c:h", known, NULL)) != -1) {
        switch (letter) {
        case 'c': options->directory = optarg; break;
        case OPTION_CLIENT: request->address = optarg; break;
        case OPTION_NAME: request->name = optarg; break;
        case OPTION_REVERSE: request->reverse_name = optarg; break;
        case OPTION_HELO: request->helo = optarg; break;
        case OPTION_FROM: request->sender = optarg; break;
        case OPTION_TO: request->recipient = optarg; break;
        case OPTION_SASL: request->login = optarg; break;
        case OPTION_MECHANISM: request->mechanism = optarg; break;
        case OPTION_TLS: options->encrypted = 1; break;
        case OPTION_NO_TLS: options->encrypted = 0; break;
        case OPTION_PORT: options->port = optarg; break;
        case OPTION_LIVE: explain->is_live = true; break;
        case OPTION_JSON: options->json = true; break;
        case OPTION_LOG: options->log = optarg; break;
        case OPTION_POLICY: request->policy = optarg; break;
        case OPTION_ASK_POLICY: request->policy = (char *)""; break;
        case OPTION_LOG_FILE: options->log_file = optarg; break;
        case 'h': options->help = true; return true;
        default: return false;
        }
    }
    return optind == count + 1;
}

/* "<a@b>" as people copy it. */
static char *bare_address(struct arena *arena, const char *text)
{
    size_t len = strlen(text);
    if (len >= 2 && text[0] == '<' && text[len - 1] == '>')
        return arena_strndup(arena, text + 1, len - 2);
    return arena_strdup(arena, text);
}

static bool is_address(const char *text)
{
    unsigned char binary[16];
    return inet_pton(AF_INET, text, binary) == 1 || inet_pton(AF_INET6, text, binary) == 1;
}

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 127)
            return true;
    return false;
}

/* What nobody said, and whether the rest can be asked. */
static bool complete_request(struct explain *explain, const struct options *options)
{
    struct explain_request *request = &explain->request;
    struct arena *arena = explain->check.arena;
    char **const texts[] = {&request->address, &request->name, &request->reverse_name, &request->sender, &request->recipient,
                            &request->login, &request->mechanism, &request->helo, &request->policy};
    /* A log line may hold what a stranger wants a terminal to do. */
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (*texts[i] == NULL)
            *texts[i] = (char *)"";
        if (has_control(*texts[i])) {
            fputs("posthorn: control characters in an argument or a log line\n", stderr);
            return false;
        }
    }
    if (!is_address(request->address)) {
        fprintf(stderr, "posthorn: --client needs an IP address%s%s\n", *request->address != '\0' ? ", not " : "",
                request->address);
        return false;
    }
    request->sender = bare_address(arena, request->sender);
    request->recipient = bare_address(arena, request->recipient);
    request->port = (char *)"12345"; /* the client's own */
    if (*request->mechanism == '\0')
        request->mechanism = (char *)"PLAIN";
    if (*request->helo == '\0')
        request->helo = *request->name != '\0' && strcmp(request->name, "unknown") != 0 ? request->name :
            arena_printf(arena, strchr(request->address, ':') != NULL ? "[IPv6:%s]" : "[%s]", request->address);
    bool wants_tls = text_equal_nocase(check_value(explain->view, "smtpd_tls_security_level"), "encrypt") ||
                     check_is_yes(explain->view, "smtpd_tls_wrappermode") ||
                     check_is_yes(explain->view, "smtpd_enforce_tls") || *request->login != '\0';
    request->is_encrypted = options->encrypted >= 0 ? options->encrypted != 0 : wants_tls;
    return true;
}

/* --- which service ------------------------------------------------------------------------------- */

static unsigned port_number(const char *port)
{
    uint64_t number;
    if (slice_to_u64(slice_of(port), &number))
        return number <= 65535 ? (unsigned)number : 0;
    const struct servent *entry = getservbyname(port, "tcp");
    return entry != NULL ? ntohs((uint16_t)entry->s_port) : 0;
}

/* The port column of "587", "submission", "127.0.0.1:10025", "[::1]:25". */
static const char *port_of(const char *service)
{
    const char *colon = strrchr(service, ':');
    return colon != NULL ? colon + 1 : service;
}

static bool takes_mail(const struct service *service)
{
    return service->type == SERVICE_INET && (strcmp(service->command, "smtpd") == 0 || strcmp(service->command, "postscreen") == 0);
}

static bool is_meant(const struct check_view *view, const char *port, const char *process)
{
    const struct service *service = view->service;
    if (port != NULL)
        return strcmp(service->name, port) == 0 ||
               (port_number(port) != 0 && port_number(port_of(service->name)) == port_number(port));
    if (process == NULL)
        return true;
    return strcmp(process, check_value(view, "syslog_name")) == 0;
}

/* The service of this name or port, or of a log line's process; otherwise the one for logged-in users, or the first. */
static bool find_service(struct explain *explain, const char *port, const char *process)
{
    struct check *check = &explain->check;
    const bool has_login = explain->request.login != NULL && *explain->request.login != '\0';
    const struct check_view *first = NULL;
    for (size_t i = 1; i < check->view_count && explain->view == NULL; i++) {
        const struct check_view *view = &check->views[i];
        if (!takes_mail(view->service) || !is_meant(view, port, process))
            continue;
        if (first == NULL)
            first = view;
        if (!has_login || check_is_yes(view, "smtpd_sasl_auth_enable"))
            explain->view = view;
    }
    if (explain->view == NULL) /* nobody can log in: the question stands all the same */
        explain->view = first;
    if (explain->view == NULL) {
        fprintf(stderr, "posthorn: master.cf has no smtpd service %s%s\n", port != NULL ? "for port " : "that is meant",
                port != NULL ? port : "");
        return false;
    }
    explain->service = explain->view->service->name;
    for (size_t i = 1; i < check->view_count && strcmp(explain->view->service->command, "postscreen") == 0; i++)
        if (check->views[i].service->type == SERVICE_PASS && check_is_smtpd(&check->views[i]))
            explain->view = &check->views[i]; /* behind it */
    return true;
}

/* --- all of it ------------------------------------------------------------------------------------- */

static bool load(struct explain *explain, const char *directory)
{
    struct config_problems problems = {0};
    explain->check.config = config_load(directory, &problems);
    bool works = explain->check.config != NULL && master_cf_load(directory, &explain->check.services, &problems);
    if (works)
        check_make_views(&explain->check);
    else
        fprintf(stderr, "posthorn: %s\n", problems.count > 0 ? problems.list[problems.count - 1].text : "no configuration");
    config_problems_free(&problems);
    return works;
}

static int explain_run(struct explain *explain, const struct options *options)
{
    const char *process = NULL;
    if (!load(explain, options->directory))
        return EX_UNAVAILABLE;
    if (options->log != NULL && !explain_read_log(explain, options->log, options->log_file, &process))
        return EX_UNAVAILABLE;
    if (!find_service(explain, options->port, process))
        return EX_USAGE;
    if (!complete_request(explain, options))
        return usage(stderr, EX_USAGE);
    if (!explain_ask(explain))
        return EX_UNAVAILABLE;
    explain_find_decision(explain);
    if (options->json)
        explain_print_json(explain, stdout);
    else
        explain_print_text(explain, stdout);
    return (int)explain->outcome;
}

static int run(const struct config *config UNUSED, int count, char **arguments)
{
    struct explain explain = {.check = {.arena = arena_new()}, .request = {.policy = (char *)"DUNNO", .known_sender = (char *)"",
                                                                           .known_recipient = (char *)""}};
    const char *directory = getenv("MAIL_CONFIG");
    struct options options = {.encrypted = -1, .directory = directory != NULL ? directory : POSTHORN_CONFIG_DIRECTORY};
    if (!parse_arguments(&explain, &options, count, arguments))
        return usage(stderr, EX_USAGE);
    if (options.help)
        return usage(stdout, 0);
    int status = explain_run(&explain, &options);
    if (explain.check.views != NULL)
        check_free_views(&explain.check);
    service_table_free(&explain.check.services);
    if (explain.check.config != NULL)
        config_free(explain.check.config);
    arena_free(explain.check.arena);
    return status;
}

const struct posthorn_command posthorn_explain = {"explain", "what a client would be told, and which line decides", run};
