"""What a process that is killed at any file operation leaves: the files as they are at that moment.

A SIGKILL takes nothing back that the system was given to write, and gives it nothing more. So a folder that is looked
at before each operation shows what a kill just then would leave, without a process for each.
"""

import hashlib
import os
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

# Events of Python at which files change. `os.rename` is that of `os.replace` too, `os.remove` that of `unlink`.
EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "shutil.copyfile"}
# Functions that write files without such an event.
NATIVE = ("transformers.modeling_utils.safe_save_file", "lass_hf.core.knowledge_graph.save_file", "torch.save")
_watches: list = []
_digests: dict = {}  # by what changes with a file


def _hear(event, arguments):
    if event in EVENTS or (event == "open" and _writes(*arguments)):
        _notify()


def _notify():
    if _watches:
        watch = _watches.pop()  # what it does itself is no operation
        try:
            watch()
        finally:
            _watches.append(watch)


def _writes(path, mode, flags) -> bool:
    return bool(flags & (os.O_WRONLY | os.O_RDWR)) and not str(path).startswith("/dev/")


sys.addaudithook(_hear)


def watched(action, before):
    """Calls `before` ahead of each file operation of an action, and after the last."""

    def native(function):
        def call(*arguments, **choices):
            _notify()
            return function(*arguments, **choices)

        return call

    with ExitStack() as stack:
        for name in NATIVE:
            module, _, attribute = name.rpartition(".")
            stack.enter_context(patch(name, native(getattr(sys.modules[module], attribute))))
        _watches.append(before)
        try:
            action()
        finally:
            _watches.remove(before)
    before()


def contents(folder) -> dict[str, str]:
    """The digests of all files in a folder."""
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _digest(path, path.stat()) for path in paths}


def _digest(path, status) -> str:
    key = (status.st_ino, status.st_size, status.st_mtime_ns)
    if key not in _digests:
        _digests[key] = hashlib.md5(path.read_bytes()).hexdigest()
    return _digests[key]


class Kills:
    """All that kills leave of a folder while an action changes it.

    Args:
        folder: The folder.
        action: Changes the folder; it is called once.
        place: Where the states of the folder go, each in a folder of its own.

    Attributes:
        number: The kills: one before each file operation, and one in the middle of each file that is written.
        states: The folders that they leave, without those that are equal.
    """

    def __init__(self, folder, action, place):
        self.folder, self.place = Path(folder), Path(place)
        self.number, self.states, self._keys, self._last = 0, [], set(), contents(folder)
        watched(action, self._look)

    def _look(self):
        now = contents(self.folder)
        for file in [name for name, digest in now.items() if self._last.get(name) != digest]:
            if now[file] not in self._last.values():  # written, not renamed
                self._keep({**now, file: "cut"}, file)
        self._keep(now)
        self._last = now

    def _keep(self, key, cut=None):
        self.number += 1
        # The names in a temporary folder are those of one run; what is in it is never read.
        key = frozenset((name, digest) for name, digest in key.items() if "/." not in f"/{name}")
        if key in self._keys:
            return
        self._keys.add(key)
        state = shutil.copytree(self.folder, self.place / str(len(self.states)))
        if cut is not None:
            os.truncate(state / cut, os.path.getsize(state / cut) // 2)
        self.states.append(state)
