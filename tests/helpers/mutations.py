"""Seeded damage to files: bytes, lines, values of JSON and YAML, headers of safetensors, and what is no file at all."""

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import yaml

DEEP = "[" * 100_000
ALIAS_BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
# What a value in JSON is replaced by.
VALUES = [
    *(None, True, False, 0, -1, 1, 2, 1.5, -0.5, 7, 64, 10**6, 10**30, -(10**30), 1e308, float("nan"), float("inf")),
    *("", " ", "x", "0", "nan", "\ud800", "x\ny", "\x1b[31m", "../x", "/etc/passwd", "bi-encoder", "x" * 5000),
    *([], [1], ["x"], [[0, 0, 0]], {}, {"x": 1}, {"id": []}, ["x"] * 3000),
]
SECONDS = 30  # after which a reader hangs


# Bytes


def flip_bit(content: bytes, random: Random) -> bytes:
    place = random.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << random.randrange(8)]) + content[place + 1 :]


def set_byte(content: bytes, random: Random) -> bytes:
    place = random.randrange(len(content))
    return content[:place] + bytes([random.choice(b"\0\n\t\r {}[]\"',:-09aA\x7f\x80\xff")]) + content[place + 1 :]


def _span(content: bytes, random: Random) -> tuple[int, int]:
    start = random.randrange(len(content))
    return start, min(len(content), start + 2 ** random.randrange(8))


def delete_bytes(content: bytes, random: Random) -> bytes:
    start, end = _span(content, random)
    return content[:start] + content[end:]


def insert_bytes(content: bytes, random: Random) -> bytes:
    start, end = _span(content, random)
    return content[:start] + random.randbytes(end - start) + content[start:]


def repeat_bytes(content: bytes, random: Random) -> bytes:
    start, end = _span(content, random)
    return content[:end] + content[start:]


def zero_bytes(content: bytes, random: Random) -> bytes:
    start, end = _span(content, random)
    return content[:start] + bytes(end - start) + content[end:]


def cut_off(content: bytes, random: Random) -> bytes:
    return content[: random.randrange(len(content))]


BYTES = [flip_bit, flip_bit, set_byte, delete_bytes, insert_bytes, repeat_bytes, zero_bytes, cut_off]


# Lines


