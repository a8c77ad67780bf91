"""The API keeps what its document says, whatever it is sent."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest

from .contract import Site, check, document_of, site

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    with site() as found:
        yield found


@pytest.mark.parametrize("scope", ["execute", "admin"])
def test_no_request_gets_an_answer_that_the_document_does_not_tell_of(
    served: Site, scope: str
) -> None:
    document = document_of(served.url, served.tokens[scope])

    found = check(served, scope, document, seed=7, examples=5, is_thorough=False)

    assert found.cases > 500
    assert found.errors == []
    assert found.failures == {}, "\n".join(found.samples.values())
    assert found.server_errors == 0
    assert sum(count for status, count in found.statuses.items() if status < 300) > 20


def test_a_document_that_lies_is_found_out(served: Site) -> None:
    lie = copy.deepcopy(document_of(served.url, served.tokens["admin"]))
    live = {path: told for path, told in lie["paths"].items() if path == "/health/live"}
    lie["components"]["schemas"]["Live"]["properties"]["status"] = {"type": "integer"}

    found = check(served, "admin", {**lie, "paths": live}, seed=7, examples=1, is_thorough=False)

    assert {name for name, _ in found.failures} == {"response_schema_conformance"}
