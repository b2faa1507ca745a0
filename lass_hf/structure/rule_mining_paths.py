"""Finds the paths between the entities of given triplets: bodies of one, two and three atoms that hold there."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .facts import Facts

MOST_LINKS = 1000  # links of an entity that a walk follows; of a hub, these many, evenly spread
CHUNK = 1 << 22  # steps of a walk that are in memory at once, in about 200 MB


@dataclass(frozen=True)
class Paths:
    """n paths, each between the entities of one triplet, in ascending order of the triplet.

    Attributes:
        owners: Int64 of shape (n,): the position of the triplet.
        bodies: Int32 of shape (n, 3): the directed relations of the path from head to tail, -1 behind the last.
        between: Int32 of shape (n, 2): the entities between head and tail, -1 behind the last.
    """

    owners: np.ndarray
    bodies: np.ndarray
    between: np.ndarray


def expand(starts: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lists the members of ranges: for each its range, and its value. `counts[i]` values begin at `starts[i]`."""
    owners = np.repeat(np.arange(len(counts)), counts)
    return owners, np.arange(len(owners)) + np.repeat(starts - (np.cumsum(counts) - counts), counts)


def follow_links(facts: Facts, entities: np.ndarray, most: int = MOST_LINKS) -> tuple[np.ndarray, np.ndarray]:
    """Returns the links of entities: for each the position in `entities`, and the position among all links.

    Of an entity with more than `most` links, as many, evenly spread, are followed.
    """
    starts = facts.links.starts[entities]
    counts = facts.links.starts[entities + 1] - starts
    owners, positions = expand(starts, np.minimum(counts, most))
    if (counts > most).any():
        within, count = positions - starts[owners], counts[owners]
        positions = starts[owners] + within * count // np.minimum(count, most)
    return owners, positions


def find_links(facts: Facts, entities: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the links from entities to others: for each the pair, and the position among all links."""
    keys = entities.astype(np.int64) * facts.num_entities + others
    starts = np.searchsorted(facts.links.keys, keys)
    hits = np.flatnonzero(facts.links.keys[np.minimum(starts, len(facts.links.keys) - 1)] == keys)
    counts = np.searchsorted(facts.links.keys, keys[hits], side="right") - starts[hits]
    owners, positions = expand(starts[hits], counts)
    return hits[owners], positions


def walk_between(facts: Facts, triplets: np.ndarray, length: int, most: int = MOST_LINKS) -> Iterator[Paths]:
    """Yields all paths of a length from head to tail that do not use the triplet itself, in chunks.

    Args:
        facts: The facts that a path is made of.
        triplets: Int64 of shape (n, 3).
        length: The number of atoms: 1, 2 or 3.
        most: The number of links of an entity that are followed.
    """
    links, num_facts = facts.links, len(facts.triplets)
    if not num_facts:
        return
    degrees = np.minimum(np.diff(links.starts), most)
    ends = degrees[triplets[:, [0, 2]]]
    costs = [np.ones(len(triplets), np.int64), ends.min(axis=1), ends.prod(axis=1)][length - 1]
    borders = np.searchsorted(np.cumsum(costs), np.arange(0, costs.sum() + CHUNK, CHUNK), side="left")
    for start, end in pairwise(np.unique(np.append(borders, [0, len(triplets)])).tolist()):
        heads, _relations, tails = triplets[start:end].T
        if length == 1:
            owners, last = find_links(facts, heads, tails)
            bodies, entities = links.relations[last][:, None], np.stack([heads[owners], tails[owners]], axis=1)
        elif length == 2:
            owners, bodies, entities = _walk_two(facts, heads, tails, most)
        else:
            owners, bodies, entities = _walk_three(facts, heads, tails, most)
        owners, bodies, entities = _leave_out(facts, triplets[start:end], owners, bodies, entities)
        order = np.argsort(owners, kind="stable")
        padding = ((0, 0), (0, 3 - length))
        yield Paths(
            owners[order] + start,
            np.pad(bodies[order], padding, constant_values=-1).astype(np.int32),
            np.pad(entities[order, 1:-1], padding, constant_values=-1)[:, :2].astype(np.int32),
        )


def _walk_two(
    facts: Facts, heads: np.ndarray, tails: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Walks one step from the end with fewer links, and looks up the links to the other end."""
    links, shift = facts.links, facts.num_relations
    degrees = np.diff(links.starts)
    turned = degrees[tails] < degrees[heads]
    pairs, first = follow_links(facts, np.where(turned, tails, heads), most)
    middle = links.others[first]
    hits, second = find_links(facts, middle, np.where(turned, heads, tails)[pairs])
    owners, one, two, middle = pairs[hits], links.relations[first][hits], links.relations[second], middle[hits]
    turned = turned[owners]
    bodies = np.stack([np.where(turned, invert(two, shift), one), np.where(turned, invert(one, shift), two)], axis=1)
    return owners, bodies, np.stack([heads[owners], middle, tails[owners]], axis=1)


def _walk_three(
    facts: Facts, heads: np.ndarray, tails: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Walks one step from both ends, and looks up the links between."""
    links = facts.links
    pairs, first = follow_links(facts, heads, most)
    steps, last = follow_links(facts, tails[pairs], most)
    near, far = links.others[first][steps], links.others[last]
    hits, middle = find_links(facts, near, far)
    owners = pairs[steps][hits]
    bodies = np.stack(
        [
            links.relations[first][steps][hits],
            links.relations[middle],
            invert(links.relations[last][hits], facts.num_relations),
        ],
        axis=1,
    )
    return owners, bodies, np.stack([heads[owners], near[hits], far[hits], tails[owners]], axis=1)


def _leave_out(
    facts: Facts, triplets: np.ndarray, owners: np.ndarray, bodies: np.ndarray, entities: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Removes the paths that use the very triplet that they lead to, in either direction."""
    heads, relations, tails = triplets[owners].T
    uses = np.zeros(len(owners), bool)
    for step in range(bodies.shape[1]):
        one, two, relation = entities[:, step], entities[:, step + 1], bodies[:, step]
        uses |= (one == heads) & (two == tails) & (relation == relations)
        uses |= (one == tails) & (two == heads) & (relation == relations + facts.num_relations)
    return owners[~uses], bodies[~uses], entities[~uses]


def invert(relations: np.ndarray, num_relations: int) -> np.ndarray:
    """Returns the directed relations of the other direction; -1 stays -1."""
    turned = np.where(relations < num_relations, relations + num_relations, relations - num_relations)
    return np.where(relations < 0, relations, turned)


def reverse_bodies(bodies: np.ndarray, num_relations: int) -> np.ndarray:
    """Returns the bodies read from their other end: int of shape (n, 3), padded with -1."""
    lengths = (bodies >= 0).sum(axis=1, keepdims=True)
    places = lengths - 1 - np.arange(bodies.shape[1])
    return np.where(places >= 0, invert(np.take_along_axis(bodies, np.maximum(places, 0), axis=1), num_relations), -1)


def voices(paths: np.ndarray) -> np.ndarray:
    """Returns how much several paths of one rule say together, float32: 1 + log of their number.

    More paths say more, but they are not independent.
    """
    return 1 + np.log(np.asarray(paths, np.float32))
