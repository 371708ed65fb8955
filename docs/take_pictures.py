"""Takes the README's pictures anew: ``python docs/take_pictures.py`` after a retrain.

What lives here: a browser on ``supportbot ui`` and ``supportbot review``, on whatever store
``SUPPORTBOT_ROOT`` names. It needs Playwright and a Chromium (``CHROMIUM`` names another than
/usr/bin/chromium).
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
from playwright.sync_api import Page, sync_playwright

PORT, REVIEW_PORT = 3199, 3198
ADDRESS = f"http://127.0.0.1:{PORT}"
PICTURES = Path(__file__).parent / "pictures"


def wait_for_server() -> None:
    """Until Dagster answers, at most three minutes."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{ADDRESS}/server_info", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(1)
    raise SystemExit("supportbot ui does not answer.")


def take(page: Page) -> None:
    """Both pictures of the graph's page."""
    page.set_viewport_size({"width": 2000, "height": 1000})
    page.goto(f"{ADDRESS}/asset-groups", wait_until="domcontentloaded")
    page.get_by_text("sources", exact=True).last.wait_for()
    page.mouse.click(1200, 900, button="right")
    page.get_by_role("menuitem", name="Expand all groups").click()
    page.get_by_text("merged_dataset").first.wait_for()
    page.wait_for_timeout(6000)  # the graph glides to its place
    page.screenshot(path=str(PICTURES / "asset_graph.png"))
    page.set_viewport_size({"width": 1680, "height": 950})
    page.goto(f"{ADDRESS}/assets/trust_report", wait_until="domcontentloaded")
    page.get_by_text(re.compile("answerable questions answered right")).first.wait_for()
    page.wait_for_timeout(3000)
    page.screenshot(path=str(PICTURES / "trust_report.png"))


def take_review(page: Page) -> None:
    """The picture of the page on which pairs are judged."""
    page.set_viewport_size({"width": 1500, "height": 820})
    page.goto(f"http://127.0.0.1:{REVIEW_PORT}/?style=long")
    page.locator("mark").wait_for()
    page.screenshot(path=str(PICTURES / "review.png"))


def main() -> None:
    """Start the servers, take the pictures, stop the servers."""
    command = str(Path(sys.executable).parent / "supportbot")
    servers = [
        subprocess.Popen([command, *arguments, "--port", str(port)], start_new_session=True)
        for arguments, port in ((["ui"], PORT), (["review"], REVIEW_PORT))
    ]
    try:
        wait_for_server()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
                args=["--no-sandbox"],
            )
            page = browser.new_page()
            page.set_default_timeout(90_000)
            take(page)
            take_review(page)
            browser.close()
    finally:
        for server in servers:
            os.killpg(server.pid, signal.SIGINT)


if __name__ == "__main__":
    main()
