"""A PostgreSQL server of the tests' own: a study's database for processes that do not share a file."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Debian's package keeps its binaries off the search path.
_BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=None)
_FOUND = shutil.which("initdb", path=f"{_BINARIES}{os.pathsep}{os.environ.get('PATH', '')}")
BINARIES = Path(_FOUND).parent if _FOUND else None
# What a server that is thrown away can do without.
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=16MB")


@dataclass(frozen=True)
class Server:
    """A running server, on 127.0.0.1 alone.

    Attributes:
        folder: Where its files lie.
        port: Its port.
    """

    folder: Path
    port: int

    def make_database(self, name: str) -> str:
        """Makes an empty database and returns its URL."""
        assert BINARIES is not None
        connection = ["--host=127.0.0.1", f"--port={self.port}", "--username=fer3d"]
        subprocess.run([BINARIES / "createdb", *connection, name], check=True, timeout=60)
        return f"postgresql+psycopg://fer3d@127.0.0.1:{self.port}/{name}"

    def initialise(self) -> None:
        """Makes its files."""
        self._run("initdb", "--username=fer3d", "--auth=trust", "--no-sync")

    def start(self) -> None:
        """Starts it, for the first time or again."""
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", *_FAST]
        options = " ".join(f"-c {setting}" for setting in settings)
        self._run("pg_ctl", "start", "--wait", f"--log={self.folder}/log", f"--options={options}")

    def stop(self, mode: str = "immediate") -> None:
        """Stops it, and whoever is connected loses the connection."""
        self._run("pg_ctl", "stop", f"--mode={mode}")

    def _run(self, binary: str, *arguments: str) -> None:
        assert BINARIES is not None
        command = [BINARIES / binary, f"--pgdata={self.folder / 'data'}", *arguments]
        user = _user()
        subprocess.run(
            command, check=True, timeout=60, stdout=subprocess.DEVNULL, cwd=self.folder, user=user, group=user
        )


@contextmanager
def postgres_server() -> Iterator[Server]:
    """Runs a server as long as it is needed; as the user `postgres` where this is root, whom PostgreSQL refuses."""
    # Not pytest's own folder, which nobody else may enter.
    with tempfile.TemporaryDirectory(prefix="fer3d-postgres-") as folder:
        user = _user()
        if user is not None:
            os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        server = Server(Path(folder), _free_port())
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _user() -> str | None:
    return "postgres" if os.getuid() == 0 else None


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
