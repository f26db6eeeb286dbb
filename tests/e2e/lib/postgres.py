# SPDX-License-Identifier: ISC
"""A private PostgreSQL on a loopback port and a UNIX socket. As root it runs as the user postgres, as it insists on."""
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

from .waiting import free_port, wait_for


def _binaries():
    """Debian's newest server; its programs are not in PATH."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    return found[-1] if found else None


class PostgreSQL:
    def __init__(self):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="pgsql-", dir="/tmp"))
        self.top.chmod(0o755)
        self.data = self.top / "data"
        self.port = free_port()
        self.user = []
        if os.geteuid() == 0:
            os.chown(self.top, pwd.getpwnam("postgres").pw_uid, pwd.getpwnam("postgres").pw_gid)
            self.user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self.binaries = _binaries()
        self.process = None
        self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-N", "--no-locale", "-E", "UTF8")
        with open(self.data / "postgresql.conf", "a", encoding="ascii") as file:
            file.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\n"
                       f"unix_socket_directories = '{self.top}'\nfsync = off\n")

    @staticmethod
    def unavailable():
        return None if _binaries() else "postgresql is not installed"

    def _run(self, program, *arguments):
        result = subprocess.run([*self.user, self.binaries / program, *map(str, arguments)], cwd="/",
                                capture_output=True, text=True, check=False, timeout=60)
        assert result.returncode == 0, f"{program}: {result.stdout}{result.stderr}"
        return result.stdout

    def start(self):
        with open(self.top / "stderr", "ab") as errors:
            self.process = subprocess.Popen([*self.user, self.binaries / "postgres", "-D", self.data], cwd="/",
                                            stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        wait_for(self._is_ready, "PostgreSQL", 20, 0.05)
        return self

    def _is_ready(self):
        return subprocess.run([self.binaries / "pg_isready", "-q", "-h", self.top, "-p", str(self.port)],
                              check=False).returncode == 0

    def stop(self, number=2):
        """SIGINT: fast shutdown, clients are disconnected."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(20)
            self.process = None

    def finish(self):
        self.stop()
        shutil.rmtree(self.top, ignore_errors=True)

    def sql(self, statements, database="postgres"):
        return self._run("psql", "-h", self.top, "-p", self.port, "-U", "postgres", "-d", database, "-X", "-q", "-At",
                         "-v", "ON_ERROR_STOP=1", "-c", statements)

    def sql_file(self, path, database="postgres"):
        text = pathlib.Path(path).read_text()
        return self.sql(text, database)
