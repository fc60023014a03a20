"""Tests of the import rules of the design, based on source code without running it.

Data flows in one direction. A package may import only the packages listed for it in `MAY_IMPORT`.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAX_LINES = 400
MAX_CLASS_LINES = 200
MAX_MODULES = 24

FOUNDATION = {
    "__init__",
    "errors",
    "constants",
    "plugins",
    "ranker_registry",
    "devices",
    "memory",
    "seeds",
    "modality",
    "topk",
    "progress",
    "files",
    "timestamps",
    "terminal",
    "interrupts",
    "parameters",
    "validation",
    "source_code",
    "list_parts",
    "parts",
    "packages",
    "result_types",
    "contracts",
}
"""Modules that everything may import."""

MAY_IMPORT: dict[str, set[str]] = {
    "recipe": set(),
    "run_directory": {"recipe"},
    "catalogue": set(),
    "corpus": {"catalogue", "recipe"},
    "ranker": {"corpus"},
    # a cover that the catalogue accepts is one that encoders can read
    "encoders": {"recipe", "catalogue.image_check"},
    "fusion": {"recipe", "corpus", "encoders"},
    "evaluation": {"recipe", "corpus", "ranker"},
    # early stopping calls the evaluator
    "sequential": {
        "recipe",
        "corpus",
        "encoders",
        "fusion",
        "ranker",
        "evaluation.evaluator",
        "evaluation.metrics",
        "evaluation.choose_weight",
        "evaluation.early_stopping",
        "evaluation.log_rank",
    },
    # stock RecBole models run through the bridge
    "baselines": {
        "recipe",
        "catalogue",
        "corpus",
        "encoders",
        "ranker",
        "evaluation.metrics",
        "evaluation.choose_weight",
        "evaluation.early_stopping",
        "evaluation.log_rank",
        "sequential.recbole",
        "sequential.training.checkpoint_tensors",
    },
    # penalties are chosen by what the evaluator measures on validation
    "coldstart": {
        "recipe",
        "corpus",
        "encoders",
        "fusion",
        "ranker",
        "baselines.baseline",
        "baselines.sparse_products",
        "evaluation.evaluator",
        "evaluation.metrics",
        "evaluation.choose_weight",
    },
    "ingest": {"recipe", "catalogue", "corpus", "encoders", "coldstart"},
    # a ring marks the best epoch of a learning curve
    "report": {"recipe", "run_directory", "evaluation.early_stopping"},
    "continuation": {"catalogue", "corpus", "encoders", "recipe", "ranker", "run_directory"},
}
"""What each package of `toolkit` may import beyond the foundation and itself: the one place where an edge is added.

A dotted name opens that one module or wing, not its whole package.
"""

AT_THE_TOP = {"pipeline"}
"""`pipeline` knows the order of the stages: it may import any package of `toolkit`, and none of them imports it."""

ABOVE = {"collectors", "segue_papers"}
"""Packages that `toolkit` finds by their entry points and never imports."""

RECBOLE_USERS = {"toolkit.sequential.recbole.bridge", "toolkit.baselines.stock.stock_models"}

UNPICKLERS = {"toolkit.sequential.recbole.bridge"}
PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
HEAVY = {
    "torch",
    "pandas",
    "transformers",
    "sentence_transformers",
    "matplotlib",
    "scipy",
    "sklearn",
    "recbole",
    "pyarrow",
    "tensorboard",
}


@dataclass(frozen=True)
class Import:
    """Import of `module` at `line`. lazy: inside a function; typing: under TYPE_CHECKING."""

    module: str
    line: int
    lazy: bool
    typing: bool


@dataclass(frozen=True)
class Module:
    """Source file with its dotted name."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def package(self) -> str:
        return _package(self.name)

    def imports(self) -> list[Import]:
        return list(_imports(self.tree, self.name, self.path.name == "__init__.py"))


