"""Tests of progress lines and bars with a controlled clock."""

from __future__ import annotations

import io

import pytest

from toolkit import progress
from toolkit.progress import BarReporter, PlainReporter, Reporter, Task, over_epochs


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_progress_line_has_count_share_rate_and_time_left() -> None:
    assert Task("encode", 0.0, done=250, total=1000).line(10.0) == "encode: 250/1,000 (25 %), 25/s, 30.0 s left"
    assert Task("encode", 0.0, done=1000, total=1000).line(75.0) == "encode: 1,000 in 1 min 15 s"
    assert Task("records", 0.0, done=30).line(60.0) == "records: 30 (0.5/s)"
    assert Task("x", 0.0, news=" loss 2.5", done=1, total=2).line(4.0) == "x: 1/2 (50 %), 0.2/s, 4.0 s left · loss 2.5"


def test_epoch_progress_is_converted_to_total_progress() -> None:
    calls: list[tuple[int, int, str]] = []
    report = over_epochs(lambda *call: calls.append(call))
    report(5, 10, "epoch 1/3, loss 2.0")
    report(10, 10, "epoch 3/3, loss 1.0")
    report(1, 2, "encode titles")
    assert calls == [(5, 30, "epoch 1/3, loss 2.0"), (30, 30, "epoch 3/3, loss 1.0"), (1, 2, "encode titles")]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.0, "< 0.01 s"),
        (0.42, "0.42 s"),
        (8.06, "8.1 s"),
        (12.3, "12.3 s"),
        (59.94, "59.9 s"),
        (60.0, "1 min 00 s"),
        (185.0, "3 min 05 s"),
        (200.0, "3 min 20 s"),
        (3599.6, "1 h 00 min"),
        (7500.0, "2 h 05 min"),
        (7805.0, "2 h 10 min"),
    ],
)
def test_duration_formats_seconds(seconds: float | None, text: str) -> None:
    assert progress.duration(seconds) == text


def test_plain_reporter_prints_at_intervals_and_at_end(clock: list[float]) -> None:
    out = io.StringIO()
    report = PlainReporter(out, interval=10)
    report.stage("encode audio")
    for step in range(1, 31):
        clock[0] += 1
        report(step, 30, f"audio, loss {31 - step}")
    report(30, 30, "audio, again")
    report.note("done")
    assert out.getvalue().splitlines() == [
        "· encode audio",
        "audio: 11/30 (36 %), 1.1/s, 17.3 s left · loss 20",
        "audio: 21/30 (70 %), 1.1/s, 8.6 s left · loss 10",
        "audio: 30 in 29.0 s · loss 1",
        "done",
    ]


def test_progress_with_unknown_total_prints_count(clock: list[float]) -> None:
    out = io.StringIO()
    report = PlainReporter(out, interval=5)
    for step in (10, 20, 30):
        clock[0] += 4
        report(step, 0, "records")
    assert out.getvalue() == "records: 30 (3.8/s)\n"


def test_bar_reporter_keeps_only_lines_of_finished_work(clock: list[float]) -> None:
    from rich.console import Console

    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with progress.reporter(console) as report:
        assert isinstance(report, BarReporter)
        report.stage("fit [x]")
        report(1, 4, "sasrec, loss 3")
        clock[0] += 2
        report(4, 4, "sasrec, loss 2")
        report(1, 9, "cut short")
        assert [task.description for task in report._bars.tasks] == ["cut short"]
        report.stage("next")
        assert not report._bars.tasks
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "sasrec: 4 in 2.0 s · loss 2" in text
    assert "cut short: " not in text and "fit [x]" in text


def test_reporter_prints_plain_lines_to_pipes(clock: list[float]) -> None:
    from rich.console import Console

    assert isinstance(progress.reporter(Console(file=io.StringIO())), PlainReporter)
    silent = Reporter()
    with silent:
        silent(1, 2, "x")
        silent.stage("y")
        silent.note("z")
