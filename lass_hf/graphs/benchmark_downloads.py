"""Downloads a benchmark of `benchmark_sources.py` into the cache of `datasets`, in KG-BERT layout.

A download leaves all files or none. `readers.py` reads the folder.
"""

import hashlib
import io
import os
import tempfile
import urllib.request
from http.client import HTTPException, IncompleteRead
from pathlib import Path
from urllib.error import HTTPError, URLError

from huggingface_hub.utils import WeakFileLock, are_progress_bars_disabled
from tqdm import tqdm

from ..core.errors import GraphError
from .benchmark_sources import BENCHMARKS, LONG_TEXT, BenchmarkFile

BASE_URL = "https://raw.githubusercontent.com"
TIMEOUT = 30  # seconds without a byte from the server
LARGEST = 2**28  # bytes of a source; what is larger is none of them


def download(benchmark: str, *, long_text: bool = False) -> Path:
    """Downloads the files of a benchmark that its folder in the cache lacks, or holds damaged.

    Nothing is written before each file has its pinned checksum. If several processes call this at the same time, one
    of them downloads, and the others wait for a lock and then find the files.

    Args:
        benchmark: a name in `BENCHMARKS`.
        long_text: download the long texts of the entities too.

    Returns:
        The folder in the cache of `datasets` (HF_DATASETS_CACHE), in KG-BERT layout.

    Raises:
        GraphError: a source cannot be reached or its content has changed, the cache cannot be written, a file is
            missing in offline mode, or the benchmark has no long texts.
    """
    import datasets

    files = [file for file in BENCHMARKS[benchmark] if long_text or file.name != LONG_TEXT]
    if long_text and LONG_TEXT not in [file.name for file in files]:
        raise GraphError(f"{benchmark}: no source has long texts for it; leave long_text out, or give data_dir")
    folder = Path(datasets.config.HF_DATASETS_CACHE, "lass_hf", benchmark)
    missing = _find_missing(folder, files)
    if missing and datasets.config.HF_HUB_OFFLINE:
        names = ", ".join(file.name for file in missing)
        raise GraphError(
            f"{benchmark}: {names} not in the cache {folder}, and offline mode (HF_HUB_OFFLINE, HF_DATASETS_OFFLINE) "
            f"forbids to download; {_alternative(benchmark, missing)}"
        )
    if missing:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with WeakFileLock(f"{folder}.lock"):
                fetched: dict[str, bytes] = {}
                contents = {file.name: _make(benchmark, file, fetched) for file in _find_missing(folder, files)}
                _write(folder, contents)
        except OSError as error:
            raise GraphError(
                f"{benchmark}: the cache {folder} cannot be written ({error.strerror}); set HF_DATASETS_CACHE to "
                "another folder"
            ) from None
    return folder


def _find_missing(folder: Path, files: list[BenchmarkFile]) -> list[BenchmarkFile]:
    return [file for file in files if not _has_checksum(folder / file.name, file.sha256)]


def _has_checksum(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _alternative(benchmark: str, files: list[BenchmarkFile]) -> str:
    """Returns the part of an error message that names what to do without a download of these files."""
    if [file.name for file in files] == [LONG_TEXT]:
        return (
            f"leave long_text out, or give a folder of your own that holds {LONG_TEXT} (id, text) as data_dir (--graph)"
        )
    layout = ", ".join(file.name for file in BENCHMARKS[benchmark] if file.name != LONG_TEXT)
    return f"give a folder of your own with {layout} in KG-BERT's layout as data_dir (--graph)"


def _make(benchmark: str, file: BenchmarkFile, fetched: dict[str, bytes]) -> bytes:
    """Returns the content of a file; adds the sources that it had to download to `fetched`, by URL."""
    urls = [f"{BASE_URL}/{source}" for source in file.sources]
    for url in urls:
        if url not in fetched:
            try:
                fetched[url] = _fetch(url, f"{benchmark}: {url.rpartition('/')[2]}")
            except (OSError, HTTPException) as error:
                raise GraphError(
                    f"{benchmark}: {url} cannot be downloaded ({_reason(error)}); try again later, or "
                    f"{_alternative(benchmark, [file])}"
                ) from None
    try:
        content, fault = file.make(*(fetched[url] for url in urls)), ""
    except Exception as error:  # of an archive that is damaged or another
        content, fault = b"", f": {type(error).__name__}"
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != file.sha256:
        fault = fault or f": SHA-256 of {file.name} is {sha256[:12]}..., expected {file.sha256[:12]}..."
        raise GraphError(
            f"{benchmark}: {' and '.join(urls)} gave another content than the one that is known{fault}; "
            f"try again later, or {_alternative(benchmark, [file])}"
        )
    return content


def _fetch(url: str, description: str) -> bytes:
    """Downloads a file behind a progress bar."""
    # transformers' switch for progress bars switches this one too, and reading it here does not import transformers.
    quiet = are_progress_bars_disabled()
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response, io.BytesIO() as content:
        size = response.length
        with tqdm(total=size, desc=description, unit="B", unit_scale=True, disable=quiet) as bar:
            while block := response.read(1 << 16):
                content.write(block)
                bar.update(len(block))
                if content.tell() > LARGEST:
                    raise HTTPException(f"more than {LARGEST:,} bytes")
        if size is not None and content.tell() < size:
            raise IncompleteRead(content.getvalue(), size - content.tell())
        return content.getvalue()


def _reason(error: Exception) -> str:
    """Returns the reason of a failed download in words."""
    if isinstance(error, HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, IncompleteRead):
        return f"the connection ended after {len(error.partial):,} bytes, {error.expected or 0:,} too early"
    reason = error.reason if isinstance(error, URLError) else error
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__


def _write(folder: Path, contents: dict[str, bytes]) -> None:
    """Writes all files under temporary names, and then gives each its own name."""
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as scratch:
        for name, content in contents.items():
            Path(scratch, name).write_bytes(content)
        for name in contents:
            os.replace(Path(scratch, name), folder / name)