def _imports(tree: ast.AST, name: str, package: bool, *, lazy: bool = False, typing: bool = False) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, lazy, typing) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, name, package)
            yield from (Import(f"{base}.{alias.name}", node.lineno, lazy, typing) for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _imports(ast.Module(node.body, []), name, package, lazy=lazy, typing=True)
            yield from _imports(ast.Module(node.orelse, []), name, package, lazy=lazy, typing=typing)
        else:
            if dynamic := _dynamic(node):
                yield Import(dynamic, node.lineno, lazy, typing)  # type: ignore[attr-defined]
            inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(node, name, package, lazy=inside, typing=typing)


def _dynamic(node: ast.AST) -> str | None:
    """Return the module imported by `require("x", …)` or `import_module("x")`."""
    if (
        isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[-1] in {"require", "import_module"}
        and node.args
    ):
        first = node.args[0]
        return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
    return None


def _base(node: ast.ImportFrom, name: str, package: bool) -> str:
    """Return the absolute module of a `from … import`."""
    if not node.level:
        return node.module or ""
    up = name.split(".")[: None if package and node.level == 1 else -(node.level - package)]
    return ".".join([*up, *([node.module] if node.module else [])])


def _package(name: str) -> str:
    """Return the module's row in the table, such as `encoders` for toolkit.encoders.text.tfidf."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def _modules(*roots: str) -> dict[str, Module]:
    found = {}
    for root in roots:
        for path in sorted((ROOT / root).rglob("*.py")):
            parts = list(path.relative_to(ROOT).with_suffix("").parts)
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = Module(name, path, ast.parse(path.read_text(encoding="utf-8"), filename=str(path)))
    return found


MODULES = _modules("segue", "toolkit", "collectors", "segue_papers")
TOOLKIT = {name: module for name, module in MODULES.items() if name.split(".")[0] == "toolkit"}


def _top(dotted: str) -> str:
    return dotted.split(".")[0]


def _fail(faults: list[str], rule: str) -> None:
    assert not faults, f"{rule}:\n  " + "\n  ".join(faults)


def _where(module: Module, line: int) -> str:
    return f"{module.path.relative_to(ROOT)}:{line}"


def test_source_files_are_found() -> None:
    assert {
        "toolkit.errors",
        "toolkit.ranker",
        "toolkit.encoders.contract.encoder",
        "toolkit.report.result_tables",
    } <= set(TOOLKIT)


def test_toolkit_does_not_import_higher_packages() -> None:
    faults = [
        _where(module, found.line)
        for module in TOOLKIT.values()
        for found in module.imports()
        if _top(found.module) in ABOVE
    ]
    _fail(faults, f"{' and '.join(sorted(ABOVE))} are found by entry point, never imported by toolkit")


def test_collectors_and_papers_do_not_import_each_other() -> None:
    faults = [
        _where(module, found.line)
        for module in MODULES.values()
        for found in module.imports()
        if {_top(module.name), _top(found.module)} == ABOVE
    ]
    _fail(faults, "collectors and segue_papers stand apart")


def test_only_the_pipeline_imports_the_public_api() -> None:
    faults = [
        f"{_where(module, found.line)} imports {found.module}"
        for module in MODULES.values()
        if _top(module.name) != "segue" and module.package not in AT_THE_TOP
        for found in module.imports()
        if _top(found.module) == "segue"
    ]
    _fail(faults, "segue is a layer above toolkit and collectors: only the pipeline is its client")


def test_public_api_has_no_heavy_imports() -> None:
    _fail(
        [" -> ".join(chain) for chain in _heavy_chains("segue")],
        "`import segue` must be fast: import these where they are used",
    )


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_docs_import_only_the_public_api(page: Path) -> None:
    faults = [
        f"{page.name}: {line.strip()}"
        for block in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)
        for line in block.splitlines()
        if re.match(r"\s*(from|import) (toolkit|collectors)\b", line)
    ]
    _fail(faults, "documents show what readers may rely on: `segue` and `segue.plugin`")


def test_every_package_is_in_the_import_table() -> None:
    known = FOUNDATION | set(MAY_IMPORT) | AT_THE_TOP
    _fail(sorted({m.package for m in TOOLKIT.values()} - known), "packages of toolkit that MAY_IMPORT does not place")


@pytest.mark.parametrize("package", sorted(FOUNDATION | set(MAY_IMPORT)))
def test_imports_follow_the_data_flow(package: str) -> None:
    allowed = FOUNDATION | MAY_IMPORT.get(package, set()) | {package}
    faults = [
        f"{_where(module, found.line)} imports {found.module}"
        for module in TOOLKIT.values()
        if module.package == package
        for found in module.imports()
        if not found.typing
        and (target := _toolkit_package(found.module))
        and target not in allowed
        and not _opened(found.module, allowed)
    ]
    _fail(faults, f"{package} may import only {', '.join(sorted(allowed - {'__init__'}))}")


def _opened(dotted: str, allowed: set[str]) -> bool:
    """Return whether a dotted entry of the table is this module or contains it."""
    return any(f"{dotted}.".startswith(f"toolkit.{entry}.") for entry in allowed if "." in entry)


def _toolkit_package(dotted: str) -> str | None:
    """Return `encoders` for toolkit.encoders.contract.encoder, or None for modules outside toolkit."""
    if _top(dotted) != "toolkit":
        return None
    first = ".".join(dotted.split(".")[:2])
    return _package(first) if first in TOOLKIT else "__init__"


def test_import_table_has_no_cycles() -> None:
    done: set[str] = set()

    def visit(package: str, path: tuple[str, ...]) -> None:
        assert package not in path, f"MAY_IMPORT goes in a circle: {' -> '.join((*path, package))}"
        if package not in done:
            for target in sorted(MAY_IMPORT[package]):
                visit(target.split(".")[0], (*path, package))
            done.add(package)

    for package in MAY_IMPORT:
        visit(package, ())


def test_only_the_bridge_and_the_stock_baselines_import_recbole() -> None:
    faults = [
        _where(module, found.line)
        for module in MODULES.values()
        for found in module.imports()
        if _top(found.module) == "recbole" and not found.typing and module.name not in RECBOLE_USERS
    ]
    _fail(faults, f"only {', '.join(sorted(RECBOLE_USERS))} import recbole")


def test_source_does_not_unpickle() -> None:
    faults = [
        f"{_where(module, found.line)} imports {found.module}"
        for module in MODULES.values()
        if module.name not in UNPICKLERS
        for found in module.imports()
        if _top(found.module) in PICKLES
    ]
    _fail(faults, "models and data are safetensors, JSON and Arrow, never a pickle")


def test_source_does_not_use_eval_or_pickled_arrays() -> None:
    faults = [
        f"{_where(module, line)} {what}"
        for module in MODULES.values()
        if module.name not in UNPICKLERS
        for what, line in _unsafe(module.tree)
    ]
    _fail(faults, "outside input is never run as code")


def _unsafe(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Return calls that can execute code from a file."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        settings = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if (
            isinstance(node.func, ast.Name)
            and name in {"eval", "exec", "compile", "__import__"}
            and hasattr(builtins, name)
        ):
            yield f"calls {name}", node.lineno
        if name == "torch.load" and settings.get("weights_only") != "True":
            yield "calls torch.load without weights_only=True", node.lineno
        if name in {"np.load", "numpy.load"} and settings.get("allow_pickle", "False") != "False":
            yield f"calls {name} with allow_pickle", node.lineno
        if name in {"pd.read_pickle", "pandas.read_pickle", "yaml.load", "yaml.unsafe_load", "os.system"}:
            yield f"calls {name}", node.lineno


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("eval(text)", ["calls eval"]),
        ("model.eval()", []),
        ("torch.load(path)", ["calls torch.load without weights_only=True"]),
        ("torch.load(path, weights_only=False)", ["calls torch.load without weights_only=True"]),
        ("torch.load(path, weights_only=True)", []),
        ("np.load(path, allow_pickle=True)", ["calls np.load with allow_pickle"]),
        ("np.load(path, mmap_mode='r', allow_pickle=False)", []),
        ("def f():\n    exec(text)", ["calls exec"]),
    ],
)
def test_unsafe_calls_are_detected(source: str, what: list[str]) -> None:
    assert [name for name, _ in _unsafe(ast.parse(source))] == what


def test_imports_are_parsed_with_line_and_scope() -> None:
    source = (
        "import a.b\nfrom .c import d\nfrom ..e import f\nif TYPE_CHECKING:\n    import g\n"
        "def h():\n    from i import j\n    require('l.m', install='')\ntry:\n    import k\nexcept E:\n    pass\n"
    )
    found = list(_imports(ast.parse(source), "toolkit.report.page", False))
    assert [(each.module, each.lazy, each.typing) for each in found] == [
        ("a.b", False, False),
        ("toolkit.report.c.d", False, False),
        ("toolkit.e.f", False, False),
        ("g", False, True),
        ("i.j", True, False),
        ("l.m", True, False),
        ("k", False, False),
    ]


def test_command_line_has_no_heavy_imports() -> None:
    starts = [name for name in MODULES if name.startswith(("segue.commands", "segue.__main__"))]
    faults = [" -> ".join(chain) for start in starts for chain in _heavy_chains(start)]
    _fail(sorted(set(faults)), "`segue --help` must not load these; import them inside the command")


def _heavy_chains(start: str) -> list[list[str]]:
    """Return chains of module-level imports from `start` to a heavy package."""
    chains, queue, seen = [], [[start]], {start}
    while queue:
        chain = queue.pop(0)
        for found in MODULES[chain[-1]].imports():
            if found.lazy or found.typing:
                continue
            if _top(found.module) in HEAVY:
                chains.append([*chain, found.module])
            for target in _loaded(found.module):
                if target not in seen:
                    seen.add(target)
                    queue.append([*chain, target])
    return chains


def _loaded(dotted: str) -> list[str]:
    """Return our modules that `import dotted` runs: each parent package and the module."""
    parts = dotted.split(".")
    return [name for end in range(1, len(parts) + 1) if (name := ".".join(parts[:end])) in MODULES]


def test_transitive_heavy_imports_are_detected() -> None:
    assert ["toolkit.ranker", "toolkit.corpus.queries", "scipy.sparse"] in _heavy_chains("toolkit.ranker")
    assert _heavy_chains("toolkit.plugins") == []


def test_required_methods_are_abstract() -> None:
    faults = [
        _where(module, node.lineno)
        for module in MODULES.values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Raise) and node.exc is not None and "NotImplementedError" in ast.unparse(node.exc)
    ]
    _fail(faults, "a method left out is found when the class is made, not when it is called: use abc.abstractmethod")


def test_module_names_are_unique() -> None:
    places = defaultdict(list)
    for module in MODULES.values():
        if module.path.stem not in {"__init__", "__main__"}:
            places[module.path.name].append(str(module.path.relative_to(ROOT)))
    _fail([", ".join(paths) for paths in places.values() if len(paths) > 1], "one name, one file: rename one of")


def test_folders_do_not_exceed_the_module_limit() -> None:
    counts = Counter(module.path.parent.relative_to(ROOT) for module in MODULES.values())
    _fail(
        [f"{folder} has {n}" for folder, n in counts.items() if n > MAX_MODULES],
        f"at most {MAX_MODULES} modules a folder",
    )


@pytest.mark.parametrize("name", sorted(MODULES))
def test_self_is_not_annotated_as_any(name: str) -> None:
    faults = [
        _where(MODULES[name], arg.lineno)
        for arg in ast.walk(MODULES[name].tree)
        if isinstance(arg, ast.arg)
        and arg.arg == "self"
        and arg.annotation is not None
        and ast.unparse(arg.annotation) == "Any"
    ]
    _fail(faults, "`self: Any` hides what a method needs: say it by a base class or a Protocol")


@pytest.mark.parametrize("name", sorted(MODULES))
def test_classes_do_not_exceed_the_line_limit(name: str) -> None:
    sizes = {
        node.name: (node.end_lineno or 0) - node.lineno + 1
        for node in ast.walk(MODULES[name].tree)
        if isinstance(node, ast.ClassDef)
    }
    faults = [f"{cls} has {lines} lines" for cls, lines in sizes.items() if lines > MAX_CLASS_LINES]
    _fail(faults, f"at most {MAX_CLASS_LINES} lines a class: split it where a second noun appears")


@pytest.mark.parametrize("name", sorted(MODULES))
def test_modules_do_not_exceed_the_line_limit(name: str) -> None:
    lines = MODULES[name].path.read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_LINES, f"{name} has {lines} lines, more than {MAX_LINES}: split it where a second noun appears"
