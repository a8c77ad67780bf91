"""Makes the pictures of the documentation from those of the tests.

    SPANE_SCREENSHOTS=pictures .venv/bin/pytest tests/browser/test_pictures.py
    .venv/bin/python -m tests.browser.images pictures

Each is cut to its upper part and reduced to few colours: all together stay below a megabyte.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
COLOURS = 48
# What it is called in the documentation: the picture, and how much of its height is shown.
CHOSEN = {
    "execution.png": ("failed-execution-change-light-1280", 1_000),
    "execution-dark.png": ("failed-execution-change-dark-1280", 1_000),
    "dashboard.png": ("failed-dashboard-changelist-light-1280", 900),
    "workflow-diff.png": ("normal-workflow-diff-light-1280", 760),
    "replay.png": ("failed-execution-replay-light-1280", 900),
}


def main(directory: Path) -> None:
    """Make every chosen picture from those in a directory."""
    for name, (source, height) in CHOSEN.items():
        with Image.open(directory / f"{source}.png") as picture:
            upper = picture.convert("RGB").crop((0, 0, picture.width, min(height, picture.height)))
        upper.quantize(COLOURS, dither=Image.Dither.NONE).save(IMAGES / name, optimize=True)
    sizes = sum((IMAGES / name).stat().st_size for name in CHOSEN)
    sys.stdout.write(f"{len(CHOSEN)} pictures, {sizes // 1_000} kB\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
