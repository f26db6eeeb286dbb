/* SPDX-License-Identifier: ISC */
/*
 * posthorn_check_names: does this host's name lead to an address and back, and can its DNS blocklists answer. The
 * resolver may wait for long, so it is asked in a child process that is ended after some seconds; a name server that
 * does not answer is worth a note only.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands/posthorn_check.h"
#include "common/config/main_cf.h"

#define RESOLVE_MS 5000
#define MAX_ADDRESSES 16

static const struct check_advice unresolved = {
    "hostname-unresolved", CHECK_NOTE, "Other servers compare the name in HELO with the DNS, and many refuse one that has no "
    "address.", "Give myhostname an A or AAAA record, unless only this host cannot see it."};
static const struct check_advice no_way_back = {
    "hostname-reverse", CHECK_WARNING, "Many servers refuse or mark mail from an address whose name does not lead back to it.",
    "Let the provider of the address set its PTR record to myhostname."};
static const struct check_advice public_resolver = {
    "dnsbl-public-resolver", CHECK_WARNING,
    "Blocklists do not answer, or answer every question with a listing (127.255.255.x), when many people ask through one "
    "public resolver.",
    "Run a resolver of your own (unbound, knot-resolver) on this host and name it in resolv.conf."};
static const struct check_advice dead_list = {
    "dnsbl-dead", CHECK_ERROR, "This list was closed. It may answer nothing, or list every address in the world.",
    "Remove it."};

/* --- forward and back ------------------------------------------------------------------------ */

/* One line for each address: "ADDRESS NAME", NAME being "-" when it has none. For the parent's pipe. */
static void resolve_in_child(const char *name, int fd)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    char address[NI_MAXHOST], reverse[NI_MAXHOST];
    size_t count = 0;
    if (getaddrinfo(name, NULL, &hints, &list) != 0)
        _exit(1);
    for (struct addrinfo *at = list; at != NULL && count < MAX_ADDRESSES; at = at->ai_next, count++) {
        if (getnameinfo(at->ai_addr, at->ai_addrlen, address, sizeof address, NULL, 0, NI_NUMERICHOST) != 0)
            continue;
        if (getnameinfo(at->ai_addr, at->ai_addrlen, reverse, sizeof reverse, NULL, 0, NI_NAMEREQD) != 0)
            memcpy(reverse, "-", 2);
        if (dprintf(fd, "%s %s\n", address, reverse) < 0)
            _exit(1);
    }
    _exit(0);
}

static bool read_with_deadline(int fd, struct str *answer)
{
    char data[1024];
    for (;;) {
        struct pollfd poller = {.fd = fd, .events = POLLIN};
        if (poll(&poller, 1, RESOLVE_MS) != 1)
            return false;
        ssize_t len = read(fd, data, sizeof data);
        if (len <= 0)
            return len == 0;
        str_append_bytes(answer, data, (size_t)len);
    }
}

