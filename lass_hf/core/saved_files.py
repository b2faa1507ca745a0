"""A saved folder is whole, or as it was before: new files are made beside the old ones, change places, and are checked.

The configuration of a model, and that of a processor, names the digests of the files that were saved with it. Both
configurations go before the first file is replaced, and come back last. So whatever ends a save leaves the old files,
the new ones, or a folder that does not load; and files of different saves do not load, however they came together.
"""

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from transformers.utils import (
    ADAPTER_CONFIG_NAME,
    ADAPTER_SAFE_WEIGHTS_NAME,
    CONFIG_NAME,
    PROCESSOR_NAME,
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
    cached_file,
)

from .encoders import BESIDE, interrupted, places_of
from .errors import ModelError, first_line

CONFIGS = (CONFIG_NAME, PROCESSOR_NAME)
# Files from which a model's weights are read, if they are there.
WEIGHT_FILES = (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME, ADAPTER_CONFIG_NAME, ADAPTER_SAFE_WEIGHTS_NAME)
# In a configuration: the digests of the files that were saved with it, by name; null for one that must not be there.
DIGESTS = "saved_files"
MODEL_DIGESTS = "model_files"  # in a processor's configuration: those of the model that it was saved together with
KILLED_AFTER = 3600  # seconds without a new file in such a folder, after which its save was killed


