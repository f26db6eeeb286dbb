/* SPDX-License-Identifier: ISC */
/*
 * posthorn check: reads a configuration as an expert would and says what is wrong with it, where, why it matters and
 * how to mend it. Reads files, asks the system and (unless --offline) the name server; changes nothing. Holds its
 * caller's rights: as root it also sees what only root may read. Exit status: 0 nothing serious, 1 findings of
 * severity error, 2 the configuration cannot be read, 64 wrong usage.
 */
#include "commands/posthorn_check.h"

#include <getopt.h>
#include <stdlib.h>
#include <sysexits.h>

#include "commands/posthorn.h"

#define EXIT_UNREADABLE 2

static const struct family {
    const char *id;
    void (*run)(struct check *check);
    const char *title;
} families[] = {
    {"relay", check_open_relay, "who may send mail through this server"},
    {"order", check_restriction_order, "restrictions that never act, or undo each other"},
    {"networks", check_networks, "whom mynetworks trusts"},
    {"auth", check_authentication, "passwords and encryption on each port"},
    {"parameters", check_parameters, "misspelt, unused and unsupported settings"},
    {"domains", check_domains, "domains and limits that contradict each other"},
    {"delivery", check_delivery, "transports, filters and programs that mail needs"},
    {"tables", check_tables, "lookup tables that cannot be used"},
    {"sockets", check_sockets, "Dovecot, milters and policy services that are not there"},
    {"certificates", check_certificates, "certificates and keys"},
    {"rights", check_rights, "users, owners and modes"},
    {"names", check_names, "this host's name, and blocklists"},
};

#define FAMILY_COUNT (sizeof families / sizeof families[0])

struct request {
    struct check check;
    const char *directory;
    bool json;
    const char *only; /* --only relay,tables */
};

static int usage(FILE *out, int status)
{
    fputs("usage: posthorn check [-c config_dir] [--json] [--offline] [--only family,...]\n"
          "                      [--gateway address,...] [--resolv-conf file]\n\n", out);
    for (size_t i = 0; i < FAMILY_COUNT; i++)
        fprintf(out, "  %-13s %s\n", families[i].id, families[i].title);
    return status;
}

static bool list_has(const char *list, const char *word)
{
    struct slice rest = slice_of(list), token;
    while (slice_next_token(&rest, ", ", &token))
        if (slice_equal(token, slice_of(word)))
            return true;
    return false;
}

static bool is_family_list(const char *list)
{
    struct slice rest = slice_of(list), token;
    while (slice_next_token(&rest, ", ", &token)) {
        bool known = false;
        for (size_t i = 0; i < FAMILY_COUNT; i++)
            known |= slice_equal(token, slice_of(families[i].id));
        if (!known)
            return false;
    }
    return true;
}

/* False: wrong usage. *help: it was asked for. */
static bool parse_arguments(struct request *request, int count, char **arguments, bool *help)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},   {"json", no_argument, NULL, 'j'},
        {"offline", no_argument, NULL, 'o'},        {"only", required_argument, NULL, 'f'},
        {"gateway", required_argument, NULL, 'g'},  {"resolv-conf", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0},
    };
    int letter;
    optind = 0; /* getopt was used before: start anew; arguments[-1] is the subcommand's name */
    while ((letter = getopt_long(count + 1, arguments - 1, "+c:hj", options, NULL)) != -1) {
        switch (letter) {
        case 'c': request->directory = optarg; break;
        case 'j': request->json = true; break;
        case 'o': request->check.offline = true; break;
        case 'f': request->only = optarg; break;
        case 'g': request->check.gateways = slice_of(optarg); break;
        case 'r': request->check.resolv_conf = optarg; break;
        case 'h': *help = true; return true;
        default: return false;
        }
    }
    return optind == count + 1 && (request->only == NULL || is_family_list(request->only));
}

static void report_syntax(struct check *check, const struct config_problems *problems)
{
    static const struct check_advice bad_line = {
        "syntax", CHECK_ERROR, "The line cannot be understood, so it is left out or the server does not start.",
        "Write settings as \"name = value\" and services in eight columns; a continuation line begins with a blank."};
    static const struct check_advice odd_line = {
        "syntax", CHECK_WARNING, "The line does not do what its author meant.",
        "Write settings as \"name = value\", each name once; a continuation line begins with a blank."};
    for (size_t i = 0; i < problems->count; i++)
        check_report(check, problems->list[i].fatal ? &bad_line : &odd_line, problems->list[i].where, "%s",
                     problems->list[i].text);
}

static bool load(struct request *request)
{
    struct check *check = &request->check;
    struct config_problems problems = {0};
    check->config = config_load(request->directory, &problems);
    if (check->config != NULL && !config_is_set(check->config, "config_directory"))
        config_set(check->config, "config_directory", request->directory);
    bool ok = check->config != NULL && master_cf_load(request->directory, &check->services, &problems);
    if (!ok) {
        struct str text = STR_EMPTY;
        config_problem_describe(&problems.list[problems.count - 1], &text);
        fprintf(stderr, "posthorn: %s\n", str_text(&text));
        str_free(&text);
    } else {
        report_syntax(check, &problems);
    }
    config_problems_free(&problems);
    return ok;
}

static const char *without_last_slashes(struct arena *arena, const char *directory)
{
    size_t len = strlen(directory);
    while (len > 1 && directory[len - 1] == '/')
        len--;
    return arena_strndup(arena, directory, len);
}

static int check_and_print(struct request *request)
{
    struct check *check = &request->check;
    check_make_views(check);
    for (size_t i = 0; i < FAMILY_COUNT; i++)
        if (request->only == NULL || list_has(request->only, families[i].id))
            families[i].run(check);
    (request->json ? check_print_json : check_print_text)(check, stdout);
    check_free_views(check);
    bool printed = fflush(stdout) == 0 && ferror(stdout) == 0;
    return printed && check_count_severity(check, CHECK_ERROR) == 0 ? 0 : 1;
}

static int run(const struct config *config UNUSED, int count, char **arguments)
{
    const char *directory = getenv("MAIL_CONFIG");
    struct request request = {.directory = directory != NULL ? directory : POSTHORN_CONFIG_DIRECTORY,
                              .check = {.resolv_conf = "/etc/resolv.conf"}};
    bool help = false;
    if (!parse_arguments(&request, count, arguments, &help))
        return usage(stderr, EX_USAGE);
    if (help)
        return usage(stdout, 0);
    request.check.arena = arena_new();
    request.directory = without_last_slashes(request.check.arena, request.directory);
    int status = load(&request) ? check_and_print(&request) : EXIT_UNREADABLE;
    service_table_free(&request.check.services);
    config_free(request.check.config);
    check_free_findings(&request.check);
    arena_free(request.check.arena);
    return status;
}

const struct posthorn_command posthorn_check = {"check", "what is wrong with the configuration, and how to mend it", run};