def change_lines(content: bytes, random: Random) -> bytes:
    """Deletes, repeats, moves, splits or joins a line."""
    lines = content.splitlines(keepends=True)
    number = random.randrange(len(lines))
    line = lines.pop(number)
    where = random.randrange(len(lines) + 1)
    parts = {
        "delete": [],
        "repeat": [line, line],
        "blank": [b"\n", line],
        "split": [line[: len(line) // 2], b"\n", line[len(line) // 2 :]],
        "join": [line.rstrip(b"\n")],
        "header": [line.replace(b"\t", b"\0")],
    }
    kind = random.choice([*parts, "move"])
    if kind == "move":
        lines.insert(where, line)
    else:
        lines[number:number] = parts[kind]
    return b"".join(lines)


# Values


def _places(value, path=()) -> Iterator[tuple]:
    """Yields the path to each value inside a value of JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from _places(inner, (*path, key))


def change_value(content, random: Random):
    """Returns a value of JSON with one value inside it replaced, removed, renamed, repeated or nested."""
    content = json.loads(json.dumps(content))
    places = list(_places(content))
    if not places or random.random() < 0.05:
        return random.choice(VALUES)
    outer = [place for place in places if len(place) < 3]
    *path, key = random.choice(outer if random.random() < 0.5 else places)
    parent = content
    for step in path:
        parent = parent[step]
    kind = random.choice(["replace", "replace", "replace", "remove", "rename", "other", "nest", "number"])
    if kind == "remove":
        del parent[key]
    elif kind == "rename" and isinstance(parent, dict):
        parent[random.choice(["x", "", key + "s", key.upper()])] = parent.pop(key)
    elif kind == "other":
        found = content
        for step in random.choice(places):
            found = found[step]
        parent[key] = json.loads(json.dumps(found))
    elif kind == "nest":
        parent[key] = random.choice([[parent[key]], {"x": parent[key]}, str(parent[key])])
    elif kind == "number" and isinstance(parent[key], int | float):
        parent[key] = random.choice([parent[key] + 1, -parent[key], parent[key] * 10**6, float(parent[key])])
    else:
        parent[key] = random.choice(VALUES)
    return content


def change_json(content: bytes, random: Random) -> bytes:
    if random.random() < 0.03:
        return (b'{"metrics": ' if random.random() < 0.5 else b"") + DEEP.encode()
    return json.dumps(change_value(json.loads(content), random), indent=1).encode()


def change_json_line(content: bytes, random: Random) -> bytes:
    """Changes a value in one of the lines, from where its JSON begins."""
    lines = content.splitlines(keepends=True)
    number = random.randrange(len(lines))
    start = lines[number].index(b"{")
    changed = json.dumps(change_value(json.loads(lines[number][start:]), random)).encode()
    lines[number] = lines[number][:start] + changed + b"\n"
    return b"".join(lines)


def change_yaml(content: bytes, random: Random) -> bytes:
    """Changes a value of a YAML file, or of the metadata at the top of a card."""
    is_card = content.startswith(b"---\n")
    text = content.decode().split("---\n", 2)[1] if is_card else content.decode()
    kind = random.randrange(12)
    if kind == 0:
        changed = text + random.choice([ALIAS_BOMB, "x: &x [*x]\n", "<<: {x: 1}\n", "x: !!python/name:os.system\n"])
    elif kind == 1:
        changed = text + f"x: {DEEP}\n"
    elif kind == 2:
        changed = text + text
    else:
        changed = yaml.safe_dump(change_value(yaml.safe_load(text), random), sort_keys=False)
    rest = content.decode().split("---\n", 2)[2] if is_card else ""
    return (f"---\n{changed}---\n{rest}" if is_card else changed).encode("utf-8", "surrogatepass")


def change_header(content: bytes, random: Random) -> bytes:
    """Changes a value in the header of a safetensors file."""
    size = int.from_bytes(content[:8], "little")
    header = json.dumps(change_value(json.loads(content[8 : 8 + size]), random)).encode()
    return len(header).to_bytes(8, "little") + header + content[8 + size :]


# Files


def change_kind(file: Path, random: Random) -> int | None:
    """Replaces a file by none, an empty one, a folder, a pipe, a link to itself or one that leads nowhere.

    Returns the descriptor of a pipe. While it is open the wait is in reads, which signals end, and not in `open`.
    """
    file.unlink()
    kind = random.choice(["none", "empty", "folder", "pipe", "loop", "nowhere"])
    if kind == "pipe":
        os.mkfifo(file)
        return os.open(file, os.O_RDWR | os.O_NONBLOCK)
    if kind == "empty":
        file.touch()
    elif kind == "folder":
        file.mkdir()
    elif kind != "none":
        file.symlink_to(file.name if kind == "loop" else "nowhere")
    return None


Change = Callable[[bytes, Random], bytes]


@contextlib.contextmanager
def mutated(file: Path, changes: list[Change], random: Random) -> Iterator[str]:
    """Damages a file for as long as the context lasts; yields in words what was done."""
    content, pipe = file.read_bytes(), None
    change = random.choice([*changes, *changes, *BYTES, change_kind])
    try:
        if change is change_kind:
            pipe = change_kind(file, random)
        else:
            file.write_bytes(change(content, random))
        yield change.__name__
    finally:
        if pipe is not None:
            os.close(pipe)
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file)
        file.unlink(missing_ok=True)
        file.write_bytes(content)


class Hangs(BaseException):
    """A reader is not done after SECONDS. No handler of other errors catches it."""


@contextlib.contextmanager
def no_hang() -> Iterator[None]:
    """Raises Hangs in what takes longer."""

    def stop(*_):
        raise Hangs(f"not done after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
