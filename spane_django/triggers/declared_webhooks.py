"""Webhooks that a definition declares: ``{"type": "webhook", "config": {"path": "sign-up"}}``.

The config says what the API takes, in its words; ``method`` may stand for one of ``methods``.

* The body is the input, unless ``input`` says otherwise.
* One with a path is signed, by an HMAC in ``X-Signature`` unless ``signature`` says how.  Nobody
  has seen its secret: rotating it shows a new one.  One without a path, or of the kind ``none``,
  is unsigned, and its path ends in what nobody guesses.
* In the next version a webhook is recognised by its path, else by its name, else by its place:
  it keeps its secret and its deliveries, and whether it is switched off.
* One that is no longer declared is retired, not deleted: a version that declares it again brings
  it back, with the secret that its senders have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from ..core.schema import Fault, Schema, faults_in
from ..models import Webhook, Workflow
from .webhook_config import DEDUPE_KEYS, METHODS, WEBHOOK, semantic_faults
from .webhooks import change, create

_SIGNED: Mapping[str, str] = {"kind": Webhook.Signature.HMAC.value, "header": "X-Signature"}
_UNSIGNED: Mapping[str, str] = {"kind": Webhook.Signature.NONE.value}
_OTHERS = ("workflowId", "secret", "enabled")
CONFIG: Schema = {
    **WEBHOOK,
    "properties": {
        **{name: said for name, said in WEBHOOK["properties"].items() if name not in _OTHERS},
        "method": {"enum": list(METHODS)},
    },
}


class WebhookKind:
    """The triggers of type ``webhook``; see `engine.declared.TriggerKind`."""

    def faults(self, config: Mapping[str, Any], path: str) -> Iterable[Fault]:
        """Return what is wrong with a config."""
        found = [*faults_in(CONFIG, config, path)]
        found += (
            Fault(f"{path}.{fault.path}", fault.code, fault.message)
            for fault in semantic_faults(config)
        )
        if "method" in config and "methods" in config:
            found.append(Fault(f"{path}.method", "twice", "name the methods once"))
        return found

    def align(
        self, workflow: Workflow, configs: Sequence[Mapping[str, Any]], *, now: datetime
    ) -> None:
        """Make the declared webhooks of a workflow these."""
        ours = Webhook.objects.filter(workflow_key=workflow.key, tenant=workflow.tenant)
        known = {webhook.declared: webhook for webhook in ours.exclude(declared="")}
        for declared, config in _named(configs):
            found = known.pop(declared, None)
            if found is None:
                asked = {**_asked(config), "workflowId": workflow.key}
                create(asked, now=now, tenant=workflow.tenant, declared=declared)
            else:
                _renew(found, config, now=now)
        gone = [webhook.pk for webhook in known.values()]
        Webhook.objects.filter(pk__in=gone).update(is_retired=True)


def _renew(webhook: Webhook, config: Mapping[str, Any], *, now: datetime) -> None:
    asked = _asked(config)
    chosen = asked.pop("path", "")
    if asked["signature"]["kind"] != webhook.signature and chosen:
        asked["path"] = chosen
    Webhook.objects.filter(pk=webhook.pk, is_retired=True).update(is_retired=False)
    change(webhook.pk, asked, now=now)


def _asked(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that a config says of a webhook, what it leaves out as it is by default."""
    signature = config.get("signature") or (_SIGNED if "path" in config else _UNSIGNED)
    said = {name: value for name, value in config.items() if name not in ("method", "signature")}
    return {
        "methods": [config.get("method", "POST")],
        "signature": dict(signature),
        "toleranceSeconds": 300,
        "networks": [],
        "input": "body",
        "dedupeKey": DEDUPE_KEYS.get(signature["kind"], ""),
        "response": {},
        **said,
    }


def _named(configs: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    taken: set[str] = set()
    for number, config in enumerate(configs, start=1):
        name = str(config.get("path") or config.get("name") or number)
        while name in taken:
            name = f"{name}'"
        taken.add(name)
        yield name, config
