"""The held-out predictions of a run as one long data frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from fer3d.evaluation.protocols import protocols_of
from fer3d.evaluation.run_results import RunResults

if TYPE_CHECKING:
    import pandas as pd


def predictions_frame(run: RunResults) -> pd.DataFrame:
    """Returns a row for each held-out clip and epoch, in the order of folds, epochs and clips.

    Columns: `run`, `corpus` and `caution` (what every heading over these numbers states; empty for none); `fold`,
    `epoch` (from 1), `clip_id`, `subject`, `label`, `predicted`, `correct`; the probability of each emotion, such as
    `p_anger`; and for each epoch protocol that the run allows, such as `last_epoch`, whether this row counts under it.

    Args:
        run: The run.
    """
    import pandas as pd

    emotions = np.array(run.emotions, dtype=object)
    chosen = {protocol.name: protocol.epochs(run) for protocol in protocols_of(run)}
    parts = []
    for fold in run.folds:
        num_epochs, num_clips, _ = fold.logits.shape
        probabilities = softmax(fold.logits.astype(np.float64), axis=-1).reshape(num_epochs * num_clips, -1)
        predicted, labels = probabilities.argmax(-1), np.tile(fold.labels, num_epochs)
        epochs = np.repeat(np.arange(1, num_epochs + 1), num_clips)
        columns = {
            "fold": np.full(len(epochs), fold.fold),
            "epoch": epochs,
            "clip_id": np.tile(np.array(fold.clip_ids, dtype=object), num_epochs),
            "subject": np.tile(np.array(fold.subjects, dtype=object), num_epochs),
            "label": emotions[labels],
            "predicted": emotions[predicted],
            "correct": predicted == labels,
            **{f"p_{emotion}": column for emotion, column in zip(emotions, probabilities.T, strict=True)},
            **{name: epochs == by_fold[fold.fold] for name, by_fold in chosen.items()},
        }
        parts.append(pd.DataFrame(columns))
    frame = pd.concat(parts, ignore_index=True)
    for place, (name, value) in enumerate(
        {"run": run.info["run"], "corpus": run.corpus, "caution": run.caution}.items()
    ):
        frame.insert(place, name, value)
    return frame
