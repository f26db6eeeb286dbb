# SPDX-License-Identifier: ISC
"""Programs of the machine, run with files of ours."""
import pathlib
import shutil


def unconfined(program, directory):
    """The program, or a copy of it in `directory` where an AppArmor profile ties its path to the system's own files: Ubuntu's
    slapd may read nothing below /tmp, and a profile goes by the path."""
    program = pathlib.Path(program)
    if not (pathlib.Path("/etc/apparmor.d") / str(program).strip("/").replace("/", ".")).exists():
        return program
    copy = pathlib.Path(directory) / program.name
    if not copy.exists():
        shutil.copy(program, copy)
    return copy
