"""What README, docs/protocols.md and docs/networks.md say in numbers is what can be computed again here."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from fixture_types import Compose

from fer3d.evaluation.significance import compare_folds
from fer3d.models.network import Task, forward_flop
from fer3d.paper.printed import TABLE_4, TABLE_5, FoldTable
from fer3d.training.networks import make_network

ROOT = Path(__file__).parents[1]
README, PROTOCOLS = ((ROOT / name).read_text() for name in ("README.md", "docs/protocols.md"))


def test_shares_are_those_of_their_clips() -> None:
    shares = re.findall(r"(\d+) of (\d+) [\w -]*?clips[\w ]*[:(] ?([\d.]+) ?%", README)
    cells = [(right, "327", share) for right, share in re.findall(r"\| (\d+) \(([\d.]+) %\)", PROTOCOLS)]
    assert (len(shares), len(cells)) == (2, 6)
    for right, clips, share in [*shares, *cells]:
        assert f"{100 * int(right) / int(clips):.1f}" == share


def test_what_the_choice_of_an_epoch_adds() -> None:
    lines = [line for line in PROTOCOLS.splitlines() if line.startswith(("| LOSO", "| 10 folds"))]
    said = ("{} clips ({:.1f} points) under LOSO", "{} ({:.1f} points) with ten folds")
    for line, words in zip(lines, said, strict=True):
        best, _, last = re.findall(r"\| (\d+) \(", line)
        added = int(best) - int(last)
        assert words.format(added, 100 * added / 327) in PROTOCOLS


@pytest.mark.parametrize(
    ("table", "pairs", "said"),
    [
        (TABLE_4, [("c1", "c2"), ("c1", "c3")], "CK+ keeps {} and {}"),
        (TABLE_5, [("c2", "c1"), ("c2", "c4")], "Oulu-CASIA has {} and {}"),
    ],
)
def test_p_values_of_the_papers_tables(table: FoldTable, pairs: list[tuple[str, str]], said: str) -> None:
    rows = {row.name: np.array(row.accuracies) / 100 for row in table.rows}
    found = [compare_folds(rows[one], rows[other], 1 / 9).t_corrected for one, other in pairs]
    assert said.format(*(f"{p:.3f}".lstrip("0") for p in found)) in PROTOCOLS


NETWORKS, _, _ = (ROOT / "docs/networks.md").read_text().partition("## Compare them")
ROWS = [[cell.strip(" `") for cell in line.split("|")[1:6]] for line in NETWORKS.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_sizes_and_operations_of_networks(row: list[str], compose_config: Compose) -> None:
    name, *cells = row
    task = Task(num_classes=7, num_frames=10, size=112, num_channels=1)
    compact = {"cnn3d": "compact", "factorised": "factorised"}.get(name, f"{name}_compact")
    for model, millions, gflop in ((name, *cells[:2]), (compact, *cells[2:])):
        if not millions:
            continue
        settings = compose_config(f"model={model}").model
        with torch.device("meta"):
            made = sum(parameter.numel() for parameter in make_network(settings, task).parameters())
            flop = forward_flop(lambda settings=settings: make_network(settings, task), task)
        assert f"{made / 1e6:#.3g}" == millions
        assert f"{flop / 1e9:#.3g}" == gflop


def test_every_network_is_listed() -> None:
    presets = {path.stem.removesuffix("_compact") for path in (ROOT / "conf/model").glob("*.yaml")}
    assert {row[0] for row in ROWS} == presets - {"own", "compact"}
