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
        port: Its port.
    """

    port: int

    def make_database(self, name: str) -> str:
        """Makes an empty database and returns its URL."""
        assert BINARIES is not None
        connection = ["--host=127.0.0.1", f"--port={self.port}", "--username=fer3d"]
        subprocess.run([BINARIES / "createdb", *connection, name], check=True, timeout=60)
        return f"postgresql+psycopg://fer3d@127.0.0.1:{self.port}/{name}"


@contextmanager
def postgres_server() -> Iterator[Server]:
    """Runs a server as long as it is needed; as the user `postgres` where this is root, whom PostgreSQL refuses."""
    assert BINARIES is not None
    user = "postgres" if os.getuid() == 0 else None
    # Not pytest's own folder, which nobody else may enter.
    with tempfile.TemporaryDirectory(prefix="fer3d-postgres-") as folder:
        if user is not None:
            os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        data, port = Path(folder) / "data", _free_port()

        def run(binary: str, *arguments: str) -> None:
            command = [BINARIES / binary, *arguments]
            subprocess.run(
                command, check=True, timeout=60, stdout=subprocess.DEVNULL, cwd=folder, user=user, group=user
            )

        run("initdb", f"--pgdata={data}", "--username=fer3d", "--auth=trust", "--no-sync")
        settings = [f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", *_FAST]
        options = " ".join(f"-c {setting}" for setting in settings)
        run("pg_ctl", "start", "--wait", f"--pgdata={data}", f"--log={folder}/log", f"--options={options}")
        try:
            yield Server(port)
        finally:
            run("pg_ctl", "stop", "--mode=immediate", f"--pgdata={data}")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
