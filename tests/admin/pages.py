"""Addresses of the admin's pages, and what a browser makes of their HTML."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from spane_django.models import (
    ApiToken,
    DeadLetter,
    Execution,
    LogLine,
    NodeRun,
    Worker,
    Workflow,
    WorkflowVersion,
)

MODELS: tuple[type[Model], ...] = (
    ApiToken,
    DeadLetter,
    Execution,
    LogLine,
    NodeRun,
    Worker,
    Workflow,
    WorkflowVersion,
)


def list_of(model: type[Model], query: str = "") -> str:
    return reverse(f"admin:spane_django_{model._meta.model_name}_changelist") + query


def page_of(row: Model) -> str:
    return reverse(f"admin:spane_django_{row._meta.model_name}_change", args=[row.pk])


def tab_of(workflow: Model, name: str, *more: object) -> str:
    return reverse(f"admin:spane_django_workflow_{name}", args=[workflow.pk, *more])


def verb_of(model: type[Model], verb: str) -> str:
    return reverse(f"admin:spane_django_{model._meta.model_name}_verb", args=[verb])


def user_of(client: Client) -> User:
    """Return who is logged in."""
    return User.objects.get(pk=client.session[SESSION_KEY])


def told(response: Any) -> list[str]:
    """Return the messages that the next page shows."""
    return [str(message) for message in get_messages(response.wsgi_request)]


class Inline(HTMLParser):
    """Collects whatever a policy of ``script-src 'self'; style-src 'self'`` refuses."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.refused: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in given):
            self.refused.append(tag)
        self.refused += [key for key in given if key == "style" or key.startswith("on")]
        self.refused += [key for key, value in attrs if (value or "").startswith("javascript:")]


class Filled(HTMLParser):
    """Collects what a browser sends of the forms of a page if nobody types anything.

    Attributes:
        values: By the names of fields; of several values a list.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.values: dict[str, Any] = {}
        self._select = self._area = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name, value = given.get("name") or "", given.get("value") or ""
        if tag == "select":
            self._select = name
        elif tag == "option" and (self._select not in self.values or "selected" in given):
            self.values[self._select] = value
        elif tag == "textarea":
            self._area, self.values[name] = name, ""
        elif tag == "input" and given.get("type") == "checkbox" and name:
            if "checked" in given:
                self.values[name] = [*self.values.get(name, []), value or "on"]
        elif tag == "input" and name:
            self.values[name] = value

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            # What a browser shows of a text area begins after the first line break.
            self.values[self._area] = self.values[self._area].removeprefix("\n")
            self._area = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.values[self._area] += data


def form_on(client: Client, url: str, **typed: Any) -> dict[str, Any]:
    """Return what a browser sends of the form of a page after somebody has typed this."""
    html = client.get(url).content.decode()
    _before, _, form = html.partition('class="spane-form"')
    values = Filled(form).values
    del values["csrfmiddlewaretoken"]
    return {**values, **typed}
