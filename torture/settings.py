"""Mistyped settings of every kind: fer3d must do what was asked, or reject the setting by name."""

from __future__ import annotations

import json
import math
import random
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from torture.answers import equal, read_logits
from torture.attack import Attack, Case
from torture.commands import fork
from torture.verdicts import Judgement, Verdict, judge_end
from torture.world import World

ANYTHING = object()
HUGE = 10**30


@dataclass(frozen=True)
class Probe:
    """One wrong, odd or right setting.

    Attributes:
        arguments: Additional command-line arguments.
        key: The text that an error must name.
        taken_as: Accepted values of the key in a result; empty if it must be rejected, `ANYTHING` for any value.
        search: Whether it applies to a search of one trial instead of a fold.
        outputs: The output folder, below that of the case.
        has_effect: Whether the numbers must differ from those without it.
    """

    arguments: tuple[str, ...]
    key: str
    taken_as: tuple[Any, ...] = ()
    search: bool = False
    outputs: str = "outputs"
    has_effect: bool = False


@dataclass(frozen=True)
class SettingsAttack(Attack):
    """Wrong settings for a run of one fold, or for a search of one trial.

    Attributes:
        world: The corpus and its store.
        config: The full configuration of the undisturbed run.
        sweeper: The sweeper's settings.
        run: The undisturbed run.
    """

    world: World
    config: Mapping[str, Any]
    sweeper: Mapping[str, Any]
    run: Path

    name = "settings"
    num_cases = 500

    @classmethod
    def on(cls, world: World) -> Self:
        """Composes the configuration and trains the undisturbed fold."""
        from hydra import compose, initialize_config_dir
        from omegaconf import OmegaConf

        from fer3d.configuration import config_folder

        overrides = [*world.ckplus.settings(world.outputs), "name=settings", "hydra/sweeper=optuna"]
        with initialize_config_dir(config_folder(), version_base="1.3"):
            composed = compose("train", overrides=overrides, return_hydra_config=True)
        sweeper: Any = OmegaConf.to_container(composed.hydra.sweeper)
        del composed.hydra
        config: Any = OmegaConf.to_container(composed, resolve=True)
        world.run("train", *overrides, "+fold=1")
        (run,) = world.outputs.glob("settings-*")
        return cls(world, config, sweeper, run)

    def attack(self, case: Case) -> Judgement:
        """Runs a command with one probe and checks how it was interpreted."""
        kind = KINDS[case.number % len(KINDS)]
        probe = case.rng.choice(list(kind(self, case.rng)))
        outputs = case.folder / probe.outputs
        shutil.copytree(self.world.outputs / "clips", outputs / "clips")
        settings = [*self.world.ckplus.settings(self.world.outputs), "name=settings", f"outputs={quote(str(outputs))}"]
        mode = ["-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=1"] if probe.search else []
        fold = [] if probe.search or any("fold=" in argument for argument in probe.arguments) else ["+fold=1"]
        done = fork("train", [*mode, *settings, *fold, *probe.arguments], folder=case.folder / "here")
        what = " ".join([*mode[:1], *probe.arguments]).replace(str(case.folder), "...")
        ended = judge_end(what[:300], done)
        if ended is None:
            return self._judge(what[:300], probe, outputs)
        named = probe.key.rpartition(".")[2] in ended.message
        if ended.verdict is Verdict.SENTENCE and not named and "fer3d: " not in done.err:
            return replace(ended, verdict=Verdict.TRACEBACK, message=f"message of another library: {ended.message}")
        return replace(ended, vague=ended.verdict is Verdict.SENTENCE and not named)

    def _judge(self, what: str, probe: Probe, outputs: Path) -> Judgement:
        results = sorted(outputs.glob("*/fold_*/result.json"))
        if not results:
            return Judgement(what, Verdict.SILENT, f"status 0, but no result below {outputs.name}")
        if not probe.taken_as:
            return Judgement(what, Verdict.SILENT, "taken without a word")
        if probe.has_effect and equal(read_logits(results[0].parent.parent), read_logits(self.run)):
            return Judgement(what, Verdict.SILENT, "accepted, but the numbers are the same as without it")
        if probe.search or probe.taken_as == (ANYTHING,):
            return Judgement(what, Verdict.FINE, f"{len(results)} folds")
        taken = _at(json.loads(results[0].read_text(encoding="utf-8"))["config"], probe.key)
        if not any(_same(taken, value) for value in probe.taken_as):
            return Judgement(what, Verdict.SILENT, f"taken as {taken!r}")
        return Judgement(what, Verdict.FINE, f"{taken!r}"[:100])

    @cached_property
    def leaves(self) -> list[tuple[str, Any]]:
        """Every key of a run and its value, except those of its search."""
        return [(key, value) for key, value in _leaves(self.config) if not key.startswith("search.")]

    @cached_property
    def nodes(self) -> list[str]:
        """Every key whose value is a mapping."""
        return [key for key, _ in _nodes(self.config)]


