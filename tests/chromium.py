"""A headless Chromium, driven over a pipe: what a page logs, requests and measures, without a network or a library."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BINARY = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
PHONE, WIDE = 390, 1280
# What a page measures; decoding fails where something is no picture.
SCROLL_WIDTH = "document.documentElement.scrollWidth"
PICTURES = """Promise.all([...document.images].map(image =>
    image.decode().then(() => image.naturalWidth > 0 && image.clientWidth > 100, () => false)))"""
# What sticks out of the page where nothing scrolls it.
OUTSIDE = f"""[...document.querySelectorAll("main *, header *, nav *")].filter(element =>
    !element.closest(".scroll, pre") && element.getBoundingClientRect().right > {PHONE} + 1
).map(element => element.outerHTML.slice(0, 80))"""
_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # whatever a page asks of the network fails, and shows
    "--remote-debugging-pipe",
)
_PATIENCE = 60.0


@dataclass
class Visit:
    """What happened while a page was open.

    Attributes:
        messages: Errors and warnings of the console, and exceptions.
        requests: The addresses of everything that was asked for, pictures within the page left out.
        failures: What could not be loaded.
        values: What the scripts returned, in their order.
    """

    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)


class Browser:
    """Sends commands of the DevTools protocol, one JSON object each, ended by a NUL byte."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._pending = b""
        self._number = 0
        self._events: list[dict[str, Any]] = []

    def visit(self, page: Path, *scripts: str, width: int = 390, dark: bool = False, media: str = "screen") -> Visit:
        """Opens a page in a fresh tab of an exact width, lets it load, and runs scripts in it."""
        target, session = self.open(page, width=width, dark=dark, media=media)
        self._wait_for("Page.loadEventFired", session)
        values = [self.evaluate(session, script) for script in scripts]
        self.call("Target.closeTarget", targetId=target)
        return self.seen(session, values)

    def open(
        self, page: Path, *, width: int = 390, dark: bool = False, media: str = "screen", **preferences: str
    ) -> tuple[str, str]:
        """Opens a page in a fresh tab, and returns the tab's target and session."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._events.clear()
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable", session)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        features += [{"name": name.replace("_", "-"), "value": value} for name, value in preferences.items()]
        self.call("Emulation.setEmulatedMedia", session, media=media, features=features)
        size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", session, **size)
        self.call("Page.navigate", session, url=page.resolve().as_uri())
        return target, session

    def seen(self, session: str, values: Sequence[Any] = ()) -> Visit:
        """Sorts a tab's events into what a test asks about."""
        visit = Visit(values=list(values))
        for event in self._events:
            if event.get("sessionId") != session:
                continue
            details = event["params"]
            match event["method"]:
                case "Runtime.consoleAPICalled" if details["type"] in {"error", "warning", "assert"}:
                    visit.messages.append(" ".join(str(value.get("value")) for value in details["args"]))
                case "Runtime.exceptionThrown":
                    visit.messages.append(str(details["exceptionDetails"]))
                case "Log.entryAdded" if details["entry"]["level"] in {"error", "warning"}:
                    visit.messages.append(details["entry"]["text"])
                case "Network.requestWillBeSent" if not details["request"]["url"].startswith("data:"):
                    visit.requests.append(details["request"]["url"])
                case "Network.loadingFailed":
                    visit.failures.append(details["errorText"])
        return visit

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Sends a command and returns its result; events that come in between are kept."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters}
        os.write(self._commands, json.dumps(command | ({"sessionId": session} if session else {})).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._number:
            self._events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def evaluate(self, session: str, script: str) -> Any:
        """Returns what a script returns, or what it promises, such as that of a picture's decoding."""
        answer = self.call("Runtime.evaluate", session, expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def _wait_for(self, method: str, session: str) -> None:
        while not any(event["method"] == method and event.get("sessionId") == session for event in self._events):
            self._events.append(self._receive())

    def _receive(self) -> dict[str, Any]:
        end = time.monotonic() + _PATIENCE
        while b"\0" not in self._pending:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, end - time.monotonic()))
            chunk = os.read(self._answers, 1 << 20) if ready else b""
            if not chunk:
                raise RuntimeError("Chromium says nothing any more")
            self._pending += chunk
        message, _, self._pending = self._pending.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


def problems(visit: Visit, page: Path) -> list[str]:
    """What the browser has to complain of; a page may ask for itself and for nothing else."""
    asked = [address for address in visit.requests if address != page.resolve().as_uri()]
    return [*visit.messages, *visit.failures, *asked]


@contextmanager
def open_browser(profile: Path) -> Iterator[Browser]:
    """Starts Chromium with a profile folder of its own, and ends it."""
    command_end, commands = os.pipe()
    answers, answer_end = os.pipe()
    # Chromium reads descriptor 3 and writes 4; the shell puts the pipes there, whatever their numbers are here.
    script = f'exec "$@" 3<&{command_end} 4>&{answer_end}'
    command = ["bash", "-c", script, "bash", str(BINARY), *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
    quiet: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    process = subprocess.Popen(command, pass_fds=(command_end, answer_end), **quiet)
    os.close(command_end)
    os.close(answer_end)
    try:
        browser = Browser(commands, answers)
        yield browser
        browser.call("Browser.close")
    finally:
        os.close(commands)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(answers)
