"""Tables and files of several seeds: the spread under every epoch protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fer3d.evaluation.evaluation_files import (
    FOLDER_NAME,
    FORMAT_VERSION,
    Row,
    measures_rows,
    number_or_none,
    protocol_content,
    rows_text,
    write_texts,
)
from fer3d.evaluation.evaluation_tables import ECE_NOTE, NUMBER_TITLES
from fer3d.evaluation.seeds import SeedGroup, Spread
from fer3d.evaluation.tables import Table, json_text, percent


def write_seeds(group: SeedGroup, folder: Path | None = None) -> list[Path]:
    """Writes `seeds.json`, `seeds.csv` (rows by protocol and measure) and `measures.csv` (rows by run and protocol).

    Args:
        group: What to write; files of an earlier evaluation are replaced.
        folder: The destination; by default `evaluation` in the group's folder.

    Returns:
        The files.

    Raises:
        EvaluationError: The folder cannot be written to.
    """
    texts = {
        "seeds.json": json_text(seeds_content(group)),
        "seeds.csv": rows_text(_seeds_rows(group)),
        "measures.csv": rows_text(measures_rows(group.evaluations)),
    }
    return write_texts(folder or group.folder / FOLDER_NAME, texts)


def seeds_content(group: SeedGroup) -> dict[str, Any]:
    """The spread of each measure over the seeds and its provenance, in plain values for JSON."""
    first = group.runs[0]
    return {
        "format": FORMAT_VERSION,
        "name": first.name,
        "corpus": first.corpus,
        "synthetic": first.synthetic,
        **first.independence.entries,
        "partial": first.partial,
        "seeds": [run.seed for run in group.runs],
        "epoch_protocols": {
            outcome.protocol.name: {
                **protocol_content(outcome),
                "measures": {name: _spread(spread) for name, spread in group.spreads(outcome.protocol).items()},
            }
            for outcome in group.evaluations[0].outcomes
        },
        "runs": [run.provenance() for run in group.runs],
    }


def seeds_tables(group: SeedGroup) -> list[Table]:
    """The spread of each measure, the spread of each emotion's recall, and the runs."""
    spreads = [group.spreads(protocol) for protocol in group.protocols]
    titles = tuple(protocol.title for protocol in group.protocols)
    caution = group.runs[0].caution
    measures = tuple(
        (title, *(_text(of[name]) for of in spreads)) for name, title in NUMBER_TITLES.items() if name in spreads[0]
    )
    recalls = tuple(
        (emotion, *(_text(of[f"recall_{emotion}"]) for of in spreads)) for emotion in group.runs[0].emotions
    )
    note = "Mean and standard deviation over seeds; below them, the lowest and the highest value."
    return [
        Table(f"Measures of {len(group.runs)} seeds", ("", *titles), measures, f"{note} {ECE_NOTE}", caution),
        Table(f"Recall of each emotion, {len(group.runs)} seeds", ("emotion", *titles), recalls, note, caution),
        _runs_table(group, titles, caution),
    ]


def _runs_table(group: SeedGroup, titles: tuple[str, ...], caution: str) -> Table:
    rows = tuple(
        (
            evaluation.run.folder.name,
            str(evaluation.run.seed),
            *(f"{outcome.score.num_correct} of {outcome.score.num_clips}" for outcome in evaluation.outcomes),
        )
        for evaluation in group.evaluations
    )
    return Table("Held-out clips right, each run", ("run", "seed", *titles), rows, caution=caution)


def _seeds_rows(group: SeedGroup) -> list[Row]:
    first = group.runs[0]
    return [
        {
            "name": first.name,
            "corpus": first.corpus,
            "synthetic": first.synthetic,
            "subject_independent": first.independence.holds,
            "partial": first.partial,
            "num_seeds": len(group.runs),
            "epoch_protocol": protocol.name,
            "optimistic": protocol.optimistic,
            "measure": name,
            "mean": spread.mean,
            "standard_deviation": spread.deviation,
            "minimum": spread.minimum,
            "maximum": spread.maximum,
        }
        for protocol in group.protocols
        for name, spread in group.spreads(protocol).items()
    ]


def _spread(spread: Spread) -> dict[str, Any]:
    return {
        "mean": number_or_none(spread.mean),
        "standard_deviation": number_or_none(spread.deviation),
        "minimum": number_or_none(spread.minimum),
        "maximum": number_or_none(spread.maximum),
        "values": list(map(number_or_none, spread.values)),
    }


def _text(spread: Spread) -> str:
    mean, deviation, low, high = map(percent, (spread.mean, spread.deviation, spread.minimum, spread.maximum))
    return f"{mean} ± {deviation}\n{low} to {high}"
