"""Words as reasons: the part of a text whose loss costs most is named, as single triplets without it show."""

from pathlib import Path

import numpy as np
import pytest
from helpers.tiny import make_model, make_processor

from lass_hf import KnowledgeGraph
from lass_hf.completion.completing import WITH_WORDS
from lass_hf.prediction import text_reasons as text_reasons_module
from lass_hf.prediction.text_reasons import split_text, text_reasons
from lass_hf.scoring.triplet_scorer import TripletScorer

TEXTS = {
    "cat": "cat, small animal that eats mouse. It lives in house; it likes milk.",
    "mouse": "mouse, a rodent, which likes cheese",
    "dog": "dog",
    "milk": ", milk",  # nothing is left without its only part
}
TRIPLETS = [("cat", "eats", "mouse"), ("dog", "eats", "milk"), ("mouse", "eats", "dog")]


@pytest.fixture(scope="module")
def described():
    return KnowledgeGraph.from_triplets(TRIPLETS, entity_text=TEXTS)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (TEXTS["cat"], ("cat, ", ["small animal that eats mouse.", "It lives in house;", "it likes milk."])),
        (TEXTS["mouse"], ("mouse, ", ["a rodent,", "which likes cheese"])),
        ("dog", ("dog", [])),
        ("e. coli, ", ("e. coli, ", [])),
        ("set, group (of things): many", ("set, ", ["group", "(of things):", "many"])),
    ],
)
def test_a_text_is_its_name_and_sentences_or_else_clauses(text, parts):
    assert split_text(text) == parts


@pytest.mark.parametrize("architecture", ["cross-encoder", "bi-encoder"])
def test_the_part_without_which_the_score_falls_most_is_named(described, architecture, monkeypatch):
    monkeypatch.setattr(text_reasons_module, "LEAST_COST", -np.inf)
    model, processor = make_model(architecture=architecture), make_processor(described, architecture=architecture)
    scorer = TripletScorer(model, processor.token_store(described), "float32")
    triplets = described["train"].triplets
    reasons = text_reasons(scorer, processor, described, triplets)
    assert any(reasons)

    def score(head, tail):  # in a graph of its own
        other = KnowledgeGraph.from_triplets([("h", "eats", "t")], entity_text={"h": head, "t": tail})
        store = make_processor(other, architecture=architecture).token_store(other)
        return scorer.with_store(store).score(other["train"].triplets)[0]

    for triplet, own in zip(TRIPLETS, reasons, strict=True):
        head, tail = TEXTS[triplet[0]], TEXTS[triplet[2]]
        scores = {}
        for text, others in ((head, lambda one, tail=tail: (one, tail)), (tail, lambda one, head=head: (head, one))):
            for part in split_text(text)[1]:
                shorter = text.replace(part, "").replace("  ", " ").strip(", ")
                if shorter:
                    scores[part.strip(" ,;:")] = score(*others(shorter))
        if not scores:
            assert own == []
            continue
        best = max(score(head, tail) - value for value in scores.values())
        if best > 1e-6:  # else the whole texts have the best score of all
            (sentence,) = own
            assert f'"{min(scores, key=scores.get)}" counts most' in sentence
            assert f"{np.exp(best):.0f} times less likely" in sentence


def test_the_first_triplets_are_looked_at_as_far_as_tokens_allow_and_the_reference_says_so(described, monkeypatch):
    model, processor = make_model(), make_processor(described)
    scorer, triplets = TripletScorer(model, processor.token_store(described)), described["train"].triplets
    monkeypatch.setattr(text_reasons_module, "LEAST_COST", -np.inf)
    every = text_reasons(scorer, processor, described, triplets)
    assert all(every[row] for row in (0, 2))
    first = 6 * min(sum(len(TEXTS[name]) for name in ("cat", "mouse")) // 4 + 4, processor.max_length)
    with monkeypatch.context() as patch:
        patch.setattr(text_reasons_module, "MOST_TOKENS", first)
        assert text_reasons(scorer, processor, described, triplets) == [every[0], [], []]
    page = (Path(__file__).parents[2] / "docs" / "reference" / "completion.md").read_text(encoding="utf-8")
    most, texts = text_reasons_module.MOST_TOKENS, 1 + 2 * text_reasons_module.MOST_PARTS
    for said in (
        f"the first {WITH_WORDS} suggestions",
        f"{most:,} tokens",
        f"of 128, they are {most // (128 * texts)} or",
    ):
        assert said in page


def test_few_tokens_are_read_and_a_part_that_costs_little_is_not_named(described, monkeypatch):
    model, processor = make_model(), make_processor(described)
    scorer, triplets = TripletScorer(model, processor.token_store(described)), described["train"].triplets
    assert text_reasons(scorer, processor, described, triplets[:0]) == []
    monkeypatch.setattr(text_reasons_module, "LEAST_COST", np.inf)
    assert text_reasons(scorer, processor, described, triplets) == [[], [], []]
    monkeypatch.setattr(text_reasons_module, "MOST_TOKENS", 10)
    monkeypatch.setattr(scorer, "with_store", None)  # nothing is scored
    assert text_reasons(scorer, processor, described, triplets) == [[], [], []]
