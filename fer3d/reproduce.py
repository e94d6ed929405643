"""Does everything that is reported on a corpus: `python -m fer3d.reproduce ckplus`, `oulu`, `ravdess` and so on."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from fer3d.command import orderly_end, user_errors
from fer3d.cores import count_cores, tell_libraries
from fer3d.options import CommandParser

# Where each corpus is expected, by the environment variable that conf/data reads.
ROOTS = {
    "ckplus": "CKPLUS_ROOT",
    "oulu_casia": "OULU_ROOT",
    "ravdess": "RAVDESS_ROOT",
    "crema_d": "CREMA_D_ROOT",
}
# The corpora of each plan: the one that it needs, and one that it can do without.
CORPORA = {
    "ckplus": ("ckplus", "oulu_casia"),
    "oulu": ("oulu_casia", "ckplus"),
    "ravdess": ("ravdess",),
    "crema_d": ("crema_d",),
}


def main(arguments: Sequence[str]) -> None:
    """Carries out the chosen plan."""
    parser = CommandParser(
        "reproduce",
        "Prepares, trains, evaluates, compares and reports; continues where it stopped.\n\n"
        "CK+ is read from the folder in CKPLUS_ROOT and Oulu-CASIA from that in OULU_ROOT, for what the paper reports\n"
        "on them. One of them is enough; with both, the transfer between them is added. The rehearsal needs neither:\n"
        "it does the same with a small network on synthetic twins. RAVDESS is read from the folder in RAVDESS_ROOT\n"
        "and CREMA-D from that in CREMA_D_ROOT, for the literature's protocol on them; the rehearsal of videos does\n"
        "that on synthetic twins, and trains on a folder of own videos. networks compares all networks in small on\n"
        "the synthetic twin of CK+, with three seeds, orders what each loses with shuffled frames, and\n"
        "ablation the paper's choices, one at a time around c1.\n\n"
        "Folds are jobs of Hydra's launcher: --jobs 2 is short for hydra/launcher=joblib hydra.launcher.n_jobs=2, and\n"
        "hydra/launcher=submitit_slurm with its settings hands them to a cluster, as in a search.",
    )
    parser.add_argument("plan", choices=[*CORPORA, "rehearsal", "rehearsal_videos", "networks", "orders", "ablation"])
    parser.add_argument("overrides", metavar="SETTING", nargs="*", help="for all runs, such as batch_size=8")
    parser.add_argument("--jobs", type=int, help="jobs at once; default: 1, for a rehearsal one a core")
    parser.add_argument(
        "--study", metavar="FOLDER", help="for ablation: a finished search; its importances stand beside the effects"
    )
    parser.add_out("outputs, for a rehearsal a folder there")
    # Intermixed, since otherwise no setting could follow an option; its own message would ask for settings, too.
    if not arguments:
        parser.error("name a plan, such as rehearsal")
    options = parser.parse_intermixed_args(arguments)
    if options.jobs is not None and options.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {options.jobs}")
    if options.study and options.plan != "ablation":
        parser.error("--study is for ablation, in which the importances of a search stand beside the effects")
    with user_errors():
        started = time.perf_counter()
        report = _carry_out(options.plan, options.overrides, options.jobs, options.out, options.study)
        print(f"done in {(time.perf_counter() - started) / 60:.1f} minutes; look at {report}")


def _carry_out(
    name: str, overrides: Sequence[str], num_jobs: int | None, outputs: Path | None, study: str | None
) -> Path:
    if name in CORPORA:
        missing = check_roots(name, os.environ)

    from fer3d.paper.carry_out import carry_out
    from fer3d.paper.plan import (
        ablation,
        benchmark,
        comparison_of_networks,
        comparison_of_orders,
        rehearsal,
        rehearsal_of_videos,
        reproduce_ckplus,
        reproduce_oulu,
    )

    rehearsals = {
        "rehearsal": rehearsal,
        "rehearsal_videos": rehearsal_of_videos,
        "networks": comparison_of_networks,
        "orders": comparison_of_orders,
        "ablation": ablation,
    }
    if name in rehearsals:
        # The runs as filmed are those of the comparison of networks.
        folder = Path("outputs") / ("networks" if name == "orders" else name)
        plan = replace(rehearsals[name](outputs or folder, Path("outputs/corpora")), study=study)
        chooses_launcher = any(setting.startswith("hydra/launcher=") for setting in overrides)
        if num_jobs is None and not chooses_launcher and find_spec("hydra_plugins.hydra_joblib_launcher"):
            num_jobs = count_cores()
        return carry_out(plan, overrides=overrides, num_jobs=num_jobs)
    makers = {"ckplus": reproduce_ckplus, "oulu": reproduce_oulu}
    outputs = outputs or Path("outputs")
    plan = makers[name](outputs) if name in makers else benchmark(name, outputs)
    for corpus in missing:
        print(f"without {corpus}, since {ROOTS[corpus]} is not set: no transfer runs")
        plan = plan.without(corpus)
    return carry_out(plan, overrides=overrides, num_jobs=num_jobs)


def check_roots(plan: str, environment: Mapping[str, str]) -> list[str]:
    """Makes sure that a plan's corpus is where it should be, and returns the names of others that are not there.

    Args:
        plan: One of `CORPORA`.
        environment: Names the folders.

    Raises:
        CorpusError: The corpus has no folder, or a folder that is named does not exist.
    """
    from fer3d.corpora.sequences import CorpusError

    roots = {corpus: environment.get(ROOTS[corpus]) for corpus in CORPORA[plan]}
    for corpus, root in roots.items():
        if root and not Path(root).expanduser().is_dir():
            raise CorpusError(
                f"{ROOTS[corpus]} is {root}, which is not a folder; name the folder into which the corpus was unpacked"
            )
    needed, *others = CORPORA[plan]
    if not roots[needed]:
        target = plan.replace("_", "-")
        is_open = not others
        raise CorpusError(
            f"{ROOTS[needed]} is not set: make {'benchmark' if is_open else 'reproduce'}-{target} "
            f"{ROOTS[needed]}=/data/{target}, the folder into which the corpus was unpacked; "
            + (
                f"it is free to download, as conf/data/{needed}.yaml says"
                if is_open
                else "without a licence, make rehearse does the same on synthetic data"
            )
        )
    return [corpus for corpus in others if not roots[corpus]]


if __name__ == "__main__":
    with orderly_end():
        tell_libraries()
        main(sys.argv[1:])
