"""Take the README's picture of a report in headless Chromium: report.html -> docs/report.png.

python docs/picture.py demo/submissions/demo/report.html
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
TARGET = Path(__file__).with_name("report.png")


def main() -> None:
    page_path = Path(sys.argv[1]).absolute()
    browser_path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if browser_path is None:
        raise SystemExit("no Chromium found; install one (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1240, "height": 1240})
        page.goto(page_path.as_uri())
        row = page.locator(
            "[data-zooms]"
        ).first.bounding_box()  # the last of the first comparison: nothing is cut through
        assert row is not None
        box = {"x": 0, "y": 0, "width": 1240, "height": round(row["y"] + row["height"]) + 24}
        picture = Image.open(io.BytesIO(page.screenshot(full_page=True, clip=box)))
        browser.close()
    picture.convert("RGB").save(TARGET, optimize=True)  # a palette bands the photograph and turns blue links green
    print(f"{TARGET}: {TARGET.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
