"""The public sources of the paper's five benchmarks, pinned: where each file comes from, how it is made, its checksum.

Downloads into the cache of `datasets`, in KG-BERT layout, all or nothing; `graph_files.py` reads what lies there.
"""

import hashlib
import io
import os
import re
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException, IncompleteRead
from pathlib import Path
from urllib.error import HTTPError, URLError

from huggingface_hub.utils import WeakFileLock
from tqdm import tqdm

from ..core.errors import GraphError

BASE_URL = "https://raw.githubusercontent.com"
TIMEOUT = 30  # seconds of silence
LONG_TEXT = "entity2textlong.txt"

# owner/repository/commit, as BASE_URL names them. OpenKE: for each file, a commit that is known to hold it.
KG_BERT = "yao8839836/kg-bert/62b76ed5652bf3da5a355cbe9c1109f58290756f/data"
CONVE = "TimDettmers/ConvE/9e3ad48b3f7bdf1f512dca1723b77bce500508e1/FB15k-237.tar.gz"
STAR = "wangbo9719/StAR_KGC/dc5ee80bef1320e329e8ff0d27fb24497ced6dda/StAR/data/FB15k-237/fb-entity2text-new.txt"
OPENKE_WN11 = (
    "thunlp/OpenKE/c09a954ee1acdf5b9af0e90a6f03af3858741446/benchmarks/WN11/train2id.txt",
    "thunlp/OpenKE/923d6b326f5f184a5279917536f2c0c6bdce61aa/benchmarks/WN11/entity2id.txt",
    "thunlp/OpenKE/923d6b326f5f184a5279917536f2c0c6bdce61aa/benchmarks/WN11/relation2id.txt",
)
OPENKE_FB13 = (
    "thunlp/OpenKE/923d6b326f5f184a5279917536f2c0c6bdce61aa/benchmarks/FB13/train2id.txt",
    "thunlp/OpenKE/75e1b4db83d5b7f4b25546b4213cba8bed4b097c/benchmarks/FB13/entity2id.txt",
    "thunlp/OpenKE/75e1b4db83d5b7f4b25546b4213cba8bed4b097c/benchmarks/FB13/relation2id.txt",
)


# How files are made: bytes of the sources in, bytes of one file out


def tidy(raw: bytes) -> bytes:
    """A file as it is, but for tabs at the end of a line (5 lines of WN11's texts), and with a newline at its end."""
    return re.sub(rb"\t+\n", b"\n", raw.rstrip(b"\n") + b"\n")


def member(name: str, archive: bytes) -> bytes:
    """One file of a tar.gz archive, in whichever folder it lies."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        file = next(file for file in files if file.isfile() and Path(file.name).name == name)
        return tidy(files.extractfile(file).read())  # type: ignore[union-attr]


def decode_ids(train2id: bytes, entity2id: bytes, relation2id: bytes) -> bytes:
    """OpenKE's training triplets, `head tail relation` in integers, as names; each file's first line is a count."""
    entities, relations = (
        {number: name for name, number in (line.split() for line in file.splitlines()[1:])}
        for file in (entity2id, relation2id)
    )
    rows = (line.split() for line in train2id.splitlines()[1:])
    return b"".join(b"%s\t%s\t%s\n" % (entities[h], relations[r], entities[t]) for h, t, r in rows)


def _entities_in_use(archive: bytes) -> set[bytes]:
    lines = b"".join(member(f"{split}.txt", archive) for split in ("train", "valid", "test")).splitlines()
    return {name for line in lines for name in line.split(b"\t")[::2]}


def names_in_use(mid2name: bytes, archive: bytes) -> bytes:
    """The lines of FB15k's names whose entity FB15k-237 uses, underscores spaced."""
    used = _entities_in_use(archive)
    rows = (line.split(b"\t") for line in mid2name.splitlines())
    return b"".join(b"%s\t%s\n" % (key, name.replace(b"_", b" ")) for key, name in rows if key in used)


def first_sentences(descriptions: bytes, archive: bytes) -> bytes:
    """The descriptions of StAR, lines of `key, name -- description`, without the name and its JSON escapes."""
    used = {key.decode() for key in _entities_in_use(archive)}
    lines = []
    for line in descriptions.decode().rstrip("\n").split("\n"):
        key, _, text = line.partition("\t")
        _, found, sentence = text.partition(" -- ")
        if key in used and found:
            plain = re.sub(r"\\[nrt]", " ", sentence).replace("\\", "")
            lines.append(f"{key}\t{' '.join(plain.split())}\n")
    return "".join(lines).encode()


