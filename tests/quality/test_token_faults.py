"""Texts that an encoder cuts, or cannot tell from others."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lass_hf.core.token_store import SequenceTemplate, TokenStore
from lass_hf.quality.token_faults import find_indistinct, truncated

TEXTS = st.lists(st.lists(st.integers(10, 99), min_size=1, max_size=15), min_size=1, max_size=5)


def make_store(relations, entities):
    return TokenStore.from_chunks(SequenceTemplate(1, 2, 3, True, 64), relations, [entities])


@given(relations=TEXTS, entities=TEXTS, length=st.integers(1, 16))
@settings(max_examples=20, deadline=None)
def test_a_truncated_store_is_that_of_shorter_texts(relations, entities, length):
    cut = truncated(make_store(relations, entities), length)
    expected = make_store(*([text[:length] for text in texts] for texts in (relations, entities)))
    assert (cut.tokens.tolist(), cut.offsets.tolist()) == (expected.tokens.tolist(), expected.offsets.tolist())


def test_entities_with_other_texts_and_the_same_tokens_are_found():
    store = make_store([[7]], [[5], [6, 7], [5], [6, 7, 8], [5]])
    assert find_indistinct(store, "entities", ["a", "b", "a", "c", "a"]) == (0, None)
    assert find_indistinct(store, "entities", ["a", "b", "a", "c", "d"]) == (3, (0, 4))
    assert find_indistinct(store, "relations", ["r"]) == (0, None)
    assert find_indistinct(truncated(store, 2), "entities", ["a", "b", "a", "c", "d"]) == (5, (1, 3))
