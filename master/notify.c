/* SPDX-License-Identifier: ISC */
/*
 * notify: tells the service manager that we are ready, reload or stop, by its one-datagram protocol
 * (sd_notify(3)). Without NOTIFY_SOCKET nothing happens; a manager that does not listen is no error.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/log.h"
#include "master/supervisor.h"

static struct sockaddr_un manager;
static socklen_t manager_len;

void notify_init(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path != NULL ? strlen(path) : 0;
    if (len < 2 || len >= sizeof manager.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    manager.sun_family = AF_UNIX;
    memcpy(manager.sun_path, path, len);
    if (path[0] == '@') /* the abstract name space */
        manager.sun_path[0] = '\0';
    manager_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    unsetenv("NOTIFY_SOCKET");
}

void notify_send(const char *text)
{
    if (manager_len == 0)
        return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&manager,
                         manager_len) < 0)
        log_warning("cannot notify the service manager: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
}