# The files, as `sha256sum` prints and checks them. What MADE does not name is KG-BERT's file of that name, tidied.
SHA256SUMS = """\
025c98f8a4891e2a6582ec5b40ee0d904031edad9c52554522f4b7904820c98e  umls/dev.tsv
9314b276740eb5b510f635710292da4ad100704eca26e742c17896b59afb06d1  umls/entity2text.txt
8ffc75c7d26049d8fda2a7611be9823f08559c70ca06cdbf09f48a996fe6ce05  umls/entity2textlong.txt
2a3619d676b0911771e5595a14ca285858206c3b6e0d8cc1a97db57fed24ee9c  umls/relation2text.txt
a7eb529a3d2810fcc96341ccc97c625a5e202f8389673aa6bd317eeebbb79014  umls/test.tsv
873ef4925516b83e7f6f8cc02b4be51d848828710a7f65a956f0ac4a9e452f35  umls/train.tsv
453ce7202afa58094a04d2b1560ee2b02660f1c260b32ce6651c8ccedd1028ab  wn18rr/dev.tsv
ef626928382fc2ed9b3a414fec528b349174633b3927735a8c27a65c9a703b5d  wn18rr/entity2text.txt
736dd59ab5f4a5474a2796a980d5019ec643ea2387383caa11168ccf7ddc3fa1  wn18rr/relation2text.txt
0383bceaaa1096cf3c03ec021ed0048068e2355dbfc0239b292cefdac821cec5  wn18rr/test.tsv
038612e783c215ee5f3ca9fbfca27b8d0739be1028fe4ee7c174aecf0b83d5df  wn18rr/train.tsv
749cbe9d923bac7b9354da5614ecfed2e0220256d442c3e04a6b303db1f273d9  fb15k-237/dev.tsv
76b0ae6d318491ba7876859cf9c9413faa799c6705ff07e54dd5e2801b580748  fb15k-237/entity2text.txt
cb2ae8436d487700dca15d7b538440c894037e411c996ff044bf9bfd83c0c4fb  fb15k-237/entity2textlong.txt
1c23aca44a936f9579f714f3d5e9c6df198d4373a4b79fc679516601127be145  fb15k-237/relation2text.txt
e2e35e8e6113de220140b6f44dc71a5207b0fc6872d575e874aefe13259b655b  fb15k-237/test.tsv
61099230e4439f90885ca9767739e31e8e32f54736fa1c35952b27997bc7c08a  fb15k-237/train.tsv
c98b66ad43717096069551df27b4261f5ddf336d6c742848b52d5f17c3bfaaa0  wn11/dev.tsv
3def72f65608b2ba91f6dce3aa6876a72dc59c1c19e1473d0a0ed2ed81b1e828  wn11/entity2text.txt
eac2c1502b7b75cf8f221e1427498dbbc12aab5fae28b5fc53faa670fb5902c7  wn11/relation2text.txt
ebcf1c6f84d5f27c85e173f399ae7c4755fd582a0d95c7173369f6ca539c9f0f  wn11/test.tsv
1a49d78c8bbd2285514f7aaa4d5c9390c1fbb4fdd7151013d8285b01420b4651  wn11/train.tsv
431d05a8dd27cf5adbfc9ae5f7f3f40037bcdc9632bfc87eccdb4895e2633c6c  fb13/dev.tsv
4dd44d77e3ca1a5ff8314858fda0f82e61583fd12f746f924dced63cb95abf71  fb13/entity2text.txt
7ae21360703225e0c6b20ecf52cbc9f7154aba1b28232e55f81ca627d6b86904  fb13/relation2text.txt
a85b2e843f64b2020987bf3e99aac0a875ac5d05e900f5a63a37305b7c34741b  fb13/test.tsv
a5fbd015907724cea39d1eb8379cdd5b4859515196beda261e302401428035fb  fb13/train.tsv
"""
FOLDERS = {"umls": "umls", "wn18rr": "WN18RR", "fb15k-237": "FB15k-237", "wn11": "WN11", "fb13": "FB13"}
MADE: dict[str, tuple[Callable[..., bytes], tuple[str, ...]]] = {
    "fb15k-237/train.tsv": (partial(member, "train.txt"), (CONVE,)),
    "fb15k-237/dev.tsv": (partial(member, "valid.txt"), (CONVE,)),
    "fb15k-237/test.tsv": (partial(member, "test.txt"), (CONVE,)),
    "fb15k-237/entity2text.txt": (names_in_use, (f"{KG_BERT}/FB15k-237/FB15k_mid2name.txt", CONVE)),
    "fb15k-237/entity2textlong.txt": (first_sentences, (STAR, CONVE)),
    "wn11/train.tsv": (decode_ids, OPENKE_WN11),
    "fb13/train.tsv": (decode_ids, OPENKE_FB13),
    "fb13/entity2text.txt": (tidy, (f"{KG_BERT}/FB13/entity2textshort.txt",)),
}


@dataclass(frozen=True)
class BenchmarkFile:
    """One file in KG-BERT layout: `make(*contents of the sources)` gives it, and `sha256` is what that must be."""

    name: str
    sha256: str
    make: Callable[..., bytes]
    sources: tuple[str, ...]


