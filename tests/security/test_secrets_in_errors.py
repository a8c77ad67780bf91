"""A secret in an exception: no row, no answer, no page and no log shows it."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from spane_django.engine.run import utc_now
from spane_django.engine.secrets import create_secret
from spane_django.models import DeadLetter, LogLine, NodeRun
from spane_django.nodes.base import Context, Node, registry
from spane_django.observability.logs import HideSecrets
from tests.admin.pages import list_of, page_of
from tests.api.conftest import EVERYTHING, MakeApi, definition, run_flow

pytestmark = pytest.mark.django_db

VALUE = 'pa"ss\\w/ö rd+1'
FORMS = [
    VALUE, json.dumps(VALUE)[1:-1], repr(VALUE)[1:-1], quote(VALUE), quote(VALUE, safe=""),
    base64.b64encode(f"api:{VALUE}".encode()).decode()[6:-4], VALUE.encode().hex(),
]  # fmt: skip


class CannotPay(Exception):
    def __init__(self, request: Any) -> None:
        super().__init__(request)
        self.request = request


class Leaking(Node):
    """Fails with everything it was given in what it says."""

    type = "task"

    def execute(self, ctx: Context) -> Any:
        password = ctx.secrets["bank"]
        basic = base64.b64encode(f"api:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}", "X-Password": ctx.config["password"]}
        ctx.log.error(f"calling with {headers}", headers=headers)
        logging.getLogger("bank").error("POST https://bank/?p=%s", quote(password))
        try:
            raise KeyError(password)
        except KeyError as error:
            error.add_note(f"the note says {password}")
            raise CannotPay({"headers": headers, "hex": password.encode().hex()}) from error


def test_a_secret_in_an_exception_is_shown_nowhere(
    api_of: MakeApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(registry._types, "task", Leaking())
    caplog.set_level(logging.DEBUG)
    caplog.handler.addFilter(HideSecrets())
    create_secret("bank", VALUE, now=utc_now())
    api = api_of(*EVERYTHING, "view_auditentry")
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))

    key = run_flow(api, definition("a", a={"password": "{{ secrets.bank }}", "retries": 0}))

    shown = [api.get(f"/api/executions/{key}{part}").text for part in
             ("", "/logs", "/trace", "/nodes", "/events", "/explain")]  # fmt: skip
    shown += [api.get(path).text for path in ("/api/dlq", "/api/executions", "/api/audit")]
    for model in (NodeRun, LogLine, DeadLetter):
        shown += [boss.get(list_of(model)).text, boss.get(page_of(model.objects.first())).text]
    shown.append(boss.get(page_of(NodeRun.objects.get().execution)).text)
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')
            shown.append(repr(cursor.fetchall()))
    shown.append(caplog.text)

    assert "CannotPay" in shown[0]
    assert all("***" in shown[place] for place in (0, 1))
    for text in shown:
        assert [form for form in FORMS if form in text or repr(form)[1:-1] in text] == []
