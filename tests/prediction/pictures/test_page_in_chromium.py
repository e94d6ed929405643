"""The page of a prediction in a real browser: dragging, playing, boxes, keys, and nothing that fails or sticks out."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import chromium
import numpy as np
import pytest
from chromium import PHONE, SCROLL_WIDTH, WIDE, Browser
from made_steps import CAUTION, EMOTIONS, SOURCE, box_of, is_there, made_steps

from fer3d.clips.videos import read_video
from fer3d.prediction.pictures.page import MOST_BYTES, Page
from fer3d.prediction.pictures.style import PictureInfo
from fer3d.prediction.steps import Step

pytestmark = [pytest.mark.slow, pytest.mark.skipif(chromium.BINARY is None, reason="needs Chromium")]

RATE, NUM_FRAMES, HEIGHT, WIDTH = 30.0, 60, 240, 320
EVIL = "</script><script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'>"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium.open_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    return list(made_steps(NUM_FRAMES, 2, HEIGHT, WIDTH, RATE))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, steps: list[Step]) -> Path:
    return written(tmp_path_factory.mktemp("page") / "out.html", steps)


def written(path: Path, steps: Iterator[Step] | list[Step], most_bytes: int = MOST_BYTES, **arguments: Any) -> Path:
    info: dict[str, Any] = {"emotions": EMOTIONS, "caution": CAUTION, "title": "<b>x</b>.mp4", "source": SOURCE}
    with Page(path, PictureInfo(**info | arguments), rate=RATE, most_bytes=most_bytes) as page:
        for step in steps:
            page.add(step)
    return path


@dataclass
class Tab:
    """A page that is open, and what a user does with it."""

    browser: Browser
    session: str
    page: Path

    def value(self, script: str) -> Any:
        return self.browser.evaluate(self.session, script)

    def call(self, method: str, **parameters: Any) -> Mapping[str, Any]:
        return self.browser.call(method, self.session, **parameters)

    def wait_for(self, script: str) -> None:
        end = time.monotonic() + 10
        while not self.value(script):
            assert time.monotonic() < end, f"never: {script}"
            time.sleep(0.02)

    def place(self, selector: str) -> dict[str, float]:
        element = f"document.querySelector({json.dumps(selector)})"
        found = self.value(f"(e => e && e.getBoundingClientRect().toJSON())({element})")
        assert found, f"there is no {selector}"
        return dict(found)

    def mouse(self, kind: str, x: float, y: float) -> None:
        pressed = {"button": "left", "buttons": 0 if kind == "mouseReleased" else 1, "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **pressed)

    def click(self, selector: str) -> None:
        self.value(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        place = self.place(selector)
        self.press(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)

    def press(self, x: float, y: float) -> None:
        self.mouse("mousePressed", x, y)
        self.mouse("mouseReleased", x, y)

    def show_bar(self) -> dict[str, float]:
        self.value("document.getElementById('bar').scrollIntoView({block: 'center'})")
        return self.place("#bar")

    def key(self, key: str, shift: bool = False) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, modifiers=8 if shift else 0)

    def seek(self, share: float) -> None:
        """Presses the bar at a share of its width."""
        bar = self.show_bar()
        self.press(bar["x"] + share * bar["width"], bar["y"] + 60)
        self.settle()

    def settle(self) -> None:
        self.wait_for("!document.getElementById('video').seeking")

    @property
    def now(self) -> float:
        return float(self.value("document.getElementById('bar').getAttribute('aria-valuenow')"))

    @property
    def video_time(self) -> float:
        return float(self.value("document.getElementById('video').currentTime"))

    def problems(self) -> list[str]:
        visit = self.browser.seen(self.session)
        # Chromium breaks off reading a video when it jumps.
        failures = [failure for failure in visit.failures if failure != "net::ERR_ABORTED"]
        own = self.page.resolve().as_uri()
        asked = [address for address in visit.requests if address != own and not address.startswith("blob:null/")]
        return [*visit.messages, *failures, *asked]


Open = Callable[..., Tab]


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    targets = []

    def open_page(page: Path, width: int = WIDE, dark: bool = False, **preferences: str) -> Tab:
        target, session = browser.open(page, width=width, dark=dark, **preferences)
        targets.append(target)
        tab = Tab(browser, session, page)
        tab.wait_for("document.readyState === 'complete' && !!document.getElementById('clock').textContent")
        if tab.value("!document.getElementById('video').hidden"):
            tab.wait_for("document.getElementById('video').readyState >= 2")
        return tab

    yield open_page
    for target in targets:
        browser.call("Target.closeTarget", targetId=target)


@contextmanager
def touching(tab: Tab) -> Iterator[Callable[[str, float, float], Any]]:
    tab.call("Emulation.setTouchEmulationEnabled", enabled=True)

    def touch(kind: str, x: float, y: float) -> Any:
        points = [] if kind == "touchEnd" else [{"x": x, "y": y}]
        return tab.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    yield touch
    tab.call("Emulation.setTouchEmulationEnabled", enabled=False)


# The green channel of the frame that the video shows.
GREEN = f"""(() => {{ const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [{WIDTH}, {HEIGHT}];
    const pen = canvas.getContext("2d");
    pen.drawImage(document.getElementById("video"), 0, 0);
    return [...pen.getImageData(0, 0, {WIDTH}, {HEIGHT}).data].filter((_, k) => k % 4 === 1); }})()"""

SIZES = {"one frame": (1, 1), "no face": (20, 0), "two faces": (60, 2), "eight faces": (60, 8)}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, WIDE])
@pytest.mark.parametrize("what", SIZES)
def test_pages_load_quietly_and_nothing_sticks_out(
    what: str, width: int, dark: bool, opened: Open, tmp_path: Path
) -> None:
    tab = opened(written(tmp_path / "out.html", made_steps(*SIZES[what], HEIGHT, WIDTH)), width, dark)
    tab.seek(0.5)
    assert tab.problems() == []
    assert tab.value(SCROLL_WIDTH) <= width
    elements = "[...document.querySelectorAll('body *')]"
    assert tab.value(f"{elements}.filter(e => e.getBoundingClientRect().right > {width} + 1).length") == 0
    colours = "[document.body, ...document.querySelectorAll('.banner, .controls button')]"
    for colour in tab.value(f"{colours}.map(e => getComputedStyle(e).backgroundColor)"):
        channels = [int(channel) for channel in re.findall(r"\d+", colour)]
        assert max(channels) < 80 if dark else min(channels) > 200


def test_dragging_the_bar_seeks_the_video(page: Path, opened: Open) -> None:
    tab = opened(page)
    duration = tab.value("document.getElementById('video').duration")
    assert duration == pytest.approx(NUM_FRAMES / RATE, abs=0.05)
    bar = tab.show_bar()
    tab.mouse("mousePressed", bar["x"] + 0.2 * bar["width"], bar["y"] + 40)
    for share in (0.3, 0.5, 0.8):
        tab.mouse("mouseMoved", bar["x"] + share * bar["width"], bar["y"] + 40)
        tab.settle()
        assert tab.video_time == pytest.approx(share * NUM_FRAMES / RATE, abs=0.01)
        assert tab.now == pytest.approx(share * NUM_FRAMES / RATE, abs=0.01)
        head = tab.place("#head")
        assert head["x"] == pytest.approx(bar["x"] + share * bar["width"], abs=2)
    tab.mouse("mouseReleased", bar["x"] + 0.8 * bar["width"], bar["y"] + 40)
    before = tab.now
    tab.mouse("mouseMoved", bar["x"] + 0.1 * bar["width"], bar["y"] + 40)
    assert tab.now == before


def test_a_finger_drags_the_bar(page: Path, opened: Open) -> None:
    tab = opened(page, PHONE)
    bar = tab.show_bar()
    with touching(tab) as touch:
        touch("touchStart", bar["x"] + 0.2 * bar["width"], bar["y"] + 60)
        for share in (0.3, 0.4, 0.5, 0.6):
            touch("touchMove", bar["x"] + share * bar["width"], bar["y"] + 60)
        touch("touchEnd", 0, 0)
        tab.settle()
    assert tab.video_time == pytest.approx(0.6 * NUM_FRAMES / RATE, abs=0.02)


def test_keys_move_the_bar(page: Path, opened: Open) -> None:
    tab = opened(page)
    tab.value("document.getElementById('bar').focus()")
    length = NUM_FRAMES / RATE
    expected = 0.0
    pages = [("PageUp", False, length / 10)] * 2 + [("PageDown", False, -length / 10)]
    frames = [("ArrowRight", True, 1 / RATE)] * 2 + [("ArrowLeft", True, -1 / RATE)]
    seconds = [("ArrowRight", False, 1 / RATE), ("ArrowLeft", False, -1 / RATE)]
    for key, shift, change in (*pages, *frames, *seconds):
        tab.key(key, shift)
        tab.settle()
        expected += change
        assert tab.now == pytest.approx(expected, abs=0.02), key
        assert tab.video_time == pytest.approx(tab.now, abs=0.01), key
    tab.key("End")
    assert tab.now == pytest.approx(length, abs=0.01)
    tab.key("Home")
    assert tab.now == 0
    names = ["role", "tabindex", "aria-valuemin", "aria-valuemax"]
    attributes = tab.value(f"{names}.map(name => document.getElementById('bar').getAttribute(name))")
    assert attributes[:3] == ["slider", "0", "0"]
    assert float(attributes[3]) == pytest.approx(length, abs=0.01)
    assert "face 1" in tab.value("document.getElementById('bar').getAttribute('aria-valuetext')")


def test_playing_moves_the_bar_and_stops_at_the_end(page: Path, opened: Open) -> None:
    tab = opened(page)
    start = tab.place("#head")["x"]
    tab.click("#play")
    tab.wait_for("document.getElementById('play').getAttribute('aria-label') === 'Pause'")
    tab.wait_for(f"document.getElementById('head').getBoundingClientRect().x > {start} + 100")
    tab.click("#play")
    tab.wait_for("document.getElementById('video').paused")
    # The bar stands where the video does.
    assert tab.now <= tab.video_time + 0.05
    assert tab.value("document.getElementById('clock').textContent").startswith("0:0")
    tab.click("#play")
    tab.wait_for("document.getElementById('video').ended")
    bar = tab.place("#bar")
    tab.wait_for("document.getElementById('play').getAttribute('aria-label') === 'Play'")
    assert tab.place("#head")["x"] == pytest.approx(bar["right"], abs=4)
    assert tab.problems() == []


def test_boxes_stand_on_the_faces_of_the_frame_that_is_shown(page: Path, opened: Open, tmp_path: Path) -> None:
    tab = opened(page)
    blocks = re.findall('class="data-video">([^<]*)<', page.read_text(encoding="utf-8"))
    (tmp_path / "video.webm").write_bytes(b"".join(map(base64.b64decode, blocks)))
    shown = read_video(tmp_path / "video.webm", lambda times: range(len(times))).pixels
    assert len(shown) == NUM_FRAMES
    for frame in (0, 13, 14, 31, 47, 59):
        tab.seek((frame + 0.5) / NUM_FRAMES)
        video = tab.place("#video")
        scale = video["width"] / WIDTH
        assert video["height"] == pytest.approx(HEIGHT * scale, abs=1)
        # The video shows this very frame; correlation does not mind how a browser rounds colours.
        seen = np.reshape(tab.value(GREEN), (HEIGHT, WIDTH))
        assert np.argmax([np.corrcoef(image[..., 1].ravel(), seen.ravel())[0, 1] for image in shown]) == frame
        for face in (1, 2):
            selector, is_seen = f".box[data-face='{face}']", is_there(face, frame, NUM_FRAMES)
            assert tab.value(f"!!document.querySelector({json.dumps(selector)})") == is_seen
            if is_seen:
                place = tab.place(selector)
                x1, y1, x2, y2 = (side * scale for side in box_of(face, frame, 2, HEIGHT, WIDTH))
                drawn = [place["left"] - video["left"], place["top"] - video["top"]]
                drawn += [place["right"] - video["left"], place["bottom"] - video["top"]]
                assert drawn == pytest.approx([x1, y1, x2, y2], abs=1)


def test_numbers_and_labels_are_those_of_the_latest_prediction(page: Path, steps: list[Step], opened: Open) -> None:
    tab = opened(page)
    reads = """(() => { const find = id => document.getElementById(id), width = e => e.getBoundingClientRect().width;
        const [numbers, bars] = ["#bars .number", "#bars .track i"].map(one => [...document.querySelectorAll(one)]);
        return [find("who").textContent, find("said").textContent, numbers.map(e => parseFloat(e.textContent)),
            bars.map(e => width(e) / width(e.parentElement))]; })()"""
    for frame in (2, 4, 20, 33, 34, 58):
        tab.seek((frame + 0.5) / NUM_FRAMES)
        before = [one for step in steps[: frame + 1] for one in step.predictions if one.face == 1]
        who, said, numbers, widths = tab.value(f"new Promise(done => setTimeout(() => done({reads}), 200))")
        assert who == "Face 1"
        if not before:
            assert said == "no prediction yet"
            continue
        assert said == (before[-1].label or before[-1].why)
        if before[-1].smoothed is None:
            assert numbers == [None] * 7
        else:
            assert numbers == pytest.approx(before[-1].smoothed * 100, abs=0.051)
            assert widths == pytest.approx(before[-1].smoothed, abs=0.01)


def test_a_click_on_a_face_or_its_name_selects_it(page: Path, opened: Open) -> None:
    tab = opened(page)
    who = "document.getElementById('who').textContent"
    picture = "document.getElementById('curves').toDataURL()"
    tab.seek(0.9)
    first = tab.value(picture)
    tab.click(".box[data-face='2']")
    assert tab.value(who) == "Face 2"
    pressed = tab.value("[...document.querySelectorAll('#names button')].map(e => e.getAttribute('aria-pressed'))")
    assert pressed == ["false", "true"]
    assert tab.value(picture) != first
    tab.click("#names button[data-face='1']")
    assert tab.value(who) == "Face 1"
    assert tab.value(picture) == first
    # Its strip selects it, too, and moves there.
    bar, button = tab.place("#bar"), tab.place("#names button[data-face='2']")
    tab.press(bar["x"] + 0.8 * bar["width"], button["y"] + 10)
    assert tab.value(who) == "Face 2"
    tab.settle()
    assert tab.now == pytest.approx(0.8 * NUM_FRAMES / RATE, abs=0.01)


def test_the_strips_have_the_colours_of_the_labels(page: Path, steps: list[Step], opened: Open) -> None:
    tab = opened(page)
    colour = """(([x, y]) => { const c = document.getElementById("curves");
        return [...c.getContext("2d").getImageData(x, y, 1, 1).data]; })"""
    bar, button = tab.place("#bar"), tab.place("#names button[data-face='1']")
    styles = "getComputedStyle(document.documentElement)"
    names = {}
    for number, emotion in enumerate(EMOTIONS):
        text = tab.value(f"{styles}.getPropertyValue('--e{number}').trim()")
        names[tuple(int(text[k : k + 2], 16) for k in (1, 3, 5))] = emotion
    checked = 0
    latest = ""
    for frame, step in enumerate(steps):
        latest = next((one.label for one in step.predictions if one.face == 1), latest)
        x = (frame + 0.5) / NUM_FRAMES * bar["width"]
        drawn = tab.value(f"{colour}([{x}, {button['y'] - bar['y'] + 2}])")
        assert names.get(tuple(drawn[:3]), "") == latest
        checked += bool(latest)
    assert checked > 10


def test_the_caution_is_in_the_heading_and_over_the_video(page: Path, opened: Open) -> None:
    for width in (PHONE, WIDE):
        tab = opened(page, width)
        assert CAUTION in tab.value("document.querySelector('h1').innerText")
        over, video = tab.place(".over"), tab.place("#video")
        assert over["height"] > 10
        assert video["top"] <= over["top"] < over["bottom"] <= video["bottom"] + 1
        assert tab.value("document.querySelector('.over').innerText") == CAUTION
        assert CAUTION in tab.value("document.title")


def test_names_run_nothing(opened: Open, tmp_path: Path) -> None:
    steps = (
        replace(step, predictions=tuple(replace(one, label="", why=EVIL) for one in step.predictions))
        for step in made_steps(30, 1, HEIGHT, WIDTH)
    )
    source = {"corpus": EVIL, "warnings": [EVIL]}
    emotions = (EVIL, *EMOTIONS[1:])
    page = written(tmp_path / "<script>.html", steps, title=EVIL, caution=EVIL, source=source, emotions=emotions)
    tab = opened(page)
    tab.seek(0.9)
    assert tab.value("window.pwned") is None
    assert tab.value("document.images.length") == 0
    assert EVIL in tab.value("document.querySelector('h1').textContent")
    assert tab.value("document.getElementById('said').textContent") == EVIL
    assert tab.value("document.querySelector('#bars .name').textContent") == EVIL
    assert tab.problems() == []


def test_a_page_without_its_video_still_tells_everything(opened: Open, tmp_path: Path) -> None:
    times = [k * 100.0 for k in range(60)]
    page = written(tmp_path / "out.html", made_steps(60, 2, 48, 64, times=times), most_bytes=30_000)
    tab = opened(page, PHONE)
    assert "left out" in tab.value("document.getElementById('sentence').textContent")
    tab.seek(0.9)
    assert tab.now == pytest.approx(0.9 * times[-1], rel=0.03)
    assert tab.place(".box[data-face='2']")["width"] > 20
    assert tab.value("document.getElementById('play').hidden")
    assert tab.value(SCROLL_WIDTH) <= PHONE
    assert tab.problems() == []


def test_a_part_of_a_long_video_can_be_shown(opened: Open, tmp_path: Path) -> None:
    times = [k * 2.0 for k in range(60)]
    tab = opened(written(tmp_path / "out.html", made_steps(60, 1, 48, 64, times=times)))
    tab.seek(0.5)
    before = tab.now
    tab.value("(z => { z.value = '10'; z.dispatchEvent(new Event('change')); })(document.getElementById('zoom'))")
    assert tab.now == before
    bar, head = tab.place("#bar"), tab.place("#head")
    assert bar["x"] <= head["x"] <= bar["right"]
    tab.seek(0.95)
    assert 0 < tab.now - before <= 10
    tab.value("document.getElementById('bar').focus()")
    tab.key("End")
    assert tab.now == 120
    assert tab.place("#head")["x"] == pytest.approx(bar["right"], abs=4)


def test_nothing_moves_by_itself_for_those_who_want_less_motion(page: Path, opened: Open) -> None:
    elements = "[...document.querySelectorAll('*')]"
    moving = f"{elements}.filter(e => parseFloat(getComputedStyle(e).transitionDuration) > 0).length"
    assert opened(page, prefers_reduced_motion="reduce").value(moving) == 0
    assert opened(page, prefers_reduced_motion="no-preference").value(moving) == len(EMOTIONS)
