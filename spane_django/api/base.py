"""The view that all others are: every policy is named here, none is the project's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ..engine.control import UnknownExecution
from .auth import AUTHENTICATION, MayCall
from .errors import respond
from .wire import OnlyJson, StrictParser, StrictRenderer

# Eighteen digits fit every primary key; more are nobody's.
_LONGEST_KEY = 18


class EngineView(APIView):
    """A view of the API.

    Attributes:
        permissions: For each method, the permission that it takes.  Other methods are refused.
    """

    permissions: ClassVar[Mapping[str, str]] = {}

    authentication_classes: Sequence[type[BaseAuthentication]] = AUTHENTICATION
    permission_classes: Sequence[type[BasePermission]] = (MayCall,)
    throttle_classes = ()
    parser_classes = (StrictParser,)
    renderer_classes = (StrictRenderer,)
    content_negotiation_class = OnlyJson
    versioning_class = None
    metadata_class = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if any("\x00" in str(value) for value in kwargs.values()):
            raise NotFound

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        return respond


class OpenView(EngineView):
    """A view for everybody: it tells nothing about workflows."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


def execution_key(given: str) -> UUID:
    """Return the id of an execution as it stands in a URL.

    Raises:
        UnknownExecution: it is no UUID, so there is none.
    """
    try:
        return UUID(given)
    except ValueError:
        raise UnknownExecution(f"there is no execution '{given[:100]}'") from None


def row_key(given: str) -> int | None:
    """Return the number of a row as it stands in a URL; None: no row has such a number."""
    is_number = given.isascii() and given.isdigit() and len(given) <= _LONGEST_KEY
    return int(given) if is_number else None
