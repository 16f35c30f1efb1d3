"""Draws what a full-screen program shows in a terminal, as SVG.

The program gets a pty and keys; what it writes is read by a terminal emulator. Pictures of half blocks
become one small image of their pixels. The words are those that were written, but for the name of a machine.
Usage: screenshot.py COLUMNSxROWS KEYS SECONDS OUT.svg TITLE COMMAND...; KEYS are typed one by one, `-` is none.
"""

import base64
import fcntl
import html
import io
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

import pyte
from PIL import Image

from recording import BAR, CELL_HEIGHT, CELL_WIDTH, COLOURS, FONT_SIZE, PADDING

GROUND = "#1b1f27"
BLOCK = "▀"


def watched(size, keys, seconds, command):
    """What is on the screen after some keys and some time."""
    columns, rows = size
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    screen = pyte.Screen(columns, rows)
    stream = pyte.ByteStream(screen)

    def read(until):
        while (left := until - time.monotonic()) > 0:
            if select.select([terminal], [], [], left)[0]:
                try:
                    stream.feed(os.read(terminal, 65536))
                except OSError:
                    sys.exit("screenshot: it has ended:\n" + "\n".join(screen.display))

    read(time.monotonic() + 2)
    for key in keys:
        os.write(terminal, key.encode())
        read(time.monotonic() + 1.2)
    read(time.monotonic() + seconds)
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
    return screen


# The first colours of the palette, as the emulator tells them, in those of the recording.
PALETTE = {"cd0000": "red", "00cd00": "green", "cdcd00": "brown", "00cdcd": "cyan"}


def colour(name, default):
    if name == "default":
        return default
    name = PALETTE.get(name, name)
    return COLOURS.get(name) or f"#{name}"


def style(cell):
    fore, back = colour(cell.fg, COLOURS["default"]), colour(cell.bg, GROUND)
    return (back, fore, cell.bold) if cell.reverse else (fore, back, cell.bold)


def runs(screen, number):
    """Runs of equal style: (column, text, fore, back, bold), without half blocks and what is blank."""
    found = []
    for column in range(screen.columns):
        cell = screen.buffer[number][column]
        kind = (" ", *style(cell)) if cell.data != BLOCK else (" ", COLOURS["default"], GROUND, False)
        data = cell.data if cell.data != BLOCK else " "
        if found and found[-1][2:] == kind[1:]:
            found[-1][1] += data
        else:
            found.append([column, data, *kind[1:]])
    return [run for run in found if run[1].strip() or run[3] != GROUND]


def pixels(screen):
    """All half blocks as one image with two pixels a cell, or nothing."""
    picture = Image.new("RGBA", (screen.columns, screen.lines * 2))
    for row in range(screen.lines):
        for column in range(screen.columns):
            cell = screen.buffer[row][column]
            if cell.data == BLOCK:
                fore, back, _ = style(cell)
                picture.putpixel((column, 2 * row), rgb(fore))
                picture.putpixel((column, 2 * row + 1), rgb(back))
    if not picture.getbbox():
        return ""
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    place = f'width="{screen.columns * CELL_WIDTH:g}" height="{screen.lines * CELL_HEIGHT}"'
    data = base64.b64encode(file.getvalue()).decode()
    return f'<image {place} preserveAspectRatio="none" style="image-rendering:pixelated" href="data:image/png;base64,{data}"/>'


def rgb(name):
    return (*(int(name[at : at + 2], 16) for at in (1, 3, 5)), 255)


def draw(screen, title):
    width, height = screen.columns * CELL_WIDTH + 2 * PADDING, screen.lines * CELL_HEIGHT + 2 * PADDING + BAR
    parts = []
    for number in range(screen.lines):
        for column, text, fore, back, bold in runs(screen, number):
            x, y, long = column * CELL_WIDTH, number * CELL_HEIGHT, len(text) * CELL_WIDTH
            if back != GROUND:
                parts.append(f'<rect x="{x:g}" y="{y}" width="{long:g}" height="{CELL_HEIGHT}" fill="{back}"/>')
            text = text.rstrip()
            if text:
                solid = html.escape(text, quote=False).replace(" ", "\u00a0")
                weight = ' font-weight="bold"' if bold else ""
                parts.append(
                    f'<text x="{x:g}" y="{y + FONT_SIZE}" fill="{fore}"{weight} textLength="{len(text) * CELL_WIDTH:g}">{solid}</text>'
                )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img">
<title>{html.escape(title)}</title>
<style>text{{font:{FONT_SIZE}px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono","Liberation Mono",monospace}}</style>
<rect width="{width:g}" height="{height:g}" rx="8" fill="{GROUND}" stroke="#495061"/>
<circle cx="20" cy="17" r="6" fill="#ff7a85"/><circle cx="40" cy="17" r="6" fill="#f2cc7c"/><circle cx="60" cy="17" r="6" fill="#8fd694"/>
<svg x="{PADDING}" y="{BAR + PADDING / 2:g}" width="{screen.columns * CELL_WIDTH:g}" height="{screen.lines * CELL_HEIGHT}">
{pixels(screen)}{chr(10).join(parts)}
</svg>
</svg>
"""


def main():
    size, keys, seconds, out, title, *command = sys.argv[1:]
    columns, rows = (int(number) for number in size.split("x"))
    screen = watched((columns, rows), "" if keys == "-" else keys, float(seconds), command)
    host = os.uname().nodename
    other = ("render" * len(host))[: len(host)]
    picture = draw(screen, title).replace(f">{host}\u00a0", f">{other}\u00a0")
    for told in (os.environ["STAGE"], os.path.realpath(os.environ["STAGE"]), os.path.expanduser("~")):
        if told in picture:
            sys.exit(f"screenshot: {told} is seen in it")
    with open(out, "w", encoding="utf-8") as file:
        file.write(picture)
    print(f"{out}: {len(picture) // 1024} KiB")


main()
