"""Faults for servers, as functions that send a wrong reply and return the status."""

from __future__ import annotations

import gzip
import socket
import struct
from dataclasses import replace

from tests.servers.base import Fault, Handler, Reply

CAPTCHA = """<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>
<h1>Verify you are human</h1>
<div class="cf-challenge" id="challenge-form">Enable JavaScript and cookies to continue</div></body></html>"""


def _named(name: str, fault: Fault) -> Fault:
    fault.__name__ = name  # type: ignore[attr-defined]
    return fault


def status(code: int, *, body: str = "", type: str = "text/plain", headers: dict[str, str] | None = None) -> Fault:
    """Return a fault that sends a status such as 403 or 500."""
    return _named(
        f"status {code}", lambda handler, _: handler.send(Reply(body or f"{code}", code, type, dict(headers or {})))
    )


def too_many(retry_after: str | None = None) -> Fault:
    """Return a fault that sends status 429 with an optional `Retry-After` header."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return _named(
        f"too many {retry_after}",
        lambda handler, _: handler.send(Reply({"error": "rate limited"}, 429, headers=headers)),
    )


def expired(handler: Handler, _: Reply) -> int:
    """Send status 401, as for an expired token."""
    return handler.send(Reply({"error": {"status": 401, "message": "The access token expired"}}, 401))


def hang(handler: Handler, _: Reply) -> int:
    """Send nothing until the client disconnects or the server stops."""
    handler.close_connection = True
    handler.connection.settimeout(0.1)
    while not handler.server.owner.stopping.is_set():
        try:
            if not handler.connection.recv(1):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return 0


def reset(handler: Handler, reply: Reply) -> int:
    """Send half of the body and then a TCP reset."""
    data = reply.encoded()
    handler.send(reply, data[: len(data) // 2], length=len(data))
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()
    raise ConnectionResetError("injected")


def short(handler: Handler, reply: Reply) -> int:
    """Send fewer bytes than `Content-Length` and close the connection."""
    data = reply.encoded()
    handler.close_connection = True
    return handler.send(reply, data[: len(data) // 2], length=len(data))


def truncated(handler: Handler, reply: Reply) -> int:
    """Send truncated JSON with a correct `Content-Length`."""
    data = reply.encoded()
    return handler.send(reply, data[: max(1, len(data) // 2)])


def wrong_json(handler: Handler, _: Reply) -> int:
    """Send valid JSON with a wrong structure."""
    return handler.send(Reply([None, 0, "unexpected"]))


def page(handler: Handler, _: Reply) -> int:
    """Send an HTML page with status 200."""
    return handler.send(
        Reply("<html><body><p>We are doing maintenance.</p></body></html>", type="text/html; charset=utf-8")
    )


def captcha(handler: Handler, _: Reply) -> int:
    """Send a captcha page with status 200."""
    return handler.send(Reply(CAPTCHA, type="text/html; charset=utf-8"))


def forbidden_captcha(handler: Handler, _: Reply) -> int:
    """Send a captcha page with status 403."""
    return handler.send(Reply(CAPTCHA, 403, "text/html; charset=utf-8"))


def redirect(to: str, code: int = 302) -> Fault:
    return _named(f"redirect {to}", lambda handler, _: handler.send(Reply("", code, "text/plain", {"Location": to})))


def gzip_bomb(megabytes: int = 200) -> Fault:
    """Return a fault that sends zeros, compressed by a factor of about 1000."""

    packed = gzip.compress(b" " * (megabytes << 20), 1)

    def fault(handler: Handler, reply: Reply) -> int:
        return handler.send(replace(reply, headers={**reply.headers, "Content-Encoding": "gzip"}), packed)

    return _named("gzip bomb", fault)


def huge(megabytes: int = 200) -> Fault:
    """Return a fault that sends a body of `length` bytes in chunks of a megabyte."""

    def fault(handler: Handler, reply: Reply) -> int:
        handler.close_connection = True
        handler.send(reply, b" ", length=(megabytes << 20) + 1)
        block = b" " * (1 << 20)
        for _ in range(megabytes):
            handler.wfile.write(block)
        return reply.status

    return _named("huge", fault)


def wrong_type(type: str = "image/png") -> Fault:
    return _named(f"type {type}", lambda handler, reply: handler.send(replace(reply, type=type)))
