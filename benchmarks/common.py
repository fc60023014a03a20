"""What the races share: options, the machine, timing that alternates between the sides, one JSON line last.

given = common.parser(__doc__).parse_args()
common.start(given)
seconds = common.alternate({"ours": ours, "peer": peer}, repetitions=5, device=given.device)
common.report("load", given, ours=seconds["ours"], peer=seconds["peer"], check="same splits: 1,000 of 1,000")
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

# before NumPy and torch start their threads: spinning ones would take the other side's core
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

RESULTS = Path(__file__).parent / "results"
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
PACKAGES = ("numpy", "torch", "recbole", "pyarrow", "msgspec")


def parser(description: str | None) -> argparse.ArgumentParser:
    """Options that every race has."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument(
        "--quick", action="store_true", help="within two minutes on two cores; its result cannot be saved"
    )
    made.add_argument("--threads", type=int, default=1, metavar="N", help="for both sides (default: 1)")
    made.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    made.add_argument(
        "--clock", default="wall", choices=CLOCKS, help="processor: for one thread on a machine with other work"
    )
    made.add_argument("--save", action="store_true", help="keep the result under benchmarks/results")
    return made


def start(given: argparse.Namespace) -> None:
    """Set both sides' threads and print what the race runs on; errors in the options end it."""
    import torch

    if given.quick and given.save:
        raise SystemExit("--quick and --save exclude each other: a quick result is no result to keep")
    if given.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("--device cuda but this machine has no CUDA device")
    torch.set_num_threads(given.threads)
    about = machine(given.device)
    print(
        f"{about['device']}, {about['cores']} cores, load {about['load']}, both sides with {given.threads} threads",
        flush=True,
    )


def alternate(
    sides: Mapping[str, Callable[[], Any]],
    *,
    repetitions: int,
    device: str = "cpu",
    warm: bool = True,
    clock: str = "wall",
) -> dict[str, list[float]]:
    """Seconds of each side, A B A B …, so that a slow minute of the machine meets both.

    warm: each side runs once before, untimed. clock: `processor` counts this process's own time, all threads added.
    What a side returns is dropped; garbage is collected outside the timed part.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for repetition in range(-1 if warm else 0, repetitions):
        for name, side in sides.items():
            gc.collect()
            took = timed(side, device=device, clock=clock)
            if repetition >= 0:
                seconds[name].append(took)
                print(f"  {name:>8} {repetition + 1}/{repetitions}: {took:.3f} s", flush=True)
    return seconds


def timed(work: Callable[[], Any], *, device: str = "cpu", clock: str = "wall") -> float:
    """Seconds of one call, the device's queue included."""
    now = CLOCKS[clock]
    _wait(device)
    begin = now()
    work()
    _wait(device)
    return now() - begin


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()


def spread(values: Sequence[float]) -> dict[str, float]:
    return {
        name: float(f"{f(values):.6g}")
        for name, f in (("minimum", min), ("median", statistics.median), ("maximum", max))
    }


def report(
    race: str,
    given: argparse.Namespace,
    *,
    ours: Sequence[float],
    peer: Sequence[float] | None,
    check: str,
    **more: Any,
) -> dict[str, Any]:
    """Print the race's JSON line, and keep it where `--save` asks.

    ours, peer: seconds for the same work (or per unit of it), as `alternate` gives them; None where there is no peer.
    ratio: of the medians, peer over ours. more: whatever else belongs to the row.
    """
    result: dict[str, Any] = {"race": race, "ours": spread(ours), "peer": None if peer is None else spread(peer)}
    result["ratio"] = None if peer is None else float(f"{statistics.median(peer) / statistics.median(ours):.4g}")
    result |= {
        "check": check,
        **more,
        "threads": given.threads,
        "clock": given.clock,
        "quick": given.quick,
        "machine": machine(given.device),
    }
    if given.save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{race}-{given.device}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))
    return result


def machine(device: str = "cpu") -> dict[str, Any]:
    """What figures were taken on, and when: processor or card, memory, load of the last minute, versions, commit,
    date."""
    about: dict[str, Any] = {"device": processor(), "cores": os.cpu_count(), "memory_gb": _memory_gb()}
    about["load"] = round(os.getloadavg()[0], 1)
    if device.startswith("cuda"):
        import torch

        about |= {"processor": about["device"], "device": torch.cuda.get_device_name()}
    about |= {
        "system": platform.system(),
        "versions": {"python": platform.python_version(), **_versions()},
        "commit": _commit(),
    }
    return about | {"date": time.strftime("%Y-%m-%d")}


def processor() -> str:
    """Name of the CPU with what of its instructions decides here."""
    name, flags = platform.processor() or platform.machine(), ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        name = f"{facts.get('model name', name)} (family {facts.get('cpu family')}, model {facts.get('model')})"
        flags = " ".join(
            flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in facts.get("flags", "").split()
        )
    return f"{name} {flags}".strip()


def _memory_gb() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _commit() -> str | None:
    git = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=RESULTS.parent, capture_output=True, text=True, check=False
    )
    return git.stdout.strip() or None
