"""Where ``http`` nodes may connect to: public addresses, and what the settings allow besides.

Whoever may edit a workflow chooses the addresses that our servers call, so without this a
config could reach the cloud's metadata service, the database or an internal admin page.

* A name is resolved here, once per request; *every* address it has must be allowed.
* The connection goes to the address that was checked, so a name that resolves differently a
  moment later (DNS rebinding) changes nothing.  TLS and ``Host`` keep the name.
* Redirects pass through here like first requests.
* Proxies and netrc files of the environment are not used.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx
from django.utils.http import is_same_domain

from ..conf import settings
from ..core.outcome import NodeError, Permanent

Address = IPv4Address | IPv6Address

# Global as far as `ipaddress` knows, yet they lead elsewhere: relays of 6to4, Teredo and the
# like carry an IPv4 address inside, which may be private.
_DETOURS = [ip_network(n) for n in ("192.88.99.0/24", "2001::/23", "2002::/16", "3fff::/20")]
_PUBLIC_IPV6 = ip_network("2000::/3")


class RefusedAddress(Permanent):
    """The request would leave the public internet; the settings do not allow that."""


@dataclass(frozen=True, slots=True)
class HttpPolicy:
    """What may be reached although it is not public.

    Attributes:
        names: Host names; one that starts with a dot stands for its subdomains too.
    """

    names: tuple[str, ...] = ()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def check(self, host: str, addresses: Sequence[Address]) -> None:
        """Refuse a host that has any address which it must not have.

        Raises:
            RefusedAddress: naming the host, but not the address, which is the network's secret.
        """
        if any(is_same_domain(host.lower(), name.lower()) for name in self.names):
            return
        if not all(self._allows(address) for address in addresses):
            raise RefusedAddress(
                f"'{host}' is not on the public internet: add it to "
                "SPANE['HTTP_ALLOWED_HOSTS'] if workflows may call it"
            )

    def _allows(self, address: Address) -> bool:
        return is_public(address) or any(address in network for network in self.networks)


def http_policy() -> HttpPolicy:
    """Return the policy that ``SPANE["HTTP_ALLOWED_HOSTS"]`` describes now."""
    return _policy(tuple(settings.HTTP_ALLOWED_HOSTS))


def is_public(address: Address) -> bool:
    """Say whether ``address`` is one of the public internet, and no detour to a private one."""
    if isinstance(address, IPv6Address) and address not in _PUBLIC_IPV6:
        return False  # mapped, translated (NAT64), local, multicast and unassigned ones
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in detour for detour in _DETOURS)
    )


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends requests only to addresses that the policy allows, and to no other than it checked."""

    def __init__(self, policy: HttpPolicy) -> None:
        self._policy = policy
        self._inner = httpx.AsyncHTTPTransport(verify=_tls(), trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        if url.scheme not in ("http", "https") or not url.host:
            raise RefusedAddress("only http:// and https:// addresses with a host can be called")
        host = url.raw_host.decode("ascii")
        addresses = await _resolve(host, url.port or (443 if url.scheme == "https" else 80))
        self._policy.check(host, addresses)
        *others, last = addresses
        for address in others:
            try:
                return await self._inner.handle_async_request(_pinned(request, host, address))
            except httpx.ConnectError:
                continue
        return await self._inner.handle_async_request(_pinned(request, host, last))

    async def aclose(self) -> None:
        await self._inner.aclose()


def _pinned(request: httpx.Request, host: str, address: Address) -> httpx.Request:
    return httpx.Request(
        request.method,
        request.url.copy_with(host=str(address)),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": host},
    )


async def _resolve(host: str, port: int) -> list[Address]:
    # The system's resolver also reads 2130706433, 0x7f.1 and other spellings of addresses.
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NodeError(f"the host name '{host}' cannot be resolved") from None
    return list(dict.fromkeys(ip_address(entry[4][0]) for entry in found))


@lru_cache(maxsize=16)
def _policy(allowed: tuple[str, ...]) -> HttpPolicy:
    names, networks = [], []
    for entry in allowed:
        try:
            networks.append(ip_network(entry, strict=False))
        except ValueError:
            names.append(entry)
    return HttpPolicy(tuple(names), tuple(networks))


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    # Reading the certificates takes 10 ms and more, a client without them 0.1 ms.
    return httpx.create_ssl_context()
