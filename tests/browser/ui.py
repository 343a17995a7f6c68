"""Dagster's UI as a user has it: where things are, and how to act on them.

Every step waits for what it needs to be there, for as long as a busy machine may take; nothing
waits for time to pass.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import (
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    expect,
    sync_playwright,
)

from autoif_dagster.records import TABLES

PATIENCE_S = 120
PER_ROUND = frozenset(table.name for table in TABLES.values() if table.per_round)
_FLAGS = [
    # Quiet, without a GPU, and nobody outside is asked for anything.
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_WINDOW = {"width": 1200, "height": 900}
_MOST_BYTES = 150_000  # of a picture: they are part of the repository


@dataclass(frozen=True, slots=True)
class UI:
    """One page of the UI that a server gives."""

    page: Page
    url: str
    errors: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        self.page.goto(f"{self.url}{path}")

    def open_graph(self) -> None:
        """The graph of all assets, its groups folded or not as the browser remembers."""
        self.open("/asset-groups")
        expect(self.button("Materialize all")).to_be_enabled()

    def open_asset(self, asset: str, tab: str, **more: str) -> None:
        self.open(
            f"/assets/{asset}?" + "&".join(f"{k}={v}" for k, v in {"view": tab, **more}.items())
        )
        expect(self.page.get_by_text(asset, exact=True).first).to_be_visible()

    def button(self, name: str) -> Locator:
        """The button that says exactly this, but for a count or dots after it."""
        says = re.compile(rf"^{re.escape(name)}( \(\d+\))?…?$")
        return self.page.get_by_role("button").filter(has_text=says)

    def text(self, text: str) -> Locator:
        return self.page.get_by_text(text, exact=True)

    def metadata(self, name: str) -> Locator:
        """What opens a metadata entry that is too long for its row."""
        row = self.page.get_by_role("row").filter(has=self.text(name))
        return row.get_by_text("[Show Markdown]")

    def close_dialog(self) -> None:
        """It fades before it is gone, and another one beside it would be taken for it."""
        self.button("Close").click()
        expect(self.page.get_by_role("dialog")).to_have_count(0)

    @contextmanager
    def rounds_known(self, *assets: str) -> Iterator[None]:
        """Do something that asks for the rounds of these assets, or of all, and wait for them: the
        dialog forgets a round that is chosen before."""
        missing = set(assets or PER_ROUND)

        def is_last(response: Response) -> bool:
            asked = response.request.post_data or ""
            if "PartitionHealthQuery" in asked:
                missing.discard(json.loads(asked)["variables"]["assetKey"]["path"][0])
            return not missing

        with self.page.expect_response(is_last):
            yield

    def launch(self, button: str) -> str:
        """Launch a run by a button, and go to its page, as the message that the UI shows for a
        moment would lead to; the run's id."""
        with self.page.expect_response(
            lambda response: "LaunchPipelineExecution" in (response.request.post_data or "")
        ) as told:
            self.button(button).click()
        run_id = str(told.value.json()["data"]["launchPipelineExecution"]["run"]["id"])
        self.open(f"/runs/{run_id}")
        return run_id

    def picture(self, name: str, *, of: Locator | None = None) -> None:
        """Keep what the page shows, where somebody asked for pictures. Not of an asset's metadata:
        that names folders of this machine."""
        folder = os.environ.get("AUTOIF_SCREENSHOTS")
        if folder is None:
            return
        path = Path(folder) / f"{name}.png"
        self.page.wait_for_load_state("networkidle")  # what colours the nodes comes last
        (of or self.page).screenshot(path=path, animations="disabled")
        assert path.stat().st_size < _MOST_BYTES, f"{path} is too big to be kept"

    def take_errors(self) -> list[str]:
        """What went wrong in the page since this was last asked."""
        taken = self.errors[:]
        self.errors.clear()
        return taken


def _watch(page: Page, url: str, errors: list[str]) -> None:
    """Collect what goes wrong in a page: what it says itself, answers that are errors, and whatever
    it would ask of anybody else."""

    def said(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(message.text)

    def asked(request: Request) -> None:
        if not request.url.startswith((url, "data:", "blob:")):
            errors.append(f"asked elsewhere: {request.url}")

    def answered(response: Response) -> None:
        if response.status >= 400:
            errors.append(f"{response.status} {response.url}")

    page.on("console", said)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", asked)
    page.on("response", answered)


@contextmanager
def open_browser(url: str, profile: Path) -> Iterator[UI]:
    """Chromium with a profile of its own, and a page that is watched for errors."""
    expect.set_options(timeout=PATIENCE_S * 1_000)
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            # Playwright's own builds are downloads; the distribution's is what CI can install.
            executable_path=shutil.which("chromium"),
            args=_FLAGS,
            viewport=_WINDOW,
        )
        context.set_default_timeout(PATIENCE_S * 1_000)
        ui = UI(context.pages[0], url)
        _watch(ui.page, url, ui.errors)
        try:
            yield ui
        finally:
            context.close()
