"""The entity index is compared with brute force in float64; its folder survives kills and refuses other models."""

import errno
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

import lass_hf.scoring.entity_index
import lass_hf.scoring.entity_index_files
from lass_hf.core.errors import LassError, NonFiniteError
from lass_hf.scoring.entity_index import EntityIndex

DIM = 12
ENTITIES = 30  # four blocks of 8, the last one of 6


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(lass_hf.scoring.entity_index_files, "ENTITIES_PER_BLOCK", 8)
    monkeypatch.setattr(lass_hf.scoring.entity_index, "ENTITIES_ENCODED_AT_ONCE", 3)
    monkeypatch.setattr(lass_hf.scoring.entity_index, "QUERIES_COMPARED_AT_ONCE", 4)


def random_vectors(rows: int, dim: int = DIM, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed))


def whole_vectors(rows: int, dim: int = DIM, seed: int = 0) -> torch.Tensor:
    """Returns small whole numbers, so that every distance is exact in float32, and many are equal."""
    return torch.randint(-1, 2, (rows, dim), generator=torch.Generator().manual_seed(seed)).float()


class Encoder:
    """Returns rows of a table, records their entities, and raises an error at entity `stop`."""

    def __init__(self, vectors: torch.Tensor, stop: int | None = None):
        self.vectors, self.stop, self.encoded = vectors, stop, []

    def __call__(self, entities: np.ndarray) -> torch.Tensor:
        assert entities.dtype == np.int64
        if self.stop in entities:
            raise KeyboardInterrupt
        self.encoded += entities.tolist()
        return self.vectors[torch.from_numpy(entities)]


def digest_of(names: list[str]):
    return lambda start, stop: "|".join(names[start:stop])


NAMES = [f"entity {number}" for number in range(100)]


def build(encode, num_entities=ENTITIES, folder=None, names=NAMES, model="a model", quiet=True):
    return EntityIndex.build(encode, num_entities, digest_of(names), model, folder, quiet)


def load(folder, num_entities=ENTITIES, names=NAMES, model="a model"):
    return EntityIndex.load(folder, num_entities, digest_of(names), model)


def files(folder) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def brute_force(vectors, queries, exclude=()) -> np.ndarray:
    """Returns squared distances in float64, inf for excluded pairs; shape (q, entities)."""
    distances = ((queries.double()[:, None] - vectors.double()) ** 2).sum(2).numpy()
    for row, entity in exclude:
        distances[row, entity] = np.inf
    return distances


@settings(deadline=None, max_examples=60)
@given(
    st.one_of(st.integers(1, 40), st.sampled_from([1, 7, 8, 9, 16, 17])),
    st.integers(0, 9),
    st.integers(1, 40),
    st.integers(0, 2**16),
    st.data(),
)
def test_nearest_are_those_of_brute_force_ties_by_the_lower_entity(entities, queries, k, seed, data):
    vectors, query_vectors = whole_vectors(entities, 3, seed), whole_vectors(queries, 3, seed + 1)
    pair = st.tuples(st.integers(0, max(0, queries - 1)), st.integers(0, entities - 1))
    pairs = data.draw(st.lists(pair, max_size=30)) if queries else []
    expected = brute_force(vectors, query_vectors, pairs)
    exclude = tuple(np.array(pairs, dtype=np.int64).reshape(-1, 2).T)
    index = build(Encoder(vectors), entities)
    if k > entities:
        with pytest.raises(LassError, match=rf"k={k}; expected 1 to {entities}, the number of entities"):
            index.nearest(query_vectors, k, exclude)
        return
    distances, found = index.nearest(query_vectors, k, exclude)
    assert distances.shape == found.shape == (queries, k)
    assert (distances.dtype, found.dtype) == (np.float32, np.int64)
    order = np.argsort(expected, axis=1, kind="stable")[:, :k]
    nearest = np.take_along_axis(expected, order, axis=1)
    assert found.tolist() == np.where(np.isinf(nearest), -1, order).tolist()
    assert distances.tolist() == nearest.tolist()


