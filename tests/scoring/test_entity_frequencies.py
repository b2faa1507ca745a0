"""Frequencies of entities in the slots of relations, compared with counting one by one."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lass_hf.scoring.entity_frequencies import EntityFrequencies

ENTITIES, RELATIONS = 7, 3
TRIPLETS = st.lists(
    st.tuples(st.integers(0, ENTITIES - 1), st.integers(0, RELATIONS - 1), st.integers(0, ENTITIES - 1)), max_size=30
)


@settings(deadline=None)
@given(TRIPLETS, st.sampled_from([np.int64, np.int32]))
def test_counts_are_those_of_a_loop(triplets, dtype):
    frequencies = EntityFrequencies(np.array(triplets, dtype=dtype).reshape(-1, 3), ENTITIES)
    counted = Counter((slot, triplet[1], triplet[slot]) for triplet in triplets for slot in (0, 2))
    for slot in (0, 2):
        for relation in range(RELATIONS):
            counts = frequencies.counts(slot, relation)
            assert counts.tolist() == [counted[slot, relation, entity] for entity in range(ENTITIES)]
            assert counts.dtype == np.float32
        entities_of = [{entity for entity in range(ENTITIES) if counted[slot, number, entity]} for number in range(4)]
        assert frequencies.num_distinct(slot, 4).tolist() == list(map(len, entities_of))
        others = np.array([(entity, relation, entity) for relation in range(4) for entity in range(ENTITIES)])
        looked_up = frequencies.lookup(slot, others.astype(dtype))
        assert looked_up.tolist() == [counted[slot, relation, entity] for entity, relation, _ in others.tolist()]
        assert looked_up.dtype == np.float32


@settings(deadline=None)
@given(arrays(np.int64, st.tuples(st.integers(0, 9), st.just(3)), elements=st.integers(0, RELATIONS - 1)))
def test_new_entities_have_no_triplets(triplets):
    frequencies = EntityFrequencies(triplets, ENTITIES)
    more = frequencies.counts(2, 1, ENTITIES + 4)
    assert more[:ENTITIES].tolist() == frequencies.counts(2, 1).tolist()
    assert more[ENTITIES:].tolist() == [0, 0, 0, 0]