def _benchmark_files() -> dict[str, list[BenchmarkFile]]:
    files: dict[str, list[BenchmarkFile]] = {benchmark: [] for benchmark in FOLDERS}
    for line in SHA256SUMS.splitlines():
        sha256, path = line.split()
        benchmark, name = path.split("/")
        make, sources = MADE.get(path, (tidy, (f"{KG_BERT}/{FOLDERS[benchmark]}/{name}",)))
        files[benchmark].append(BenchmarkFile(name, sha256, make, sources))
    return files


BENCHMARKS = _benchmark_files()


# Downloading


def download(benchmark: str, *, long_text: bool = False) -> Path:
    """Folder of the datasets cache that holds a benchmark in KG-BERT layout; downloads what is not there unharmed.

    Nothing is written before each file has its pinned checksum. Of several processes one downloads, and the others wait
    for its files (a lock, as `datasets` has for its tables). Raises GraphError for a source that cannot be reached
    or is not what it was, for a missing file in offline mode, and for `long_text` where the benchmark has none.
    """
    import datasets

    files = [file for file in BENCHMARKS[benchmark] if long_text or file.name != LONG_TEXT]
    if long_text and LONG_TEXT not in [file.name for file in files]:
        raise GraphError(f"{benchmark}: no source has long texts for it; leave long_text out, or give data_dir")
    folder = Path(datasets.config.HF_DATASETS_CACHE, "lass_hf", benchmark)
    missing = _missing(folder, files)
    if missing and datasets.config.HF_HUB_OFFLINE:
        names = ", ".join(file.name for file in missing)
        raise GraphError(
            f"{benchmark}: {names} not in the cache {folder}, and offline mode (HF_HUB_OFFLINE, HF_DATASETS_OFFLINE) "
            f"forbids to download; {_instead(benchmark, missing)}"
        )
    if missing:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with WeakFileLock(f"{folder}.lock"):
                fetched: dict[str, bytes] = {}
                contents = {file.name: _make(benchmark, file, fetched) for file in _missing(folder, files)}
                _write(folder, contents)
        except OSError as error:
            raise GraphError(
                f"{benchmark}: the cache {folder} cannot be written ({error.strerror}); HF_DATASETS_CACHE names another"
            ) from None
    return folder


def _missing(folder: Path, files: list[BenchmarkFile]) -> list[BenchmarkFile]:
    return [file for file in files if not _is_there(folder / file.name, file.sha256)]


def _is_there(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _instead(benchmark: str, files: list[BenchmarkFile]) -> str:
    """What to do without a download."""
    if [file.name for file in files] == [LONG_TEXT]:
        return (
            f"leave long_text out, or give a folder of your own that holds {LONG_TEXT} (id, text) as data_dir (--graph)"
        )
    layout = ", ".join(file.name for file in BENCHMARKS[benchmark] if file.name != LONG_TEXT)
    return f"give a folder of your own with {layout} in KG-BERT's layout as data_dir (--graph)"


def _make(benchmark: str, file: BenchmarkFile, fetched: dict[str, bytes]) -> bytes:
    urls = [f"{BASE_URL}/{source}" for source in file.sources]
    for url in urls:
        if url not in fetched:
            try:
                fetched[url] = _fetch(url, f"{benchmark}: {url.rpartition('/')[2]}")
            except (OSError, HTTPException) as error:
                raise GraphError(
                    f"{benchmark}: {url} cannot be downloaded ({_why(error)}); try again later, or "
                    f"{_instead(benchmark, [file])}"
                ) from None
    try:
        content, fault = file.make(*(fetched[url] for url in urls)), ""
    except (tarfile.TarError, zlib.error, OSError, EOFError, StopIteration, ValueError, KeyError) as error:
        content, fault = b"", f": {type(error).__name__}"
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        fault = fault or f": SHA-256 of {file.name} is {found[:12]}..., expected {file.sha256[:12]}..."
        raise GraphError(
            f"{benchmark}: {' and '.join(urls)} gave another content than the one that is known{fault}; "
            f"try again later, or {_instead(benchmark, [file])}"
        )
    return content


def _fetch(url: str, description: str) -> bytes:
    from transformers.utils import logging as transformers_logging  # here: a graph that is there needs no transformers

    quiet = not transformers_logging.is_progress_bar_enabled()
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response, io.BytesIO() as content:
        size = response.length
        with tqdm(total=size, desc=description, unit="B", unit_scale=True, disable=quiet) as bar:
            while block := response.read(1 << 16):
                content.write(block)
                bar.update(len(block))
        if size is not None and content.tell() < size:
            raise IncompleteRead(content.getvalue(), size - content.tell())
        return content.getvalue()


def _why(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, IncompleteRead):
        return f"the connection ended after {len(error.partial):,} bytes, {error.expected or 0:,} too early"
    reason = error.reason if isinstance(error, URLError) else error
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__


def _write(folder: Path, contents: dict[str, bytes]) -> None:
    """All files get their names when all are written."""
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as scratch:
        for name, content in contents.items():
            Path(scratch, name).write_bytes(content)
        for name in contents:
            os.replace(Path(scratch, name), folder / name)