def quote(text: str) -> str:
    """Quotes text for Hydra's grammar."""
    return '"' + re.sub(r'(\\*)"', r'\1\1\\"', text) + '"'


# Probes ---------------------------------------------------------------------------------------------------

# By the type of the configured value: what is typed, and how it may be interpreted.
BOOLS: dict[str, tuple[Any, ...]] = {
    **{"true": (True,), "FALSE": (False,), "no": (False,), "off": (False,), "yes": (True,), "on": (True,)},
    **{"1": (True,), "0": (False,), "'true'": (True,), "maybe": (), "2": (), "1.5": (), "null": (), "[true]": ()},
    **{"{a:1}": (), "''": (), "nan": (), "ture": (), "-1": (), "'no way'": ()},
}
NUMBERS: dict[str, tuple[Any, ...]] = {
    **{"abc": (), "null": (), "[1]": (), "{a:1}": (), "true": (), "nan": (), "inf": (), "-inf": (), "''": ()},
    **{"'3 4'": (), "'3,4'": (), "3,4": (), "1e1": (10,), "'3'": (3,), "-1": (-1,), "0": (0,), "3": (3,), "0x2": (2,)},
    **{"1_0": (10,), "1O": (), "None": (), "-0.5": (-0.5,), "0.5": (0.5,), str(HUGE): (HUGE,), "[]": ()},
}
WORDS: dict[str, tuple[Any, ...]] = {
    **{"abc": (), "null": (), "true": (), "2024": (), "[1]": (), "{a:1}": (), "''": (), "nan": (), "' error'": ()},
    **{"os.system": (), "builtins.print": (), "torch.nn.Nothing": (), "fer3d.nowhere.Nothing": ()},
}
NAMES = (
    *("my run", "a=b", "a,b", "a&b", "a#b", "~a", "é", "%20", "a%sb", "a'b", 'a"b', "(1)", "[x]", "{x}", "$HOME", "-a"),
    *(
        "a:b",
        "a*",
        "a?b",
        "a;b",
        "@a",
        "2024",
        "1e3",
        "true",
        "null",
        "nan",
        "x" * 300,
        "\u65e5\u672c",
        " a ",
        "a b=c,d",
    ),
    *("a\\b", "0x1", "1_000", "+a", "a!", "a|b", "a<b", "`a`", "é" * 120, "..a", "a..", "\t", "a\nb", "{x", "x}", "'"),
)


def _values(key: str, value: Any) -> Iterator[Probe]:
    if isinstance(value, bool):
        typed = BOOLS
    elif isinstance(value, int | float):
        typed = NUMBERS if isinstance(value, float) else {**NUMBERS, "0.5": (), "-0.5": (), "1.5": ()}
    elif value is None:
        typed = {**dict.fromkeys(WORDS, ()), "null": (None,)}
    else:
        typed = WORDS
    for text, taken_as in typed.items():
        # Not tested here: too many epochs, too large images, and the compiler, which take too long.
        endless = (text == str(HUGE) and key.endswith(("max_epochs", ".size"))) or (
            key == "compile" and True in taken_as
        )
        if not endless:
            yield Probe((f"{key}={text}",), key, taken_as)


