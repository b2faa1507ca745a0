"""Score functions: Eq. 1 of the paper, others, and the place where one is added. Tensors in, tensors out; float32.

A score function turns the vectors of head, relation and tail into an energy, low for plausible triplets. Eq. 1 makes
the score of it: b - 1/2 * factor * energy. To add one, write a function of (head, relation, tail) and register it:

    @register_score_function("manhattan")
    def manhattan(head, relation, tail):
        ...

`LassConfig(score_function="manhattan")` then uses it in training, scoring, ranking and prediction. Weights act on the
relation alone: a module makes the parameters of a relation of its segment vector, and the function is given those.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from .errors import LassError, ModelError

NUMBERS_AT_ONCE = 2**24  # of queries beside entities, by broadcasting, that are in memory together
RANK = 4  # of what `projection` adds to the identity

Energy = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class ScoreFunction:
    """An energy of three vectors, and how a bi-encoder keeps and compares the vectors of its sequences.

    Attributes:
        name: What `LassConfig.score_function` calls it.
        energy: Function of head, relation and tail, float32 tensors of shape (..., k), (..., p) and (..., k) that
            broadcast, which returns the energies, of shape (...). p is k without `parameters`.
        query: Function of head and relation that returns a vector u with energy(h, r, t) = ||u - t||^2, or None if
            there is no such vector. With it a query is k numbers, and all candidates are compared by one matrix
            product. Without it a query is the k + p numbers of h and r, and candidates are compared by broadcasting.
        query_energy: Function of u, relation and tail that returns the energies, where they are not ||u - t||^2. A
            query is then the k + p numbers of u and r.
        all_energies: What compares all pairs faster than broadcasting: a function of u (h without `query`), relation
            and tail, of shape (q, k), (q, p) and (m, k), which returns the energies, of shape (q, m).
        parameters: Class of the module with the weights of the function, made with k. It turns relations of shape
            (..., k) into their parameters, of shape (..., p), which the functions above get as the relation.
    """

    name: str
    energy: Energy
    query: Callable[[Tensor, Tensor], Tensor] | None = None
    query_energy: Energy | None = None
    all_energies: Energy | None = None
    parameters: Callable[[int], nn.Module] = nn.Identity

    @property
    def has_query_vector(self) -> bool:
        """True if the energies of a query are the squared distances of one vector to those of the candidates."""
        return self.query is not None and self.query_energy is None

    def compute_energy(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        """Returns `energy` of vectors, and checks its shape.

        Raises:
            LassError: The function did not sum over the last dimension.
        """
        energy = self.energy(head, relation, tail)
        expected = torch.broadcast_shapes(head.shape[:-1], relation.shape[:-1], tail.shape[:-1])
        if energy.shape != expected:
            raise LassError(
                f"score function {self.name!r} returned energies of shape {tuple(energy.shape)}; expected "
                f"{tuple(expected)}, without the last dimension of its vectors"
            )
        return energy

    def row_vectors(self, head: Tensor, relation: Tensor, tail: Tensor, is_query: Tensor, unit_length: bool) -> Tensor:
        """Returns one vector for each sequence of a bi-encoder, which is a query (h, r) or an entity (t).

        Args:
            head: Float32 of shape (rows, k); 0 in the rows of entities.
            relation: Float32 of shape (rows, p); in the rows of entities anything that a query vector is defined for.
            tail: Float32 of shape (rows, k); 0 in the rows of queries.
            is_query: Bool of shape (rows,), the rows of queries.
            unit_length: Whether u and t (without `query`: h and t) are brought to unit length.

        Returns:
            Float32 of shape (rows, k), or (rows, k + p) if there is no query vector.
        """
        if self.query is None:
            compared = head + tail
        else:
            # Ones stand in for the head that an entity does not have: at 0 a query vector, or its gradient, may be
            # undefined.
            given = is_query[:, None]
            compared = torch.where(given, self.query(torch.where(given, head, torch.ones_like(head)), relation), tail)
        if unit_length:
            compared = normalize(compared, dim=-1)
        return compared if self.has_query_vector else torch.cat([compared, relation], dim=-1)

    def compare(self, queries: Tensor, entities: Tensor) -> Tensor:
        """Returns the energies of queries with one entity each.

        Args:
            queries: Row vectors of queries, float32 of shape (..., k) or (..., k + p).
            entities: Vectors of entities, float32 of shape (..., k).

        Returns:
            Float32 of shape (...).
        """
        if self.has_query_vector:
            return (queries - entities).square().sum(-1)
        size = entities.shape[-1]
        compared, relation = queries[..., :size], queries[..., size:]
        if self.query_energy is not None:
            return self.query_energy(compared, relation, entities)
        return self.compute_energy(compared, relation, entities)

    def compare_all(self, queries: Tensor, entities: Tensor) -> Tensor:
        """Returns the energies of every query with every entity.

        Args:
            queries: Row vectors of queries, float32 of shape (q, k) or (q, k + p).
            entities: Vectors of entities, float32 of shape (m, k).

        Returns:
            Float32 of shape (q, m).
        """
        if self.has_query_vector:
            return squared_distances(queries, entities)
        size = entities.shape[1]
        if self.all_energies is not None:
            return self.all_energies(queries[:, :size], queries[:, size:], entities)
        return compare_in_parts(self.compare, queries, entities)


def compare_in_parts(compare: Callable[[Tensor, Tensor], Tensor], queries: Tensor, entities: Tensor) -> Tensor:
    """Returns what `compare` gives for every query with every entity, by broadcasting, float32 of shape (q, m)."""
    parts = queries.split(max(1, NUMBERS_AT_ONCE // max(1, entities.numel())))
    return torch.cat([queries.new_empty(0, len(entities)), *(compare(part[:, None], entities) for part in parts)])


SCORE_FUNCTIONS: dict[str, ScoreFunction] = {}


def register_score_function(
    name: str,
    query: Callable[[Tensor, Tensor], Tensor] | None = None,
    *,
    query_energy: Energy | None = None,
    all_energies: Energy | None = None,
    parameters: Callable[[int], nn.Module] = nn.Identity,
) -> Callable[[Energy], Energy]:
    """Makes an energy available to `LassConfig(score_function=name)`; use it as a decorator.

    Args:
        name: Name of the score function.
        query: See `ScoreFunction`, as for the following ones.
        query_energy: The energies of a query's vector, where they are no squared distances.
        all_energies: The energies of all pairs.
        parameters: The class of the module with the function's weights.

    Returns:
        A decorator that registers the function and returns it unchanged.

    Raises:
        LassError: Another function has the name (the same one may be registered again, as a notebook does), a function
            takes other arguments, or would never be called.
    """

    def register(energy: Energy) -> Energy:
        _check_arguments(name, energy, "head, relation, tail")
        if all_energies is not None and query is not None and query_energy is None:
            raise LassError(f"score function {name}: all_energies changes nothing beside a query vector; leave it out")
        if query_energy is not None and query is None:
            raise LassError(f"score function {name}: query_energy needs query, which makes the vector that it gets")
        _check_arguments(f"{name}: query", query, "head, relation")
        _check_arguments(f"{name}: query_energy", query_energy, "query, relation, tail")
        _check_arguments(f"{name}: all_energies", all_energies, "queries, relations, tails")
        _check_arguments(f"{name}: parameters", parameters, "dim")
        before = SCORE_FUNCTIONS.get(name)
        if before is not None and _origin(before.energy) != _origin(energy):
            raise LassError(f"a score function {name!r} is registered already; choose another name")
        SCORE_FUNCTIONS[name] = ScoreFunction(name, energy, query, query_energy, all_energies, parameters)
        return energy

    return register


def _check_arguments(name: str, function: Callable[..., object] | None, arguments: str) -> None:
    """Raises LassError for a function that cannot be called with the arguments."""
    if function is None:
        return
    try:
        inspect.signature(function).bind(*arguments.split(", "))
    except ValueError:  # A function in C may not tell.
        return
    except TypeError:
        raise LassError(f"score function {name} takes {inspect.signature(function)}; expected ({arguments})") from None


def _origin(energy: Energy) -> tuple[str, str]:
    """Returns module and name of a function."""
    return energy.__module__, energy.__qualname__


@register_score_function("translation", query=torch.add)
def translation(head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
    """Returns ||h + r - t||^2, the energy of Eq. 1.

    Args:
        head: Float32 of shape (..., k).
        relation: Float32 of shape (..., k).
        tail: Float32 of shape (..., k).

    Returns:
        Float32 of shape (...).
    """
    return (head + relation - tail).square().sum(-1)


class _Maps(nn.Module):
    """Makes of relations r what `projection` gets: r, a_1 ... a_m and b_1 ... b_m, of the map x + sum a_j <b_j, x>.

    b_j has unit length. It begins as r, its numbers shifted by some places, and is no random vector: all trainings
    begin alike. a_j begins as 0, and so each map as the identity.
    """

    def __init__(self, dim: int, rank: int = RANK):
        super().__init__()
        places = [dim * (number + 1) // (rank + 1) for number in range(rank)]
        self.read = nn.Parameter(torch.stack([torch.eye(dim).roll(shift, 0) for shift in places]))
        self.write = nn.Parameter(torch.zeros(rank, dim, dim))

    def forward(self, relation: Tensor) -> Tensor:
        write, read = (torch.einsum("...k,mjk->...mj", relation, weight) for weight in (self.write, self.read))
        return torch.cat([relation, write.flatten(-2), normalize(read, dim=-1).flatten(-2)], dim=-1)


class _Normals(nn.Module):
    """Makes of relations r what `hyperplane` gets: r, -w and w, where w is the normal of a hyperplane, of unit length.

    w begins as r, its numbers shifted by half of their places.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.normal = nn.Parameter(torch.eye(dim).roll(dim // 2, 0))

    def forward(self, relation: Tensor) -> Tensor:
        normal = normalize(relation @ self.normal.T, dim=-1)
        return torch.cat([relation, -normal, normal], dim=-1)


def _split_maps(relation: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns r, float32 of shape (..., k), and a and b, (..., m, k), of parameters of shape (..., (1 + 2m)k)."""
    maps = relation[..., size:].unflatten(-1, (2, -1, size))
    return relation[..., :size], maps[..., 0, :, :], maps[..., 1, :, :]


def _map(vectors: Tensor, write: Tensor, read: Tensor) -> Tensor:
    """Returns x + sum a_j <b_j, x> of vectors x, float32 of shape (..., k)."""
    return vectors + ((read * vectors[..., None, :]).sum(-1, keepdim=True) * write).sum(-2)


def _map_query(head: Tensor, relation: Tensor) -> Tensor:
    relation, *maps = _split_maps(relation, head.shape[-1])
    return _map(head, *maps) + relation


def _map_tail(query: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
    _, *maps = _split_maps(relation, query.shape[-1])
    return (query - _map(tail, *maps)).square().sum(-1)


def _map_tails(queries: Tensor, relations: Tensor, tails: Tensor) -> Tensor:
    """Returns `_map_tail` of all pairs: ||u - t||^2 - 2 <u - t, d> + ||d||^2, where d is sum a_j <b_j, t>."""
    _, write, read = _split_maps(relations, queries.shape[-1])
    amounts = read @ tails.T  # (q, m, tails)
    along = (write @ queries[..., None]) - write @ tails.T
    gram = write @ write.transpose(1, 2)
    return squared_distances(queries, tails) + (amounts * (gram @ amounts - 2 * along)).sum(1)


@register_score_function("hyperplane", _map_query, query_energy=_map_tail, all_energies=_map_tails, parameters=_Normals)
@register_score_function("projection", _map_query, query_energy=_map_tail, all_energies=_map_tails, parameters=_Maps)
def projection(head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
    """Returns ||M h + r - M t||^2, where the relation has its own M, the identity and a matrix of low rank.

    This is TransR (Lin et al., AAAI 2015, Eq. 7), whose M is any matrix. `hyperplane` is the same with M = 1 - w w^T:
    TransH (Wang et al., AAAI 2014, Eq. 1). There M is applied to no r, and w and M are learned for each relation; here
    weights make them of r, so that a relation which is new to the graph has them, too.

    Args:
        head: Float32 of shape (..., k).
        relation: r, and a_j and b_j of M = 1 + sum a_j b_j^T: float32 of shape (..., (1 + 2m)k).
        tail: Float32 of shape (..., k).

    Returns:
        Float32 of shape (...).
    """
    return _map_tail(_map_query(head, relation), relation, tail)


class _Angles(nn.Module):
    """Makes of relations, of shape (..., k), the angles of `rotation`, (..., k/2), which begin as 0."""

    def __init__(self, dim: int):
        super().__init__()
        if dim % 2:
            raise ModelError(
                f"score_function='rotation' rotates pairs of numbers, and the encoder's hidden size is {dim}; expected "
                "an encoder with an even one, or another score function"
            )
        self.angle = nn.Parameter(torch.zeros(dim // 2, dim))

    def forward(self, relation: Tensor) -> Tensor:
        return relation @ self.angle.T


def _rotate(head: Tensor, angles: Tensor) -> Tensor:
    """Returns vectors whose numbers i and k/2 + i are rotated by angle i: real and imaginary parts, as in RotatE."""
    (real, imaginary), cosine, sine = head.chunk(2, dim=-1), angles.cos(), angles.sin()
    return torch.cat([real * cosine - imaginary * sine, real * sine + imaginary * cosine], dim=-1)


@register_score_function("rotation", _rotate, parameters=_Angles)
def rotation(head: Tensor, angles: Tensor, tail: Tensor) -> Tensor:
    """Returns ||R h - t||^2, where R rotates pairs of numbers by angles that weights make of the relation.

    This is RotatE (Sun et al., ICLR 2019, Eq. 4), but for the square.

    Args:
        head: Float32 of shape (..., k), k even.
        angles: Float32 of shape (..., k/2).
        tail: Float32 of shape (..., k).

    Returns:
        Float32 of shape (...).
    """
    return (_rotate(head, angles) - tail).square().sum(-1)


class _Factors(nn.Module):
    """Makes of relations, of shape (..., k), the factors of `bilinear`, which begin as 1."""

    def __init__(self, dim: int):
        super().__init__()
        self.factor = nn.Parameter(torch.zeros(dim, dim))

    def forward(self, relation: Tensor) -> Tensor:
        return 1 + relation @ self.factor.T


def _multiply_all(heads: Tensor, factors: Tensor, tails: Tensor) -> Tensor:
    products = (heads * factors) @ tails.T
    return heads.square().sum(1, keepdim=True) + tails.square().sum(1) - 2 * products


@register_score_function("bilinear", all_energies=_multiply_all, parameters=_Factors)
def bilinear(head: Tensor, factors: Tensor, tail: Tensor) -> Tensor:
    """Returns ||h||^2 + ||t||^2 - 2 <h, m, t>, where weights make the factors m of the relation.

    The score is then b + factor * (<h, m, t> - ||h||^2 / 2 - ||t||^2 / 2): the product of DistMult (Yang et al., ICLR
    2015, Eq. 2), less what makes h and t long. So b is the score of h = t at m = 1, and the scores of an untrained
    encoder, whose m is 1, are within reach of the sigmoid. With vectors of unit length it is DistMult itself.

    Args:
        head: Float32 of shape (..., k).
        factors: Float32 of shape (..., k).
        tail: Float32 of shape (..., k).

    Returns:
        Float32 of shape (...).
    """
    return (head.square() + tail.square() - 2 * head * factors * tail).sum(-1)


def squared_distances(queries: Tensor, entities: Tensor) -> Tensor:
    """Returns the squared distances of all rows, float32 of shape (q, k), to all others, (m, k): shape (q, m)."""
    return queries.square().sum(1, keepdim=True) + entities.square().sum(1) - 2 * queries @ entities.T
