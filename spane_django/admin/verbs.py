"""Acting on rows: one row or many, by the engine's verbs, with a report of what really changed.

A `Verb` says what an operator may do and to what; `VerbsAdmin` offers it twice: as an action of
the list and as a button of the row's page.  Both are POST requests that end in one place,
:meth:`VerbsAdmin.carry_out`.  A verb that cannot be undone asks first, on a page that says how
many rows it will change and which it will leave alone; what is confirmed is the list of ids that
the page showed, not a filter that may match something else by then.  Whether a row may change is
decided by the engine, row by row; what it refused is told with its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import BadRequest, PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ..clock import now as current_time
from ..engine.control import each
from .base import ReadOnlyAdmin, has_perm, scope_in
from .forms import AskForm
from .present import list_of

AT_ONCE = 1_000
"""The most rows of one request: each is a transaction of its own, and a browser is waiting."""

_REASONS = 5


@dataclass(frozen=True, kw_only=True)
class Order:
    """Who wants a verb carried out, when and why, and what its form was filled in with."""

    by: Any
    now: datetime
    reason: str
    given: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Verb:
    """What an operator may do to a row.

    Attributes:
        name: In addresses, and of the action of lists, ``<name>_selected``.
        done: What is reported, an ``ngettext_lazy`` over ``count``.
        apply: Changes the row of this key, or raises a `SpaneError` that says why not.
        is_legal: Whether the row looks as if it could be changed; the engine has the last word.
        permission: Of this package, without its prefix.
        warning: What the page that asks says; empty: it is not asked.
        takes_reason: Whether the page that asks also asks why, with `form`.
        in_lists: Whether it is an action of the list, too; else it is a button alone.
    """

    name: str
    label: str | Promise
    done: Any
    permission: str
    apply: Callable[[Any, Order], object]
    is_legal: Callable[[Any], bool]
    warning: str | Promise = ""
    takes_reason: bool = False
    form: type[AskForm] = AskForm
    in_lists: bool = True

    def report(self, count: int) -> str:
        return str(self.done % {"count": count})


@dataclass(frozen=True)
class Button:
    """A verb on the page of a row."""

    verb: Verb
    url: str
    is_legal: bool


class VerbsAdmin(ReadOnlyAdmin):
    """Pages with verbs."""

    verbs: ClassVar[tuple[Verb, ...]] = ()

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.verb_view)
        own = path("verbs/<slug:name>/", view, name=self._verb_url_name)
        return [own, *super().get_urls()]

    def standing(self, obj: Any) -> SafeString:
        """Return the status of a row as a chip."""
        raise NotImplementedError

    def may(self, request: HttpRequest, verb: Verb) -> bool:
        """Say whether the user may carry out a verb."""
        return self.has_view_permission(request) and has_perm(request, verb.permission)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Return the verbs that the user may carry out, as the list has them."""
        actions: dict[str, Any] = super().get_actions(request)
        for verb in self.verbs:
            if verb.in_lists and self.may(request, verb):
                name = f"{verb.name}_selected"
                actions[name] = (_action(verb), name, verb.label)
        return actions

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        buttons = [
            Button(verb, self._verb_url(verb), verb.is_legal(obj))
            for verb in self.verbs
            if self.may(request, verb)
        ]
        return {
            **super().page(request, obj),
            "buttons": buttons,
            "chip": self.standing(obj),
            "ids": quote(str(obj.pk)),
            "here": request.get_full_path(),
        }

    def act(self, verb: Verb, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        """Carry out, or first ask about, a verb on the rows selected in the list."""
        keys = list(queryset.values_list("pk", flat=True)[: AT_ONCE + 1])
        if len(keys) > AT_ONCE:
            told = _("Only the first %(count)d are taken at once: repeat it for the others.")
            self.message_user(request, told % {"count": AT_ONCE}, messages.WARNING)
        self._require_within(request, keys[:AT_ONCE])
        return self._ask_or_do(request, verb, keys[:AT_ONCE], back=request.get_full_path())

    def verb_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Answer the buttons of pages and the page that asks."""
        verb = next((verb for verb in self.verbs if verb.name == name), None)
        if verb is None:
            raise Http404
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.may(request, verb):
            raise PermissionDenied
        keys, back = self._posted_keys(request), self._posted_back(request)
        self._require_within(request, keys)
        if _asked(request, verb).is_valid():
            return self.carry_out(request, verb, keys, back=back)
        return self._ask_or_do(request, verb, keys, back=back)

    def carry_out(
        self, request: HttpRequest, verb: Verb, keys: Sequence[Any], *, back: str
    ) -> HttpResponse:
        """Apply a verb to rows, log and report what changed, and go back."""
        asked = _asked(request, verb)
        reason, given = (asked.why, asked.given) if asked.is_valid() else ("", {})
        order = Order(by=request.user, now=current_time(), reason=reason, given=given)
        made: list[object] = []

        def change(key: Any, **_given: object) -> object:
            made.append(verb.apply(key, order))
            return made[-1]

        refused = each(change, keys, now=order.now, by=order.by, reason=reason)
        changed = [key for key in keys if key not in refused]
        self._log(request, verb, changed, reason)
        self._report(request, verb, len(changed), refused.values())
        return HttpResponseRedirect(self.next_page(verb, made) or back)

    def next_page(self, verb: Verb, made: Sequence[object]) -> str:
        """Return where to go on after a verb; empty: back."""
        return ""

    def _ask_or_do(
        self, request: HttpRequest, verb: Verb, keys: Sequence[Any], *, back: str
    ) -> HttpResponse:
        if not verb.warning:
            return self.carry_out(request, verb, keys, back=back)
        rows = list(self.get_queryset(request).filter(pk__in=keys).defer(*self.list_defer))
        groups = Counter((self.standing(row), verb.is_legal(row)) for row in rows)
        legal = sum(verb.is_legal(row) for row in rows)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": verb.label,
            "verb": verb,
            "url": self._verb_url(verb),
            "groups": [(chip, can, count) for (chip, can), count in sorted(groups.items())],
            "changing": legal,
            "staying": len(rows) - legal,
            "ids": ",".join(quote(str(row.pk)) for row in rows),
            "back": back,
            "form": _asked(request, verb),
        }
        request.current_app = self.site
        return TemplateResponse(request, "admin/spane_django/confirm.html", context)

    def _log(self, request: HttpRequest, verb: Verb, keys: Sequence[Any], reason: str) -> None:
        rows = self.get_queryset(request).filter(pk__in=keys).defer(*self.list_defer)
        told = f"{verb.name}: {reason}" if reason else verb.name
        user_id: Any = request.user.pk
        LogEntry.objects.log_actions(user_id, rows, CHANGE, change_message=told)

    def _report(
        self, request: HttpRequest, verb: Verb, changed: int, refused: Iterable[str]
    ) -> None:
        if changed:
            self.message_user(request, verb.report(changed), messages.SUCCESS)
        reasons = Counter(refused)
        if reasons:
            told = [f"{reason} ({count})" for reason, count in reasons.most_common(_REASONS)]
            if len(reasons) > _REASONS:
                told.append("…")
            count = reasons.total()
            left = ngettext("%(count)d was left alone", "%(count)d were left alone", count)
            text = left % {"count": count} + ": " + "; ".join(told)
            self.message_user(request, text, messages.WARNING)

    def _require_within(self, request: HttpRequest, keys: Sequence[Any]) -> None:
        """Refuse a request that names rows of another tenant, or that only others may change."""
        scope = scope_in(request)
        if scope.tenants is None:
            return
        rows = scope.within(self.model._default_manager.filter(pk__in=keys), changing=True)
        if rows.count() < len(set(keys)):
            raise Http404

    def _posted_keys(self, request: HttpRequest) -> list[Any]:
        texts = [unquote(text) for text in request.POST.get("ids", "").split(",") if text]
        try:
            keys = [self.opts.pk.to_python(text) for text in texts]
        except ValidationError:
            raise BadRequest("malformed ids") from None
        if not 0 < len(keys) <= AT_ONCE:
            raise BadRequest(f"give 1 to {AT_ONCE} ids")
        return keys

    def _posted_back(self, request: HttpRequest) -> str:
        back = request.POST.get("back", "")
        hosts = {request.get_host()}
        if url_has_allowed_host_and_scheme(back, hosts, require_https=request.is_secure()):
            return back
        return list_of(self.model, self.site)

    @property
    def _verb_url_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_verb"

    def _verb_url(self, verb: Verb) -> str:
        return reverse(f"admin:{self._verb_url_name}", args=[verb.name], current_app=self.site)


def _asked(request: HttpRequest, verb: Verb) -> AskForm:
    """Return the form of the page that asks, filled in if it has been."""
    return verb.form(request.POST if "confirmed" in request.POST else None)


def _action(verb: Verb) -> Callable[..., HttpResponse]:
    return lambda own, request, queryset: own.act(verb, request, queryset)
