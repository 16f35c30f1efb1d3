"""Records a real terminal session and draws it as an animated SVG.

A Bash of its own gets the keys below through a pty; what it answers is read by a terminal emulator
and becomes the frames. Nothing that is shown is written here but the keys.
Usage: recording.py STAGE OUT.svg, where STAGE has bin/pictor and the empty directory shop.
"""

import fcntl
import html
import os
import pty
import re
import select
import struct
import sys
import termios
import time

import pyte

COLUMNS, ROWS = 108, 24
# Keys, and how long to look at what came of them; {batch} is the one on the screen.
SCENES = [
    ("pictor demo", 2.5),
    ("pictor status --data-dir .pictor/demo", 3.5),
    ("pictor results {batch} --data-dir .pictor/demo --layout '{{id}}/{{take}}.{{ext}}' --to shop --table", 2.5),
    ("ls shop | head -n 5", 3.0),
    ("pictor demo   # again: everything is there, nothing is paid", 5.0),
]
PROMPT = "$ "
KEY_SECONDS = 0.045
# Frames closer than this become one; a terminal that stands still is not waited for longer than that.
FRAME_SECONDS = 0.12
LONGEST_WAIT = 0.6
DEADLINE = 120

CELL_WIDTH, CELL_HEIGHT, FONT_SIZE = 8.4, 18, 14
PADDING, BAR = 14, 30
COLOURS = {
    "default": "#d6dbe4", "black": "#1b1f27", "red": "#ff7a85", "green": "#8fd694", "brown": "#f2cc7c",
    "blue": "#7cb7ff", "magenta": "#d6a3ff", "cyan": "#79d8d8", "white": "#ffffff",
}


def shell(stage):
    """A Bash in a pty, with an environment that tells nothing of this machine."""
    environment = {
        "PATH": f"{stage}/bin:{os.environ['PATH']}", "HOME": f"{stage}/shop", "PS1": PROMPT, "TERM": "xterm-256color",
        "LANG": "C.UTF-8", "TZ": "UTC", "HISTFILE": "",
    }
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(f"{stage}/shop")
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    return pid, terminal


class Recorder:
    """Feeds what arrives to the emulator and keeps a frame of every change."""

    def __init__(self, terminal):
        self.terminal = terminal
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self.stream = pyte.ByteStream(self.screen)
        self.frames = []

    def keep(self):
        rows = tuple(row(self.screen, number) for number in range(ROWS))
        cursor = (self.screen.cursor.x, self.screen.cursor.y) if not self.screen.cursor.hidden else None
        if not self.frames or self.frames[-1][1:] != (rows, cursor):
            self.frames.append((time.monotonic(), rows, cursor))

    def read(self, seconds):
        """Reads for so long, and says whether anything came."""
        end = time.monotonic() + seconds
        came = False
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.terminal], [], [], left)[0]:
                break
            try:
                data = os.read(self.terminal, 65536)
            except OSError:
                break
            came = True
            self.stream.feed(data)
        self.keep()
        return came

    def at_prompt(self):
        """Whether the cursor stands behind an empty prompt."""
        line = self.screen.display[self.screen.cursor.y]
        return line.rstrip() == PROMPT.rstrip() and self.screen.cursor.x == len(PROMPT)

    def until_prompt(self):
        deadline = time.monotonic() + DEADLINE
        while not (self.at_prompt() and not self.read(FRAME_SECONDS)):
            if time.monotonic() > deadline:
                sys.exit("recording: the prompt did not come back:\n" + "\n".join(self.screen.display))
            self.read(FRAME_SECONDS)


def row(screen, number):
    """Runs of equal style: (column, text, colour, bold)."""
    runs = []
    line = screen.buffer[number]
    for column in range(COLUMNS):
        cell = line[column]
        style = (cell.fg, cell.bold)
        if runs and runs[-1][2:] == style:
            runs[-1] = (runs[-1][0], runs[-1][1] + cell.data, *style)
        else:
            runs.append((column, cell.data, *style))
    return tuple((at, text.rstrip(), fg, bold) for at, text, fg, bold in runs if text.strip())


def record(stage):
    pid, terminal = shell(stage)
    recorder = Recorder(terminal)
    pauses = {}
    try:
        recorder.until_prompt()
        for keys, pause in SCENES:
            batch = re.search(r"\bb-[0-9a-f]{16}\b", "\n".join(recorder.screen.display))
            for key in keys.format(batch=batch.group() if batch else ""):
                os.write(terminal, key.encode())
                recorder.read(KEY_SECONDS)
            os.write(terminal, b"\r")
            recorder.read(FRAME_SECONDS)
            recorder.until_prompt()
            pauses[len(recorder.frames) - 1] = pause
    finally:
        os.write(terminal, b"\x04")
        os.close(terminal)
        os.waitpid(pid, 0)
    return recorder.frames, pauses