@contextmanager
def replacing(folder: str | Path) -> Iterator[Path]:
    """Gives a folder to save into, whose files replace those of `folder` when all of them are written.

    A model and a processor that are saved in one such block belong together: the processor then loads only beside
    that model. Files of an earlier model or processor that the new one does not have are removed; other files stay.

    Args:
        folder: The folder to save into; it is made if it does not exist.

    Yields:
        An empty folder inside it. After an error in the block, `folder` is as it was.

    Raises:
        ModelError: `folder` is a file.
    """
    folder = Path(folder)
    if folder.is_file():
        raise ModelError(f"{folder}: a file; expected a folder to save into")
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{BESIDE}*"):
        with suppress(OSError):  # another process may remove it at the same time
            if time.time() - left.stat().st_mtime > KILLED_AFTER:
                shutil.rmtree(left)
    beside = Path(tempfile.mkdtemp(prefix=BESIDE, dir=folder))
    try:
        yield beside
        if all((beside / name).is_file() for name in CONFIGS):
            _change(beside / PROCESSOR_NAME, **{MODEL_DIGESTS: read_object(beside / CONFIG_NAME).get(DIGESTS)})
        _change_places(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def name_files(folder: Path, config_name: str, optional: Iterable[str], files: Iterable[str] | None = None) -> None:
    """Writes the digests of files in a folder into a configuration there.

    Args:
        folder: The folder that `replacing` gave, with the files of a model or of a processor.
        config_name: The name of the configuration; nothing is done where there is none.
        optional: Names of files that would be read if they were there, so that no earlier ones may stay.
        files: The files of this part; None for all in the folder but configurations and code. The next save of the part
            removes those that it does not have, so none of another part may be among them.
    """
    if files is None:
        files = [file for file in _files_in(folder) if file not in CONFIGS and not file.endswith(".py")]
    if (folder / config_name).is_file():
        _change(folder / config_name, **{DIGESTS: dict.fromkeys(optional) | digests_of(folder, files)})


def saved_config(name_or_path: str, config_name: str, **hub: Any) -> dict[str, Any]:
    """Reads a saved configuration, which transformers would replace by defaults if it were missing.

    Args:
        name_or_path: The folder, or the name on the hub.
        config_name: The name of the configuration.
        **hub: As in `from_pretrained`; what does not say where files are is ignored.

    Raises:
        ModelError: There is no such configuration, or it is no JSON object.
    """
    file = _find(name_or_path, config_name, hub)
    if file is None:
        expected = "; expected all files of a saved LASS model and its processor; from_encoder makes both of an encoder"
        raise ModelError(f"{name_or_path}: no {config_name}{interrupted(name_or_path) or expected}")
    try:
        config = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{name_or_path}: its {config_name} could not be read ({first_line(error)})") from error
    if not isinstance(config, dict):
        raise ModelError(f"{name_or_path}: its {config_name} is no JSON object; save the model and its processor again")
    return config


def check_saved_files(name_or_path: str, config_name: str, digests: Any, **hub: Any) -> None:
    """Checks that the files of a model, or of a processor, are those that its configuration was saved with.

    Args:
        name_or_path: The folder, or the name on the hub.
        config_name: The name of the configuration.
        digests: The digests that it names; None for one of a version that named none: then nothing is checked.
        **hub: As in `saved_config`.

    Raises:
        ModelError: A file is missing, or another one than that which was saved.
    """
    if file := find_other_file(name_or_path, config_name, digests, **hub):
        raise ModelError(
            f"{name_or_path}: {file} is not the one that {config_name} was saved with: a copy or a download broke off, "
            f"or it was changed or removed; copy or save all files again, or, if the change is meant, edit "
            f'"{DIGESTS}" in {config_name}'
        )


def find_other_file(name_or_path: str, config_name: str, digests: Any, **hub: Any) -> str | None:
    """Returns the name of a file for which `check_saved_files` raises an error; None if there is none."""
    if digests is None:
        return None
    if not isinstance(digests, dict) or not all(map(_is_inside, digests)):
        raise ModelError(f'{name_or_path}: "{DIGESTS}" of its {config_name} is {digests!r:.100}; expected file names')
    for file, digest in digests.items():
        path = _find(name_or_path, file, hub)
        if (None if path is None else _digest(path)) != digest:
            return file
    return None


def digests_of(folder: str | Path, files: Iterable[str]) -> dict[str, str]:
    """Returns the digests of files in a folder, by name."""
    return {file: _digest(Path(folder, file)) for file in sorted(files)}


def check_saved_together(name_or_path: str, processor_config: dict[str, Any], **hub: Any) -> None:
    """Checks that the model beside a processor is the one that the processor was saved together with, if with any.

    Args:
        name_or_path: The folder, or the name on the hub.
        processor_config: The processor's configuration.
        **hub: As in `saved_config`.

    Raises:
        ModelError: The files of the model are those of another save.
    """
    if (expected := processor_config.get(MODEL_DIGESTS)) is None:
        return
    if saved_config(name_or_path, CONFIG_NAME, **hub).get(DIGESTS) != expected:
        raise ModelError(
            f"{name_or_path}: the processor was saved together with another model than the one beside it; save both "
            f'again, or, if they belong together, remove "{MODEL_DIGESTS}" from {PROCESSOR_NAME}'
        )


def _change_places(beside: Path, folder: Path) -> None:
    """Moves all files into a folder, in place of those of the same parts there."""
    files = _files_in(beside)
    configs = sorted((file for file in files if file.endswith("config.json")), key=CONFIGS.__contains__)
    named = [read_object(place / name).get(DIGESTS) for name in CONFIGS if name in files for place in (folder, beside)]
    old = {file for names in named if isinstance(names, dict) for file in filter(_is_inside, names)}
    for file in [*reversed(configs), *sorted(old.difference(files))]:
        (folder / file).unlink(missing_ok=True)
    for file in [*(file for file in files if file not in configs), *configs]:
        (folder / file).parent.mkdir(exist_ok=True)
        (beside / file).replace(folder / file)


def _files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _is_inside(file: str) -> bool:
    """Checks that a name out of a configuration leads nowhere outside its folder."""
    return not Path(file).is_absolute() and ".." not in Path(file).parts


def _find(name_or_path: str, file: str, hub: dict[str, Any]) -> str | None:
    """Returns the path of a file in a folder, or in the cache of the hub; None if there is none."""
    try:
        return cached_file(name_or_path, file, **places_of(hub), _raise_exceptions_for_missing_entries=False)
    except Exception as error:  # of the network, the hub or the disk
        raise ModelError(f"{name_or_path}: its {file} could not be loaded ({first_line(error)})") from error


def read_object(file: str | Path) -> dict[str, Any]:
    """Returns the JSON object in a file; {} if there is none."""
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(read_object(file) | values, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _digest(file: str | Path) -> str:
    with open(file, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
