"""Data flows one way through fer3d, and so do imports, lazy ones included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import fer3d

# Each package may import the ones before it. The last two are wings: the framework works without them. The modules of
# fer3d itself are either foundations, which import no package and may be imported by all, or commands, which come last.
PACKAGES = (
    "corpora",
    "clips",
    "models",
    "training",
    "evaluation",
    "search",
    "prediction",
    "explanation",
    "reporting",
    "twin",
    "paper",
)
ROOT = Path(fer3d.__file__).parent
FOUNDATION, COMMAND = -1, len(PACKAGES)


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def imported(module: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                yield below if below in MODULES else node.module


IMPORTS = {module: set(imported(module)) for module in MODULES}


def layer(module: str) -> int:
    package = module.split(".")[1] if "." in module else ""
    if package in PACKAGES:
        return PACKAGES.index(package)
    return COMMAND if any(layer(other) != FOUNDATION for other in IMPORTS[module]) else FOUNDATION


def test_every_package_has_its_place() -> None:
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} == set(PACKAGES)
    # What the test would miss.
    assert not [module for module, path in MODULES.items() if "\nfrom ." in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_runs_back_up(package: str) -> None:
    place = PACKAGES.index(package)
    wrong = [
        f"{module} imports {other}"
        for module in MODULES
        if layer(module) == place
        for other in sorted(IMPORTS[module])
        if layer(other) > place
    ]
    allowed = ", ".join(PACKAGES[:place]) or "no other package"
    assert not wrong, f"fer3d.{package} may import {allowed}, and modules of fer3d that import no package, but {wrong}"


def test_modules_import_each_other_in_no_circle() -> None:
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        pytest.fail(f"imports form a circle: {' <- '.join(error.args[1])}")
