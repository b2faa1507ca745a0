"""Describes suggestions by numbers, of which their chance is computed."""

from collections.abc import Sequence

import numpy as np

from ..core.known_triplets import KnownTriplets
from ..scoring.entity_frequencies import EntityFrequencies
from ..structure.facts import Facts
from ..structure.rule_scores import RuleScorer
from .suggestions import Suggestions


class LinkFeatures:
    """Describes suggestions by what the queries, the rules and the facts say of them.

    Args:
        facts: The training triplets.
        rules: The rules over these facts; None without rules.
        standing_names: The name of each code of `standings`. The first one needs no feature.
    """

    def __init__(self, facts: Facts, rules: RuleScorer | None, standing_names: Sequence[str]):
        self.rules, self.standing_names = rules, standing_names
        self._degrees = np.bincount(facts.triplets[:, [0, 2]].reshape(-1), minlength=facts.num_entities)
        self._frequencies = EntityFrequencies(facts.triplets, facts.num_entities)
        self._known = KnownTriplets(facts.triplets, facts.num_entities, facts.num_relations)

    def __call__(self, suggestions: Suggestions, standings: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the features of n suggestions, each of which depends on its own suggestion alone.

        Args:
            suggestions: The suggestions.
            standings: Int of shape (n,): the standing of each against the graph, as a position in `standing_names`.

        Returns:
            By name: float64 of shape (n,), NaN where a number is not known; or bool of shape (n,).
        """
        triplets, features = suggestions.triplets, dict[str, np.ndarray]()
        for side, name in enumerate(("head", "tail")):
            slot, is_answer = 2 * side, suggestions.ranks[:, side] > 0
            features |= {
                f"log probability of the {name}": suggestions.log_probabilities[:, side].astype(np.float64),
                f"log rank of the {name}": np.where(
                    is_answer, np.log(np.maximum(suggestions.ranks[:, side], 1)), np.nan
                ),
                f"margin of the {name}": suggestions.margins[:, side].astype(np.float64),
                f"{name} not among the answers": ~is_answer,
                f"log frequency of the {name} in its slot": _log1p(self._frequencies.lookup(slot, triplets)),
                f"log number of known answers for the {name}": _log1p(self._known.count(slot, triplets)),
                f"log degree of the {name}": _log1p(self._degrees[triplets[:, slot]]),
            }
        features["best log probability"] = np.fmax(*suggestions.log_probabilities.astype(np.float64).T)
        if self.rules is not None:
            evidence = self.rules.triplet_scores(triplets)
            features |= {"log evidence of rules": _log1p(evidence), "a rule fires": evidence > 0}
        for code, name in enumerate(self.standing_names[1:], 1):
            features[f"standing: {name}"] = standings == code
        return features


def _log1p(counts: np.ndarray) -> np.ndarray:
    return np.log1p(counts, dtype=np.float64)
