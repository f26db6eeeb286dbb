/* SPDX-License-Identifier: ISC */
/*
 * session_peer: both ends of a session's connection: who the client is said to be, under which address it reached us, and
 * whom it forwards for (XFORWARD). Called when a session begins and by XCLIENT, XFORWARD and the log.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/mem.h"
#include "common/smtp/server/session.h"

static void replace(char **slot, const char *text)
{
    char *copy = text != NULL ? mem_strdup(text) : NULL;
    free(*slot);
    *slot = copy;
}

static char *describe(const struct smtp_session *session, const char *name, const char *address, const char *port)
{
    if (session->server->log_client_port)
        return mem_printf("%s[%s]:%s", name, address, port);
    return mem_printf("%s[%s]", name, address);
}

void smtp_session_set_client(struct smtp_session *session, const char *name, const char *address, const char *port)
{
    replace(&session->client_name, name);
    replace(&session->client_address, address);
    replace(&session->client_port, port);
    free(session->client);
    session->client = describe(session, session->client_name, session->client_address, session->client_port);
}

/* --- our end ------------------------------------------------------------------------------ */

void smtp_session_set_server(struct smtp_session *session, const char *address, const char *port)
{
    replace(&session->server_address, address);
    replace(&session->server_port, port);
}

void smtp_local_endpoint(int fd, char address_text[SMTP_ADDRESS_SIZE], char port[SMTP_PORT_SIZE])
{
    struct sockaddr_storage own = {0};
    socklen_t size = sizeof own;
    memcpy(address_text, "unknown", 8);
    memcpy(port, "unknown", 8);
    const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)&own;
    const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)&own;
    if (getsockname(fd, (struct sockaddr *)&own, &size) == 0) {
        bool is_mapped = own.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&ipv6->sin6_addr);
        const void *address = own.ss_family == AF_INET ? (const void *)&ipv4->sin_addr :
                              is_mapped ? (const void *)&ipv6->sin6_addr.s6_addr[12] : (const void *)&ipv6->sin6_addr;
        if (own.ss_family == AF_INET || own.ss_family == AF_INET6) {
            if (inet_ntop(own.ss_family == AF_INET || is_mapped ? AF_INET : AF_INET6, address, address_text, SMTP_ADDRESS_SIZE) == NULL)
                address_text[0] = '\0';
            snprintf(port, SMTP_PORT_SIZE, "%u", ntohs(own.ss_family == AF_INET ? ipv4->sin_port : ipv6->sin6_port));
        }
    }
}

static void find_server(struct smtp_session *session)
{
    char address[SMTP_ADDRESS_SIZE], port[SMTP_PORT_SIZE];
    smtp_local_endpoint(session->stream.handle.fd, address, port);
    smtp_session_set_server(session, address, port);
}

const char *smtp_session_server_address(struct smtp_session *session)
{
    if (session->server_address == NULL)
        find_server(session);
    return session->server_address;
}

const char *smtp_session_server_port(struct smtp_session *session)
{
    if (session->server_port == NULL)
        find_server(session);
    return session->server_port;
}

/* --- XFORWARD ------------------------------------------------------------------------------- */

struct smtp_forward *smtp_forward_begin(struct smtp_session *session)
{
    if (session->forward == NULL) {
        struct smtp_forward *forward = mem_alloc(sizeof *forward);
        replace(&forward->name, "unknown");
        replace(&forward->address, "unknown");
        replace(&forward->port, "unknown");
        replace(&forward->protocol, "unknown");
        replace(&forward->client, "unknown");
        session->forward = forward;
    }
    return session->forward;
}

void smtp_forward_describe(struct smtp_session *session)
{
    struct smtp_forward *forward = session->forward;
    forward->has_client = true;
    free(forward->client);
    forward->client = strcmp(forward->address, "unknown") != 0 ?
                      describe(session, forward->name, forward->address, forward->port) : mem_strdup(forward->name);
}

void smtp_forward_end(struct smtp_session *session)
{
    struct smtp_forward *forward = session->forward;
    if (forward == NULL)
        return;
    free(forward->name);
    free(forward->address);
    free(forward->port);
    free(forward->protocol);
    free(forward->client);
    free(forward->helo);
    free(forward->ident);
    free(forward);
    session->forward = NULL;
}
