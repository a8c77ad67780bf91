"""What a process holds that has only set Django up: nothing heavy that it may never use.

An idle worker is such a process.  Packages that Django's setup must not import are named with
those who may: libraries that import them on their own, whether we use them or not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

# Each heavy package, and the libraries that import it by themselves.
HEAVY = {
    "httpx": set(),
    "re2": set(),
    "rest_framework": {"importlib"},  # Django looks for modules in every installed app
    "drf_spectacular": set(),
    "cryptography": {"redis"},
    "yaml": {"kombu"},
    "prometheus_client": {"django_rq"},
}

SET_UP = """
import builtins, json, sys

heavy, found, real = json.loads(sys.argv[1]), set(), builtins.__import__

def note(name, globals=None, locals=None, fromlist=(), level=0):
    package = name.partition(".")[0]
    importer = sys._getframe(1).f_globals["__name__"]
    if level == 0 and package in heavy and importer.partition(".")[0] != package:
        found.add((package, importer))
    return real(name, globals, locals, fromlist, level)

builtins.__import__ = note
import django
django.setup()
print(json.dumps([sorted(found), sorted(sys.modules)]))
"""


@pytest.fixture(scope="module")
def set_up(tmp_path_factory):
    """Who imported which heavy package, and all modules there are, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", SET_UP, json.dumps(list(HEAVY))],
        env=os.environ | {"SPANE_DATA_DIR": str(tmp_path_factory.mktemp("data"))},
        capture_output=True,
        text=True,
        check=True,
    )
    importers, modules = json.loads(done.stdout)
    return importers, set(modules)


def test_setting_django_up_imports_nothing_heavy_that_may_never_be_used(set_up):
    importers, _ = set_up

    unasked = [
        f"{importer} imports {package}"
        for package, importer in importers
        if importer.partition(".")[0] not in HEAVY[package]
    ]

    assert unasked == []


def test_setting_django_up_loads_no_cipher_no_http_client_and_no_api(set_up):
    _, modules = set_up

    loaded = modules & {
        "httpx",
        "cryptography.fernet",
        "cryptography.hazmat.bindings._rust",
        "rest_framework.views",
        "rest_framework.serializers",
    }

    assert loaded == set()
