/* SPDX-License-Identifier: ISC */
/* postconf_types: what this build knows: table types (-m), mailbox locks (-l), SASL libraries (-a, -A). */
#include "commands/postconf.h"

static void print_names(const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++)
        puts(names[i]);
}

void postconf_show_table_types(void)
{
    static const char *const names[] = {
#define TABLE_TYPE(name) #name,
#include "common/table/table_type_names.def"
#undef TABLE_TYPE
        "proxy", NULL,
    };
    print_names(names);
}

void postconf_show_lock_methods(void)
{
    static const char *const names[] = {"flock", "fcntl", "dotlock", NULL};
    print_names(names);
}

void postconf_show_sasl_types(bool server)
{
    static const char *const server_names[] = {"cyrus", "dovecot", NULL};
    static const char *const client_names[] = {"cyrus", NULL};
    print_names(server ? server_names : client_names);
}
