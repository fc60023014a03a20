"""Tests of the servers to which the password of a database is sent."""

from __future__ import annotations

import pytest

from collectors.library import database
from toolkit.errors import InputError


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://bob@db.example.org/music",
        "postgresql+psycopg://bob@/music?host=db.example.org",
        "postgresql+psycopg://bob@localhost/music?host=localhost&host=db.example.org",
        "postgresql+psycopg://bob@/music?hostaddr=203.0.113.7",
    ],
)
def test_password_in_the_environment_is_refused_for_a_server_that_only_a_recipe_names(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "hidden")
    monkeypatch.delenv("PGHOST", raising=False)
    with pytest.raises(InputError, match="must not get the password in PGPASSWORD: .* export PGHOST=") as caught:
        database(url)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "variable", "value"),
    [
        ("postgresql+psycopg://bob@db.example.org/music", "PGHOST", "db.example.org"),
        ("postgresql+psycopg://bob@db.example.org/music", "SEGUE_TRUSTED_HOSTS", "db.example.org:5432"),
        ("postgresql+psycopg://bob:own@db.example.org/music", "PGHOST", "other.example.org"),
        ("postgresql+psycopg://bob@localhost:5433/music", "PGHOST", "other.example.org"),
        ("postgresql+psycopg://bob@/music?host=/var/run/postgresql", "PGHOST", "other.example.org"),
    ],
)
def test_password_in_the_environment_is_used_for_own_and_named_servers(
    url: str, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "hidden")
    monkeypatch.setenv(variable, value)
    assert database(url) == url


def test_server_is_not_checked_without_a_password_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    assert database("postgresql+psycopg://bob@db.example.org/music").startswith("postgresql")
