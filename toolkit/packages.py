"""Packages that parts require, with install commands. Packages are detected without importing them.

Packages that belong to an extra are installed with the extra, such as `pip install 'segue[audio]'`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata, util

from toolkit.errors import MissingPackage

DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn"}
"""Names of packages by the name under which they are imported, where these differ."""


@dataclass(frozen=True)
class Package:
    """Package required by a part, for the attribute `requires`.

    - module: import name.
    - install: the complete install command.
    - version: the required version; empty for any version.

    Example: `requires: ClassVar[tuple[Package, ...]] = (Package("faiss", "pip install faiss-cpu"),)`
    """

    module: str
    install: str
    version: str = ""

    @property
    def fault(self) -> str:
        """The reason why the package cannot be used, with the cure, or "" if it can be used."""
        if not self._installed():
            return f"is not installed: {self.install}"
        if self.version and (found := self._version()) not in ("", self.version):
            return f"is {found} and must be {self.version}: {self.install}"
        return ""

    @property
    def distribution(self) -> str:
        """The name under which the package is installed."""
        return DISTRIBUTIONS.get(self.module, self.module)

    def _installed(self) -> bool:
        try:
            return util.find_spec(self.module.partition(".")[0]) is not None
        except ValueError:  # imported without a specification, as in tests
            return True

    def _version(self) -> str:
        """Return the installed version, or "" if no version is recorded."""
        try:
            return metadata.version(self.module)
        except metadata.PackageNotFoundError:
            return ""


def of_extra(extra: str, module: str) -> Package:
    """Return a package that is installed by an extra of segue."""
    return Package(module, f"pip install 'segue[{extra}]'")


RECBOLE = Package("recbole", "pip install --no-deps recbole==1.2.1", "1.2.1")
SENTENCE_TRANSFORMERS = of_extra("text", "sentence_transformers")
TEXT_TRANSFORMERS = of_extra("text", "transformers")
TEXT_SKLEARN = of_extra("text", "sklearn")
GENSIM = of_extra("text", "gensim")
LIBROSA = of_extra("audio", "librosa")
SOUNDFILE = of_extra("audio", "soundfile")
SOXR = of_extra("audio", "soxr")
AUDIO_TRANSFORMERS = of_extra("audio", "transformers")
AUDIO_SKLEARN = of_extra("audio", "sklearn")
PILLOW = of_extra("image", "PIL")
IMAGE_TRANSFORMERS = of_extra("image", "transformers")
TORCHVISION = of_extra("image", "torchvision")
LIGHTGBM = of_extra("trees", "lightgbm")
IMPLICIT = of_extra("factors", "implicit")
MATPLOTLIB = of_extra("report", "matplotlib")
REPORT_SKLEARN = of_extra("report", "sklearn")
TENSORBOARD = of_extra("report", "tensorboard")
FOREST_SKLEARN = of_extra("papers", "sklearn")
RDFLIB = of_extra("papers", "rdflib")
RAY = of_extra("scale", "ray")
FAISS = of_extra("ann", "faiss")
OPTUNA = of_extra("sweep", "optuna")
UMAP = of_extra("umap", "umap")
MLFLOW = of_extra("mlflow", "mlflow")

_EXTRA_OF = {
    **dict.fromkeys(("sentence_transformers", "transformers", "sklearn", "gensim", "huggingface_hub"), "text"),
    **dict.fromkeys(("librosa", "soundfile", "soxr"), "audio"),
    **dict.fromkeys(("PIL", "torchvision"), "image"),
    **dict.fromkeys(("colorlog", "colorama", "texttable"), "recbole"),
    **dict.fromkeys(("implicit", "threadpoolctl"), "factors"),
    **dict.fromkeys(("httpx", "httpcore", "pyrate_limiter", "requests", "rapidfuzz", "spotipy"), "collect"),
    **dict.fromkeys(("lyricsgenius", "pylast", "mutagen", "dotenv", "stamina"), "collect"),
    **dict.fromkeys(("matplotlib", "tensorboard"), "report"),
    **{"lightgbm": "trees", "rdflib": "papers", "ray": "scale", "faiss": "ann"},
    **{"optuna": "sweep", "umap": "umap", "mlflow": "mlflow", "av": "aac", "keyring": "keyring"},
    **{"psycopg": "postgresql"},
}
"""Extra that installs each optional module. For modules in several extras, the most common one is listed."""


def not_found(error: ModuleNotFoundError) -> Package | None:
    """Return the package whose absence caused the error, or None for a package unknown to segue."""
    module = (error.name or "").partition(".")[0]
    if module == RECBOLE.module:
        return RECBOLE
    return of_extra(_EXTRA_OF[module], module) if module in _EXTRA_OF else None


def check_installed(user: str, packages: Iterable[Package]) -> None:
    """Raise `MissingPackage` for the first package that cannot be used.

    - user: name of the part in the message.
    """
    for package in packages:
        if fault := package.fault:
            raise MissingPackage(f"{user} needs {package.module}, which {fault}")


def check_requires(cls: type) -> None:
    """Raise `AssertionError` unless a class's `requires` is a tuple of packages."""
    found = getattr(cls, "requires", None)
    assert isinstance(found, tuple) and all(isinstance(each, Package) for each in found), (
        f"{cls.__name__}.requires={found!r} must be a tuple of toolkit.packages.Package"
    )