def values(attack: SettingsAttack, rng: random.Random) -> Iterator[Probe]:
    """A key of the run with a value of another type or out of range."""
    # Names and places may be any text; see `names` and `folders`.
    free = ("name", "configuration", "outputs", "data.root")
    key, value = rng.choice([leaf for leaf in attack.leaves if leaf[0] not in free])
    listed = re.fullmatch(r"(.+)\.\d+", key)
    yield from _values(key, value) if not listed else _lists(listed[1])


def _lists(key: str) -> Iterator[Probe]:
    for text in ("abc", "null", "[]", "[abc]", "[null,1]", "[[1]]", "[nan,1]", "5", "{a:1}", "true", "[-1,0]", "''"):
        # A network without hidden layers is valid.
        yield Probe((f"{key}={text}",), key, ([],) if (key, text) == ("model.hidden", "[]") else ())


def nodes(attack: SettingsAttack, rng: random.Random) -> Iterator[Probe]:
    """A value in place of a mapping."""
    key = rng.choice(attack.nodes)
    for text in ("5", "abc", "[]", "[1]", "true", "''", "null"):
        yield Probe((f"{key}={text}",), key, (None,) if key.startswith(("logger", "augment.")) else ())
    yield Probe((f"~{key}",), key, (ANYTHING,))


def _misspelt(name: str, rng: random.Random) -> str:
    place = rng.randrange(len(name))
    return rng.choice([name + "s", name[:place] + name[place + 1 :], name[:place] + name[place:] * 2, name.upper()])


def unknown(attack: SettingsAttack, rng: random.Random) -> Iterator[Probe]:
    """A key that nothing reads."""
    key, value = rng.choice(attack.leaves)
    parent, dot, name = key.rpartition(".")
    wrong = parent + dot + _misspelt(name, rng)
    if _at(attack.config, wrong) is None and re.fullmatch(r"[\w.]+", wrong):
        text = "5" if value is None or isinstance(value, str) else str(value).lower()
        yield from (Probe((f"{plus}{wrong}={text}",), wrong) for plus in ("", "+", "++"))
    node = rng.choice(attack.nodes)
    for name in ("folds", "foo", "num_epochs", "lr", "epochs", "_convert_", "dropout_rate", "subject"):
        if _at(attack.config, f"{node}.{name}") is None:
            yield Probe((f"+{node}.{name}=5",), name)
        yield Probe((f"+{name}=5",), name)


def groups(attack: SettingsAttack, rng: random.Random) -> Iterator[Probe]:
    """A misspelt group, or choice of a group."""
    folder = Path(__file__).resolve().parents[1] / "conf"
    path = rng.choice(sorted(folder.rglob("*.yaml")))
    group = path.parent.relative_to(folder).as_posix()
    if group == ".":
        group, path = "hydra/sweeper", Path("optuna.yaml")
    wrong = _misspelt(path.stem, rng)
    if not path.with_stem(wrong).exists():
        yield Probe((f"{group}={wrong}",), group.rpartition("/")[2])
    wrong = _misspelt(group, rng)
    if wrong != group and not (folder / wrong).exists() and "." not in wrong:
        yield from (Probe((f"{plus}{wrong}={path.stem}",), wrong.rpartition("/")[2]) for plus in ("", "+"))
    for launcher in ("slurm", "Joblib", "submitit", "5"):
        yield Probe((f"hydra/launcher={launcher}",), "launcher", search=True)


