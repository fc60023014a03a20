"""Lowest useful result of a run: popularity on the validation playlists, or random order without popularity.

A system below it is worse than a count of the playlists of each track, and is marked in every table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from toolkit.pipeline.run import fit_systems
from toolkit.pipeline.run.run_context import Context
from toolkit.pipeline.run.systems import Material, baseline_system
from toolkit.recipe import BaselineSpec
from toolkit.result_types import Floor, SystemEntry, SystemOrder

RANKERS = ("popularity", "random")
"""Rankers that set the floor; the first that is a system of the run."""


def floor(context: Context, material: Material, entries: Sequence[SystemEntry], metric: str, k: int) -> Floor:
    """Return the system that sets the floor and its validation value. Random order is measured if neither is a system.

    - entries: the systems of the run with their validation values of `metric` at `k`.
    """
    for ranker in RANKERS:
        for entry in entries:
            if entry["ranker"] == ranker and (value := entry.get("value")) is not None:
                return {"system": entry["system"], "value": value}
    system = baseline_system(context, BaselineSpec(name=RANKERS[-1]))

    def make(workdir: Path) -> tuple[Sequence[Path], float]:
        return [], fit_systems.validation_value(context, system, material, f"{metric}@{k}", workdir)

    inputs = {**fit_systems.inputs(context, system, material), "metric": metric, "k": k}
    return {"system": system.name, "value": context.run.stage("floor", inputs, make)}


def below_floor(order: SystemOrder) -> Iterator[tuple[str, str, str]]:
    """Yield system, mark and reason of each system that is below the floor on validation. Oracles are not judged."""
    least, by = order.get("floor"), order["chosen_by"]
    if least is None:
        return
    for entry in order["systems"]:
        value = entry.get("value")
        judged = not entry["oracle"] and entry["ranker"] not in RANKERS and value is not None
        if judged and value is not None and value < least["value"]:
            reason = f"{by['metric']}@{by['k']} {value:.4f} on validation; {least['system']} has {least['value']:.4f}"
            yield entry["system"], f"below {least['system']}", reason
