"""The public sources of the paper's five benchmarks: where each file comes from, how it is made, and its checksum.

Every source is pinned to a commit and every file to a SHA-256. `benchmark_downloads.py` fetches them.
"""

import io
import re
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

LONG_TEXT = "entity2textlong.txt"

# Sources as owner/repository/commit/path on GitHub. For OpenKE, each file has a commit that is known to hold it.
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


# Functions that make one file in KG-BERT layout: they take the contents of its sources, and return its content


def tidy(raw: bytes) -> bytes:
    """Removes tabs from the ends of lines (5 lines of WN11's texts have them), and ends the file with one newline."""
    return re.sub(rb"\t+\n", b"\n", raw.rstrip(b"\n") + b"\n")


def extract_member(name: str, archive: bytes) -> bytes:
    """Extracts a file from a tar.gz archive.

    Args:
        name: the file's name, without its folder in the archive.
        archive: the content of the archive.

    Returns:
        The tidied content of the file.

    Raises:
        StopIteration: the archive has no such file.
        tarfile.TarError, zlib.error, OSError, EOFError: the archive is damaged.
    """
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        file = next(file for file in files if file.isfile() and Path(file.name).name == name)
        return tidy(files.extractfile(file).read())  # type: ignore[union-attr]


def decode_ids(train2id: bytes, entity2id: bytes, relation2id: bytes) -> bytes:
    """Converts OpenKE's training triplets from integers to names.

    Args:
        train2id: a line with the number of triplets, then lines of `head tail relation` in integers.
        entity2id: a line with the number of entities, then lines of `name integer`.
        relation2id: the same for relations.

    Returns:
        Lines of `head, relation, tail`, separated by tabs.
    """
    entities, relations = (
        {number: name for name, number in (line.split() for line in file.splitlines()[1:])}
        for file in (entity2id, relation2id)
    )
    rows = (line.split() for line in train2id.splitlines()[1:])
    return b"".join(b"%s\t%s\t%s\n" % (entities[h], relations[r], entities[t]) for h, t, r in rows)


def _entities_of(archive: bytes) -> set[bytes]:
    """Returns the ids of the entities in the triplets of an archive with train.txt, valid.txt and test.txt."""
    lines = b"".join(extract_member(f"{split}.txt", archive) for split in ("train", "valid", "test")).splitlines()
    return {name for line in lines for name in line.split(b"\t")[::2]}


def select_names(mid2name: bytes, archive: bytes) -> bytes:
    """Selects the names of FB15k's entities that FB15k-237 uses.

    Args:
        mid2name: lines of `id, name`, separated by a tab.
        archive: FB15k-237 as published with ConvE.

    Returns:
        Lines of `id, name`, with spaces for the underscores of the names.
    """
    used = _entities_of(archive)
    rows = (line.split(b"\t") for line in mid2name.splitlines())
    return b"".join(b"%s\t%s\n" % (key, name.replace(b"_", b" ")) for key, name in rows if key in used)


def extract_descriptions(descriptions: bytes, archive: bytes) -> bytes:
    """Selects the descriptions of the entities that FB15k-237 uses.

    Args:
        descriptions: lines of `id, name -- description` as published with StAR, with JSON escapes.
        archive: FB15k-237 as published with ConvE.

    Returns:
        Lines of `id, description`, without the escapes.
    """
    used = {key.decode() for key in _entities_of(archive)}
    lines = []
    for line in descriptions.decode().rstrip("\n").split("\n"):
        key, _, text = line.partition("\t")
        _, separator, sentence = text.partition(" -- ")
        if key in used and separator:
            plain = re.sub(r"\\[nrt]", " ", sentence).replace("\\", "")
            lines.append(f"{key}\t{' '.join(plain.split())}\n")
    return "".join(lines).encode()


# The checksums of all files, as `sha256sum` prints them. A file without a recipe below is KG-BERT's file of that name,
# tidied.
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
KG_BERT_FOLDERS = {"umls": "umls", "wn18rr": "WN18RR", "fb15k-237": "FB15k-237", "wn11": "WN11", "fb13": "FB13"}
RECIPES: dict[str, tuple[Callable[..., bytes], tuple[str, ...]]] = {
    "fb15k-237/train.tsv": (partial(extract_member, "train.txt"), (CONVE,)),
    "fb15k-237/dev.tsv": (partial(extract_member, "valid.txt"), (CONVE,)),
    "fb15k-237/test.tsv": (partial(extract_member, "test.txt"), (CONVE,)),
    "fb15k-237/entity2text.txt": (select_names, (f"{KG_BERT}/FB15k-237/FB15k_mid2name.txt", CONVE)),
    "fb15k-237/entity2textlong.txt": (extract_descriptions, (STAR, CONVE)),
    "wn11/train.tsv": (decode_ids, OPENKE_WN11),
    "fb13/train.tsv": (decode_ids, OPENKE_FB13),
    "fb13/entity2text.txt": (tidy, (f"{KG_BERT}/FB13/entity2textshort.txt",)),
}


@dataclass(frozen=True)
class BenchmarkFile:
    """One file of a benchmark in KG-BERT layout.

    Attributes:
        name: the file's name.
        sha256: the checksum that its content must have, in hexadecimal digits.
        make: the function that takes the contents of the sources and returns the content of the file.
        sources: paths on GitHub: owner/repository/commit/path.
    """

    name: str
    sha256: str
    make: Callable[..., bytes]
    sources: tuple[str, ...]


def _benchmark_files() -> dict[str, list[BenchmarkFile]]:
    files: dict[str, list[BenchmarkFile]] = {benchmark: [] for benchmark in KG_BERT_FOLDERS}
    for line in SHA256SUMS.splitlines():
        sha256, path = line.split()
        benchmark, name = path.split("/")
        make, sources = RECIPES.get(path, (tidy, (f"{KG_BERT}/{KG_BERT_FOLDERS[benchmark]}/{name}",)))
        files[benchmark].append(BenchmarkFile(name, sha256, make, sources))
    return files


BENCHMARKS = _benchmark_files()  # benchmark -> its files; the entity2textlong.txt of some is optional
