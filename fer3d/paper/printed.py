"""The paper's printed numbers, and the published results that it compares itself with.

The paper: Haddad, Lézoray and Hamel, 3D-CNN for Facial Emotion Recognition in Videos, ISVC 2020, hal-02955528. Numbers
are as printed, in percent where they are there; `discrepancies` says what does not add up. Corpora and
cross-validations are named as by `RunResults`, for lookups. Results of others stand under the protocol of the table
that lists them; how they were measured was not checked.
"""

from __future__ import annotations

from dataclasses import dataclass

CKPLUS, OULU_CASIA = "ckplus", "oulu_casia"
LOSO, TEN_FOLD = "LOSO", "10-fold"


@dataclass(frozen=True)
class Setting:
    """A hyper-parameter, and its key in a run's configuration.

    Attributes:
        name: As printed.
        printed: Its value as printed.
        key: The configuration's key, dotted, such as `model.dropout`.
        value: Its value there.
    """

    name: str
    printed: str
    key: str
    value: str | float | bool


@dataclass(frozen=True)
class Architecture:
    """A configuration of the paper.

    Attributes:
        name: As in Tables 4 and 5.
        source: Where its hyper-parameters are printed.
        meaning: What it is.
        searched: The hyper-parameters that the search found.
        fixed: Those that the paper sets for all.
    """

    name: str
    source: str
    meaning: str
    searched: tuple[Setting, ...]
    fixed: tuple[Setting, ...]


@dataclass(frozen=True)
class FoldRow:
    """An architecture's row in Table 4 or 5.

    Attributes:
        name: The architecture.
        accuracies: Of folds 1 to 10, in percent.
        average: As printed.
        p_value: Of the table's first row against this one, as printed; None for the first row.
    """

    name: str
    accuracies: tuple[float, ...]
    average: float
    p_value: float | None = None


@dataclass(frozen=True)
class FoldTable:
    """Table 4 or 5: accuracies by fold; the first row is the configuration claimed to be better."""

    source: str
    corpus: str
    rows: tuple[FoldRow, ...]


@dataclass(frozen=True)
class PublishedResult:
    """An accuracy from the literature.

    Attributes:
        approach: As printed.
        accuracy: In percent.
        corpus: As in `RunResults.corpus`.
        cross_validation: As in `RunResults.cross_validation`.
        source: Where the number is printed.
        by_paper: Whether it is the paper's own.
        note: What sets it apart from the others.
    """

    approach: str
    accuracy: float
    corpus: str
    cross_validation: str
    source: str
    by_paper: bool = False
    note: str = ""


