"""The forms of webhooks: what is typed in, in the words of `triggers.webhook_config`.

Nothing is checked here that is checked there.  A form that changes a webhook says only what is
another than it was: the path of an unsigned one, said anew, would become another.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from ..core.json import Json
from ..core.signatures import ALGORITHMS
from ..engine.naming import named
from ..models import Webhook
from ..triggers.webhook_config import METHODS
from ..triggers.webhooks import change, create, facts_of, rotate
from .editing import GRACE, EngineForm, Made, OwnedForm
from .forms import as_text, mapping_text, read_mapping, read_text

_SCHEME = {
    "scheme_header": "header",
    "scheme_algorithm": "algorithm",
    "scheme_encoding": "encoding",
    "scheme_prefix": "prefix",
    "scheme_timestamp": "timestampHeader",
    "scheme_text": "text",
}
# What counts where a scheme says nothing of its algorithm and its encoding.
_STANDARD = ("sha256", "hex")
_RESPONSE = {
    "answer_mode": "mode",
    "answer_seconds": "waitSeconds",
    "answer_status": "status",
    "answer_headers": "headers",
    "answer_body": "body",
}
_MODES = (
    ("accepted", _("At once: that it was taken in")),
    ("wait", _("With the result, if it is there in time")),
    ("custom", _("At once: what is said below")),
)


def _text(label: Any, help_text: Any = "", **options: Any) -> forms.CharField:
    return forms.CharField(label=label, help_text=help_text, required=False, **options)


def _area(label: Any, help_text: Any, rows: int = 3) -> forms.CharField:
    widget = forms.Textarea(attrs={"rows": rows, "spellcheck": "false", "dir": "ltr"})
    return _text(label, help_text, widget=widget)


def _secret(help_text: Any) -> forms.CharField:
    widget = forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"})
    return _text(_("Secret"), help_text, strip=False, widget=widget)


class WebhookForm(OwnedForm):
    """Everything that a webhook is."""

    name = _text(_("Name"), _("Empty: the workflow."))
    enabled = forms.BooleanField(
        label=_("Enabled"), required=False, initial=True,
        help_text=_("A disabled webhook answers as if it did not exist."),
    )  # fmt: skip
    path = _text(
        _("Path"),
        _("Empty: one is made. Where nothing is signed, it ends in what nobody can guess."),
    )
    methods = forms.MultipleChoiceField(
        label=_("Methods"), required=False, choices=[(name, name) for name in METHODS],
        initial=["POST"], widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip
    networks = _area(
        _("Who may send"), _("Addresses and networks, one per line; empty: everybody: 10.0.0.0/8")
    )
    kind = forms.ChoiceField(
        label=_("Signature"), choices=Webhook.Signature.choices, initial=Webhook.Signature.HMAC
    )
    secret = _secret(_("Empty: one is made and shown once; of a webhook that is there: it stays."))
    tolerance = forms.IntegerField(
        label=_("Tolerance"), required=False, initial=300,
        help_text=_("How old, in seconds, a signed time may be."),
    )  # fmt: skip
    scheme_header = _text(
        _("Header of the signature"), _("The presets need nothing of this."), initial="X-Signature"
    )  # fmt: skip
    scheme_algorithm = forms.ChoiceField(
        label=_("Algorithm"), choices=[(name, name) for name in ALGORITHMS]
    )
    scheme_encoding = forms.ChoiceField(
        label=_("Encoding"), choices=[("hex", "hex"), ("base64", "base64")]
    )
    scheme_prefix = _text(_("Before the signature"), _("Such as sha256="))
    scheme_timestamp = _text(_("Header of the time"), _("Seconds since 1970, which are signed."))
    scheme_text = _text(
        _("What is signed"), _("Empty: the body, after the time: {timestamp}.{body}")
    )
    mapping = _area(
        _("Input"),
        _(
            "An expression over body, headers, query, method and path, or a JSON object of such: "
            '{"order": "body.order.id"}. Empty: all of the request.'
        ),
        rows=5,
    )
    dedupe = _text(
        _("Delivery id"),
        _('What has the same value is the same delivery: body.id, or headers."x-delivery"'),
    )
    answer_mode = forms.ChoiceField(label=_("The sender is answered"), choices=_MODES)
    answer_seconds = forms.FloatField(label=_("Seconds that it waits"), required=False)
    answer_status = _text(_("Status of the answer"), _("200 to 499, or a template."))
    answer_headers = _area(_("Headers of the answer"), _("As a JSON object."), rows=2)
    answer_body = _area(
        _("Body of the answer"), _("JSON or text; templates read input, results and execution.")
    )

    sections = (
        (_("Address"), ("path", "methods", "networks")),
        (_("Signature"), ("kind", "secret", "tolerance")),
        (_("How an HMAC is made"), tuple(_SCHEME)),
        (_("Execution"), ("mapping", "dedupe")),
        (_("Answer"), tuple(_RESPONSE)),
    )
    paths: ClassVar[Mapping[str, str]] = {
        "workflowId": "workflow",
        "signature": "kind",
        "toleranceSeconds": "tolerance",
        "input": "mapping",
        "dedupeKey": "dedupe",
        "response": "answer_mode",
        **{f"signature.{said}": field for field, said in _SCHEME.items()},
        **{f"response.{said}": field for field, said in _RESPONSE.items()},
    }

    @staticmethod
    def said_of(row: Webhook) -> dict[str, Any]:
        facts = facts_of(row)
        signature, response = facts["signature"], facts["response"]
        return {
            "workflow": named(row.workflow_key, row.tenant).first(),
            "name": row.name,
            "enabled": row.is_enabled,
            "path": row.path,
            "methods": row.methods,
            "networks": "\n".join(row.networks),
            "kind": row.signature,
            "tolerance": row.tolerance_seconds,
            "mapping": mapping_text(row.mapping),
            "dedupe": row.dedupe_key,
            **{field: signature.get(said) for field, said in _SCHEME.items()},
            **{field: as_text(response.get(said)) for field, said in _RESPONSE.items()},
        }

    def save(self, *, now: datetime, by: Any) -> Made:
        """Make or change the webhook, with a secret if one had to be made."""
        said = self._said()
        if self.row is None:
            given = {name: value for name, value in said.items() if value not in ("", [], None)}
            return Made(*create(given, now=now, tenant=self.tenant(), by=by))
        before = {**facts_of(self.row), "path": self.row.path, "secret": ""}
        given = {name: value for name, value in said.items() if value != before[name]}
        return Made(*change(self.row.pk, given, now=now, by=by))

    def _said(self) -> dict[str, Json]:
        data = self.cleaned_data
        tolerance = data["tolerance"]
        return {
            "name": data["name"] or data["workflow"].key,
            "workflowId": data["workflow"].key,
            "path": data["path"],
            "methods": self._methods(),
            "enabled": data["enabled"],
            "signature": self._signature(),
            "secret": data["secret"],
            "toleranceSeconds": 300 if tolerance is None else tolerance,
            "networks": data["networks"].split(),
            "input": read_mapping(data["mapping"]),
            "dedupeKey": data["dedupe"],
            "response": self._response(),
        }

    def _methods(self) -> list[str]:
        """Return the methods, those that were there before in their order: the first is shown."""
        before = self.row.methods if self.row else []
        chosen = self.cleaned_data["methods"]
        return [name for name in dict.fromkeys([*before, *chosen]) if name in chosen]

    def _signature(self) -> dict[str, Json]:
        data = self.cleaned_data
        if data["kind"] != Webhook.Signature.HMAC:
            return {"kind": data["kind"]}
        scheme = {said: data[field] for field, said in _SCHEME.items()}
        scheme = {said: text for said, text in scheme.items() if text not in ("", *_STANDARD)}
        return {"kind": data["kind"], **scheme}

    def _response(self) -> dict[str, Json]:
        data = self.cleaned_data
        said: dict[str, Json] = {
            "mode": data["answer_mode"],
            "waitSeconds": data["answer_seconds"],
            "status": read_text(data["answer_status"]),
            "headers": read_text(data["answer_headers"]),
            "body": read_text(data["answer_body"]),
        }
        return {name: value for name, value in said.items() if value not in (None, "")}


class RotationForm(EngineForm):
    """How the secret of a webhook is replaced."""

    submit_label = _("Rotate the secret")
    grace = forms.ChoiceField(
        label=_("The old secret"), choices=GRACE, initial="86400",
        help_text=_("How long it stays good, so that senders can be changed one by one."),
    )  # fmt: skip
    secret = _secret(_("Where the sender makes it, as Stripe does; empty: one is made."))
    paths: ClassVar[Mapping[str, str]] = {"graceSeconds": "grace"}

    def __init__(self, data: Any, *, row: Webhook) -> None:
        super().__init__(data)
        self._row = row

    def save(self, *, now: datetime, by: Any) -> Made:
        """Put a new secret in the place of the old one."""
        given = {"graceSeconds": int(self.cleaned_data["grace"])}
        if secret := self.cleaned_data["secret"]:
            given["secret"] = secret
        return Made(*rotate(self._row.pk, given, now=now, by=by))
