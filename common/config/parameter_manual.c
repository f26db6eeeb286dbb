/* SPDX-License-Identifier: ISC */
/*
 * parameter_manual: writes posthorn-parameters(5) from the parameter table. A program of the build, not
 * installed; reads nothing, writes the page to standard output.
 */
#include <stdio.h>

#include "common/config/parameter.h"

static const struct {
    unsigned role;
    const char *name;
} roles[] = {
    {MASTER, "master"},     {SMTPD, "smtpd"},           {QUEUE, "queue"}, {SMTP, "smtp"},
    {LMTP, "lmtp"},         {DELIVERY, "local delivery"}, {LOOKUP, "lookup"},
    {POSTSCREEN, "postscreen"}, {TLS, "TLS"},           {COMMANDS, "commands"},
};

/* Text in which a backslash or a leading dot would mean something to troff. */
static void print_text(const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", stdout);
    for (; *text != '\0'; text++) {
        if (*text == '\\')
            fputs("\\e", stdout);
        else if (*text == '-')
            fputs("\\-", stdout);
        else if (*text == '\t')
            fputs("\\et", stdout);
        else
            putchar(*text);
    }
}

static void print_default(const struct parameter *parameter)
{
    if (parameter->default_text == NULL)
        fputs("from the system", stdout);
    else if (parameter->default_text[0] == '\0')
        fputs("empty", stdout);
    else
        print_text(parameter->default_text);
}

static void print_roles(const struct parameter *parameter)
{
    const char *separator = " Applies to: ";
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if ((parameter->roles & roles[i].role) == 0)
            continue;
        printf("%s%s", separator, roles[i].name);
        separator = ", ";
    }
    if (separator[0] == ',')
        fputs(".", stdout);
}

static void print_bounds(const struct parameter *parameter)
{
    if (parameter->type == PARAMETER_STRING || parameter->type == PARAMETER_RAW)
        return;
    if (parameter->min != 0)
        printf(", at least %lld", (long long)parameter->min);
    if (parameter->max != 0)
        printf(", at most %lld", (long long)parameter->max);
}

static void print_parameter(const struct parameter *parameter)
{
    const char *status = parameter_status_text(parameter->status);
    printf(".TP\n.B %s\n", parameter->name);
    print_text(parameter->meaning);
    printf("\n(%s", parameter_type_text(parameter->type));
    print_bounds(parameter);
    fputs("; default: ", stdout);
    print_default(parameter);
    fputs(")", stdout);
    print_roles(parameter);
    putchar('\n');
    if (status != NULL)
        printf(".I This parameter %s.\n", status);
}

static void print_families(void)
{
    fputs(".SH PARAMETERS OF A TRANSPORT\n"
          "A delivery service of master.cf, say\n.IR name ,\n"
          "has these parameters of its own; each is by default the one beside it.\n",
          stdout);
    for (size_t i = 0; parameter_family_suffixes[i] != NULL; i++)
        printf(".TP\n.IB name %s\n.B %s\n", parameter_family_suffixes[i],
               parameter_family_fallbacks[i]);
}

int main(void)
{
    fputs(".\\\" SPDX-License-Identifier: ISC\n"
          ".\\\" Made from the parameter table; edit common/config/parameters.def instead.\n"
          ".TH POSTHORN\\-PARAMETERS 5 \"\" Posthorn \"File Formats\"\n"
          ".SH NAME\nposthorn\\-parameters \\- the parameters of main.cf\n"
          ".SH DESCRIPTION\n"
          "Every parameter name that Postfix documents is known, kept and shown by\n"
          ".BR postconf (1).\n"
          "One that this release does not support, or that has no effect here, says so below and, when\n"
          "it is set, in the log.\n"
          ".SH PARAMETERS\n",
          stdout);
    for (size_t i = 0; i < parameter_count(); i++)
        print_parameter(parameter_at(i));
    print_families();
    fputs(".SH SEE ALSO\n.BR postconf (1)\n", stdout);
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