@dataclass(frozen=True)
class PrintedConfusion:
    """A confusion matrix of the paper.

    Attributes:
        source: The figure.
        corpus: As in `RunResults.corpus`.
        cross_validation: As in `RunResults.cross_validation`.
        emotions: The classes of rows and columns, in the order of the figure.
        shares: `(num_classes, num_classes)` as printed; rows sum to 1 but for rounding.
        counts: The only whole numbers of clips that give these shares and the corpus's number of clips of each emotion.
            The latter are the sums of columns: a row holds what the network took for an emotion, so that the shares on
            the diagonal are precisions and not recalls. In Figure 5, a share is moved, too: see `DISCREPANCIES`.
    """

    source: str
    corpus: str
    cross_validation: str
    emotions: tuple[str, ...]
    shares: tuple[tuple[float, ...], ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def by_emotion(self) -> tuple[tuple[int, ...], ...]:
        """The counts transposed, as in our matrices: a row holds what the clips of an emotion were taken for."""
        return tuple(zip(*self.counts, strict=True))


def published_results(corpus: str, cross_validation: str) -> tuple[PublishedResult, ...]:
    """The published results on a corpus under a cross-validation, as of a run; none for a synthetic corpus."""
    return tuple(result for result in RESULTS if (result.corpus, result.cross_validation) == (corpus, cross_validation))


# Sections 3.1 and 3.3.
_FIXED = (
    Setting("Maximum number of epochs", "16", "trainer.max_epochs", 16),
    Setting("Batch size", "30", "batch_size", 30),
    Setting("Frames of a clip", "10", "clips.num_frames", 10),
    Setting("Size of a frame", "112 x 112", "faces.crop.size", 112),
)

C1 = Architecture(
    name="c1",
    source="Table 2",
    meaning="the best LOSO trial on CK+",
    searched=(
        Setting("Optimization", "Adam", "optimizer._target_", "torch.optim.Adam"),
        Setting("CLAHE", "true", "clips.clahe", True),
        Setting("Normalization", "false", "clips.normalise", False),
        Setting("Activation function", "ReLU", "model.activation._target_", "torch.nn.ReLU"),
        Setting("Loss weights", "false", "class_weights", False),
        Setting("Temporal size", "3", "model.temporal_kernel", 3),
        Setting("Initializer", "Xavier uniform", "model.initializer._target_", "torch.nn.init.xavier_uniform_"),
        Setting("Pooling layer", "AvgPooling", "model.pooling._target_", "fer3d.models.pooling.BlockAvgPool3d"),
        Setting("Second ConvLayer", "false", "model.second_conv", False),
        Setting("Dropout", "0.2511", "model.dropout", 0.2511),
    ),
    fixed=(Setting("Learning rate", "0.0001", "optimizer.lr", 1e-4), *_FIXED),
)
C2 = Architecture(
    name="c2",
    source="Table 3",
    meaning="the best 10-fold trial on Oulu-CASIA",
    searched=(
        Setting("Optimization", "Lookahead + Adam", "optimizer._target_", "fer3d.training.lookahead.Lookahead"),
        Setting("CLAHE", "false", "clips.clahe", False),
        Setting("Normalization", "true", "clips.normalise", True),
        Setting("Activation function", "Leaky ReLU", "model.activation._target_", "torch.nn.LeakyReLU"),
        Setting("Loss weights", "false", "class_weights", False),
        Setting("Temporal size", "3", "model.temporal_kernel", 3),
        Setting("Initializer", "none", "model.initializer._target_", "fer3d.models.cnn3d.pytorch_default"),
        Setting("Pooling layer", "MaxPooling", "model.pooling._target_", "fer3d.models.pooling.BlockMaxPool3d"),
        Setting("Second ConvLayer", "false", "model.second_conv", False),
        Setting("Dropout", "0.4233", "model.dropout", 0.4233),
    ),
    fixed=(
        Setting("Learning rate", "0.0001", "optimizer.inner.lr", 1e-4),
        Setting("Lookahead's k", "5", "optimizer.k", 5),
        Setting("Lookahead's alpha", "0.5", "optimizer.alpha", 0.5),
        *_FIXED,
    ),
)

# c3 is c2 trained on Oulu-CASIA before; c4 is c1 trained on CK+ before (captions of Tables 4 and 5).
TABLE_4 = FoldTable(
    source="Table 4",
    corpus=CKPLUS,
    rows=(
        FoldRow("c1", (100, 100, 100, 100, 100, 100, 100, 100, 100, 100), 100),
        FoldRow("c2", (93.9, 100, 84.8, 78.7, 87.8, 93.9, 93.9, 96.8, 87.5, 90), 90.76, 0.00057),
        FoldRow("c3", (96.8, 96.8, 84.8, 93.9, 87.8, 93.9, 78.7, 96.8, 87.5, 93.9), 91.14, 0.00067),
    ),
)
TABLE_5 = FoldTable(
    source="Table 5",
    corpus=OULU_CASIA,
    rows=(
        FoldRow("c2", (97.5, 97.5, 80, 82.5, 82.5, 80, 72.5, 97.5, 75, 77.5), 84.25),
        FoldRow("c1", (81.2, 81.2, 70.8, 75, 72.9, 72.9, 83.3, 72.9, 72.9, 87.5), 77.08, 0.03650),
        FoldRow("c4", (85, 97.5, 75, 82.5, 77.5, 70, 65, 97.5, 75, 72.5), 79.75, 0.00597),
    ),
)

RESULTS = (
    PublishedResult("CNN (AlexNet)", 94.4, CKPLUS, LOSO, "Table 6, its reference 30"),
    PublishedResult("DAE (DSAE)", 95.79, CKPLUS, LOSO, "Table 6, its reference 31"),
    PublishedResult("the paper", 97.56, CKPLUS, LOSO, "Table 6", by_paper=True),
    PublishedResult("LBP/Gabor + SRC", 98.09, CKPLUS, TEN_FOLD, "Table 7, its reference 32"),
    PublishedResult("DBN + MLP", 98.57, CKPLUS, TEN_FOLD, "Table 7, its reference 33"),
    PublishedResult("CNN", 98.62, CKPLUS, TEN_FOLD, "Table 7, its reference 34"),
    PublishedResult("FAN", 99.69, CKPLUS, TEN_FOLD, "Table 7, its reference 27"),
    PublishedResult("the paper", 100, CKPLUS, TEN_FOLD, "Table 7", by_paper=True),
    PublishedResult("FLT", 74.17, OULU_CASIA, TEN_FOLD, "Table 8, its reference 3"),
    PublishedResult("C3D", 74.38, OULU_CASIA, TEN_FOLD, "Table 8, its reference 3"),
    PublishedResult("FLT + C3D", 81.49, OULU_CASIA, TEN_FOLD, "Table 8, its reference 3"),
    PublishedResult("the paper", 84.17, OULU_CASIA, TEN_FOLD, "Table 8", by_paper=True),
    PublishedResult("STC", 84.72, OULU_CASIA, TEN_FOLD, "Table 8, its reference 29"),
    PublishedResult(
        "SD-CNN",
        91.3,
        OULU_CASIA,
        TEN_FOLD,
        "Liu et al., Self-Difference Convolutional Neural Network for Facial Expression Recognition, Sensors 2021",
        note="pairs of images, no video",
    ),
    PublishedResult("LSTM (STC-NLSTM)", 93.45, OULU_CASIA, TEN_FOLD, "Table 8, its reference 29"),
)

FIGURE_5 = PrintedConfusion(
    source="Figure 5",
    corpus=CKPLUS,
    cross_validation=LOSO,
    emotions=("anger", "disgust", "fear", "happy", "sadness", "surprise", "contempt"),
    shares=(
        (0.96, 0, 0, 0, 0.022, 0, 0.022),
        (0, 1, 0, 0, 0, 0, 0),
        (0, 0, 0.92, 0, 0, 0, 0.083),
        (0, 0, 0.014, 0.99, 0, 0, 0),
        (0, 0, 0.037, 0, 0.96, 0, 0),
        (0, 0, 0, 0, 0.012, 0.99, 0),
        (0, 0, 0.056, 0, 0, 0, 0.94),
    ),
    counts=(
        (43, 0, 0, 0, 1, 0, 1),
        (0, 59, 0, 0, 0, 0, 0),
        (2, 0, 22, 0, 0, 0, 0),
        (0, 0, 1, 69, 0, 0, 0),
        (0, 0, 1, 0, 26, 0, 0),
        (0, 0, 0, 0, 1, 83, 0),
        (0, 0, 1, 0, 0, 0, 17),
    ),
)
FIGURE_6 = PrintedConfusion(
    source="Figure 6",
    corpus=OULU_CASIA,
    cross_validation=TEN_FOLD,
    emotions=("anger", "disgust", "fear", "happy", "sadness", "surprise"),
    shares=(
        (0.75, 0.15, 0, 0, 0.1, 0),
        (0.14, 0.77, 0.013, 0, 0.076, 0),
        (0, 0.039, 0.88, 0.039, 0.013, 0.026),
        (0.012, 0, 0.012, 0.93, 0.036, 0.012),
        (0.12, 0.053, 0, 0, 0.83, 0),
        (0, 0, 0.11, 0, 0, 0.89),
    ),
    counts=(
        (59, 12, 0, 0, 8, 0),
        (11, 61, 1, 0, 6, 0),
        (0, 3, 68, 3, 1, 2),
        (1, 0, 1, 77, 3, 1),
        (9, 4, 0, 0, 62, 0),
        (0, 0, 10, 0, 0, 77),
    ),
)
