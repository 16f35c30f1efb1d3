"""Makes the pictures of the gallery small enough for the documents, and puts the two narrow ones side by side.

Usage: gallery-sheet.py SHOTS OUT, two directories
"""

import pathlib
import sys

from PIL import Image

NARROW, HEIGHT, GAP = 390, 844, 20
PAPER = (127, 130, 138)
MOST_BYTES = 400_000


def save(image, path):
    image.save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        image.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    if size > MOST_BYTES:
        sys.exit(f"gallery-sheet: {path} has {size} bytes, more than {MOST_BYTES}")
    print(f"{path}: {image.width}x{image.height}, {size // 1024} KiB")


def main():
    shots, out = map(pathlib.Path, sys.argv[1:])

    def shot(name):
        with Image.open(shots / f"{name}.png") as image:
            return image.convert("RGB")

    save(shot("light"), out / "gallery-1440.png")
    save(shot("dark"), out / "gallery-1440-dark.png")
    pair = Image.new("RGB", (2 * NARROW + 3 * GAP, HEIGHT + 2 * GAP), PAPER)
    for place, name in enumerate(["narrow-light", "narrow-dark"]):
        pair.paste(shot(name).crop((0, 0, NARROW, HEIGHT)), (GAP + place * (NARROW + GAP), GAP))
    save(pair, out / "gallery-390.png")


main()
