"""The view that all others are: every policy is named here, none is the project's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Model, UUIDField
from django_filters import FilterSet
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import NotFound
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from ..core.errors import SpaneError
from ..engine.approvals import UnknownApproval
from ..engine.bulk import UnknownOperation
from ..engine.control import UnknownExecution
from ..engine.retry import UnknownDeadLetter
from ..engine.scope import (
    NoTenant,
    Scope,
    UnknownTenant,
    WhichTenant,
    exists,
    has_tenants,
    scope_of,
)
from ..models import Approval, BulkOperation, DeadLetter, Execution
from .auth import AUTHENTICATION, MayCall, token_of, user_of
from .errors import respond
from .openapi import EngineSchema
from .throttle import PerCaller
from .wire import OnlyJson, StrictParser, StrictRenderer

# Eighteen digits fit every primary key; more are nobody's.
_LONGEST_KEY = 18

TENANT_HEADER = "Spane-Tenant"

_WHICH = f"you have several tenants: name one in the header {TENANT_HEADER}"
_NO_TENANT = "you belong to no tenant: ask whoever administers them to add you to one"


# What parts of URLs name, and the error of a view that finds nothing there.  A route whose rows
# belong to tenants needs a line here, or looks its row up by `EngineView.scope`.
OWNED: Mapping[str, tuple[type[Model], type[SpaneError]]] = {
    "execution_id": (Execution, UnknownExecution),
    "letter_id": (DeadLetter, UnknownDeadLetter),
    "approval_id": (Approval, UnknownApproval),
    "operation_id": (BulkOperation, UnknownOperation),
}


class EngineView(APIView):
    """A view of the API.

    Attributes:
        permissions: For each method, the permission that it takes.  Other methods are refused.
        of_installation: What it tells is of all tenants: only those may ask whose scope is
            everything.
        filterset_class: What a list can be narrowed by, for the document.
        is_paged: GET answers with pages, for the document.
    """

    permissions: ClassVar[Mapping[str, str]] = {}
    of_installation: ClassVar[bool] = False
    filterset_class: ClassVar[type[FilterSet] | None] = None
    is_paged: ClassVar[bool] = False

    authentication_classes: Sequence[type[BaseAuthentication]] = AUTHENTICATION
    permission_classes: Sequence[type[BasePermission]] = (MayCall,)
    throttle_classes: Sequence[type[BaseThrottle]] = (PerCaller,)
    parser_classes: Sequence[type[BaseParser]] = (StrictParser,)
    renderer_classes: Sequence[type[BaseRenderer]] = (StrictRenderer,)
    content_negotiation_class: type[BaseContentNegotiation] = OnlyJson
    versioning_class = None
    metadata_class = None
    schema = EngineSchema()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if any("\x00" in str(value) for value in kwargs.values()):
            raise NotFound
        self._keep_within(kwargs)

    def _keep_within(self, ids: Mapping[str, Any]) -> None:
        """Answer as if there were no such row when the URL names one of another tenant.

        Every missing row is answered here then, so that the two cannot be told apart.
        """
        for name in ids.keys() & OWNED.keys():
            if self.scope.tenants is not None:
                model, unknown = OWNED[name]
                found = self.scope.within(model._default_manager.filter(pk=_key(model, ids[name])))
                if not found.exists():
                    raise unknown(f"there is no {model._meta.verbose_name} {ids[name][:100]}")

    @cached_property
    def scope(self) -> Scope:
        """Whose rows this request may see and touch.

        The header ``Spane-Tenant`` narrows it to one tenant.
        """
        scope = scope_of(user_of(self.request), token_of(self.request))
        named = self.request.headers.get(TENANT_HEADER, "")
        if not named or not has_tenants():
            return scope
        if not scope.covers(named) or not exists(named):
            raise UnknownTenant(f"there is no tenant '{named[:100]}'")
        return scope.only(named)

    @cached_property
    def tenant(self) -> str:
        """The tenant that what this request creates belongs to, and whose workflows it names.

        ``""``: there are no tenants, or the request may touch everything and names none.

        Raises:
            WhichTenant: the user has several and the request does not say which.
            NoTenant: the user has none.
        """
        tenants = self.scope.tenants
        if tenants is None:
            return ""
        if len(tenants) == 1:
            (tenant,) = tenants
            return tenant
        raise WhichTenant(_WHICH) if tenants else NoTenant(_NO_TENANT)

    def handle_exception(self, exc: Exception) -> Response:
        """Answer an error in JSON, whatever the view answers in otherwise."""
        self.request.accepted_renderer = StrictRenderer()
        self.request.accepted_media_type = StrictRenderer.media_type
        return super().handle_exception(exc)

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        return respond


class OpenView(EngineView):
    """A view for everybody: it tells nothing about workflows."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()


def execution_key(given: str) -> UUID:
    """Return the id of an execution as it stands in a URL.

    Raises:
        UnknownExecution: it is no UUID, so there is none.
    """
    try:
        return UUID(given)
    except ValueError:
        raise UnknownExecution(f"there is no execution '{given[:100]}'") from None


def _key(model: type[Model], given: str) -> Any:
    """Return a primary key as it stands in a URL; None: no row has it."""
    if isinstance(model._meta.pk, UUIDField):
        try:
            return UUID(given)
        except ValueError:
            return None
    return row_key(given)


def row_key(given: str) -> int | None:
    """Return the number of a row as it stands in a URL; None: no row has such a number."""
    is_number = given.isascii() and given.isdigit() and len(given) <= _LONGEST_KEY
    return int(given) if is_number else None