@pytest.mark.parametrize("scale", [1e-3, 1, 1e3])
def test_distances_agree_with_float64_up_to_the_rounding_of_the_norms(scale):
    vectors, queries = scale * random_vectors(ENTITIES), scale * random_vectors(5, seed=1)
    index = build(Encoder(vectors))
    assert (index.num_entities, index.dim, list(map(len, index.blocks))) == (ENTITIES, DIM, [8, 8, 8, 6])
    parts = list(index.distances(queries))
    assert [start for start, _ in parts] == [0, 8, 16, 24]
    distances = torch.cat([part for _, part in parts], 1)
    assert distances.dtype == torch.float32
    expected = brute_force(vectors, queries)
    largest = (queries.square().sum(1).max() + vectors.square().sum(1).max()).item()
    assert np.abs(distances.numpy() - expected).max() < 1e-6 * largest
    nearest, found = index.nearest(queries, 7)
    assert found.tolist() == np.argsort(expected, axis=1)[:, :7].tolist()
    assert np.abs(nearest - np.sort(expected, axis=1)[:, :7]).max() < 1e-6 * largest


def test_the_distance_of_a_vector_to_itself_is_not_negative():
    index = build(Encoder(random_vectors(ENTITIES)))
    distances, found = index.nearest(index.vectors(np.arange(ENTITIES)), 1)
    assert found[:, 0].tolist() == list(range(ENTITIES))
    assert distances.min() >= 0
    assert distances.max() < 1e-4


def test_a_search_keeps_no_graph_for_gradients():
    index, queries = build(Encoder(random_vectors(ENTITIES))), random_vectors(2, seed=1).requires_grad_()
    assert not any(part.requires_grad for _, part in index.distances(queries))
    assert index.nearest(queries, 2)[0].shape == (2, 2)


def test_vectors_come_back_in_any_order_and_shape():
    vectors = random_vectors(ENTITIES)
    entities = np.array([[29, 0, 8], [7, 8, 15]])
    assert torch.equal(build(Encoder(vectors)).vectors(entities), vectors[torch.from_numpy(entities)])


def test_an_index_that_was_moved_finds_the_same():
    index, queries = build(Encoder(whole_vectors(ENTITIES))), whole_vectors(6, seed=1)
    moved = index.to("cpu")
    for one, other in zip(index.nearest(queries, 9), moved.nearest(queries, 9), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("k", "exclude", "message"),
    [
        (0, None, "k=0; expected 1 to 30"),
        (31, None, "k=31; expected 1 to 30, the number of entities"),
        (1, ([2], [0]), "query 2 to 2; expected 0 to 1"),
        (1, ([0, 0], [-1, 30]), "entity -1 to 30; expected 0 to 29"),
    ],
)
def test_searches_for_too_many_or_unknown_entities_are_refused(k, exclude, message):
    with pytest.raises(LassError, match=message):
        build(Encoder(random_vectors(ENTITIES))).nearest(random_vectors(2), k, exclude)


def test_bad_queries_are_refused():
    index = build(Encoder(random_vectors(ENTITIES)))
    with pytest.raises(LassError, match=r"queries of shape \(2, 5\); expected \(number, 12\)"):
        index.nearest(random_vectors(2, 5), 1)
    with pytest.raises(NonFiniteError, match="vector of a query"):
        next(index.distances(torch.full((1, DIM), torch.nan)))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, 1e30])
def test_vectors_that_are_not_finite_are_never_written(bad, tmp_path):
    vectors = random_vectors(ENTITIES)
    vectors[[12, 14], 3] = bad
    with pytest.raises(NonFiniteError, match="2 entities are NaN or infinite, entity 12 is the first"):
        build(Encoder(vectors), folder=tmp_path)
    assert files(tmp_path) == ["00000.safetensors"]
    with pytest.raises(NonFiniteError, match="entity 12 is the first"):
        EntityIndex([vectors[:8], vectors[8:]]).nearest(random_vectors(1), 1)