def folds(attack: SettingsAttack, rng: random.Random) -> Iterator[Probe]:
    """What people write after `+fold=`."""
    wrong = ["0", "-1", "99", "abc", "1.5", "true", "[]", "[[1]]", "{a:1}", "nan", "inf", str(HUGE), "[1,abc]", "1:2"]
    wrong += ["range(1,4,0)", "range(3,1)", "range(1,9)", "range(a,b)", "range(1,2,-1)", "1,2", "1-2", "''", "[1,0]"]
    wrong += ["[null]", "range(1)", "all", "[1.5]", "[true]"]
    yield from (Probe((f"+fold={text}",), "fold") for text in wrong)
    yield from (Probe((f"+fold={text}",), "fold", (ANYTHING,)) for text in ("[1,1]", "'1'", "1.0", "null", "[1,2]"))
    yield from (Probe((argument,), "fold") for argument in ("fold=1", "+folds=1", "+fold", "+Fold=1"))


def names(attack: SettingsAttack, rng: random.Random) -> Iterator[Probe]:
    """A name that resembles something else."""
    for name in NAMES:
        yield Probe((f"name={quote(name)}",), "name", (name,))
    yield from (Probe((f"name={text}",), "name", (text,)) for text in ("2024", "1e3", "true", "nan", "null", "0x1"))
    yield from (Probe((f"name={text}",), "name") for text in ("''", "[1]", "{a:1}"))


def folders(attack: SettingsAttack, rng: random.Random) -> Iterator[Probe]:
    """An output folder of runs and searches, or a missing input."""
    for name in NAMES:
        if len(name.encode()) < 250 and name.strip():
            yield from (Probe((), "outputs", (ANYTHING,), search, f"{name}/o") for search in (False, True))
    for key in ("outputs", "data.root", "start_from", "faces.detector.weights", "faces.detector.prototxt"):
        wrong = [
            "null",
            "[1]",
            "{a:1}",
            "''",
            "/dev/null",
            "/proc/1",
            "/nowhere/at/all",
            "/etc/hostname",
            '"a\nb"',
            "true",
        ]
        for text in [*wrong, "x" * 5000, '"\\${oc.env:HOME}"']:
            # The detector and the start have a default if no file is given.
            unset = text in ("null", "''") and key not in ("outputs", "data.root")
            yield Probe((f"{key}={text}",), key, (ANYTHING,) if unset else ())


def searches(attack: SettingsAttack, rng: random.Random) -> Iterator[Probe]:
    """A key of the search or of its sweeper."""
    inner = [(f"search.{key}", value) for key, value in _leaves(attack.config["search"])]
    inner += [(f"hydra.sweeper.{key}", value) for key, value in _leaves(attack.sweeper)]
    key, value = rng.choice([leaf for leaf in inner if leaf[0] != "hydra.sweeper.study_name"])
    if key.startswith("search.space."):
        for text in (
            "null",
            "5",
            "[]",
            "choice()",
            "interval(1)",
            "interval(2,1)",
            "abc(1)",
            "range(1,4,0)",
            "choice(1",
        ):
            yield Probe((f"{key}={quote(text) if '(' in text else text}",), key, search=True)
    else:
        yield from (replace(probe, search=True) for probe in _values(key, value) if str(HUGE) not in probe.arguments[0])
    for text in ("null", "5", "[]", "abc", "{}"):
        yield Probe((f"search.space={text}",), "space", search=True)
    name = rng.choice(["n_trails", "n_trial", "timeout", "foo", "max_failures"])
    yield Probe((f"+hydra.sweeper.{name}=2",), name, search=True)
    yield Probe((f"hydra.sweeper.{name}=2",), name, search=True)
    yield Probe((f"+search.{name}=2",), name, search=True)
    for text in ("choice(0,1)", "interval(a,b)", "interval(1,0)", "tag(log,1)", "choice(abc)", "range(0,0)", "glob(*)"):
        yield Probe((f"batch_size={text}",), "batch_size", search=True)


def studies(attack: SettingsAttack, rng: random.Random) -> Iterator[Probe]:
    """A study name that resembles something else."""
    for name in NAMES:
        yield Probe((f"hydra.sweeper.study_name={quote(name)}",), "study_name", (ANYTHING,), search=True)


