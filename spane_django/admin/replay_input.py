"""The input of what runs again: a form of the schema or JSON, with what it was filled in.

Nothing is given where the form is left as it was.  It is not offered to those who may not see
payloads, nor for what is too large or cannot be read; whatever is posted then is not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.forms import Media
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from ..core.definition import Definition
from ..core.json import Json
from ..core.redaction import HIDDEN
from ..core.schema import Fault
from ..engine.inputs import input_of
from ..engine.rerun import UNCHANGED
from ..models import Execution, WorkflowVersion
from ..models.payloads import PayloadUnavailable, load
from .forms import JsonForm, as_json, faults_of_hidden
from .present import query
from .schema_forms import SchemaForm, has_fields

MOST_CHARACTERS = 100_000
"""More than this is not edited in a page."""


class InputForm:
    """The form, or why there is none.

    Attributes:
        note: What to know about it.
        form: None: it runs with the input that it had.
        other_url: The address of the other form of the same, JSON or fields; empty: there is none.
        is_json: Whether it is JSON that is asked for.
    """

    def __init__(self, note: str | Promise = "", form: JsonForm | SchemaForm | None = None) -> None:
        self.note = note
        self.form = form
        self.other_url = ""
        self.is_json = isinstance(form, JsonForm)
        self._was: Json = None
        self._untouched: Json = UNCHANGED
        self._others: list[str] = []

    @property
    def media(self) -> Media:
        return Media() if self.form is None else self.form.media

    @property
    def errors(self) -> Any:
        return self._others or (None if self.form is None else self.form.errors)

    @property
    def others(self) -> Sequence[str]:
        """Faults that no field is there for."""
        return self._others

    def remember(self, was: Json, untouched: Json) -> None:
        """Say what the input was, and what the form gives if nobody touches it."""
        self._was, self._untouched = was, untouched

    def is_valid(self) -> bool:
        """Say whether what was filled in can be asked for."""
        if self.form is None:
            return True
        if not self.form.is_valid():
            return False
        faults = [] if self.value() is UNCHANGED else list(faults_of_hidden(self.form.value()))
        self.form.tell(faults, "")
        return not faults

    def value(self) -> Json:
        """Return the input; `UNCHANGED` if it is as it was."""
        if self.form is None:
            return UNCHANGED
        value: Json = self.form.value()
        is_as_it_was = value == self._was or value == self._untouched
        return UNCHANGED if is_as_it_was else value

    def tell(self, faults: Sequence[Fault]) -> None:
        """Show what the engine has found wrong."""
        for fault in faults:
            root = fault.path.partition(".")[0].partition("[")[0]
            if self.form is None or root not in ("initialData", "input"):
                self._others.append(str(fault))
            else:
                self.form.tell([fault], root)


def input_for(
    execution: Execution,
    *,
    node_id: str | None,
    version_id: int,
    request: HttpRequest,
    is_taken: bool,
    may_see: bool,
) -> InputForm:
    """Return the form for the input of an execution, or of a node of it.

    Args:
        version_id: Whose schema it has.
        is_taken: Whether another input can be given at all.
    """
    if not is_taken:
        return InputForm()
    if not may_see:
        return InputForm(_("The input is hidden, as you may not see payloads; it stays as it was."))
    try:
        was = load(_stored(execution, node_id))
    except PayloadUnavailable as error:
        return InputForm(_("The input cannot be edited: %s") % error)
    text = as_json(was)
    if len(text) > MOST_CHARACTERS:
        return InputForm(_("The input is too large to be edited here; it stays as it was."))
    schema = None if node_id is not None else _schema(version_id)
    made = _form(schema, was, request)
    if HIDDEN in text:
        made.note = _(
            "*** stands for a value that was hidden when it was stored. To change anything of the "
            "input, put the value in its place; what is left as it is runs as it did."
        )
    return made


def _form(schema: Any, was: Json, request: HttpRequest) -> InputForm:
    posted = request.POST if request.method == "POST" else None
    can_be_fields = schema is not None and isinstance(was, dict) and _has_field_for_all(schema, was)
    if not can_be_fields or "json" in request.GET:
        made = InputForm(form=JsonForm(posted, initial={"whole": as_json(was)}))
        made.remember(was, was)
        if can_be_fields:
            without = request.GET.copy()
            without.pop("json", None)
            made.other_url = f"?{without.urlencode()}"
        return made
    asked = SchemaForm(schema, posted, user=request.user)
    asked.fill(was)
    blank = SchemaForm(schema, user=request.user)
    blank.fill(was)
    untouched = SchemaForm(
        schema, {field.html_name: field.value() for field in blank}, user=request.user
    )
    made = InputForm(form=asked)
    made.remember(was, untouched.value() if untouched.is_valid() else was)
    made.other_url = query(request, json="1")
    return made


def _has_field_for_all(schema: Any, was: dict[str, Json]) -> bool:
    return has_fields(schema) and was.keys() <= schema["properties"].keys()


def _schema(version_id: int) -> Any:
    return Definition(WorkflowVersion.objects.get(pk=version_id).definition).input_schema


def _stored(execution: Execution, node_id: str | None) -> Json:
    if node_id is None:
        return execution.input
    run = execution.node_runs.filter(node_id=node_id).first()
    if run is None:
        return None
    run.execution = execution
    return input_of(run)
