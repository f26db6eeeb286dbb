/* SPDX-License-Identifier: ISC */
/*
 * posthorn: the front door for what Postfix does not have. Finds the subcommand in its table and runs it with the
 * configuration and the rights of whoever typed it. Exit status: the subcommand's; 64 for wrong usage.
 */
#include "commands/posthorn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "commands/control_client.h"
#include "common/base/log.h"

static const struct posthorn_command *const commands[] = {&posthorn_check, &posthorn_explain, &posthorn_status, &posthorn_probe};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void print_help(FILE *out)
{
    fputs("usage: posthorn [-c config_dir] command [arguments]\n\n", out);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fputs("  help       this list\n\nTo start and stop the mail system: postfix(1).\n", out);
}

static const struct posthorn_command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

int main(int argc, char **argv)
{
    struct log_options early = {.sink = LOG_TO_STDERR, .fd = -1, .component = "posthorn"};
    log_open(&early);
    int letter;
    while ((letter = getopt(argc, argv, "+c:h")) != -1) {
        if (letter == 'c' && setenv("MAIL_CONFIG", optarg, 1) == 0)
            continue;
        print_help(letter == 'h' ? stdout : stderr);
        return letter == 'h' ? 0 : EX_USAGE;
    }
    if (optind >= argc || strcmp(argv[optind], "help") == 0) {
        print_help(optind >= argc ? stderr : stdout);
        return optind >= argc ? EX_USAGE : 0;
    }
    const struct posthorn_command *command = find_command(argv[optind]);
    if (command == NULL) {
        fprintf(stderr, "posthorn: unknown command: %s\n\n", argv[optind]);
        print_help(stderr);
        return EX_USAGE;
    }
    /* The adviser also reads what nobody else would start with. */
    struct config *config = command == &posthorn_check || command == &posthorn_explain ? NULL : control_load_config();
    int status = command->run(config, argc - optind - 1, argv + optind + 1);
    config_free(config);
    return status;
}
