"""Tests that passwords and keys of a recipe are in no file of a run and in no message."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import segue
from toolkit import run_directory
from toolkit.recipe.redaction import redacted, without_secrets

SECRET = "S3CRETPW"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"postgresql+psycopg://bob:{SECRET}@db/music", "postgresql+psycopg://bob@db/music"),
        (f"postgresql://bob:{SECRET}/a@b@db:5432/music", "postgresql://bob@db:5432/music"),
        (f"postgresql://bob@db/music?password={SECRET}", "postgresql://bob@db/music?"),
        (f"postgresql://bob@db/m?sslpassword={SECRET}&sslmode=on", "postgresql://bob@db/m?sslmode=on"),
        (f"postgresql%3A%2F%2Fbob%3A{SECRET}%40db", "postgresql%3A%2F%2Fbob%40db"),
        (f"mysql://bob%40home:%53{SECRET}%21@db", "mysql://bob%40home@db"),
        (f"redis://:{SECRET}@host:6379/0", "redis://@host:6379/0"),
        (f"https://{SECRET}@github.com/x", "https://github.com/x"),
        (f"git+https://bob:{SECRET}@github.com/x", "git+https://github.com/x"),
        (f"s3://KEYID:{SECRET}@bucket/x", "s3://KEYID@bucket/x"),
        (f"https://x.org/a?b=1&api_key={SECRET}&c=2#d", "https://x.org/a?b=1&c=2#d"),
        (f"https://x.org/a?access_token={SECRET}", "https://x.org/a?"),
        (f"https://x.org/a?X-Amz-Signature={SECRET}&X-Amz-Credential={SECRET}&v=1", "https://x.org/a?v=1"),
        (f"host=db password={SECRET} dbname=music", "host=db  dbname=music"),
        (f"--set library=postgresql://bob:{SECRET}@db: wrong", "--set library=postgresql://bob@db: wrong"),
        (f"cannot open 'http://u:{SECRET}@x/y' twice", "cannot open 'http://x/y' twice"),
    ],
)  # fmt: skip
def test_redacted_removes_passwords_and_keys_of_urls(text: str, shown: str) -> None:
    assert redacted(text) == shown
    assert redacted(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:8000/@v1/x",
        "https://x.org:443/a?keyword=1&author=b",
        "C:\\Music\\a@b.mp3",
        "{title}: {artist} @ {album}",
        "token_pattern='a' must be a regular expression",
        "spotify:track:1 @ 2",
        "local:Song (feat. A@B)",
        "",
    ],
)
def test_redacted_keeps_other_texts(text: str) -> None:
    assert redacted(text) == text


def test_values_of_secret_keys_are_removed_at_any_depth() -> None:
    value = {"a": [{"api_key": SECRET, "token_pattern": "x", "Password": SECRET, "n_tokens": 3, "secret": None}]}

    assert without_secrets(value) == {
        "a": [{"api_key": "***", "token_pattern": "x", "Password": "***", "n_tokens": 3, "secret": None}]
    }


LISTS = "playlist_id,track_id\n" + "".join(f"{p},{(p * 7 + t) % 30}\n" for p in range(30) for t in range(6))
RECIPE = f"""\
name: mine
data:
  reader: csv
  path: lists.csv
  permission: {{allowed: true, reason: 'see https://terms.example/?api_key={SECRET}&page=1'}}
baselines: [popularity, item-knn]
evaluation: {{split: {{min_tracks: 4, valid_fraction: 0.3}}, k: [3], metrics: [recall, ndcg], bootstrap: 20}}
"""
LIBRARY = f"postgresql+psycopg://bob:{SECRET}@127.0.0.1:1/music?password={SECRET}"
MODEL = """\
models: [{type: sasrec, epochs: 1, hidden_size: 8, select: ndcg@3}]
sweep: {over: {models.0.lr: [0.001, 0.01]}, select: ndcg@3}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGUE_CACHE", str(tmp_path / "cache"))
    Path("lists.csv").write_text(LISTS)
    Path("r.yaml").write_text(RECIPE)
    return tmp_path


def _holding(folder: Path) -> list[str]:
    """Return the files that hold the secret, apart from the recipes as written."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.parent != folder]
    return [str(path) for path in files if SECRET.encode() in path.read_bytes()]


def test_no_file_of_a_run_holds_a_secret_and_the_run_resumes_and_reproduces(here: Path) -> None:
    first = segue("run", "r.yaml", "--out", "run")
    assert first.exit_code == 0, first.output
    assert (
        SECRET not in first.output
        and "data.permission.reason: a password or key is used but not stored" in first.stderr
    )
    assert _holding(here) == []

    again = segue("run", "r.yaml", "--out", "run")
    other = segue("run", "r.yaml", "--out", "run", "--set", RECIPE_OTHER)
    assert (again.exit_code, other.exit_code) == (0, 0), other.output

    for command in (("report", "run"), ("compare", "run", "run"), ("reproduce", "run", "--out", "run2")):
        printed = segue(*command)
        assert printed.exit_code == 0 and SECRET not in printed.output, printed.output
    assert _holding(here) == []


RECIPE_OTHER = "data.permission.reason=see https://terms.example/?api_key=other&page=1"


def test_no_file_of_a_sweep_or_bench_holds_a_secret(here: Path) -> None:
    Path("sweep.yaml").write_text(RECIPE + MODEL)

    swept = segue("sweep", "sweep.yaml", "--out", "swept")
    benched = segue("bench", "r.yaml", "--baselines", "popularity,item-knn", "--budget", "2", "--out", "benched")

    assert (swept.exit_code, benched.exit_code) == (0, 0), swept.output + benched.output
    assert (here / "swept" / "best.yaml").exists() and (here / "benched" / "run" / "report.html").exists()
    assert SECRET not in swept.output + benched.output and _holding(here) == []


def test_password_of_a_library_is_in_no_message_and_no_file(here: Path) -> None:
    section = f"collect: {{library: '{LIBRARY}', blobs: blobs, sources: [lrclib]}}\n"
    content = "encoders: {t: {encoder: tfidf, field: title}}\n"
    Path("r.yaml").write_text(RECIPE + section + content)

    failed = segue("run", "r.yaml", "--out", "run")
    overridden = segue("run", "r.yaml", "--set", f"collect.library={LIBRARY}", "--set", "collect.sources=1")
    wrong = segue("validate", "r.yaml", "--set", f"collec.library={LIBRARY}")

    for printed in (failed, overridden, wrong):
        assert printed.exit_code in (1, 2) and printed.stderr and SECRET not in printed.output, printed.output
    assert _holding(here) == []


def test_report_and_compare_of_a_run_from_elsewhere_remove_its_secrets(here: Path) -> None:
    segue("run", "r.yaml", "--out", "run")
    recipe = here / "run" / run_directory.RECIPE
    recipe.write_text(recipe.read_text().replace("api_key", f"page=2&api_key={SECRET}&x") + f"password: {SECRET}\n")
    segue("run", "r.yaml", "--out", "other", "--set", "baselines=[popularity]")

    report, compared = segue("report", "run"), segue("compare", "run", "other")

    assert report.exit_code == 0 and compared.exit_code == 0, report.output + compared.output
    assert SECRET not in report.output + compared.output
    assert _holding(here) == [str(recipe)]
