"""Applies rules to facts: the evidence for all candidates of queries, and for given triplets, as a noisy-or.

A rule answers for the entity at the end of its head: r(x, y) <- ... scores tails y for a known head x, and a rule whose
head is the inverse of r scores heads. n paths of a rule of weight w = -log(1 - confidence) say w * (1 + log(n)). Of the
rules of a group only the one that says most counts; groups are independent: 1 - p = exp(-the sum over groups).
"""

import numpy as np
from scipy.sparse import csr_array

from .facts import Facts
from .rule_mining_paths import expand, follow_links, reverse_bodies, voices, walk_between
from .rules import RuleSet

ROWS = 256  # queries that are scored at once
TRIPLETS = 2_000  # and triplets, of which each can have thousands of paths and rules
ENTRIES = 1 << 24  # of the scores that are summed at once
MOST_CONFIDENT = 1 - 1e-6  # -log(1 - p) is finite


class RuleScorer:
    """Scores candidates and triplets by rules.

    Args:
        rules: The rules.
        facts: The facts that bodies are looked up in.
    """

    def __init__(self, rules: RuleSet, facts: Facts):
        self.rules, self.facts = rules, facts
        self.weights = -np.log1p(-np.minimum(rules.confidences, MOST_CONFIDENT)).astype(np.float32)
        self._order = np.argsort(rules.heads, kind="stable")
        self._starts = np.searchsorted(rules.heads[self._order], np.arange(2 * facts.num_relations + 1))

    def of_head(self, head: int) -> np.ndarray:
        """Returns the positions of the rules of a directed relation."""
        return self._order[self._starts[head] : self._starts[head + 1]]

    def scores(self, queries: np.ndarray, slot: int) -> csr_array:
        """Returns the evidence for all candidates of queries.

        Args:
            queries: Int triplets of shape (q, 3). Their values in `slot` are ignored.
            slot: The slot that is asked for: 0 or 2.

        Returns:
            Float32 of shape (q, E): -log(1 - p), stored where a rule fires.
        """
        shift = self.facts.num_relations if slot == 0 else 0
        shape = len(queries), self.facts.num_entities
        distinct, inverse = np.unique(queries[:, [1, 2 - slot]], axis=0, return_inverse=True)
        rows, columns, values = [np.empty(0, np.int64)], [np.empty(0, np.int32)], [np.empty(0, np.float32)]
        step = max(1, min(ROWS, ENTRIES // max(shape[1], 1)))
        for relation in np.unique(distinct[:, 0]).tolist():
            places = np.flatnonzero(distinct[:, 0] == relation)
            for start in range(0, len(places), step):
                part = places[start : start + step]
                dense = self._score_entities(relation + shift, distinct[part, 1])
                row, column = np.nonzero(dense)
                rows.append(part[row])
                columns.append(column.astype(np.int32))
                values.append(dense[row, column])
        found = csr_array(
            (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(len(distinct), shape[1])
        )
        return found[inverse.reshape(-1)]

    def _score_entities(self, head: int, entities: np.ndarray) -> np.ndarray:
        """Returns the evidence for all answers of one directed relation: float32 of shape (e, E)."""
        shape = len(entities), self.facts.num_entities
        total = np.zeros(shape, np.float32)
        positions = self.of_head(head)
        _, group, sizes = np.unique(self.rules.groups[positions], return_inverse=True, return_counts=True)
        alone = sizes[group] == 1
        self._fire(positions[alone], entities, total, np.add)
        for one in np.flatnonzero(sizes > 1):
            best = np.zeros(shape, np.float32)
            self._fire(positions[group == one], entities, best, np.maximum)
            total += best
        return total

    def _fire(self, positions: np.ndarray, entities: np.ndarray, total: np.ndarray, join: np.ufunc) -> None:
        """Joins the weights of the rules at some positions, which share a head, into `total`, where they fire."""
        rules, flat = self.rules, total.reshape(-1)
        offsets = np.arange(len(entities)) * self.facts.num_entities
        paths = positions[rules.head_constants[positions] < 0]
        paths = paths[np.lexsort(rules.bodies[paths].T[::-1])]
        walks: list[tuple[int, csr_array]] = []  # of the body before, which often begins alike
        for position in paths.tolist():
            body = [atom for atom in rules.bodies[position].tolist() if atom >= 0]
            same = next((i for i, (walk, atom) in enumerate(zip(walks, body, strict=False)) if walk[0] != atom), None)
            walks = walks[: min(len(walks), len(body)) if same is None else same]
            for atom in body[len(walks) :]:
                matrix = self.facts.adjacency[atom]
                walks.append((atom, walks[-1][1] @ matrix if walks else matrix[entities]))
            reached = walks[-1][1]
            keys = np.repeat(offsets, np.diff(reached.indptr)) + reached.indices
            flat[keys] = join(flat[keys], self.weights[position] * voices(reached.data))
        constants = positions[rules.head_constants[positions] >= 0]
        if len(constants):
            self._fire_constants(constants, entities, flat, join)

    def _fire_constants(self, positions: np.ndarray, entities: np.ndarray, flat: np.ndarray, join: np.ufunc) -> None:
        """Does the same for rules with constants: looks up which of them each entity fulfils."""
        owners, found, _ = self._match_constants(positions, entities)
        cells = owners * self.facts.num_entities + self.rules.head_constants[found]
        join.at(flat, cells, self.weights[found])

    def _match_constants(self, positions: np.ndarray, entities: np.ndarray) -> tuple[np.ndarray, ...]:
        """Returns which bodies b(x, d) and b(x, .) hold, as often as they do: the position of x, the rule's, and d."""
        rules, links, size = self.rules, self.facts.links, np.int64(self.facts.num_entities + 1)
        keys = rules.bodies[positions, 0] * size + rules.body_constants[positions] + 1
        order = np.argsort(keys, kind="stable")
        keys, positions = keys[order], positions[order]
        owners, places = follow_links(self.facts, entities, len(links.keys) + 1)
        atoms, others = links.relations[places] * size, links.others[places].astype(np.int64)
        _, any_place = np.unique(owners * (2 * self.facts.num_relations) + links.relations[places], return_index=True)
        owners = np.concatenate([owners, owners[any_place]])
        wanted = np.concatenate([atoms + others + 1, atoms[any_place]])
        others = np.concatenate([others, others[any_place]])
        starts = np.searchsorted(keys, wanted)
        counts = np.searchsorted(keys, wanted, side="right") - starts
        found, members = expand(starts, counts)
        return owners[found], positions[members], others[found]

    def triplet_scores(self, triplets: np.ndarray) -> np.ndarray:
        """Returns the evidence for triplets, each left out of the facts: the mean of that for its tail and its head.

        Args:
            triplets: Int of shape (n, 3).

        Returns:
            Float32 of shape (n,): -log(1 - p).
        """
        total = np.zeros(len(triplets), np.float32)
        for relation in np.unique(triplets[:, 1]).tolist():
            places = np.flatnonzero(triplets[:, 1] == relation)
            for start in range(0, len(places), TRIPLETS):
                part = places[start : start + TRIPLETS]
                for slot in (2, 0):
                    owners, positions, counts, _ = self._match(triplets[part].astype(np.int64), slot)
                    # What says most comes first in its group.
                    evidence, groups = self.weights[positions] * voices(counts), self.rules.groups[positions]
                    order = np.lexsort([-evidence, groups, owners])
                    owners, groups, evidence = owners[order], groups[order], evidence[order]
                    is_first = (np.diff(owners, prepend=-1) != 0) | (np.diff(groups, prepend=-1) != 0)
                    total[part] += np.bincount(owners[is_first], evidence[is_first] / 2, len(part)).astype(np.float32)
        return total

    def firing(
        self, triplets: np.ndarray, slot: int, most: int | None = None
    ) -> list[list[tuple[int, tuple[int, ...]]]]:
        """Returns the rules that speak for each triplet, the one that says most first; of a group, as in scores, one.

        Args:
            triplets: Int of shape (n, 3), of one relation.
            slot: The slot that is asked for: 0 or 2.
            most: The most rules of a triplet; None for all.

        Returns:
            For each triplet a list of rules; for each rule its position, and the entities that fulfil its body, one
            more than it has atoms: from x to y, or x and d.
        """
        found: list[list[tuple[int, tuple[int, ...]]]] = [[] for _ in triplets]
        for start in range(0, len(triplets), TRIPLETS):
            part = np.asarray(triplets[start : start + TRIPLETS], np.int64)
            owners, positions, counts, entities = self._match(part, slot)
            order = np.lexsort([positions, -self.weights[positions] * voices(counts), owners])
            keys = (
                owners[order] * (self.rules.groups.max(initial=0) + np.int64(1)) + self.rules.groups[positions[order]]
            )
            order = order[np.sort(np.unique(keys, return_index=True)[1])]
            places = np.arange(len(order)) - np.searchsorted(owners[order], owners[order])
            order = order if most is None else order[places < most]
            lengths = (self.rules.bodies[positions] >= 0).sum(axis=1)
            for one in order.tolist():
                way = tuple(entities[one, : lengths[one] + 1].tolist())
                found[start + int(owners[one])].append((int(positions[one]), way))
        return found

    def _match(self, triplets: np.ndarray, slot: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Finds the rules that fire for triplets of one relation, each left out of the facts.

        Returns:
            The position of the triplet, that of the rule (no pair twice), the number of its paths, and the entities of
            the first of them: int of shape (m,), (m,), (m,) and (m, 4).
        """
        rules, shift, size = self.rules, self.facts.num_relations, 2 * self.facts.num_relations + 1
        if not len(triplets):
            none = np.empty(0, np.int64)
            return none, none, none, np.empty((0, 4), np.int64)
        head = int(triplets[0, 1]) + (shift if slot == 0 else 0)
        positions = self.of_head(head)
        is_path = rules.head_constants[positions] < 0
        paths, constants = positions[is_path], positions[~is_path]
        bodies = rules.bodies[paths]
        owners, found, entities = [], [], []
        if slot == 0:
            bodies = reverse_bodies(bodies, shift)
        codes = np.sum((bodies.astype(np.int64) + 1) * [size**2, size, 1], axis=1)
        order = np.argsort(codes, kind="stable")
        codes, paths = codes[order], paths[order]
        for length in np.unique((bodies >= 0).sum(axis=1)).tolist():
            for walks in walk_between(self.facts, triplets, length):
                wanted = np.sum((walks.bodies.astype(np.int64) + 1) * [size**2, size, 1], axis=1)
                starts = np.searchsorted(codes, wanted)
                walk, members = expand(starts, np.searchsorted(codes, wanted, side="right") - starts)
                ends = triplets[walks.owners[walk]]
                way = np.concatenate([ends[:, :1], walks.between[walk][:, : length - 1], ends[:, 2:]], axis=1)
                owners.append(walks.owners[walk])
                found.append(paths[members])
                entities.append(np.pad(way if slot == 2 else way[:, ::-1], ((0, 0), (0, 3 - length))))
        known, asked = triplets[:, 2 - slot], triplets[:, slot]
        # An entity of many links, such as a country, is looked up once for all its triplets.
        distinct, place = np.unique(known, return_inverse=True)
        of, rule, other = self._match_constants(constants, distinct)
        answers = of * self.facts.num_entities + rules.head_constants[rule]
        order = np.argsort(answers, kind="stable")
        wanted = place * self.facts.num_entities + asked
        starts = np.searchsorted(answers[order], wanted)
        owner, member = expand(starts, np.searchsorted(answers[order], wanted, side="right") - starts)
        rule, other = rule[order][member], other[order][member]
        # Only b(x, .) can hold by another fact than the triplet itself; of its entities the first was taken.
        fits = np.ones(len(owner), bool)
        # A self loop is a fact of the inverse relation, too.
        for body, itself in ((head, asked), ((head + shift) % (2 * shift), np.where(known == asked, asked, -1))):
            is_itself = fits & (rules.bodies[rule, 0] == body) & (other == itself[owner])
            again = np.flatnonzero(is_itself & (rules.body_constants[rule] < 0))
            matrix = self.facts.adjacency[body]
            starts, ends = matrix.indptr[known[owner[again]]], matrix.indptr[known[owner[again]] + 1]
            again, starts = again[ends - starts > 1], starts[ends - starts > 1]
            firsts = matrix.indices[starts]
            other[again] = np.where(firsts == asked[owner[again]], matrix.indices[starts + 1], firsts)
            is_itself[again] = False
            fits &= ~is_itself
        owners.append(owner[fits])
        found.append(rule[fits])
        ways = np.stack([known[owner], other], axis=1)[fits]
        entities.append(np.pad(ways, ((0, 0), (0, 2))))
        owner, rule = np.concatenate(owners), np.concatenate(found)
        keys = owner * np.int64(max(len(rules), 1)) + rule
        _, first, counts = np.unique(keys, return_index=True, return_counts=True)
        return owner[first], rule[first], counts, np.concatenate(entities)[first]
