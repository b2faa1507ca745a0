"""What a reader of another format returned, as plain Python values."""


def triplets(source):
    """The triplets, as tuples of ids."""
    train = source.splits["train"]
    names = train.names.to_pylist()
    return [tuple(names[code] for code in row) for row in train.codes.tolist()]


def column(source, name, table="entities"):
    """The values of one column, by id."""
    return {row["id"]: row[name] for row in getattr(source, table).to_pylist()}


def left_out(source):
    """How many of what were left out."""
    return {each.what: each.count for each in source.left_out}
