/* SPDX-License-Identifier: ISC */
/*
 * posthorn_check_sockets: neighbours that the configuration counts on: Dovecot's LMTP and login sockets, milters, policy
 * services. A UNIX socket must exist; a port of this host must answer (not with --offline, and never longer than a
 * second). What master.cf itself provides is there once the server runs.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands/posthorn_check.h"

#define CONNECT_MS 1000

static const struct check_advice transport_absent = {
    "transport-socket-absent", CHECK_ERROR, "Nobody listens there: mail for this destination stays in the queue until it is "
    "returned.", "Start the delivery program (Dovecot: service lmtp), and make its listener and this setting agree."};
static const struct check_advice login_absent = {
    "sasl-socket-absent", CHECK_ERROR, "Nobody listens there: no client can log in.",
    "Start the authentication service (Dovecot: service auth, unix_listener), and make its listener and this setting agree."};
static const struct check_advice milter_absent = {
    "milter-absent", CHECK_WARNING,
    "Where mail is shown to milters (not yet in this release), it is answered as milter_default_action says: refused for now.",
    "Start the milter, and make its socket and this setting agree."};
static const struct check_advice milter_skipped = {
    "milter-absent-and-skipped", CHECK_WARNING,
    "With milter_default_action = accept, mail passes without being signed or checked, and nothing but a log line tells.",
    "Start the milter, and make its socket and this setting agree."};
static const struct check_advice policy_absent = {
    "policy-service-absent", CHECK_ERROR, "Mail that reaches this restriction is answered with 451 4.3.5.",
    "Start the policy service, and make its socket and this setting agree."};
static const struct check_advice no_socket = {
    "not-a-socket", CHECK_ERROR, "A connection to it fails, as if nobody listened.", "Name the socket that the service "
    "listens on."};

struct endpoint {
    struct check *check;
    const struct check_view *view;
    const struct check_advice *advice;
    const char *parameter;
    struct config_origin where;
};

/* "private/policy" is made by master when master.cf has such a service. */
static bool is_own_service(const struct check *check, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL || (strncmp(path, "private/", 8) != 0 && strncmp(path, "public/", 7) != 0))
        return false;
    for (size_t i = 0; i < check->services.count; i++)
        if (strcmp(check->services.services[i].name, slash + 1) == 0)
            return true;
    return false;
}

static void check_unix(const struct endpoint *endpoint, const char *path)
{
    struct check *check = endpoint->check;
    const char *queue = check_value(endpoint->view, "queue_directory");
    const char *below_queue = arena_printf(check->arena, "%s/%s", queue, path + (path[0] == '/'));
    const char *full = path[0] == '/' ? path : below_queue;
    struct stat st;
    if (is_own_service(check, path))
        return;
    /* A process of Postfix that is chrooted sees "/x" below the queue directory: accepted here, too. */
    int status = stat(full, &st);
    if (status != 0 && path[0] == '/')
        status = stat(below_queue, &st);
    if (status != 0)
        check_report(check, endpoint->advice, endpoint->where, "%s: there is no socket %s: %s", endpoint->parameter, full,
                     strerror(errno));
    else if (!S_ISSOCK(st.st_mode))
        check_report(check, &no_socket, endpoint->where, "%s: %s is not a socket", endpoint->parameter, full);
}

/* True unless this host says at once that nobody listens. */
static bool port_answers(const struct sockaddr *address, socklen_t size)
{
    int error = 0, fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t error_size = sizeof error;
    if (fd < 0)
        return true;
    if (connect(fd, address, size) != 0)
        error = errno;
    if (error == EINPROGRESS) {
        struct pollfd poller = {.fd = fd, .events = POLLOUT};
        error = poll(&poller, 1, CONNECT_MS) == 1 ? 0 : ETIMEDOUT;
        if (error == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_size) != 0)
            error = errno;
    }
    close(fd);
    return error != ECONNREFUSED;
}

/* Only ports of this host are tried: those of others are none of our business here. */
static bool is_absent(struct slice host, uint64_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    char text[INET_ADDRSTRLEN];
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bool either = slice_equal_nocase(host, SLICE("localhost"));
    if (slice_equal(host, SLICE("[::1]")) || slice_equal(host, SLICE("::1")))
        return !port_answers((struct sockaddr *)&v6, sizeof v6);
    if (slice_starts_with_nocase(host, SLICE("127.")) && host.len < sizeof text) {
        memcpy(text, host.data, host.len);
        text[host.len] = '\0';
        either = inet_pton(AF_INET, text, &v4.sin_addr) == 1;
        return either && !port_answers((struct sockaddr *)&v4, sizeof v4);
    }
    return either && !port_answers((struct sockaddr *)&v4, sizeof v4) && !port_answers((struct sockaddr *)&v6, sizeof v6);
}

