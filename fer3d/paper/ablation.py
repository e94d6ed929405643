"""The paper's ten choices, one at a time around c1: what each does here, beside what the paper's text says it does."""

from __future__ import annotations

from dataclasses import dataclass

from fer3d.evaluation.effects import Change

BASE = "c1"
_RAISES, _LOWERS = "c1's raises accuracy", "lowers accuracy"


@dataclass(frozen=True)
class Variant:
    """c1 with one other choice.

    Attributes:
        choice: The choice, as in Table 1.
        value: What replaces c1's value.
        setting: The same as a setting.
        paper: What the text says of it (section 3.2); empty where it says nothing.
    """

    choice: str
    value: str
    setting: str
    paper: str = ""

    @property
    def name(self) -> str:
        """The run's name."""
        return f"{self.choice}_{self.value}".replace(" ", "_").replace(".", "")

    @property
    def change(self) -> Change:
        """What the variant's runs change in those of c1."""
        return Change(f"{self.choice}: {self.value}", self.name, BASE, self.paper)


VARIANTS = (
    *(Variant("activation", value, f"model/activation={value}") for value in ("elu", "prelu", "leaky_relu", "mish")),
    Variant("pooling", "max", "model/pooling=max"),
    *(Variant("temporal kernel", f"{k}", f"model.temporal_kernel={k}", _LOWERS) for k in (1, 7, 9)),
    Variant("temporal kernel", "5", "model.temporal_kernel=5", _RAISES),
    *(Variant("initializer", value, f"model/initializer={value}", _RAISES) for value in ("xavier_normal", "none")),
    Variant("CLAHE", "off", "clips.clahe=false", _RAISES),
    Variant("normalisation", "on", "clips.normalise=true", _LOWERS),
    Variant("optimizer", "lookahead", "optimizer=lookahead"),
    Variant("class weights", "on", "class_weights=true"),
    Variant("second convolution", "on", "model.second_conv=true", _LOWERS),
    Variant("dropout", "0", "model.dropout=0"),
    *(Variant("dropout", f"{p}", f"model.dropout={p}", _LOWERS) for p in (0.5, 0.75)),
)
