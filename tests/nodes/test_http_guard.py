"""``http`` nodes reach the public internet and what the settings allow, and nothing else."""

from __future__ import annotations

import shutil
import socket
import subprocess
from ipaddress import ip_address

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spane_django.core.outcome import NodeError, Permanent
from spane_django.nodes import http_guard
from spane_django.nodes.http import HttpNode
from spane_django.nodes.http_guard import RefusedAddress, is_public

PUBLIC = "93.184.215.14"


@pytest.fixture
def call(context, run):
    return lambda url, **config: run(HttpNode(), context({"url": url, **config}))


@pytest.fixture
def connections(monkeypatch):
    """Let every connection fail, and return the list of addresses that were tried."""
    tried = []

    async def refuse(remote_host, remote_port, **_):
        tried.append(remote_host)
        raise OSError("no network in tests")

    monkeypatch.setattr(anyio, "connect_tcp", refuse)
    return tried


@pytest.fixture
def names(monkeypatch):
    """Return a function that sets what a name resolves to, one list for each look-up."""
    answers: dict[str, list[list[str]]] = {}
    real = socket.getaddrinfo

    def resolve(host, port, *args, **kwargs):
        if host not in answers:
            return real(host, port, *args, **kwargs)
        addresses = answers[host].pop(0)
        return [_entry(address, port) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return lambda host, *lookups: answers.__setitem__(host, list(lookups))


def _entry(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.SOCK_STREAM, 6, "", (address, port)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "127.9.9.9", "2130706433", "0x7f000001", "017700000001", "0x7f.1"),
        *("localhost", "0.0.0.0", "0", "169.254.169.254", "2852039166", "10.0.0.1", "172.16.0.1"),
        *("192.168.1.1", "100.64.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "198.18.0.1"),
        *("192.0.0.1", "192.88.99.1", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
        *("[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::1]", "[2002:7f00:1::1]", "[fe80::1]"),
        *("[fec0::1]", "[fd00::1]", "[ff02::1]", "[2001:0:7f00:1::1]", "[2001:db8::1]"),
        *("[::ffff:0:127.0.0.1]", "[::ffff:93.184.215.14]", "[3fff::1]", "[5f00::1]"),
    ],
)
def test_addresses_inside_cannot_be_called(call, connections, host):
    with pytest.raises(NodeError) as raised:
        call(f"http://{host}:8000/latest/meta-data")

    assert connections == []
    assert isinstance(raised.value, RefusedAddress)
    assert "SPANE['HTTP_ALLOWED_HOSTS']" in str(raised.value)


def test_octal_parts_of_addresses_are_no_url(call, connections):
    with pytest.raises(Permanent, match="must be absolute"):
        call("http://0177.0.0.1/")

    assert connections == []


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_public_addresses_can_be_called(call, connections, address):
    host = f"[{address}]" if ":" in address else address

    with pytest.raises(NodeError, match="cannot connect"):
        call(f"https://{host}/")

    assert connections == [address]


@given(st.ip_addresses())
def test_an_address_that_python_calls_private_is_never_public(address):
    if not address.is_global or address.is_multicast:
        assert not is_public(address)


@given(st.ip_addresses(v=4))
def test_no_public_ipv6_address_carries_an_ipv4_address(inner):
    packed = int(inner)
    carriers = [
        ip_address((0xFFFF << 32) | packed),
        ip_address(packed + (1 << 33)),
        ip_address((0x64FF9B << 96) | packed),
        ip_address((0x2002 << 112) | (packed << 80)),
        ip_address((0x20010000 << 96) | packed),
    ]

    assert not any(is_public(address) for address in carriers if address.version == 6)


@pytest.mark.parametrize(
    "addresses", [["10.1.2.3"], ["::1"], [PUBLIC, "127.0.0.1"], ["fd00::1", PUBLIC]]
)
def test_a_name_with_any_address_inside_cannot_be_called(call, names, connections, addresses):
    names("sneaky.example", addresses)

    with pytest.raises(RefusedAddress, match=r"'sneaky\.example' is not on the public") as raised:
        call("https://sneaky.example/")

    assert connections == []
    assert not any(address in str(raised.value) for address in addresses)


def test_a_name_is_resolved_once_and_the_address_that_was_checked_is_called(
    call, names, connections
):
    names("rebinding.example", [PUBLIC], ["127.0.0.1"])

    with pytest.raises(NodeError, match="cannot connect"):
        call("http://rebinding.example/")

    assert connections == [PUBLIC]


def test_the_connection_goes_to_the_checked_address_and_keeps_the_name(call, names, allow, server):
    allow("127.0.0.1")
    names("rebinding.example", ["127.0.0.1"], [PUBLIC])
    server.reply("/")

    assert call(server.url("/", host="rebinding.example"))["status"] == 200
    assert server.requests[0]["headers"]["host"] == f"rebinding.example:{server.port}"


def test_the_next_address_is_tried_if_one_cannot_be_reached(call, names, connections):
    names("twice.example", ["2606:2800::1", PUBLIC])

    with pytest.raises(NodeError, match="cannot connect"):
        call("http://twice.example/")

    assert connections == ["2606:2800::1", PUBLIC]


def test_a_redirect_is_checked_like_a_first_request(call, allow, names, server):
    allow("front.example")
    names("front.example", ["127.0.0.1"])
    server.reply("/", status=302, location=server.url("/inside"))
    server.reply("/inside", b"s3cret")

    with pytest.raises(RefusedAddress, match=r"'127\.0\.0\.1' is not on the public internet"):
        call(server.url("/", host="front.example"))

    assert [request["path"] for request in server.requests] == ["/"]


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://example.com/", "gopher://x/"])
def test_a_redirect_stays_with_http(call, allow, server, location):
    allow("127.0.0.1")
    server.reply("/", status=302, location=location)

    with pytest.raises(Permanent):
        call(server.url("/"))


@pytest.mark.parametrize(
    ("allowed", "is_allowed"),
    [
        (["api.internal"], True),
        ([".internal"], True),
        (["API.Internal"], True),
        (["10.0.0.0/8"], True),
        (["10.1.2.3"], True),
        (["internal"], False),
        (["xapi.internal", "api.internal.example"], False),
        (["10.2.0.0/16", "fd00::/8"], False),
        ([], False),
    ],
)
def test_the_settings_say_what_may_be_called_besides(
    call, names, allow, connections, allowed, is_allowed
):
    allow(*allowed)
    names("api.internal", ["10.1.2.3"])

    with pytest.raises(NodeError) as raised:
        call("http://api.internal/")

    assert connections == (["10.1.2.3"] if is_allowed else [])
    assert isinstance(raised.value, RefusedAddress) is not is_allowed


@pytest.mark.parametrize("host", ["no-such-name.invalid", "a" * 64 + ".example", "a..b"])
def test_a_name_that_cannot_be_resolved_may_be_tried_again(call, host):
    with pytest.raises(NodeError, match=r"cannot be resolved|absolute"):
        call(f"http://{host}/")


def test_proxies_of_the_environment_are_not_used(call, allow, server, monkeypatch):
    allow("127.0.0.1")
    server.reply("/")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert call(server.url("/"))["status"] == 200


@pytest.fixture
def tls_server(server, tmp_path, monkeypatch):
    """Turn the server into one for https://pinned.example, with a certificate of its own."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate, and is not installed")
    request = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=pinned.example",
    ]
    names = ["-addext", "subjectAltName=DNS:pinned.example"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, *request, *names, *files], check=True, capture_output=True)
    server.use_tls(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    http_guard._tls.cache_clear()
    yield server
    http_guard._tls.cache_clear()


def test_tls_checks_the_name_and_not_the_address(call, allow, names, tls_server):
    allow("127.0.0.1")
    names("pinned.example", ["127.0.0.1"])
    names("other.example", ["127.0.0.1"])
    tls_server.reply("/")

    answer = call(f"https://pinned.example:{tls_server.port}/")

    assert answer["status"] == 200
    for host in ("other.example", "127.0.0.1"):
        with pytest.raises(NodeError, match="CERTIFICATE_VERIFY_FAILED"):
            call(f"https://{host}:{tls_server.port}/")
