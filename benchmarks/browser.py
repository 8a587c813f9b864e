"""Drives headless Chromium by DevTools' own protocol over a pipe: real keys, real clicks."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NAMED = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Enter": 13}


class Browser:
    """A page in a browser.

    Args:
        profile: a folder for its files.
        size: of the window, width and height in pixels.
        dark: whether it prefers a dark page.
    """

    def __init__(self, profile: Path, size: tuple[int, int] = (1200, 850), dark: bool = False):
        to_browser, write = os.pipe()
        read, from_browser = os.pipe()
        self._write, self._read = os.fdopen(write, "wb", 0), os.fdopen(read, "rb", 0)

        def at_3_and_4() -> None:
            low, high = os.dup(to_browser), os.dup(from_browser)
            os.dup2(low, 3)
            os.dup2(high, 4)

        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        flags += [f"--user-data-dir={profile}", "--hide-scrollbars", "--no-first-run"]
        if dark:
            flags.append("--blink-settings=preferredColorScheme=0")
        self._process = subprocess.Popen(
            [CHROMIUM, *flags, f"--window-size={size[0]},{size[1]}", "about:blank"],
            preexec_fn=at_3_and_4,  # noqa: PLW1509
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._number, self._rest, self._session = 0, b"", None
        self.log: list[str] = []
        targets = self("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        attached = self("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self(f"{domain}.enable")
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        self("Emulation.setDeviceMetricsOverride", **metrics)

    def __call__(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._write.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._note(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            content = self._read.read(1 << 16)
            if not content:
                raise RuntimeError("the browser has ended")
            self._rest += content
        line, _, self._rest = self._rest.partition(b"\0")
        return json.loads(line)

    def _note(self, event: dict[str, Any]) -> None:
        if event["method"] == "Runtime.exceptionThrown":
            details = event["params"]["exceptionDetails"]
            self.log.append(details.get("exception", {}).get("description", details["text"]))
        if event["method"] == "Page.javascriptDialogOpening":
            raise RuntimeError(f"a dialog: {event['params']}")

    def open(self, address: str) -> None:
        """Open an address; of the page on which images are labelled, wait for the first one."""
        self("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")
        if address.startswith("http"):
            self.wait("typeof state === 'object' && state.images > 0")
            self.wait("!!document.querySelector('#stage > *')")

    def run(self, script: str) -> Any:
        """Return the value of an expression on the page."""
        result = self("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"]["description"])
        return result["result"].get("value")

    def wait(self, condition: str, seconds: float = 20) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + seconds
        while not self.run(condition):
            if time.monotonic() > until:
                raise TimeoutError(
                    f"{condition}; the page says {self.run('document.body.innerText')}"
                )
            time.sleep(0.02)

    def press(self, key: str, shift: bool = False) -> None:
        """Press and release a key; with Shift, a digit is another character."""
        code = NAMED.get(key, ord(key.upper()) if len(key) == 1 else 0)
        text = key if len(key) == 1 else "\r" if key == "Enter" else ""
        of_key: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": code}
        if key.isdigit():
            of_key["code"] = f"Digit{key}"
        if shift:
            of_key |= {"key": "!", "modifiers": 8}
            text = ""
        for kind in ("keyDown", "keyUp"):
            own = {"text": text} if kind == "keyDown" and text else {}
            self("Input.dispatchKeyEvent", type=kind, **of_key, **own)

    def type(self, text: str) -> None:
        """Type a text into what has the focus."""
        self("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """Click the middle of an element."""
        box = self.run(
            f"(() => {{ const b = document.querySelector({json.dumps(selector)})"
            ".getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        self.click_at(*box)

    def click_at(self, x: float, y: float) -> None:
        """Click a point of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self(
                "Input.dispatchMouseEvent",
                type=kind,
                x=x,
                y=y,
                button="left",
                clickCount=1,
                buttons=1 if kind == "mousePressed" else 0,
            )

    def swipe(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Draw a finger over the window."""
        self("Emulation.setTouchEmulationEnabled", enabled=True)
        for kind, at in (("touchStart", start), ("touchMove", end), ("touchEnd", None)):
            points = [{"x": at[0], "y": at[1]}] if at else []
            self("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    def draw(self, selector: str, line: list[tuple[float, float]], touch: bool = False) -> None:
        """Draw a line over an element, in fractions of it, with the mouse or a finger."""
        x, y, width, height = self.run(
            f"(b => [b.x, b.y, b.width, b.height])(document.querySelector({json.dumps(selector)})"
            ".getBoundingClientRect())"
        )
        points = [(x + 1 + a * (width - 2), y + 1 + b * (height - 2)) for a, b in line]
        if touch:
            self("Emulation.setTouchEmulationEnabled", enabled=True)
            for kind, at in zip(("touchStart", *["touchMove"] * len(points)), points, strict=False):
                spot = [{"x": at[0], "y": at[1]}]
                self("Input.dispatchTouchEvent", type=kind, touchPoints=spot)
            self("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
            return
        kinds = ("mousePressed", *["mouseMoved"] * (len(points) - 1), "mouseReleased")
        for kind, at in zip(kinds, [*points, points[-1]], strict=True):
            own = {"button": "left", "buttons": int(kind != "mouseReleased"), "clickCount": 1}
            self("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], **own)

    def shot(self, file: Path) -> Path:
        """Save what the window shows as a PNG."""
        file.write_bytes(base64.b64decode(self("Page.captureScreenshot")["data"]))
        return file

    def close(self) -> None:
        """End the browser."""
        self._process.kill()
        self._process.wait()
        self._write.close()
        self._read.close()


@contextmanager
def browsing(profile: Path, address: str, **options: Any) -> Iterator[Browser]:
    """Open a page for the length of a block; an error of its script is one of the test."""
    browser = Browser(profile, **options)
    try:
        browser.open(address)
        yield browser
        assert browser.log == []
    finally:
        browser.close()
