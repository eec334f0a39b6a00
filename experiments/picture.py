"""One command: the picture of the README, the page that `lungline predict` makes of a synthetic scan.

    python -m experiments.picture [--out docs/images/page.webp]

Simulates a chest, answers it with the weights in the package, and takes a picture of its page in Chromium.
"""

from __future__ import annotations

import argparse
import base64
import sys
import tempfile
from pathlib import Path

from lungline.stages import predict
from lungline.synthetic.cohort import plan_scan
from lungline.synthetic.phantom import simulate_scan_hu
from lungline.synthetic.writers import write_mhd
from tests.browser import open_browser
from tests.repository import REPOSITORY

INDEX, SEED, SCALE = 3, 1, 0.7  # of the synthetic scan
SIZE = (1180, 1330)  # of the window, in pixels
QUALITY = 75  # of the picture, in percent


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.picture", description=__doc__)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "images" / "page.webp")
    out = parser.parse_args().out
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_mhd(folder / "synthetic-chest.mhd", simulate_scan_hu(plan_scan("luna16", INDEX, SEED, SCALE)))
        predict.run(folder / "synthetic-chest.mhd", out=folder / "answers", device="cpu")
        (page,) = (path for path in (folder / "answers").rglob("*.html") if path.name != "index.html")
        with open_browser(folder / "profile") as browser:
            browser.open(page, SIZE)
            browser.wait("document.querySelector('canvas') !== null")
            browser.run("new Promise(done => setTimeout(done, 4000))")  # the viewer unpacks its volumes
            clip = {"x": 0, "y": 0, "width": SIZE[0], "height": SIZE[1], "scale": 0.75}
            taken = browser.call("Page.captureScreenshot", format="webp", quality=QUALITY, clip=clip)
    out.write_bytes(base64.b64decode(taken["data"]))
    print(f"{out}: {out.stat().st_size / 1e3:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
