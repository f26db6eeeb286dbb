# SPDX-License-Identifier: ISC
"""Looking at processes through /proc. Only descendants of a process that the tests started are ever signalled."""
import os
import signal


def _stat(pid):
    """(name, state, parent, session) or None when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return None
    name = text[text.index("(") + 1:text.rindex(")")]
    state, parent, _, session = text[text.rindex(")") + 2:].split()[:4]
    return name, state, int(parent), int(session)


def is_running(pid):
    stat = _stat(pid)
    return stat is not None and stat[1] not in "ZX"


def _running():
    """(pid, stat) of all running processes."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            stat = _stat(int(entry))
            if stat and stat[1] not in "ZX":
                yield int(entry), stat


def session(leader):
    """The running processes of this session: also those whose parent has ended before them."""
    return [pid for pid, stat in _running() if stat[3] == leader]


def descendants(pid):
    """{pid: program name} of all running descendants."""
    children = {}
    for child, stat in _running():
        children.setdefault(stat[2], []).append((child, stat[0]))
    found, todo = {}, [pid]
    while todo:
        for child, name in children.get(todo.pop(), []):
            found[child] = name
            todo.append(child)
    return found


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def is_sanitized(pid):
    """AddressSanitizer keeps what was freed for a while: little can be said of such a process's memory."""
    with open(f"/proc/{pid}/exe", "rb") as program:
        return b"__asan_init" in program.read()


def memory_kib(pid):
    """Proportional set size: what this process really costs."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0