def test_no_entities_are_no_index(tmp_path):
    for folder in (None, tmp_path):
        with pytest.raises(LassError, match="without entities"):
            build(Encoder(random_vectors(1)), 0, folder)


def test_an_index_that_was_built_is_loaded_memory_mapped_and_finds_the_same(tmp_path):
    folder = tmp_path / "new" / "index"
    vectors = whole_vectors(ENTITIES)
    built, loaded = build(Encoder(vectors), folder=str(folder)), load(folder)
    assert files(folder) == [f"0000{number}.safetensors" for number in range(4)]
    mapped = [
        line.split()[0].split("-") for line in Path("/proc/self/maps").read_text().splitlines() if str(folder) in line
    ]
    for index in (built, loaded):
        assert torch.equal(torch.cat(index.blocks), vectors)
        for block in index.blocks:
            assert any(int(first, 16) <= block.data_ptr() < int(last, 16) for first, last in mapped)
    queries = whole_vectors(5, seed=1)
    for index in (built, loaded):
        assert index.nearest(queries, 4)[1].tolist() == EntityIndex([vectors]).nearest(queries, 4)[1].tolist()
    again = Encoder(vectors)
    build(again, folder=folder)
    assert again.encoded == []


def test_a_killed_build_goes_on_with_the_blocks_that_are_there(tmp_path, capsys):
    vectors = random_vectors(ENTITIES)
    killed = Encoder(vectors, stop=20)
    with pytest.raises(KeyboardInterrupt):
        build(killed, folder=tmp_path)
    assert killed.encoded == list(range(19))  # block 2 was begun
    leftover, young = (tmp_path / f"00002.safetensors.{digit * 32}.tmp" for digit in "01")
    leftover.write_bytes(b"half")  # what a kill while writing leaves
    os.utime(leftover, (0, 0))
    young.write_bytes(b"half")  # what another build is writing
    assert files(tmp_path) == ["00000.safetensors", "00001.safetensors", leftover.name, young.name]
    with pytest.raises(LassError, match="no index of all 30 entities, 16 are there; build it first"):
        load(tmp_path)
    resumed = Encoder(vectors)
    capsys.readouterr()
    index = build(resumed, folder=tmp_path, quiet=False)
    assert re.search(r"encoding entities:\s+53%.*16.0/30.0", capsys.readouterr().err)
    assert resumed.encoded == list(range(16, 30))
    assert torch.equal(torch.cat(index.blocks), vectors)
    young.unlink()
    assert files(tmp_path) == [f"0000{number}.safetensors" for number in range(4)]


def test_only_entities_added_at_the_end_are_encoded(tmp_path):
    vectors = random_vectors(100)
    old = build(Encoder(vectors), ENTITIES, tmp_path)
    for size, before in ((31, 30), (45, 31), (45, 45)):
        added = Encoder(vectors)
        index = build(added, size, tmp_path)
        assert added.encoded == list(range(before, size))
        assert torch.equal(torch.cat(index.blocks), vectors[:size])
    assert torch.equal(torch.cat(old.blocks), vectors[:ENTITIES])  # it is still in use while files are replaced
    for size in (30, 31, 45):  # a graph that has grown does not lock out the one that it has grown from
        again = Encoder(vectors)
        assert torch.equal(torch.cat(build(again, size, tmp_path).blocks), vectors[:size])
        assert again.encoded == []
    with pytest.raises(LassError, match=r"another graph \(other texts among the entities from 24 on\)"):
        load(tmp_path, names=[*NAMES[:29], "renamed"])


