"""Keys of sources from the environment, a `.env` file or the keyring, and their removal from texts.

Keys are never written to recipes, ledgers or logs.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, quote_plus

from toolkit.errors import InputError

ENV_FILE = "SEGUE_ENV_FILE"
DEFAULT_FILE = Path("~/.config/segue/.env")
SERVICE = "segue"
HIDDEN = "***"
SHORTEST = 4
"""Characters of the shortest key that is removed from texts: a shorter one would hide half of them."""


class Keys:
    """Keys by name. Raises `InputError` for a `.env` file in a repository, where it could be committed."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._file = _file(self._environment)

    def get(self, name: str) -> str | None:
        """Return a key from the environment, the file or the keyring, in this order, or None."""
        return self._environment.get(name) or self._file.get(name) or _from_keyring(name)

    def of(self, source: str, needed: Iterable[str], optional: Iterable[str] = ()) -> dict[str, str]:
        """Return the keys of a source. Raises `InputError` with the names of missing keys."""
        keys = {name: value for name in (*needed, *optional) if (value := self.get(name))}
        if missing := [name for name in needed if name not in keys]:
            raise InputError(
                f"source {source!r} requires {' and '.join(missing)}: export it, add a line to {DEFAULT_FILE}, "
                f"or run `keyring set {SERVICE} {missing[0]}` (keys in recipes are not read)"
            )
        return keys


class Scrubber:
    """Replacement of keys in texts, in plain and URL-quoted form."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {
            form
            for secret in secrets
            if len(secret) >= SHORTEST
            for form in (secret, quote(secret, safe=""), quote_plus(secret))
        }
        self._forms = sorted(forms, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text

    def __bool__(self) -> bool:
        return bool(self._forms)

    def in_text(self, text: str) -> bool:
        """Return whether a text contains a key."""
        return any(form in text for form in self._forms)

    @contextmanager
    def logs(self) -> Iterator[None]:
        """Replace keys in all log records, because some libraries log request URLs."""
        make = logging.getLogRecordFactory()

        def scrubbed(*args: object, **kwargs: object) -> logging.LogRecord:
            record = make(*args, **kwargs)
            record.msg, record.args = self(record.getMessage()), ()
            return record

        logging.setLogRecordFactory(scrubbed)
        try:
            yield
        finally:
            logging.setLogRecordFactory(make)


def _file(environment: Mapping[str, str]) -> dict[str, str]:
    name = environment.get(ENV_FILE)
    path = Path(name or DEFAULT_FILE).expanduser()
    if not path.is_file():
        if name:
            raise InputError(f"{ENV_FILE}={name} must be an existing file: correct the path or unset {ENV_FILE}")
        return {}
    folder = path.resolve().parent
    if repository := next((parent for parent in (folder, *folder.parents) if (parent / ".git").exists()), None):
        raise InputError(
            f"{path} must be outside the repository {repository} because keys must not be committed: "
            f"move the file, for example to {DEFAULT_FILE}"
        )
    from dotenv import dotenv_values

    return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value}


def _from_keyring(name: str) -> str | None:
    """Return a key from the keyring, or None, also if no keyring is installed or running."""
    try:
        keyring = importlib.import_module("keyring")
    except ModuleNotFoundError:
        return None
    try:
        return keyring.get_password(SERVICE, name)
    except keyring.errors.KeyringError:
        return None
