"""Debian's Chromium, driven by Playwright.

    with Browser() as b, b.page(url, token=...) as page:
        page.get_by_role("heading", name="Users").wait_for()

What a page logs as an error, throws, or is refused by the content security policy fails the test at the end of page().
"""

import json
import os
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

CHROMIUM = "/usr/bin/chromium"
AXE = Path(__file__).resolve().parents[2] / "services/stack-switcher/console/node_modules/axe-core/axe.min.js"
PHONE, TABLET, DESKTOP = (390, 844), (820, 1180), (1440, 900)


class Browser:
    """microphone: a WAV file that it hears, once, from when a page asks for it; None: beeps."""

    def __init__(self, microphone: Path | None = None):
        self.args = [f"--use-file-for-fake-audio-capture={microphone}%noloop"] if microphone else []

    def __enter__(self):
        self.playwright = sync_playwright().start()
        self.browser = self.playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--use-fake-ui-for-media-stream", *self.args,
                                            "--use-fake-device-for-media-stream", "--autoplay-policy=no-user-gesture-required"])
        return self

    def __exit__(self, *_):
        self.browser.close()
        self.playwright.stop()

    @contextmanager
    def page(self, url: str, token: str | None = None, size: tuple[int, int] = DESKTOP, dark: bool = False, faults_ok: bool = False):
        context = self.browser.new_context(viewport={"width": size[0], "height": size[1]}, locale="en-US", timezone_id="UTC",
                                           color_scheme="dark" if dark else "light", permissions=["microphone"])
        context.set_default_timeout(30_000)
        if token:
            context.add_init_script(f"sessionStorage.setItem('patchbay.token', {json.dumps(token)})")
        page = context.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda e: faults.append(f"thrown: {e}"))
        page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
        try:
            page.goto(url)
            yield page
            assert faults_ok or not faults, faults
        finally:
            if os.environ.get("PAT_SCREENSHOTS"):
                page.screenshot(path=Path(os.environ["PAT_SCREENSHOTS"]) / "last.png", full_page=True)
            context.close()


def violations(page) -> list[str]:
    """What axe-core finds wrong (WCAG 2 A and AA)."""
    page.evaluate(AXE.read_text())  # not as a script element: the page's policy has no place for one
    found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})")
    return [f"{v['id']}: {n['target']} {n.get('failureSummary', '')}" for v in found["violations"] for n in v["nodes"]]
