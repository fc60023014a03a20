"""Packages that a part needs: what they are called, and the command that installs them. Nothing is imported to find out."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata, util
from typing import Any


@dataclass(frozen=True)
class Package:
    """A package that a part needs, for its `requires`.

    - module: the name that is imported.
    - install: the whole command that installs it.
    - version: the only version that will do; empty for any.

    Example: `requires: ClassVar[tuple[Package, ...]] = (Package("faiss", "pip install faiss-cpu"),)`
    """

    module: str
    install: str
    version: str = ""

    @property
    def fault(self) -> str:
        """Why it cannot be used here, with the cure; empty where it can."""
        if not self._installed():
            return f"is not installed: {self.install}"
        if self.version and (found := self._version()) not in ("", self.version):
            return f"is {found} and must be {self.version}: {self.install}"
        return ""

    def _installed(self) -> bool:
        try:
            return util.find_spec(self.module.partition(".")[0]) is not None
        except ValueError:  # imported without a specification, as in tests
            return True

    def _version(self) -> str:
        """The installed version; empty where it is not recorded."""
        try:
            return metadata.version(self.module)
        except metadata.PackageNotFoundError:
            return ""


def check_requires(cls: type[Any]) -> None:
    """Raise `AssertionError` where a class's `requires` is something other than a tuple of packages."""
    found = cls.requires
    assert isinstance(found, tuple) and all(isinstance(each, Package) for each in found), (
        f"{cls.__name__}.requires={found!r} must be a tuple of toolkit.packages.Package"
    )


RECBOLE = Package("recbole", "pip install --no-deps recbole==1.2.1", "1.2.1")
SENTENCE_TRANSFORMERS = Package("sentence_transformers", "pip install 'sentence-transformers>=4'")
TRANSFORMERS = Package("transformers", "pip install 'transformers>=4.50'")
GENSIM = Package("gensim", "pip install 'gensim>=4.4'")
LIBROSA = Package("librosa", "pip install 'librosa>=0.11'")
SOUNDFILE = Package("soundfile", "pip install 'soundfile>=0.13'")
PILLOW = Package("PIL", "pip install 'pillow>=11'")
LIGHTGBM = Package("lightgbm", "pip install 'lightgbm>=4.5'")
RAY = Package("ray", "pip install 'segue[ray]'")
UMAP = Package("umap", "pip install 'segue[umap]'")
OPTUNA = Package("optuna", "pip install 'segue[sweep]'")
