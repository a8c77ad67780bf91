"""Forms made from a JSON Schema: what people fill in instead of writing JSON.

Each property of an object is a field; what no field fits is asked for as JSON.  The form gathers,
it does not judge: whether the value is right is decided where it goes, by the schema itself, and
each fault comes back to the field that it is about.

``"x-model": "shop.order"`` offers the rows of a model, to who may view them, by primary key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django import forms
from django.apps import apps
from django.contrib.auth import get_permission_codename
from django.contrib.auth.models import AnonymousUser
from django.core.serializers.json import DjangoJSONEncoder
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _

from ..core.json import Json
from ..core.schema import Fault
from .forms import JsonField, as_json

_MOST_ROWS = 500
_LONG_TEXT = 200
_ONE_PER_LINE = _("One per line.")

Schema = Mapping[str, Any]


def has_fields(schema: object) -> bool:
    """Say whether a schema is one that a form can be made of: an object with properties."""
    return isinstance(schema, Mapping) and bool(schema.get("properties"))


def names_in_order(schema: Schema) -> list[str]:
    """Return the properties as they are asked for: required ones first, as they are listed.

    PostgreSQL keeps no order of the keys of an object.
    """
    required = [name for name in schema.get("required", ()) if name in schema["properties"]]
    return [*required, *sorted(schema["properties"].keys() - set(required))]


class SchemaForm(forms.Form):
    """Asks for the properties of an object.

    Args:
        schema: As `has_fields` says.
        user: Who fills it in: it decides which rows are offered.
    """

    prefix = "given"

    def __init__(self, schema: Schema, *args: Any, user: Any = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._names: dict[str, str] = {}
        required = set(schema.get("required", ()))
        for index, name in enumerate(names_in_order(schema)):
            wanted = schema["properties"][name]
            self._names[f"f{index}"] = name
            given = wanted if isinstance(wanted, Mapping) else {}
            field = _field(given, is_required=name in required, user=user or AnonymousUser())
            field.label = str(given.get("title") or name)
            field.help_text = field.help_text or str(given.get("description", ""))
            self.fields[f"f{index}"] = field

    def fill(self, value: Mapping[str, Json]) -> None:
        """Show a value that there is, and no defaults in place of what it does not hold."""
        for key, name in self._names.items():
            field = self.fields[key]
            field.initial = _asked(field, value[name]) if name in value else None

    def value(self) -> dict[str, Json]:
        """Return what was filled in; what was left empty is not there."""
        found = {}
        for key, name in self._names.items():
            value = _plain(self.fields[key], self.cleaned_data.get(key))
            if value not in (None, "", []):
                found[name] = value
        return found

    def tell(self, faults: Iterable[Fault], root: str) -> None:
        """Show faults at the fields that they are about.

        Args:
            root: What the paths of faults begin with.
        """
        keys = {name: key for key, name in self._names.items()}
        for fault in faults:
            path = fault.path.removeprefix(root).lstrip(".")
            about = (name for name in keys if re.match(rf"{re.escape(name)}($|[.\[])", path))
            # What is missing has no path of its own: the message names it.
            missing = (name for name in keys if f"'{name}'" in fault.message)
            found = next(about, None) or next(missing, None)
            self.add_error(keys[found] if found else None, fault.message)


def _field(wanted: Schema, *, is_required: bool, user: Any) -> forms.Field:
    """Return the field for a value of this schema."""
    kind = wanted.get("type")
    if "x-model" in wanted and (rows := _rows(str(wanted["x-model"]), user)) is not None:
        return forms.ModelChoiceField(rows, required=is_required)
    if "enum" in wanted and kind != "array":
        return _choice(wanted["enum"], wanted, is_required=is_required)
    if kind == "boolean":
        return forms.BooleanField(required=False, initial=bool(wanted.get("default")))
    if kind in ("integer", "number"):
        number = forms.IntegerField if kind == "integer" else forms.FloatField
        return number(
            required=is_required,
            initial=wanted.get("default"),
            min_value=wanted.get("minimum"),
            max_value=wanted.get("maximum"),
        )
    if kind == "string":
        return _text(wanted, is_required=is_required)
    if kind == "array" and (lines := _lines(wanted.get("items"), is_required=is_required)):
        return lines
    default = as_json(wanted["default"]) if "default" in wanted else None
    field = JsonField(initial=default, help_text=_("As JSON."))
    field.required = is_required
    return field


def _text(wanted: Schema, *, is_required: bool) -> forms.Field:
    options: dict[str, Any] = {"required": is_required, "initial": wanted.get("default")}
    match wanted.get("format"):
        case "date":
            day = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})
            return forms.DateField(widget=day, **options)
        case "date-time":
            widget = forms.DateTimeInput(
                format="%Y-%m-%dT%H:%M:%S", attrs={"type": "datetime-local", "step": "1"}
            )
            return forms.DateTimeField(widget=widget, **options)
        case "email":
            return forms.EmailField(**options)
    longest = wanted.get("maxLength")
    is_long = wanted.get("format") == "textarea" or (longest or 0) > _LONG_TEXT
    widget_kind = forms.Textarea(attrs={"rows": 4}) if is_long else forms.TextInput()
    return forms.CharField(max_length=longest, strip=False, widget=widget_kind, **options)


def _choice(values: Iterable[Json], wanted: Schema, *, is_required: bool) -> forms.Field:
    texts = {as_json(value): value for value in values}
    choices = [(text, value if isinstance(value, str) else text) for text, value in texts.items()]
    default = as_json(wanted["default"]) if "default" in wanted else None
    empty = [] if is_required and default is not None else [("", "—")]
    return forms.TypedChoiceField(
        choices=[*empty, *choices],
        coerce=texts.__getitem__,
        empty_value=None,
        required=is_required,
        initial=default,
    )


def _lines(items: object, *, is_required: bool) -> forms.Field | None:
    """Return a field for a list of plain values; None: they are not plain."""
    if not isinstance(items, Mapping):
        return None
    if "enum" in items:
        texts = {as_json(value): value for value in items["enum"]}
        return forms.TypedMultipleChoiceField(
            choices=[(text, text.strip('"')) for text in texts],
            coerce=texts.__getitem__,
            required=is_required,
            widget=forms.CheckboxSelectMultiple,
        )
    if items.get("type") not in _READ:
        return None
    return _LinesField(_READ[items["type"]], required=is_required, help_text=_ONE_PER_LINE)


class _LinesField(forms.CharField):
    widget = forms.Textarea

    def __init__(self, read: Any, **options: Any) -> None:
        super().__init__(**options)
        self.widget.attrs["rows"] = 4
        self._read = read

    def clean(self, value: Any) -> Any:
        lines = [line.strip() for line in super().clean(value).splitlines() if line.strip()]
        try:
            return [self._read(line) for line in lines]
        except ValueError:
            raise forms.ValidationError(_("Each line must be a number.")) from None


_READ: dict[str, Any] = {"string": str, "integer": int, "number": float}


def _rows(label: str, user: Any) -> Any:
    """Return the rows that a user may choose from; None: no such model, or none of them."""
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError):
        return None
    codename = get_permission_codename("view", model._meta)
    if not user.has_perm(f"{model._meta.app_label}.{codename}"):
        return None
    newest = model._default_manager.order_by("-pk").values("pk")[:_MOST_ROWS]
    return model._default_manager.filter(pk__in=list(newest.values_list("pk", flat=True)))


def _asked(field: forms.Field, value: Json) -> Any:
    """Return what a field shows of a value."""
    if isinstance(field, forms.TypedMultipleChoiceField):
        return [as_json(item) for item in value] if isinstance(value, list) else value
    if isinstance(field, JsonField | forms.TypedChoiceField):
        return as_json(value)
    if isinstance(field, _LinesField) and isinstance(value, list):
        return "\n".join(map(str, value))
    if isinstance(field, forms.DateTimeField) and isinstance(value, str):
        return _parsed(parse_datetime, value)
    return value


def _parsed(parse: Callable[[str], object], text: str) -> object:
    try:
        return parse(text) or text
    except ValueError:
        return text


def _plain(field: forms.Field, value: Any) -> Json:
    """Return what was chosen as JSON has it."""
    if isinstance(field, forms.ModelChoiceField):
        return None if value is None else value.pk if isinstance(value.pk, int) else str(value.pk)
    if isinstance(field, forms.DateField | forms.DateTimeField) and value is not None:
        text: str = DjangoJSONEncoder().default(value)
        return text
    plain: Json = value
    return plain
