"""The forms of event triggers, and trying one on data of an event that has not happened."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from ..core.json import Json
from ..models import Trigger
from ..triggers.event_triggers import Trial, change, create, facts_of, try_out
from .editing import EngineForm, Made, OwnedForm
from .forms import JsonField, mapping_text, read_mapping

_SAMPLE = '{"id": 7, "total": 120}'


def _sample() -> JsonField:
    return JsonField(
        label=_("Data of an event, as JSON"), initial=_SAMPLE,
        help_text=_("To try the trigger with: nothing is started, and it is not saved."),
    )  # fmt: skip


class TriggerForm(OwnedForm):
    """What an event starts, and when."""

    event = forms.CharField(
        label=_("Event"), help_text=_("A name such as order.paid, or order.* or * for many.")
    )
    when = forms.CharField(
        label=_("If"), required=False,
        widget=forms.TextInput(attrs={"class": "vTextField", "spellcheck": "false", "dir": "ltr"}),
        help_text=_("An expression over the event's data: total > `100`. Empty: always."),
    )  # fmt: skip
    mapping = forms.CharField(
        label=_("Input"), required=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "dir": "ltr"}),
        help_text=_(
            'An expression over the data, or a JSON object of such: {"order": "id"}. '
            "Empty: the data as they are."
        ),
    )  # fmt: skip
    enabled = forms.BooleanField(label=_("Enabled"), required=False, initial=True)
    sample = _sample()

    field_order = ("event", "workflow", "tenant", "when", "mapping", "enabled")
    sections = ((_("Try it"), ("sample",)),)
    paths: ClassVar[Mapping[str, str]] = {"workflowId": "workflow", "map": "mapping"}

    @staticmethod
    def said_of(row: Trigger) -> dict[str, Any]:
        return {
            "event": row.name,
            "workflow": row.workflow_id,
            "when": row.when,
            "mapping": mapping_text(row.map),
            "enabled": row.is_enabled,
        }

    def save(self, *, now: datetime, by: Any) -> Made:
        """Make or change the trigger."""
        said = self._said()
        if self.row is None:
            return Made(create(said, now=now, tenant=self.tenant(), by=by))
        before = facts_of(self.row)
        given = {name: value for name, value in said.items() if value != before[name]}
        return Made(change(self.row.pk, given, now=now, by=by))

    def trial(self) -> Trial:
        """Return what the trigger would make of the sample if it were saved.

        Raises:
            SpaneError: it could not be saved so.
        """
        tenant = self.row.tenant if self.row else self.tenant()
        return try_out(self._said(), self.cleaned_data["sample"], tenant=tenant)

    def _said(self) -> dict[str, Json]:
        data = self.cleaned_data
        return {
            "event": data["event"],
            "workflowId": data["workflow"].key,
            "when": data["when"] or None,
            "map": read_mapping(data["mapping"]),
            "enabled": data["enabled"],
        }


class TryForm(EngineForm):
    """Data to try a trigger with that is there, whoever said it."""

    sample = _sample()

    def __init__(self, data: Any, *, row: Trigger) -> None:
        super().__init__(data)
        self._row = row

    def trial(self) -> Trial:
        """Return what the trigger would make of the sample."""
        said = {**facts_of(self._row), "event": "any"}
        return try_out(said, self.cleaned_data["sample"], tenant=self._row.tenant)
