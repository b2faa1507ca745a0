"""The chance that a suggestion states one of the facts that were held out of training.

It is a lower bound of the probability that the suggestion is true: a suggestion that nobody held out may be true, too,
and of the missing links only a part was held out.

A logistic regression weighs features of suggestions; each relation has a summand of its own, which stays near 0 where
the relation has few links (shrinkage). Isotonic regression, or Platt scaling where links are few, then makes its sums
probabilities. It is fitted on sums that come from cross-validation, since those of the links that the weights were
fitted on would promise too much.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array, hstack

from ..core.errors import LassError, first_line
from ..core.knowledge_graph import KnowledgeGraph
from ..core.known_triplets import KnownTriplets
from ..evaluation.platt_scaling import PlattScaling, fit_platt, reliability_curve
from .isotonic_scaling import IsotonicScaling, fit_isotonic
from .link_features import LinkFeatures
from .suggestions import Suggestions

FORMAT = 1
LEAST_LINKS = 10  # pairs of entities with a held-out link among the suggestions; fewer give no probability
LEAST_FOR_ISOTONIC = 100  # held-out links among the suggestions; fewer are scaled by Platt's two numbers
LEAST_OF_RELATION = 20  # held-out links of a relation among the suggestions, to measure its chances alone
MOST_FITTED = 200_000  # suggestions that a fit looks at; of those that are no held-out link, a sample
FOLDS = 5
CHUNK = 65_536  # suggestions whose features are in memory together


@dataclass(frozen=True)
class Weight:
    """The weight of a feature, which counts as (value - mean) / spread, and as 0 where it is NaN."""

    mean: float
    spread: float
    weight: float

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Returns the summands of values, float64 of the same shape."""
        values = (values - self.mean) / self.spread
        return self.weight * np.where(np.isnan(values), 0, values)


