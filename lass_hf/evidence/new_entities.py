"""Queries about entities without facts, such as new ones: words alone rank their answers.

A validation split has hardly any such query, and what frequencies and neighbors of candidates are worth beside rules
and vectors is not what they are worth without: a model of WN18RR without a fifth of the entities ranked these with an
MRR of .28 by words alone, and of .26 by all that is left. So a fit sees some queries again, with words alone.
"""

from dataclasses import replace

import numpy as np

from .fusion import NUM_BINS, first_groups, is_without_facts
from .fusion_fitting import FittingSample

QUERIES_AGAIN = 0.1  # of all


def ask_again_as_new(sample: FittingSample, seed: int) -> FittingSample:
    """Leaves to queries without facts their words alone, and adds seeded queries again, as if theirs had no facts.

    Args:
        sample: The sample.
        seed: Seed of the choice.

    Returns:
        The sample with more queries at its end; without evidence of the text, the same one.
    """
    if "text" not in sample.kinds:
        return sample
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(sample.values))[: round(QUERIES_AGAIN * len(sample.values))])
    first, again = first_groups(sample.num_relations), sample.groups[rows].copy()
    sides = again[:, 1] - first[1]
    again[:, 3:] = first[3:] + NUM_BINS * sides[:, None]  # no known answer, no fact
    groups = np.concatenate([sample.groups, again])
    values = np.concatenate([sample.values, sample.values[rows]])
    is_word = np.array(sample.kinds) == "text"
    values[is_without_facts(groups, sample.num_relations)] *= is_word
    corrections = np.concatenate([sample.corrections, sample.corrections[rows]])
    return replace(sample, values=values, corrections=corrections, groups=groups, again=rows)
