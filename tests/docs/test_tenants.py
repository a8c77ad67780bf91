"""The page on tenants says of scopes what the table in the code says."""

from __future__ import annotations

import re
from pathlib import Path

from spane_django.engine.tokens import SCOPES

PAGE = Path(__file__).parents[2] / "docs" / "tenants.md"
ROW = re.compile(r"^\| `(\w+)` \| (.+) \|$", re.MULTILINE)


def test_the_table_of_scopes_on_the_page_is_that_of_the_code():
    told = {name: re.findall(r"`(\w+)`", listed) for name, listed in ROW.findall(PAGE.read_text())}

    assert told == {name: list(added) for name, added in SCOPES.items()}