def test_files_behind_the_end_of_a_shorter_graph_are_not_used(tmp_path):
    vectors = random_vectors(ENTITIES)
    build(Encoder(vectors), ENTITIES, tmp_path)
    shorter = Encoder(vectors)
    assert torch.equal(torch.cat(build(shorter, 16, tmp_path).blocks), vectors[:16])
    assert shorter.encoded == []
    with pytest.raises(LassError, match=r"another graph \(other texts among the entities from 16 on\)"):
        load(tmp_path, 20)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "another"}, "index of another model"),
        ({"names": [*NAMES[:9], "renamed", *NAMES[10:]]}, "another graph .other texts among the entities from 8 on"),
        ({"names": [*NAMES[:29], "renamed", *NAMES[30:]]}, "another graph .other texts among the entities from 24 on"),
        ({"names": [*NAMES[:29], "renamed", *NAMES[30:]], "num_entities": 40}, "another graph"),
    ],
)
def test_the_index_of_another_model_or_graph_is_refused_and_kept(change, message, tmp_path):
    build(Encoder(random_vectors(ENTITIES)), folder=tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    encoder = Encoder(random_vectors(40, seed=1))
    for work in (lambda: load(tmp_path, **change), lambda: build(encoder, folder=tmp_path, **change)):
        with pytest.raises(LassError, match=message) as error:
            work()
        assert str(tmp_path) in str(error.value)
        assert "name another folder" in str(error.value)
    assert encoder.encoded == []
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_an_index_in_another_format_is_refused(tmp_path, monkeypatch):
    build(Encoder(random_vectors(ENTITIES)), folder=tmp_path)
    monkeypatch.setattr(lass_hf.scoring.entity_index_files, "INDEX_FORMAT", "6")
    with pytest.raises(LassError, match=r"another format \(it is '5', expected '6'\)"):
        load(tmp_path)


def test_a_truncated_file_is_an_error_at_any_length(tmp_path):
    vectors = random_vectors(ENTITIES)
    build(Encoder(vectors), folder=tmp_path)
    file = tmp_path / "00001.safetensors"
    whole = file.read_bytes()
    for size in [*range(0, len(whole), 37), len(whole) - 1]:
        file.write_bytes(whole[:size])
        encoder = Encoder(vectors)
        for work in (lambda: load(tmp_path), lambda encoder=encoder: build(encoder, folder=tmp_path)):
            with pytest.raises(LassError, match=r"00001\.safetensors: damaged \(.*; delete it") as error:
                work()
            assert "\n" not in str(error.value)
    file.unlink()
    encoder = Encoder(vectors)
    assert torch.equal(torch.cat(build(encoder, folder=tmp_path).blocks), vectors)
    assert encoder.encoded == list(range(8, 16))


def test_no_flipped_bit_changes_a_vector(tmp_path):
    vectors = random_vectors(ENTITIES)
    build(Encoder(vectors), folder=tmp_path)
    file = tmp_path / "00001.safetensors"
    whole = file.read_bytes()
    for place in range(0, len(whole), 3):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        with pytest.raises(LassError, match=r"00001\.safetensors: damaged \(.*; delete it|index of another format"):
            load(tmp_path)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_is_one_clear_error_and_leaves_what_was_finished(call, tmp_path, monkeypatch):
    vectors, calls, work = random_vectors(ENTITIES), [], getattr(os, call)

    def full(*arguments):
        calls.append(arguments)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return work(*arguments)

    monkeypatch.setattr(os, call, full)
    with pytest.raises(LassError, match=r"00002.safetensors: cannot be written \(No space left on device\); finished"):
        build(Encoder(vectors), folder=tmp_path)
    assert files(tmp_path) == ["00000.safetensors", "00001.safetensors"]
    monkeypatch.undo()
    monkeypatch.setattr(lass_hf.scoring.entity_index_files, "ENTITIES_PER_BLOCK", 8)
    resumed = Encoder(vectors)
    assert torch.equal(torch.cat(build(resumed, folder=tmp_path).blocks), vectors)
    assert resumed.encoded == list(range(16, 30))


def test_a_folder_that_cannot_be_made_fails_before_anything_is_encoded(tmp_path):
    (tmp_path / "file").write_text("")
    encoder = Encoder(random_vectors(ENTITIES))
    with pytest.raises(LassError, match="file: cannot be made"):
        build(encoder, folder=tmp_path / "file")
    assert encoder.encoded == []


def test_the_metadata_of_a_file_describe_its_content(tmp_path):
    build(Encoder(random_vectors(ENTITIES)), folder=tmp_path)
    with safe_open(tmp_path / "00003.safetensors", "pt") as content:
        texts = json.dumps({"6": "|".join(NAMES[24:30])})
        metadata = content.metadata()
        assert len(metadata.pop("digest")) == 32
        assert metadata == {"format": "5", "model": "a model", "texts": texts}
        assert content.get_slice("vectors").get_shape() == [6, DIM]


@pytest.fixture
def faiss_index():
    pytest.importorskip("faiss")
    from lass_hf.scoring.faiss_index import FaissIndex

    return FaissIndex


def test_flat_faiss_finds_what_the_exact_search_finds(faiss_index):
    index = build(Encoder(whole_vectors(ENTITIES)))
    flat, queries = faiss_index(index, "Flat", quiet=True), whole_vectors(7, seed=1)
    exclude = (np.array([0, 0, 6, 2]), np.array([3, 29, 8, 0]))
    best_of_first = (np.zeros(14, dtype=np.int64), index.nearest(queries[:1], 14)[1][0])
    for choices in ((1, None), (1, best_of_first), (5, exclude), (30, exclude), (30, None)):
        for one, other in zip(index.nearest(queries, *choices), flat.nearest(queries, *choices), strict=True):
            assert np.array_equal(one, other)
            assert one.dtype == other.dtype
    assert flat.recall(queries, 10) == 1
    assert flat.nearest(queries[:0], 3)[1].shape == (0, 3)


def test_faiss_misses_entities_but_the_distances_are_exact(faiss_index):
    index = build(Encoder(random_vectors(600)), 600, names=["x"] * 600)
    queries = random_vectors(20, seed=1)
    narrow, wide = (faiss_index(index, "IVF16,Flat", f"nprobe={probes}", quiet=True) for probes in (1, 16))
    assert 0 < narrow.recall(queries) < wide.recall(queries) == 1
    assert narrow.recall(queries) == faiss_index(index, "IVF16,Flat", quiet=True).recall(queries)  # seeded
    distances, found = narrow.nearest(queries, 100)
    missing = found < 0
    assert 0 < missing.sum() < missing.size
    assert np.isinf(distances[missing]).all()
    expected = brute_force(torch.cat(index.blocks), queries)
    rows = np.arange(20)[:, None].repeat(100, 1)
    assert distances[~missing] == pytest.approx(expected[rows[~missing], found[~missing]], rel=1e-5)
    assert (np.diff(np.where(missing, 1e9, distances), axis=1) >= 0).all()
    assert (narrow.nearest(queries, 100)[1] == found).all()


@pytest.mark.parametrize(("description", "parameters"), [("nonsense", ""), ("IVF64,Flat", ""), ("Flat", "nprobe=many")])
def test_choices_that_faiss_refuses_are_one_clear_error(description, parameters, faiss_index):
    with pytest.raises(LassError, match=r"FAISS refuses .* for 30 entities \(.*; name another description") as error:
        faiss_index(build(Encoder(random_vectors(ENTITIES))), description, parameters, quiet=True)
    assert "\n" not in str(error.value)


def test_without_faiss_the_error_names_the_extra(monkeypatch):
    from lass_hf.scoring.faiss_index import FaissIndex

    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(LassError, match=r"pip install lass-hf\[faiss\]"):
        FaissIndex(build(Encoder(random_vectors(ENTITIES))))
