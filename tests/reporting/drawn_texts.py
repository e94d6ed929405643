"""What a figure says, and whether a reader can see it."""

from __future__ import annotations

from itertools import combinations

from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

# Points: the smallest letters that a phone still shows legibly, and by how much the boxes of texts may touch.
SMALLEST = 7.5
TOUCH = 1.0


def texts(figure: Figure) -> list[str]:
    """All that stands in a figure; ticks' names count once they are drawn."""
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    return [text.get_text() for text in _visible(figure)]


def assert_legible(figure: Figure) -> list[str]:
    """Returns all that stands in a figure; fails if a text is small, leaves the figure or meets another one."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    touch = TOUCH * figure.dpi / 72
    width, height = figure.bbox.size
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in _visible(figure)]
    for name, box in boxes:
        inside = box.x0 >= -touch and box.y0 >= -touch and box.x1 <= width + touch and box.y1 <= height + touch
        assert inside, f"{name!r} leaves the figure: {box} of {width} x {height}"
    upright = [(text.get_text(), box) for text, (_, box) in zip(_visible(figure), boxes, strict=True) if _upright(text)]
    for (first, a), (second, b) in combinations(upright, 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        down = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across <= touch or down <= 2 * touch, f"{first!r} lies on {second!r}"
    assert min(text.get_fontsize() for text in _visible(figure)) >= SMALLEST
    return [name for name, _ in boxes]


def _visible(figure: Figure) -> list[Text]:
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]
    hidden = {label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in _beyond(axis)}
    return [text for text in texts if text.get_visible() and text not in hidden]


def _beyond(axis: Axis) -> list[Text]:
    """Names of ticks that are kept though they are not drawn, being off the axis or on one without a frame."""
    low, high = sorted(axis.get_view_interval())
    drawn = axis.axes.axison
    ticks = [tick for tick in axis.get_major_ticks() if not (drawn and low <= tick.get_loc() <= high)]
    return [label for tick in ticks for label in (tick.label1, tick.label2)]


def _upright(text: Text) -> bool:
    # The box of a slanted text is much larger than the text.
    return text.get_rotation() % 90 == 0
