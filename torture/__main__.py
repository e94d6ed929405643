"""Fault injection campaign: `python -m torture`; the same command continues where it stopped.

`--seed 7 --case corpora:123` repeats one case and keeps its folder.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import sys
import time
from pathlib import Path

from torture.attacks import ATTACKS
from torture.campaign import CASES_NAME, TABLE_NAME, Campaign, table
from torture.commands import import_everything

OUTPUTS = Path("outputs/torture")


def main() -> int:
    """Runs a campaign or one case; returns 1 if fer3d lost data silently, hung, or printed a traceback."""
    options = _parser().parse_args()
    seed = _seed(options.seed, options.outputs)
    campaign = Campaign(seed, (options.outputs / str(seed)).absolute(), ATTACKS)
    campaign.folder.mkdir(parents=True, exist_ok=True)
    print(f"seed {seed}: {campaign.folder / CASES_NAME}", flush=True)
    import_everything()
    if options.case:
        kind, number = options.case.split(":")
        line = campaign.case(kind, int(number))
        print(f"{line.verdict}: {line.what}\n{line.message}\n{campaign.folder / 'work' / f'{kind}-{number}'}")
        return int(line.verdict.is_fault)
    return _run(campaign, options)


def _run(campaign: Campaign, options: argparse.Namespace) -> int:
    kinds, started = options.only.split(","), time.monotonic()
    for line in campaign.run(kinds, options.cases, num_jobs=options.jobs):
        if line.verdict.is_fault or options.verbose:
            print(f"{line.kind}:{line.number} {line.verdict}: {line.what}\n    {line.message}", flush=True)
    lines = [line for line in campaign.lines() if line.kind in kinds]
    text = table(lines)
    (campaign.folder / TABLE_NAME).write_text(text, encoding="utf-8")
    print(f"\nseed {campaign.seed}, {(time.monotonic() - started) / 60:.1f} minutes\n\n{text}")
    faults = sum(line.verdict.is_fault for line in lines)
    if not faults:
        shutil.rmtree(campaign.folder / "work", ignore_errors=True)
    return int(faults > 0)


def _seed(given: int | None, outputs: Path) -> int:
    """The given seed, or that of an unfinished campaign, or a new one."""
    if given is not None:
        return given
    stopped = [path.parent for path in sorted(outputs.glob(f"*/{CASES_NAME}"))]
    stopped = [folder for folder in stopped if not (folder / TABLE_NAME).exists()]
    return int(stopped[0].name) if stopped else secrets.randbelow(10**6)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m torture", description=__doc__)
    parser.add_argument("--seed", type=int, help="default: that of an unfinished campaign, or a new one")
    parser.add_argument("--only", default=",".join(ATTACKS), help="kinds of attack; default: %(default)s")
    parser.add_argument("--cases", type=int, metavar="N", help="cases of each kind; default: those of a full campaign")
    parser.add_argument("--case", metavar="KIND:NUMBER", help="repeat one case and keep its folder")
    parser.add_argument("--jobs", type=int, default=2, help="concurrent cases; default: %(default)s")
    parser.add_argument("--verbose", action="store_true", help="print every case, not only failures")
    parser.add_argument("--outputs", type=Path, default=OUTPUTS, help="default: %(default)s")
    return parser


if __name__ == "__main__":
    sys.exit(main())
