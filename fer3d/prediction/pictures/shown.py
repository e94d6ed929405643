"""What all pictures of a prediction share: a colour an emotion, a colour a person, and short reasons.

Each eight colours were searched by annealing, from those of Okabe and Ito (2008), for staying apart: the nearest two of
them differ by 20 in CIELAB as protanopes and deuteranopes see them (Machado et al. 2009), and by more for others. On
their page they have the contrast of at least 3 that WCAG 2 asks of graphics. No picture tells things apart by colour
alone.
"""

from __future__ import annotations

INK, PAPER = "#1b1d21", "#ffffff"

_ON_LIGHT = ("#f4525b", "#533179", "#0095b8", "#cc7186", "#887000", "#16322b", "#897fe4", "#9f0857")
_ON_DARK = ("#ff3a73", "#ac95b5", "#7cd9ff", "#ffabb4", "#f9e745", "#04936e", "#98a6ff", "#ee7f38")
# Lines on a video have a dark rim.
_FACES = ("#ee7f38", "#7cd9ff", "#f9e745", "#ff3a73", "#04936e", "#ffabb4", "#98a6ff", "#ac95b5")


def emotion_colours(num_emotions: int, *, dark: bool = False) -> list[str]:
    """Returns a colour for each emotion, as `#rrggbb`, in their order; from the ninth on, they come again.

    Args:
        num_emotions: How many there are.
        dark: For a dark background.
    """
    colours = _ON_DARK if dark else _ON_LIGHT
    return [colours[number % len(colours)] for number in range(num_emotions)]


def face_colour(face: int) -> str:
    """Returns the colour of a person's box, as `#rrggbb`; eight persons differ.

    Args:
        face: The person's number, from 1.
    """
    return _FACES[(face - 1) % len(_FACES)]


def text_on(background: str) -> str:
    """Returns the colour of text, dark or light, that is easier to read on a background `#rrggbb`."""
    channels = [channel / 255 for channel in bgr(background)]
    blue, green, red = (((c + 0.055) / 1.055) ** 2.4 if c > 0.04045 else c / 12.92 for c in channels)
    # At this luminance, both have the same contrast as WCAG 2 defines it.
    return INK if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.2 else PAPER


def short(why: str) -> str:
    """Returns a reason for no label without its particulars, which follow a colon: few differ in a whole video."""
    return why.partition(":")[0]


def bgr(colour: str) -> tuple[int, int, int]:
    """Returns a colour `#rrggbb` as OpenCV wants it."""
    return int(colour[5:7], 16), int(colour[3:5], 16), int(colour[1:3], 16)
