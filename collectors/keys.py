"""Keys of sources: from the environment, a `.env` file or the system's keyring, and out of everything that is written.

Nothing else holds a key: not a recipe, not the ledger, not a log.
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
"""A key of fewer letters is not looked for in texts: it would hide half of them."""


class Keys:
    """Values by name. Raises `InputError` for a `.env` file that lies in a repository, where it would be committed one day."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._file = _file(self._environment)

    def get(self, name: str) -> str | None:
        """The environment's, else the file's, else the keyring's; None where nobody has it."""
        return self._environment.get(name) or self._file.get(name) or _from_keyring(name)

    def of(self, source: str, needed: Iterable[str], optional: Iterable[str] = ()) -> dict[str, str]:
        """Keys of one source. Raises `InputError` that names all that are missing."""
        found = {name: value for name in (*needed, *optional) if (value := self.get(name))}
        if missing := [name for name in needed if name not in found]:
            raise InputError(
                f"source {source} needs {' and '.join(missing)}: export it, write it into {DEFAULT_FILE}, "
                f"or `keyring set {SERVICE} {missing[0]}`; keys do not go into recipes"
            )
        return found


class Scrubber:
    """Takes keys out of texts: plain, and as they stand in a URL."""

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

    @contextmanager
    def logs(self) -> Iterator[None]:
        """Inside, every log record of this process, libraries' own included: some log the URLs that they ask."""
        make = logging.getLogRecordFactory()

        def scrubbed(*args: object, **more: object) -> logging.LogRecord:
            record = make(*args, **more)
            record.msg, record.args = self(record.getMessage()), ()
            return record

        logging.setLogRecordFactory(scrubbed)
        try:
            yield
        finally:
            logging.setLogRecordFactory(make)


def _file(environment: Mapping[str, str]) -> dict[str, str]:
    given = environment.get(ENV_FILE)
    path = Path(given or DEFAULT_FILE).expanduser()
    if not path.is_file():
        if given:
            raise InputError(f"{ENV_FILE}={given} is not a file: correct it, or leave it out")
        return {}
    folder = path.resolve().parent
    if repository := next((parent for parent in (folder, *folder.parents) if (parent / ".git").exists()), None):
        raise InputError(
            f"{path} lies in the repository {repository}, where keys get committed: move it, to {DEFAULT_FILE} for one"
        )
    from dotenv import dotenv_values

    return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value}


def _from_keyring(name: str) -> str | None:
    """None also where no keyring is installed or none is running, as on a server."""
    try:
        keyring = importlib.import_module("keyring")
    except ModuleNotFoundError:
        return None
    try:
        value: str | None = keyring.get_password(SERVICE, name)
    except keyring.errors.KeyringError:
        return None
    return value