static bool resolve(const char *name, struct str *answer)
{
    int fds[2];
    if (pipe(fds) != 0)
        return false;
    pid_t pid = fork();
    if (pid == 0)
        resolve_in_child(name, fds[1]);
    close(fds[1]);
    bool ok = pid > 0 && read_with_deadline(fds[0], answer);
    close(fds[0]);
    if (pid > 0) {
        if (!ok)
            (void)kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    return ok && answer->len > 0;
}

static bool is_loopback(struct slice address)
{
    return slice_starts_with_nocase(address, SLICE("127.")) || slice_equal(address, SLICE("::1"));
}

static bool is_for_strangers(const struct check *check)
{
    for (size_t i = 1; i < check->view_count; i++)
        if (check_is_smtpd(&check->views[i]) && !check_is_loopback_service(&check->views[i]))
            return true;
    return false;
}

static void check_hostname(struct check *check)
{
    const struct check_view *view = &check->views[0];
    const char *name = check_value(view, "myhostname");
    struct config_origin where = check_locate(check, view, "myhostname", NULL, 0);
    struct str answer = STR_EMPTY;
    struct slice rest, line, address, reverse;
    if (!resolve(name, &answer))
        check_report(check, &unresolved, where, "myhostname %s has no address", name);
    rest = str_slice(&answer);
    while (slice_next_token(&rest, "\n", &line)) {
        if (!slice_next_token(&line, " ", &address) || !slice_next_token(&line, " ", &reverse) || is_loopback(address))
            continue;
        if (slice_equal(reverse, SLICE("-")))
            check_report(check, &no_way_back, where, "%s has the address %.*s, which has no name", name,
                         SLICE_ARGS(address));
        else if (!slice_equal_nocase(reverse, slice_of(name)))
            check_report(check, &no_way_back, where, "%s has the address %.*s, whose name is %.*s", name,
                         SLICE_ARGS(address), SLICE_ARGS(reverse));
    }
    str_free(&answer);
}

/* --- blocklists ---------------------------------------------------------------------------------- */

static const char *const public_resolvers[] = {
    "8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "149.112.112.112", "208.67.222.222", "208.67.220.220",
    "2001:4860:4860::8888", "2001:4860:4860::8844", "2606:4700:4700::1111", "2606:4700:4700::1001", "2620:fe::fe",
    "2620:fe::9",
};

/* Domains of lists that were closed for good, with all names below them. */
static const char *const dead_lists[] = {"sorbs.net", "njabl.org", "ahbl.org", "dsbl.org", "ordb.org", "rfc-ignorant.org",
                                         "spamcannibal.org"};

static const char *find_public_resolver(struct check *check, const char *path)
{
    struct str text = STR_EMPTY;
    struct slice rest, line, word;
    const char *found = NULL;
    if (!config_read_file(path, &text))
        str_clear(&text);
    rest = str_slice(&text);
    while (found == NULL && slice_next_token(&rest, "\n", &line)) {
        if (!slice_next_token(&line, " \t", &word) || !slice_equal(word, SLICE("nameserver")) ||
            !slice_next_token(&line, " \t\r", &word))
            continue;
        if (slice_equal(word, SLICE("127.0.0.53")) && strcmp(path, "/run/systemd/resolve/resolv.conf") != 0)
            found = find_public_resolver(check, "/run/systemd/resolve/resolv.conf"); /* whom systemd-resolved asks */
        for (size_t i = 0; i < sizeof public_resolvers / sizeof public_resolvers[0]; i++)
            if (slice_equal(word, slice_of(public_resolvers[i])))
                found = public_resolvers[i];
    }
    str_free(&text);
    return found;
}

static void check_list(struct check *check, const char *list, struct config_origin where)
{
    char *domain = arena_strdup(check->arena, list);
    domain[strcspn(domain, "=*")] = '\0'; /* "=127.0.0.2", "*3" */
    const char *resolver = find_public_resolver(check, check->resolv_conf);
    if (resolver != NULL)
        check_report(check, &public_resolver, where, "%s is asked through the public resolver %s (%s)", domain, resolver,
                     check->resolv_conf);
    for (size_t i = 0; i < sizeof dead_lists / sizeof dead_lists[0]; i++) {
        const char *dot = arena_printf(check->arena, ".%s", dead_lists[i]);
        if (text_equal_nocase(domain, dead_lists[i]) || check_has_suffix(domain, dot))
            check_report(check, &dead_list, where, "the blocklist %s no longer exists", domain);
    }
}

static void check_blocklists(struct check *check, const struct check_view *view, const char *name)
{
    struct check_words words = {0};
    char **sites;
    if (check_has_suffix(name, "_restrictions") || check_is_class(check, view, name))
        words = check_read_words(check, view, name);
    for (size_t i = 0; i < words.count; i++)
        if ((words.list[i].traits & TRAIT_DNS_LIST) != 0 && words.list[i].argument != NULL)
            check_list(check, words.list[i].argument, check_locate(check, view, name, words.list[i].argument, 0));
    if (strcmp(name, "postscreen_dnsbl_sites") == 0) {
        size_t count = config_split_list(check_value(view, name), check->arena, &sites);
        for (size_t i = 0; i < count; i++)
            check_list(check, sites[i], check_locate(check, view, name, sites[i], 0));
    }
}

void check_names(struct check *check)
{
    if (!check->offline && is_for_strangers(check))
        check_hostname(check);
    check_each_setting(check, check_blocklists);
}
