"""Tests of requests to a local server with every kind of failure."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest

from segue_papers.enrichment.web_service import checked_url, post_form
from tests.papers.enrichment.music_knowledge import serving
from toolkit.errors import DataError, InputError, SegueError


def test_post_form_returns_the_json_of_the_answer():
    with serving(lambda path, form: (200, {}, json.dumps([path, form]).encode())) as server:
        assert post_form(f"{server.url}/rest", {"text": "größe & more"}, what="it") == [
            "/rest",
            {"text": "größe & more"},
        ]


def test_post_form_retries_a_busy_service():
    left = [503, 429, 500]
    with serving(lambda *_: (left.pop(), {}, b"") if left else (200, {}, b'"done"')) as server:
        assert post_form(server.url, {"a": "b"}, what="it", wait=0.01) == "done"
        assert len(server.requests) == 4


def test_retry_after_header_sets_the_wait():
    left = [{"Retry-After": "1"}]
    with serving(lambda *_: (429, left.pop(), b"") if left else (200, {}, b"1")) as server:
        begin = time.monotonic()
        assert post_form(server.url, {"a": "b"}, what="it", wait=0.001) == 1
        assert time.monotonic() - begin >= 1


def test_unavailable_service_raises_one_line_error():
    with serving(lambda *_: (503, {}, b"")) as server:
        with pytest.raises(
            SegueError,
            match=r"it at http://127.0.0.1:\d+ returned 503 Service Unavailable after 3 requests: start the service",
        ):
            post_form(server.url, {"a": "b"}, what="it", retries=2, wait=0.01)
        assert len(server.requests) == 3
        url = server.url
    with pytest.raises(SegueError, match=r"cannot be reached \(.*refused.*\) after 2 requests") as caught:
        post_form(url, {"a": "b"}, what="it", retries=1, wait=0.01)
    assert "\n" not in str(caught.value)


def test_rejected_request_is_not_retried():
    with serving(lambda *_: (400, {}, b"")) as server:
        with pytest.raises(InputError, match="returned 400 Bad Request: check the address and the parameters"):
            post_form(server.url, {"a": "b"}, what="it")
        assert len(server.requests) == 1


def test_answer_that_is_not_json_raises_data_error():
    with (
        serving(lambda *_: (200, {}, b"<html>")) as server,
        pytest.raises(DataError, match="returned b'<html>' but must return JSON"),
    ):
        post_form(server.url, {"a": "b"}, what="it")


def test_timeout_or_interrupted_answer_raises_segue_error():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        begin = time.monotonic()
        with pytest.raises(SegueError, match=r"cannot be reached \(.*timed out\) after 2 requests"):
            post_form(url, {"a": "b"}, what="it", timeout=0.2, retries=1, wait=0.01)
        assert time.monotonic() - begin < 5

    def hang_up():
        for _ in range(2):
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(SegueError, match="cannot be reached .*(IncompleteRead|reset by peer).* after 2 requests"):
            post_form(f"http://127.0.0.1:{listener.getsockname()[1]}", {"a": "b"}, what="it", retries=1, wait=0.01)
        thread.join()


def test_redirect_is_not_followed_and_names_the_address():
    with serving(lambda *_: (200, {}, b'"inside"')) as inside:
        for code in (301, 302, 303, 307, 308):
            to = f"{inside.url}/x"
            with (
                serving(lambda *_, code=code, to=to: (code, {"Location": to}, b"")) as server,
                pytest.raises(InputError, match=f"redirects to '{to}': set that address if you trust it"),
            ):
                post_form(server.url, {"text": "private"}, what="it")
        assert inside.requests == []


def test_answer_that_is_too_long_raises(monkeypatch):
    monkeypatch.setattr("segue_papers.enrichment.web_service.MAX_BYTES", 1 << 20)
    with (
        serving(lambda *_: (200, {}, b'"' + b"x" * (1 << 20) + b'"')) as server,
        pytest.raises(DataError, match="returned more than 1 MB"),
    ):
        post_form(server.url, {"a": "b"}, what="it")


@pytest.mark.parametrize("body", [b"[" * 100_000, b"\xff", b"", b"{"])
def test_answer_that_cannot_be_decoded_raises_data_error(body):
    with (
        serving(lambda *_: (200, {}, body)) as server,
        pytest.raises(DataError, match="but must return JSON"),
    ):
        post_form(server.url, {"a": "b"}, what="it")


@pytest.mark.parametrize("after", ["²", "٣", "9" * 400, "-1", "soon", ""])
def test_retry_after_in_another_form_is_ignored(after):
    left = [{"Retry-After": after}]
    with serving(lambda *_: (429, left.pop(), b"") if left else (200, {}, b"1")) as server:
        assert post_form(server.url, {"a": "b"}, what="it", wait=0.01) == 1


def test_address_with_a_password_raises_value_error():
    with pytest.raises(ValueError, match="must not contain a user or a password") as caught:
        checked_url("http://user:s3cret@localhost:2222")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["localhost:2222", "file:///etc/passwd", "http://", "ftp://x.org/y"])
def test_address_that_is_not_http_raises_value_error(url):
    with pytest.raises(ValueError, match="must be an http or https address"):
        checked_url(url)
