"""The order of suggestions: by probability, with quotas of queries and relations."""

import numpy as np
from helpers.properties import for_all
from hypothesis import strategies as st

from lass_hf.completion.ordering import SHARE, make_list, order_suggestions, usual_answers
from lass_hf.structure.facts import Facts


def one_after_the_other(triplets, values, most, per_query, per_relation, usual):
    """The same by a plain loop over each relation, and one over the list."""
    order = sorted(range(len(triplets)), key=lambda one: (-values[one], *triplets[one]))
    taken, queries, relations = [], {}, {}
    for one in order:
        head, relation, tail = triplets[one]
        asked = [((head, relation, None), usual[relation]), ((None, relation, tail), usual[relation + len(usual) // 2])]
        if any(queries.get(query, 0) >= per_query * answers for query, answers in asked):
            continue
        for query, _ in asked:
            queries[query] = queries.get(query, 0) + 1
        if relations.get(relation, 0) < per_relation:
            taken.append((one, relations.get(relation, 0)))
            relations[relation] = relations.get(relation, 0) + 1
    quota = max(1, SHARE * min(most, len(taken)))
    keys = {one: (-values[one] + np.log(2) * (before // quota), number) for number, (one, before) in enumerate(taken)}
    return sorted(keys, key=keys.get)[:most]


def test_the_list_is_that_of_a_plain_loop(request):
    def check(seed, most, per_query, per_relation):
        random = np.random.default_rng(seed)
        triplets = np.unique(random.integers(6, size=(40, 3)) % [6, 3, 6], axis=0)
        random.shuffle(triplets)
        values = np.log(random.integers(1, 9, len(triplets)) / 10)
        usual = random.integers(1, 3, 6).astype(float)
        found = order_suggestions(triplets, values, most, per_query, per_relation, usual)
        expected = one_after_the_other(triplets.tolist(), values, most, per_query, per_relation, usual)
        assert found.tolist() == expected
        return 1

    for_all(
        request,
        40,
        seed=st.integers(0, 2**31),
        most=st.integers(1, 40),
        per_query=st.integers(1, 3),
        per_relation=st.integers(1, 20),
    )(check)


def test_a_relation_that_has_its_share_gives_way_to_what_is_half_as_probable():
    triplets = np.array([[number, 0, 90 + number] for number in range(8)] + [[0, 1, 1], [2, 2, 3]])
    values = np.log([0.8] * 8 + [0.41, 0.09])
    order = order_suggestions(triplets, values, most=8).tolist()
    assert order[:3] == [0, 1, 8]  # after a quarter of the list
    assert order[3:] == [2, 3, 4, 5, 6]  # 0.8 / 2 and 0.8 / 4 are more than 0.09
    assert order_suggestions(triplets, values).tolist()[-1] == 9


def test_the_order_of_the_input_does_not_matter():
    random = np.random.default_rng(0)
    triplets = np.unique(random.integers(5, size=(60, 3)), axis=0)
    values = random.integers(3, size=len(triplets)).astype(float)
    turned = random.permutation(len(triplets))
    one = triplets[order_suggestions(triplets, values, 20, per_query=1)]
    other = triplets[turned][order_suggestions(triplets[turned], values[turned], 20, per_query=1)]
    assert np.array_equal(one, other)


def test_a_query_of_a_relation_with_many_answers_gets_more():
    facts = Facts.from_triplets(np.array([[1, 0, 0], [2, 0, 0], [3, 0, 0], [4, 0, 0]]), 10, 2)
    usual = usual_answers(facts)
    assert usual.tolist() == [1, 1, 4, 1]
    triplets = np.array([[5, 0, 0], [6, 0, 0], [6, 0, 1], [5, 1, 0], [6, 1, 0]])
    values = np.log([0.9, 0.8, 0.7, 0.6, 0.5])
    assert sorted(order_suggestions(triplets, values, per_query=1, usual_answers=usual)) == [0, 1, 3]
    assert sorted(order_suggestions(triplets, values, per_query=1)) == [0, 2, 3]


def test_a_fact_is_listed_if_one_of_its_links_is_among_the_answers_of_its_queries():
    triplets = np.array([[0, 0, 1], [0, 0, 2], [2, 0, 0]])  # 0 has its answer; 2 has none, and the fact is one
    values = np.array([-1.0, -2.0, -2.1])
    facts = np.array([[0, 0, 1], [0, 0, 2], [0, 0, 2]])
    listed, reasons = make_list(triplets, values, facts, np.ones(2), most=10, per_query=1, per_relation=None)
    assert triplets[listed].tolist() == [[0, 0, 1], [2, 0, 0]]
    assert [number for number in reasons.values() if number] == [1]
    listed, reasons = make_list(triplets, values, facts, np.ones(2), most=10, per_query=2, per_relation=None)
    assert triplets[listed].tolist() == [[0, 0, 1], [0, 0, 2]]
    assert reasons["the same fact as another"] == 1


def test_nothing_gives_an_empty_list():
    nothing = np.empty((0, 3), dtype=np.int64)
    assert order_suggestions(nothing, np.empty(0), 5, 1, 1).tolist() == []
