"""The wheel works in an empty Django project that has never seen this checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

SETTINGS = """
INSTALLED_APPS += ["rest_framework", "django_rq", "django_celery_beat", "spane_django"]
RQ_QUEUES = {"spane": {"URL": f"unix://{BASE_DIR}/redis.sock"}}
DATABASES["default"]["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;"}
"""

STORY = """
from django.test import Client
from django.contrib.auth.models import User
from django.utils import timezone
import spane_django
assert "site-packages-of-the-test" in spane_django.__file__, spane_django.__file__
User.objects.create_superuser("ada", password="x")
client = Client(SERVER_NAME="localhost")
client.login(username="ada", password="x")
for page in ("execution", "workflow", "deadletter", "noderun"):
    assert client.get(f"/admin/spane_django/{page}/").status_code == 200, page
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    # What an earlier build left must not find its way into this one.
    shutil.rmtree(ROOT / "build", ignore_errors=True)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "-w", directory, ROOT], check=True, cwd=directory)
    (made,) = directory.glob("*.whl")
    return made


def test_the_wheel_holds_templates_static_files_migrations_and_the_typing_marker(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()

    package = [str(path.relative_to(ROOT)) for path in _shipped()]
    assert package
    assert set(package) <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "demo_project/"))]


def test_an_empty_project_migrates_checks_and_shows_its_admin_pages(wheel: Path, tmp_path: Path):
    target = tmp_path / "site-packages-of-the-test"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", target]
    subprocess.run([*install, wheel], check=True)
    # A project on SQLite need not have PostgreSQL's driver.
    (target / "sitecustomize.py").write_text("import sys; sys.modules['psycopg'] = None")
    environment = {
        key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"
    } | {"PYTHONPATH": str(target)}
    project = tmp_path / "shop"
    project.mkdir()

    def manage(*arguments: str) -> None:
        command = [sys.executable, *arguments]
        subprocess.run(command, cwd=project, env=environment, check=True)

    manage("-m", "django", "startproject", "shop", ".")
    with (project / "shop" / "settings.py").open("a") as settings:
        settings.write(SETTINGS)
    manage("manage.py", "migrate", "-v0")
    manage("manage.py", "check", "--fail-level", "WARNING")
    manage("manage.py", "shell", "-v0", "-c", STORY)


def _shipped() -> list[Path]:
    package = ROOT / "spane_django"
    patterns = ("migrations/*.py", "templates/**/*.html", "static/**/*.*", "py.typed")
    return [path for pattern in patterns for path in package.glob(pattern) if path.is_file()]