def trainers(attack: SettingsAttack, rng: random.Random) -> Iterator[Probe]:
    """Arguments of Lightning's trainer: rejected, or applied so that the numbers differ."""
    extra = ["precision=16-mixed", "precision=bf16-mixed", "callbacks=[]", "log_every_n_steps=1", "fast_dev_run=true"]
    extra += ["fast_dev_run=1", "limit_val_batches=0", "limit_val_batches=1", "limit_train_batches=0", "max_steps=1"]
    extra += ["check_val_every_n_epoch=2", "val_check_interval=0.5", "overfit_batches=1", "num_sanity_val_steps=2"]
    extra += ["min_epochs=5", "max_time='00:00:00:00'", "logger=true", "enable_checkpointing=true", "num_nodes=2"]
    extra += ["strategy=ddp", "accumulate_grad_batches=2", "gradient_clip_val=0.01", "enable_progress_bar=true"]
    extra += ["inference_mode=false", "default_root_dir=/tmp", "plugins=[]", "profiler=simple", "detect_anomaly=true"]
    extra += ["barebones=true", "sync_batchnorm=true", "reload_dataloaders_every_n_epochs=1", "benchmark=true"]
    for text in extra:
        key = text.partition("=")[0]
        # These do not affect the numbers.
        quiet = key in ("detect_anomaly", "benchmark", "inference_mode", "profiler")
        yield Probe((f"+trainer.{text}",), key, (ANYTHING,), has_effect=not quiet)
    for text in ("devices=2", "devices=-1", "devices=[0,1]", "devices=0", "devices=auto", "accelerator=gpu"):
        key = text.partition("=")[0]
        yield Probe((f"trainer.{text}",), key, (ANYTHING,) if text == "devices=auto" else ())


def grammar(attack: SettingsAttack, rng: random.Random) -> Iterator[Probe]:
    """Arguments that are not settings."""
    wrong = ["=", "batch_size", "==", "batch_size=8=9", "--batch_size=8", "--batch-size", "8", "seed:1", "seed=1,", "@"]
    wrong += ["seed=[1", "seed={1", "seed='1", "seed=(", "seed=1)", "+=1", "++seed", "~seed=7", "seed =1", "é=1", "-x"]
    wrong += [
        "+seed=1",
        "model@foo=compact",
        "seed==1",
        "$seed=1",
        "seed=${nothing}",
        "seed=${oc.env:NOTHING}",
        "train",
    ]
    yield from (Probe((text,), text.strip("+-~=$")[:4]) for text in wrong)
    yield Probe(("seed=1", "seed=2"), "seed", (2,))


Kind = Callable[[SettingsAttack, random.Random], Iterator[Probe]]
KINDS: tuple[Kind, ...] = (
    *(values, searches, unknown, values, names, trainers, values, nodes, folders, values, groups, values, folds),
    *(searches, grammar, studies),
)


def _leaves(config: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    items: Any = (
        config.items() if isinstance(config, Mapping) else enumerate(config) if isinstance(config, list) else ()
    )
    for key, value in items:
        here = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping | list) and value:
            yield from _leaves(value, here)
        else:
            yield here, value


def _nodes(config: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        here = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping) and key != "search":
            yield here, value
            yield from _nodes(value, here)


def _at(config: Any, key: str) -> Any:
    for part in key.split("."):
        if isinstance(config, list) and part.isdecimal() and int(part) < len(config):
            config = config[int(part)]
        else:
            config = config.get(part) if isinstance(config, Mapping) else None
    return config


def _same(taken: Any, value: Any) -> bool:
    if value is ANYTHING:
        return True
    if isinstance(taken, float) and not math.isfinite(taken):
        return False
    # 3 and 3.0 are equal but differ in JSON; true and 1 are different.
    return (
        isinstance(taken, bool) == isinstance(value, bool)
        and isinstance(taken, str) == isinstance(value, str)
        and bool(taken == value)
    )