def schedule(frames, pauses):
    """How long each frame is seen; long waits are cut, the ends of scenes are held."""
    seconds = []
    for number, (at, _, _) in enumerate(frames):
        following = frames[number + 1][0] if number + 1 < len(frames) else at
        seconds.append(pauses.get(number, min(following - at, LONGEST_WAIT)))
    return seconds


def thinned(frames, pauses):
    """Without frames that nobody would see."""
    kept, held = [], {}
    for number, frame in enumerate(frames):
        if kept and number - 1 not in pauses and frame[0] - kept[-1][0] < FRAME_SECONDS / 2 and number not in pauses:
            kept[-1] = (kept[-1][0], *frame[1:])
        else:
            kept.append(frame)
        if number in pauses:
            held[len(kept) - 1] = pauses[number]
    return kept, held


def draw(frames, seconds):
    """A film strip: all frames side by side, moved past a window."""
    width, height = COLUMNS * CELL_WIDTH + 2 * PADDING, ROWS * CELL_HEIGHT + 2 * PADDING + BAR
    names, rows = {}, []
    strip = []
    for number, (_, lines, cursor) in enumerate(frames):
        parts = []
        for at, runs in enumerate(lines):
            if not runs:
                continue
            if runs not in names:
                names[runs] = f"r{len(names)}"
                rows.append(f'<g id="{names[runs]}">{"".join(text(run) for run in runs)}</g>')
            parts.append(f'<use href="#{names[runs]}" y="{at * CELL_HEIGHT}"/>')
        if cursor:
            x, y = cursor[0] * CELL_WIDTH, cursor[1] * CELL_HEIGHT
            parts.append(f'<use href="#c" x="{x:g}" y="{y}"/>')
        strip.append(f'<svg x="{number * width:g}">{"".join(parts)}</svg>')
    total, gone, steps = sum(seconds), 0.0, []
    for number, duration in enumerate(seconds):
        steps.append(f"{gone / total * 100:.3f}%{{transform:translateX({-number * width:g}px)}}")
        gone += duration
    last = -(len(frames) - 1) * width
    styles = "".join(f".{name}{{fill:{colour}}}" for name, colour in COLOURS.items())
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img">
<title>A terminal: pictor demo makes 186 images, status shows them, and a second demo pays nothing</title>
<style>text{{font:{FONT_SIZE}px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono","Liberation Mono",monospace}}
{styles}.b{{font-weight:bold}}
#f{{animation:f {total:.2f}s step-end infinite}}
@media (prefers-reduced-motion:reduce){{#f{{animation:none;transform:translateX({last:g}px)}}}}
@keyframes f{{{"".join(steps)}}}</style>
<defs><rect id="c" width="{CELL_WIDTH}" height="{CELL_HEIGHT - 2}" y="2" fill="#d6dbe4" opacity=".6"/>
{chr(10).join(rows)}
</defs>
<rect width="{width:g}" height="{height:g}" rx="8" fill="#1b1f27" stroke="#495061"/>
<circle cx="20" cy="17" r="6" fill="#ff7a85"/><circle cx="40" cy="17" r="6" fill="#f2cc7c"/><circle cx="60" cy="17" r="6" fill="#8fd694"/>
<svg x="{PADDING}" y="{BAR + PADDING / 2:g}" width="{COLUMNS * CELL_WIDTH:g}" height="{ROWS * CELL_HEIGHT + PADDING}"><g id="f">
{chr(10).join(strip)}
</g></svg>
</svg>
"""


def text(run):
    at, words, colour, bold = run
    # Viewers differ in what they do with several spaces.
    solid = html.escape(words, quote=False).replace(" ", "\u00a0")
    style = f"{colour if colour in COLOURS else 'default'}{' b' if bold else ''}"
    length = f' textLength="{len(words) * CELL_WIDTH:g}"' if len(words) > 1 else ""
    return f'<text x="{at * CELL_WIDTH:g}" y="{FONT_SIZE}" class="{style}"{length}>{solid}</text>'


def main():
    stage, out = sys.argv[1:]
    frames, pauses = thinned(*record(stage))
    picture = draw(frames, schedule(frames, pauses))
    for told in (stage, os.path.realpath(stage), os.environ.get("USER") or stage, os.path.expanduser("~")):
        if told in picture:
            sys.exit(f"recording: {told} is seen in it")
    with open(out, "w", encoding="utf-8") as file:
        file.write(picture)
    print(f"{out}: {len(frames)} frames, {len(picture) // 1024} KiB")


if __name__ == "__main__":
    main()