static void check_inet(const struct endpoint *endpoint, const char *address)
{
    const char *colon = strrchr(address, ':');
    uint64_t port;
    if (endpoint->check->offline || colon == NULL || !slice_to_u64(slice_of(colon + 1), &port) || port == 0 || port > 65535)
        return;
    if (is_absent(slice_range(address, (size_t)(colon - address)), port))
        check_report(endpoint->check, endpoint->advice, endpoint->where, "%s: nobody listens on %s", endpoint->parameter,
                     address);
}

/* "unix:path", "inet:host:port"; with DEFAULT_UNIX a bare path is a socket's. */
static void check_endpoint(const struct endpoint *endpoint, const char *text, bool default_unix)
{
    if (strncmp(text, "unix:", 5) == 0 || strncmp(text, "local:", 6) == 0)
        check_unix(endpoint, strchr(text, ':') + 1);
    else if (strncmp(text, "inet:", 5) == 0)
        check_inet(endpoint, text + 5);
    else if (default_unix)
        check_unix(endpoint, text);
}

/* --- settings ------------------------------------------------------------------------------- */

static bool is_transport(const char *name)
{
    return check_has_suffix(name, "_transport") && strncmp(name, "address_verify_", 15) != 0;
}

/* "lmtp:unix:private/dovecot-lmtp", "lmtp:inet:127.0.0.1:24": what stands behind the transport's name. */
static void check_transport(struct check *check, const struct check_view *view, const char *name)
{
    const char *value = check_value(view, name), *colon = strchr(value, ':');
    struct endpoint endpoint = {check, view, &transport_absent, name, check_locate(check, view, name, NULL, 0)};
    if (colon != NULL)
        check_endpoint(&endpoint, colon + 1, false);
}

/* In "{ inet:host:port, connect_timeout=10s }" the first word is the address. */
static const char *first_word(struct check *check, const char *item)
{
    char **words;
    return config_split_list(item, check->arena, &words) > 0 ? words[0] : "";
}

static void check_milters(struct check *check, const struct check_view *view, const char *name)
{
    char **items;
    size_t count = config_split_list(check_value(view, name), check->arena, &items);
    bool accepts = strcmp(check_value(view, "milter_default_action"), "accept") == 0;
    for (size_t i = 0; i < count; i++) {
        const char *address = first_word(check, items[i]);
        struct endpoint endpoint = {check, view, accepts ? &milter_skipped : &milter_absent, name,
                                    check_locate(check, view, name, address, 0)};
        check_endpoint(&endpoint, address, false);
    }
}

static void check_policies(struct check *check, const struct check_view *view, const char *name)
{
    char **items;
    size_t count = config_split_list(check_value(view, name), check->arena, &items);
    for (size_t i = 1; i < count; i++) {
        const char *address = first_word(check, items[i]);
        if (!text_equal_nocase(items[i - 1], "check_policy_service"))
            continue;
        struct endpoint endpoint = {check, view, &policy_absent, name, check_locate(check, view, name, address, 0)};
        check_endpoint(&endpoint, address, false);
    }
}

static void check_setting(struct check *check, const struct check_view *view, const char *name)
{
    if (is_transport(name))
        check_transport(check, view, name);
    else if (check_has_suffix(name, "_milters"))
        check_milters(check, view, name);
    else if (check_has_suffix(name, "_restrictions") || check_is_class(check, view, name))
        check_policies(check, view, name);
}

/* smtpd_sasl_path may be the default and is needed only where AUTH is offered. */
static void check_login(struct check *check, const struct check_view *view)
{
    struct config_origin where = check_locate(check, view, "smtpd_sasl_path", NULL, 0);
    if (where.file == NULL)
        where = check_locate(check, view, "smtpd_sasl_auth_enable", NULL, 0);
    struct endpoint endpoint = {check, view, &login_absent, "smtpd_sasl_path", where};
    if (check_is_yes(view, "smtpd_sasl_auth_enable") && strcmp(check_value(view, "smtpd_sasl_type"), "dovecot") == 0)
        check_endpoint(&endpoint, check_value(view, "smtpd_sasl_path"), true);
}

void check_sockets(struct check *check)
{
    check_each_setting(check, check_setting);
    for (size_t i = 0; i < check->view_count; i++)
        if (check_is_smtpd(&check->views[i]))
            check_login(check, &check->views[i]);
}
