"""After a search: the settings of its best trial, as on the command line of `fer3d.train`."""

from __future__ import annotations

from collections.abc import Sequence

from fer3d.overrides import given_text, override
from fer3d.search.cross_validation import selected_by
from fer3d.search.records import StudyRecord
from fer3d.search.space import SearchSpace
from fer3d.search.storage import StudyError, lacking

FROM_STUDY, STORAGE = "from_study=", "study_storage="


def expand_from_study(settings: Sequence[str]) -> list[str]:
    """Replaces `from_study=outputs/search/NAME` by the settings of the study's best trial.

    The study's own settings come first, then those of its trial, then the other settings, which win. The run gets a
    name of its own and records the trial it comes from, so that its score cannot pass for one without selection.

    Args:
        settings: Settings as on the command line. `study_storage=URL` names the database of a study that is kept
            elsewhere.

    Raises:
        StudyError: The study does not exist, or has no complete trial.
    """
    given = [setting for setting in settings if setting.startswith(FROM_STUDY)]
    storage = [setting for setting in settings if setting.startswith(STORAGE)]
    if not given:
        return list(settings)
    study = StudyRecord.read(given_text(given[-1]), given_text(storage[-1]) if storage else None)
    best = study.best
    if best is None:
        raise StudyError(f"study {study.name} has no complete trial to train")
    space = SearchSpace.parse(study.space)
    if missing := [name for name in space.distributions if name not in best.params]:
        raise lacking(study.name, f"settings of its best trial, trial {best.number}: {', '.join(missing)}")
    rest = [setting for setting in settings if setting not in (*given, *storage)]
    name = override("name", f"best_of_{study.name.replace('/', '_')}")
    params = space.overrides(best.params)
    selected = selected_by(study.name, best.number, study.corpus)
    return [*study.overrides, *params, name, selected, *rest]
