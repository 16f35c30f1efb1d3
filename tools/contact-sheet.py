"""Draws a contact sheet of a batch: some of its images, small, each with its id and model.

Usage: contact-sheet.py RESULTS.csv DIRECTORY OUT.png, where DIRECTORY is what file names are relative to.
"""

import csv
import pathlib
import sys

from PIL import Image, ImageDraw, ImageFont

COLUMNS, ROWS = 8, 5
SIDE, LABEL, GAP, MARGIN = 120, 30, 10, 14
PAPER, INK, FAINT = (247, 247, 244), (35, 38, 44), (112, 116, 124)
COLOURS = 128
MOST_BYTES = 300_000


def chosen(results):
    """Rows with images of their own, spread over the whole table."""
    with open(results, newline="", encoding="utf-8-sig") as file:
        rows = {row["file"]: row for row in csv.DictReader(file) if row["file"]}
    rows = list(rows.values())
    wanted = COLUMNS * ROWS
    if len(rows) < wanted:
        sys.exit(f"contact-sheet: {results} names {len(rows)} images, and {wanted} are wanted")
    return [rows[number * len(rows) // wanted] for number in range(wanted)]


def fitted(text, font, width):
    while font.getlength(text) > width:
        text = text[:-2] + "…"
    return text


def draw(rows, directory):
    width = 2 * MARGIN + COLUMNS * SIDE + (COLUMNS - 1) * GAP
    height = 2 * MARGIN + ROWS * (SIDE + LABEL) + (ROWS - 1) * GAP
    sheet = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(12), ImageFont.load_default(10)
    for number, row in enumerate(rows):
        x = MARGIN + number % COLUMNS * (SIDE + GAP)
        y = MARGIN + number // COLUMNS * (SIDE + LABEL + GAP)
        with Image.open(directory / row["file"]) as image:
            image = image.convert("RGBA")
            image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
            corner = (x + (SIDE - image.width) // 2, y + (SIDE - image.height) // 2)
            pen.rectangle((x, y, x + SIDE - 1, y + SIDE - 1), fill=(236, 236, 232))
            sheet.paste(image, corner, image)
        size = row.get("Size") or row.get("size") or ""
        pen.text((x, y + SIDE + 2), fitted(row["ID"], large, SIDE), INK, large)
        pen.text((x, y + SIDE + 16), fitted(f"{row['model']} {size}", small, SIDE), FAINT, small)
    return sheet


def main():
    results, directory, out = sys.argv[1:]
    sheet = draw(chosen(results), pathlib.Path(directory))
    sheet.quantize(COLOURS, dither=Image.Dither.NONE).save(out, optimize=True)
    size = pathlib.Path(out).stat().st_size
    if size > MOST_BYTES:
        sys.exit(f"contact-sheet: {out} has {size} bytes, more than {MOST_BYTES}")
    print(f"{out}: {COLUMNS * ROWS} images, {size // 1024} KiB")


main()
