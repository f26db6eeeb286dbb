/* SPDX-License-Identifier: ISC */
/*
 * A preloaded library that makes every flush of the disk take longer, for tests/bench. Not part of any
 * program. The model is one device with one flush queue, shared by all processes through a mapped file:
 *
 *   - a flush takes `delay` from its start, and flushes follow one another, never overlapping;
 *   - a call must be covered by a flush that starts after the call's own writes are done;
 *   - all calls that wait for the same next flush share it.
 *
 * That is what a file system with a journal gives to processes that sync at the same time, so a server is
 * not punished for syncing from many processes, only for waiting more often than it must.
 * The real call is made first and its result is what the caller sees. Without FLUSH_DELAY_FILE nothing changes.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* The mapped file; tests/bench/run makes it and reads the counters. */
struct device {
    _Atomic int64_t delay_ns;
    _Atomic int64_t last_start_ns; /* of the newest flush, perhaps still in the future */
    _Atomic int64_t calls;         /* how often a process asked */
    _Atomic int64_t flushes;       /* how often the device flushed */
};

static struct device *device;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

__attribute__((constructor)) static void map_device(void)
{
    const char *path = getenv("FLUSH_DELAY_FILE");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *map = mmap(NULL, sizeof(struct device), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED)
        device = map;
}

/* When the flush that covers a call made now will be over. Starts or reserves one where needed. */
static int64_t join_flush(int64_t now, int64_t delay)
{
    int64_t start = atomic_load(&device->last_start_ns);
    for (;;) {
        if (start >= now)
            return start + delay; /* the next one is waited for by others already */
        int64_t next = start + delay > now ? start + delay : now;
        if (atomic_compare_exchange_weak(&device->last_start_ns, &start, next)) {
            atomic_fetch_add(&device->flushes, 1);
            return next + delay;
        }
    }
}

/* Sleeps on a futex: a confined process with threads has that system call, and perhaps no other to sleep with. */
static void wait_for_flush(void)
{
    int saved_errno = errno;
    if (device == NULL)
        return;
    atomic_fetch_add(&device->calls, 1);
    int64_t delay = atomic_load(&device->delay_ns);
    if (delay > 0) {
        int64_t end = join_flush(now_ns(), delay);
        struct timespec until = {.tv_sec = end / 1000000000, .tv_nsec = end % 1000000000};
        uint32_t word = 0;
        while (now_ns() < end)
            syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, &until, NULL, FUTEX_BITSET_MATCH_ANY);
    }
    errno = saved_errno;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int fd)
{
    int result = REAL(fsync)(fd);
    wait_for_flush();
    return result;
}

int fdatasync(int fd)
{
    int result = REAL(fdatasync)(fd);
    wait_for_flush();
    return result;
}

int syncfs(int fd)
{
    int result = REAL(syncfs)(fd);
    wait_for_flush();
    return result;
}

void sync(void)
{
    REAL(sync)();
    wait_for_flush();
}

int sync_file_range(int fd, off64_t offset, off64_t count, unsigned flags)
{
    int result = REAL(sync_file_range)(fd, offset, count, flags);
    if (flags & (SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WAIT_AFTER))
        wait_for_flush();
    return result;
}

int msync(void *start, size_t length, int flags)
{
    int result = REAL(msync)(start, length, flags);
    if (flags & MS_SYNC)
        wait_for_flush();
    return result;
}

ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
    ssize_t result = REAL(pwritev2)(fd, parts, count, offset, flags);
    if (flags & (RWF_DSYNC | RWF_SYNC))
        wait_for_flush();
    return result;
}
