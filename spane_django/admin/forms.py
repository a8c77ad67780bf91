"""Fields of the forms on our pages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from ..core.json import Json, UnstorableValue, parse
from ..core.redaction import HIDDEN
from ..core.schema import Fault

_REASON_CHARACTERS = 200


class JsonField(forms.CharField):
    """Text that is JSON; an empty field is None."""

    widget = forms.Textarea

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, **options})
        self.widget.attrs |= {"rows": 10, "spellcheck": "false", "dir": "ltr"}

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(_("This is not JSON: %s") % error) from None


class JsonForm(forms.Form):
    """Asks for any value, where no fields can be made of its schema."""

    prefix = "given"
    whole = JsonField(label=_("As JSON"), initial="{}", required=True)

    def value(self) -> Json:
        whole: Json = self.cleaned_data["whole"]
        return whole

    def tell(self, faults: Iterable[Fault], root: str) -> None:
        """Show what is wrong with the value; `root` is what the paths begin with."""
        for fault in faults:
            self.add_error("whole", str(fault))


def faults_of_hidden(value: Json, path: str = "") -> Iterator[Fault]:
    """Yield where a value that somebody gives holds what stands for a hidden one.

    It comes from a page on which the value itself was not shown: taken as it is, it would replace
    a secret by three asterisks.
    """
    if isinstance(value, dict):
        for name, item in value.items():
            yield from faults_of_hidden(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from faults_of_hidden(item, f"{path}[{index}]")
    elif isinstance(value, str) and HIDDEN in value:
        yield Fault(
            path, "hidden", str(_("*** stands for a hidden value: put in what it is to be"))
        )


def reason_field(max_length: int = _REASON_CHARACTERS) -> forms.CharField:
    """Return a field that asks why."""
    return forms.CharField(
        label=_("Reason, for whoever looks at it later"),
        required=False,
        max_length=max_length,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )


class AskForm(forms.Form):
    """What is asked before a verb is carried out: why, and whatever else a subclass asks."""

    reason = reason_field(500)

    @property
    def why(self) -> str:
        """The reason."""
        text: str = self.cleaned_data["reason"]
        return text

    @property
    def given(self) -> dict[str, Any]:
        """What was filled in, the reason apart; nothing that was left empty."""
        filled = {name: value for name, value in self.cleaned_data.items() if name != "reason"}
        return {name: value for name, value in filled.items() if value not in (None, "")}


class AskWhyForm(AskForm):
    """Nothing is done without a reason."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["reason"].required = True


def as_json(value: object) -> str:
    """Return a value as it is put into a `JsonField`."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def as_text(value: Json) -> str:
    """Return JSON as it is typed where text may be typed, too; None is empty."""
    if value is None:
        return ""
    is_plain = isinstance(value, str) and read_text(value) == value
    return str(value) if is_plain else as_json(value)


def read_text(text: str) -> Json:
    """Return what was typed: JSON, or else the text itself."""
    try:
        return parse(text.encode())
    except UnstorableValue:
        return text


def mapping_text(value: Json) -> str:
    """Return an expression, or an object of them, as it is typed."""
    return value if isinstance(value, str) else as_text(value)


def read_mapping(text: str) -> Json:
    """Return an expression, or an object of them, as it was typed; None: nothing was."""
    found = read_text(text)
    return found if isinstance(found, dict) else text.strip() or None
