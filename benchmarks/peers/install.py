"""Install what the engine is measured against, each into a virtual environment of its own.

    python benchmarks/peers/install.py DIRECTORY [PEER …]

The environments lie in the directory, never in the project's own: what the peers need must not
mix with what the project needs.  Versions are pinned, so that figures can be compared.  A peer
that is there in this version is left alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from pathlib import Path

PEERS = {
    "dbos": ("dbos==3.4.0", "psycopg[binary]>=3.2"),
    "celery": ("celery==5.7.0", "redis>=6", "hiredis>=3", "packaging"),
    "rq": ("rq==3.0.0", "redis>=6", "hiredis>=3"),
    "prefect": ("prefect==3.8.8", "fastapi==0.139.0"),
}


def main() -> None:
    options = _options()
    for peer in options.peer or PEERS:
        _install(peer, options.directory)


def python_of(peer: str, directory: Path) -> Path:
    """Return the interpreter of a peer's environment, whether it is there or not."""
    return directory / peer / "bin" / "python"


def installed(directory: Path) -> list[str]:
    """Return the peers that are there in the versions measured."""
    return [peer for peer in PEERS if _mark(peer, directory) == _wanted(peer)]


def _install(peer: str, directory: Path) -> None:
    if peer in installed(directory):
        print(f"{peer}: {PEERS[peer][0]} is there", file=sys.stderr)
        return
    print(f"{peer}: installing {' '.join(PEERS[peer])}", file=sys.stderr, flush=True)
    python = python_of(peer, directory)
    venv.create(directory / peer, with_pip=True, clear=True)
    subprocess.run([python, "-m", "pip", "install", "-q", *PEERS[peer]], check=True)
    (directory / peer / "installed").write_text(_wanted(peer))


def _mark(peer: str, directory: Path) -> str:
    mark = directory / peer / "installed"
    return mark.read_text() if mark.exists() else ""


def _wanted(peer: str) -> str:
    return "\n".join(PEERS[peer])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path, help="where the environments lie or are to lie")
    parser.add_argument("peer", nargs="*", choices=[*PEERS, []], help="these alone")
    return parser.parse_args()


if __name__ == "__main__":
    main()
