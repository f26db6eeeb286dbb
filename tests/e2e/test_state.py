# SPDX-License-Identifier: ISC
"""The server's small memory as a process: its file through restarts, damage and a disk it may not write to."""
import os
import signal

import pytest

from lib.mta import IS_ROOT
from lib.waiting import wait_for


def state_file(mta):
    return mta.directory / "data" / "state" / "state.mdb"


def state_pid(mta):
    pids = mta.pids("state")
    return pids[0] if pids else None


def test_reload_keeps_the_process_and_stop_ends_it_in_order(posthorn):
    posthorn.start()
    before = state_pid(posthorn)
    posthorn.reload()
    assert state_pid(posthorn) == before
    assert state_file(posthorn).stat().st_mode & 0o777 == 0o600
    assert state_file(posthorn).parent.stat().st_mode & 0o777 == 0o700
    posthorn.stop()
    assert not (state_file(posthorn).parent / "state.opening").exists()


@pytest.mark.parametrize("damage", ["garbage", "cut", "a crash while it was opened"])
def test_a_damaged_file_is_set_aside(posthorn, damage):
    posthorn.log.expect(r"state\.mdb: .*set aside as state\.mdb\.damaged")
    posthorn.start()
    posthorn.stop()
    path = state_file(posthorn)
    content = path.read_bytes()
    if damage == "garbage":
        path.write_bytes(b"nonsense" * 4096)
    elif damage == "cut":
        path.write_bytes(content[:8192])
    else:
        (path.parent / "state.opening").touch()
        os.chown(path.parent / "state.opening", path.stat().st_uid, -1)
    posthorn.start()
    posthorn.log.wait(r"postfix/state\[\d+\]: warning: state\.mdb: .*: set aside as state\.mdb\.damaged; starting with an empty memory")
    assert (path.parent / "state.mdb.damaged").exists() and path.exists()
    assert not (path.parent / "state.opening").exists()


def test_it_comes_back(posthorn):
    posthorn.log.expect(r"killed by signal 9")
    posthorn.start()
    before = state_pid(posthorn)
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: state_pid(posthorn) not in (None, before), "a new state")
    posthorn.restart()
    assert "set aside" not in posthorn.log.text()


@pytest.mark.skipif(not IS_ROOT, reason="needs root to become somebody else")
def test_a_user_of_its_own(posthorn):
    posthorn.main["state_process_user"] = "nobody"
    posthorn.start()
    assert os.stat(f"/proc/{state_pid(posthorn)}/status").st_uid == 0  # not dumpable
    with open(f"/proc/{state_pid(posthorn)}/status", encoding="ascii") as file:
        uid = next(line for line in file if line.startswith("Uid:")).split()[1]
    assert state_file(posthorn).stat().st_uid == int(uid) != (posthorn.directory / "data").stat().st_uid
