"""``python -m tests.api.who_may`` asks every route as everybody and prints what they get."""

from __future__ import annotations

import sys

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main(["-q", "-s", "--no-header", "tests/api/test_who_may.py"]))
