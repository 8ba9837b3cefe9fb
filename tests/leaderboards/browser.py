"""A small WebDriver client: starts chromedriver with a headless Chromium and talks its JSON protocol."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--window-size=1280,900",
]  # fmt: skip


def missing() -> str:
    """Why no browser can be started; empty when one can."""
    for name in ("chromedriver", "chromium"):
        if shutil.which(name) is None:
            return f"{name} is not installed"
    return ""


class Browser:
    """A context manager round one browser session."""

    def __enter__(self) -> Browser:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.profile = tempfile.mkdtemp(prefix="chromium-")
        command = ["chromedriver", f"--port={port}", "--log-level=OFF"]
        quiet = subprocess.DEVNULL
        self.driver = subprocess.Popen(command, stdout=quiet, stderr=quiet)
        self.root = f"http://127.0.0.1:{port}"
        arguments = [*FLAGS, f"--user-data-dir={self.profile}"]
        wanted = {
            "alwaysMatch": {
                "goog:chromeOptions": {"args": arguments, "binary": shutil.which("chromium")},
                "goog:loggingPrefs": {"browser": "ALL"},
                "unhandledPromptBehavior": "ignore",
            }
        }
        self._wait()
        session = self._call("POST", "/session", {"capabilities": wanted})["sessionId"]
        self.root += f"/session/{session}"
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self._call("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait(10)
            shutil.rmtree(self.profile, ignore_errors=True)

    def open(self, path: Path) -> None:
        self._call("POST", "/url", {"url": path.resolve().as_uri()})

    def run(self, script: str, *arguments: Any) -> Any:
        """The value that a script's ``return`` gives."""
        return self._call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", "/screenshot")))

    def alert(self) -> str | None:
        """The text of an open dialog, if there is one."""
        try:
            return str(self._call("GET", "/alert/text"))
        except urllib.error.HTTPError:
            return None

    def console(self) -> list[str]:
        """Messages of the page's console since the last call."""
        return [entry["message"] for entry in self._call("POST", "/se/log", {"type": "browser"})]

    def send(self, command: str, **parameters: Any) -> Any:
        """A command of Chromium's own protocol."""
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _wait(self) -> None:
        for _ in range(100):
            try:
                if self._call("GET", "/status")["ready"]:
                    return
            except OSError:
                time.sleep(0.1)
        raise TimeoutError("chromedriver did not start")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + path, data=data, method=method)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())["value"]