@dataclass(frozen=True)
class LinkCalibration:
    """Turns features of suggestions into chances. `fit_link_calibration` makes it.

    Attributes:
        weights: The weight of each feature, by name.
        intercept: The summand of all suggestions.
        of_relations: What each relation of the graph adds, float64 of shape (R,).
        relation_ids: The ids of the relations.
        scaling: Sums into chances.
        report: What the fit says of itself: `num_links`, the facts that were held out, `num_found` of them among the
            `num_suggestions`, `seed`, `reliability` of cross-validated chances, and `by_relation`, with a row for each
            relation with `LEAST_OF_RELATION` found links: `relation` (id), `num_suggestions`, `num_found`, the mean
            chance `claimed`, the share `observed`, and `ece`.
    """

    weights: dict[str, Weight]
    intercept: float
    of_relations: np.ndarray
    relation_ids: list[str]
    scaling: IsotonicScaling | PlattScaling
    report: dict[str, Any]

    def __call__(self, features: LinkFeatures, suggestions: Suggestions, standings: np.ndarray) -> np.ndarray:
        """Returns the chances of suggestions, the same for one alone and for one of many.

        Args:
            features: The features, over the facts and rules of the fit.
            suggestions: The n suggestions.
            standings: Int of shape (n,), see `LinkFeatures`.

        Returns:
            Float64 of shape (n,).

        Raises:
            LassError: A feature that the fit had is missing.
        """
        chances = np.empty(len(suggestions))
        for start in range(0, len(suggestions), CHUNK):
            part = np.arange(start, min(start + CHUNK, len(suggestions)))
            some = suggestions.select(part)
            chances[part] = self.scaling(self._sums(features(some, standings[part]), some.triplets[:, 1]))
        return chances

    def _sums(self, features: Mapping[str, np.ndarray], relations: np.ndarray) -> np.ndarray:
        if missing := [name for name in self.weights if name not in features]:
            raise LassError(
                f"probabilities were fitted with the feature {missing[0]!r}, which is not there now; expected the same "
                "evidence as in the fit: complete the graph again"
            )
        sums = self.intercept + self.of_relations[relations]
        for name, weight in self.weights.items():  # in this order: a product of matrices may round otherwise
            sums += weight(features[name])
        return sums

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, for JSON: what `from_dict` reads, and `report`, for people."""
        if isinstance(self.scaling, PlattScaling):
            scaling: dict[str, Any] = {"platt": asdict(self.scaling)}
        else:
            scaling = {"isotonic": [self.scaling.scores.tolist(), self.scaling.probabilities.tolist()]}
        return {
            "format": FORMAT,
            "weights": {name: asdict(weight) for name, weight in self.weights.items()},
            "intercept": self.intercept,
            "of_relations": dict(zip(self.relation_ids, self.of_relations.tolist(), strict=True)),
            **scaling,
            "report": self.report,
        }

    @classmethod
    def from_dict(
        cls, content: Mapping[str, Any], relation_ids: Sequence[str], source: str | Path
    ) -> "LinkCalibration":
        """Makes a calibration of what `to_dict` returned.

        Args:
            content: The values.
            relation_ids: The ids of the relations of a graph, in its order. One that is new to the calibration adds 0.
            source: The file of the values, for the message of an error.

        Raises:
            LassError: The values are not those of a calibration.
        """
        scaling: IsotonicScaling | PlattScaling
        try:
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']!r:.20}, expected {FORMAT}")
            weights = {name: Weight(**value) for name, value in content["weights"].items()}
            of_relations = np.array([content["of_relations"].get(one, 0.0) for one in relation_ids], dtype=np.float64)
            if "platt" in content:
                scaling = PlattScaling(**content["platt"])
                numbers = np.array([scaling.slope, scaling.intercept], dtype=np.float64)
            else:
                numbers = np.array(content["isotonic"], dtype=np.float64)
                scaling = IsotonicScaling(*numbers)
                if not len(numbers[0]) or (np.diff(numbers, axis=1) < 0).any() or not (numbers[1] > 0).all():
                    raise ValueError("the knots of isotonic do not ascend")
            plain = [content["intercept"], *(number for one in weights.values() for number in asdict(one).values())]
            if not all(np.isfinite(some).all() for some in (np.array(plain, np.float64), of_relations, numbers)):
                raise ValueError("a number is not finite")
            if not isinstance(report := content["report"], dict):
                raise TypeError("the report is no object")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LassError(
                f"{source}: not the calibration of a completion ({first_line(error)}); complete again"
            ) from None
        return cls(weights, float(content["intercept"]), of_relations, list(relation_ids), scaling, report)


def find_lack_of_links(graph: KnowledgeGraph) -> str | None:
    """Returns why suggestions of a graph get no probability, and how they would get one; None if nothing is missing.

    Args:
        graph: The graph.
    """
    if "validation" in graph and len(graph["validation"].positives):
        return None
    return (
        "suggestions get no probability: no links were held out of training to compare them with (the graph has no "
        "validation split); train with some held out (lass-hf train --validation 10%)"
    )


def fit_link_calibration(
    features: LinkFeatures,
    suggestions: Suggestions,
    standings: np.ndarray,
    graph: KnowledgeGraph,
    canonical: Callable[[np.ndarray], np.ndarray],
    seed: int = 42,
) -> tuple[LinkCalibration | None, str | None]:
    """Fits chances on the links of the validation split that are among suggestions.

    A suggestion that states the fact of such a link, as its mirror image does, is as good as the link. What states
    facts of the test split counts neither as found nor as wrong.

    Args:
        features: The features.
        suggestions: The n suggestions that were made of the training triplets, with those that another split has.
        standings: Int of shape (n,), see `LinkFeatures`.
        graph: The graph.
        canonical: Returns one triplet for all that state the same fact, see `RelationTraits.canonical`.
        seed: Seed of the sample, and of the parts of the cross-validation.

    Returns:
        The calibration, or None; and why there is none and how to get one, or None.
    """
    if lack := find_lack_of_links(graph):
        return None, lack
    facts = canonical(suggestions.triplets)
    held_out, of_test = (
        KnownTriplets(canonical(graph.index_splits(name).triplets()), graph.num_entities, graph.num_relations)
        for name in ("validation", "test")
    )
    is_link = held_out.contains(facts)
    counts = is_link | ~of_test.contains(facts)
    pairs = np.sort(suggestions.triplets[:, [0, 2]], axis=1) @ np.array([graph.num_entities, 1])
    num_pairs, num_found = len(np.unique(pairs[is_link])), len(np.unique(facts[is_link], axis=0))
    if num_pairs < LEAST_LINKS or len(np.setdiff1d(pairs[counts], pairs[is_link])) < LEAST_LINKS:
        return None, (
            f"suggestions get no probability: {num_found:,} of the {len(held_out):,} facts that the validation split "
            f"states are among {counts.sum():,} suggestions, and a fit needs {LEAST_LINKS} pairs of entities with such "
            f"a link and {LEAST_LINKS} without; train with more held out (lass-hf train --validation 20%), or ask more "
            "queries"
        )
    rng = np.random.default_rng(seed)
    others = np.flatnonzero(counts & ~is_link)
    sample = rng.permutation(others)[: max(MOST_FITTED - int(is_link.sum()), LEAST_LINKS)]
    rows = np.sort(np.concatenate([np.flatnonzero(is_link), sample]))
    labels, some = is_link[rows].astype(np.int64), suggestions.select(rows)
    stands_for = np.where(labels == 1, 1.0, len(others) / len(sample))
    columns = features(some, standings[rows])
    scales = {name: _standardize(values, stands_for) for name, values in columns.items()}
    relations = some.triplets[:, 1]
    of_relation = csr_array((np.ones(len(rows)), (np.arange(len(rows)), relations)), (len(rows), graph.num_relations))
    design = hstack([np.stack([scales[name](values) for name, values in columns.items()], 1), of_relation], "csr")
    fit_scaling: Callable[..., IsotonicScaling | PlattScaling]
    fit_scaling = fit_isotonic if num_found >= LEAST_FOR_ISOTONIC else fit_platt
    sums, chances, folds = np.empty(len(rows)), np.empty(len(rows)), _choose_folds(pairs[rows], is_link[rows], rng)
    for fold in range(FOLDS):
        inside, outside = folds == fold, folds != fold
        own, intercept = _fit_weights(design[outside], labels[outside], stands_for[outside])
        sums[inside] = design[inside] @ own + intercept
    for fold in range(FOLDS):
        inside, outside = folds == fold, folds != fold
        chances[inside] = fit_scaling(sums[outside], labels[outside], stands_for[outside])(sums[inside])
    report = {
        "num_links": len(held_out),
        "num_found": num_found,
        "num_suggestions": int(counts.sum()),
        "seed": seed,
        "reliability": reliability_curve(chances, labels, stands_for).to_dict(),
        "by_relation": _measure_relations(chances, labels, stands_for, relations, graph.relations.ids),
    }
    own, intercept = _fit_weights(design, labels, stands_for)
    return LinkCalibration(
        {
            name: replace(scale, weight=float(weight))
            for (name, scale), weight in zip(scales.items(), own, strict=False)
        },
        intercept,
        own[len(scales) :],
        list(graph.relations.ids),
        fit_scaling(sums, labels, stands_for),
        report,
    ), None


def _standardize(values: np.ndarray, stands_for: np.ndarray) -> Weight:
    """Returns the mean and the spread of what is known of a feature; those of yes and no stay 0 and 1."""
    is_known = ~np.isnan(values)
    if values.dtype == bool or not is_known.any():
        return Weight(0.0, 1.0, 1.0)
    mean = np.average(values[is_known], weights=stands_for[is_known])
    spread = np.sqrt(np.average((values[is_known] - mean) ** 2, weights=stands_for[is_known]))
    return Weight(float(mean), float(spread) or 1.0, 1.0)


def _choose_folds(pairs: np.ndarray, is_link: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the fold of each suggestion: those of two entities share one, and pairs with links are spread."""
    distinct, groups = np.unique(pairs, return_inverse=True)
    order = rng.permutation(len(distinct))
    order = order[np.argsort(np.bincount(groups, is_link)[order] == 0, kind="stable")]
    folds = np.empty(len(distinct), dtype=np.int64)
    folds[order] = np.arange(len(distinct)) % FOLDS
    return folds[groups]


def _fit_weights(design: csr_array, labels: np.ndarray, stands_for: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns weights with a standard normal prior, which shrinks those of rare relations, and an intercept."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1.0, tol=1e-6, max_iter=1000).fit(design, labels, sample_weight=stands_for)
    return model.coef_[0], float(model.intercept_[0])


def _measure_relations(
    chances: np.ndarray, labels: np.ndarray, stands_for: np.ndarray, relations: np.ndarray, ids: Sequence[str]
) -> list[dict[str, Any]]:
    """Returns the rows of `LinkCalibration.report`, those with the most found links first."""
    found = np.bincount(relations, labels, len(ids))
    rows = []
    for relation in np.argsort(-found, kind="stable")[: int((found >= LEAST_OF_RELATION).sum())].tolist():
        own = relations == relation
        curve, total = reliability_curve(chances[own], labels[own], stands_for[own]), stands_for[own].sum()
        rows.append(
            {
                "relation": ids[relation],
                "num_suggestions": round(total),
                "num_found": int(found[relation]),
                "claimed": float(stands_for[own] @ chances[own] / total),
                "observed": float(found[relation] / total),
                "ece": curve.ece,
            }
        )
    return rows
