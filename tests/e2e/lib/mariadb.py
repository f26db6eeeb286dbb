# SPDX-License-Identifier: ISC
"""A private MariaDB on a loopback port and a UNIX socket, as an ordinary user; root lends it the user nobody."""
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

from .waiting import free_port, wait_for

SERVER = pathlib.Path("/usr/sbin/mariadbd")


class MariaDB:
    def __init__(self):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="mysql-", dir="/tmp"))
        self.top.chmod(0o755)
        self.data, self.socket, self.port = self.top / "data", self.top / "socket", free_port()
        self.user = []
        self.data.mkdir()
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            for path in (self.top, self.data):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
            self.user = ["setpriv", "--reuid=nobody", f"--regid={nobody.pw_gid}", "--clear-groups"]
        self.process = None
        self._run("mariadb-install-db", "--no-defaults", f"--datadir={self.data}", "--auth-root-authentication-method=normal",
                  "--skip-test-db", "--innodb-log-file-size=8M")

    @staticmethod
    def unavailable():
        return None if SERVER.exists() else "mariadb-server is not installed"

    def _run(self, program, *arguments, text=None):
        result = subprocess.run([*self.user, program, *map(str, arguments)], cwd="/", capture_output=True, text=True, input=text,
                                check=False, timeout=120)
        assert result.returncode == 0, f"{program}: {result.stdout}{result.stderr}"
        return result.stdout

    def start(self):
        with open(self.top / "stderr", "ab") as errors:
            self.process = subprocess.Popen(
                [*self.user, SERVER, "--no-defaults", f"--datadir={self.data}", f"--socket={self.socket}",
                 f"--pid-file={self.top}/pid", "--bind-address=127.0.0.1", f"--port={self.port}", "--skip-name-resolve",
                 "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M",
                 "--performance-schema=OFF", "--skip-ssl"], cwd="/", stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        wait_for(self._is_ready, "MariaDB", 30, 0.1)
        return self

    def _is_ready(self):
        return subprocess.run(["mariadb-admin", "--no-defaults", f"--socket={self.socket}", "-uroot", "ping"],
                              capture_output=True, check=False).returncode == 0

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def finish(self):
        self.stop()
        shutil.rmtree(self.top, ignore_errors=True)

    def sql(self, statements, database="mysql"):
        return self._run("mariadb", "--no-defaults", f"--socket={self.socket}", "-uroot", "-N", "-B", database, text=statements)
