"""The colours that all pictures of a prediction share: one an emotion, one a person.

After Okabe and Ito (2008), whose eight colours stay apart for colour-blind readers; darkened for a light page and
lightened for a dark one until lines have the contrast of 3 to the paper that WCAG 2 asks of graphics. No picture tells
things apart by colour alone.
"""

from __future__ import annotations

_ON_LIGHT = ("#c75000", "#0072b2", "#00805e", "#a5508a", "#8a7000", "#2b2d33", "#2f93cc", "#d1477a")
_ON_DARK = ("#f0803c", "#56b4e9", "#3fc79a", "#e39ac8", "#f0e442", "#e8eaed", "#8fa8ff", "#ff8fab")
# Bright ones, for lines on a video, where they have a dark rim.
_ON_VIDEO = ("#ffb000", "#56b4e9", "#3fd6a3", "#f0e442", "#ff7f50", "#f5a3d3", "#9db4ff", "#ffffff")


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
    return _ON_VIDEO[(face - 1) % len(_ON_VIDEO)]


def bgr(colour: str) -> tuple[int, int, int]:
    """Returns a colour `#rrggbb` as OpenCV wants it."""
    return int(colour[5:7], 16), int(colour[3:5], 16), int(colour[1:3], 16)
