"""Bodies that a scoring server has to refuse: a table, and any number of damaged ones."""

import base64
import io
import json
import random
from collections.abc import Iterator

from hypothesis import strategies as some
from PIL import Image

JSON = {"Content-Type": "application/json"}
Body = tuple[str, bytes, dict[str, str]]


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _posted(name: str, body: object) -> Body:
    return name, json.dumps(body).encode(), JSON


def _bomb() -> str:
    file = io.BytesIO()
    Image.new("1", (12000, 12000)).save(file, "PNG")
    return base64_of(file.getvalue())


def bad_bodies(good: bytes) -> list[Body]:
    """Return one body of each known kind.

    Args:
        good: an image that the server can score.
    """
    text = base64_of(good)
    cells = {
        "not base64": "hello!!",
        "base64 of half a byte": "abcde",
        "umlauts": "äöü",
        "not an image": base64_of(b"hello"),
        "empty": "",
        "null": None,
        "a number": 3,
        "a bool": True,
        "an object": {"a": 1},
        "nested lists": [[text]],
        "truncated": base64_of(good[: len(good) // 2]),
        "a header alone": base64_of(good[:20]),
        "a bomb": _bomb(),
        "a lone surrogate": "\ud800",
        "bytes as a list": list(good[:50]),
        "33 MB": base64_of(b"\xff" * (33 << 20)),
    }
    frames = {
        "another column": {"columns": ["photo"], "data": [[text]]},
        "no columns": {"data": [[text]]},
        "the column twice": {"columns": ["image", "image"], "data": [[text, text]]},
        "ragged": {"columns": ["image"], "data": [[text, 1]]},
        "no data": {"columns": ["image"]},
        "one of two is bad": {"columns": ["image"], "data": [[text], ["xx"]]},
        "a list": [1],
        "null": None,
    }
    bodies = [
        *({"dataframe_split": frame} for frame in frames.values()),
        *({"dataframe_records": rows} for rows in ({"image": text}, "x", [1, 2], [{"b": text}])),
        *(
            {"inputs": value}
            for value in (None, text, 5, [1, 2], {"pic": [text]}, {}, {"image": 5})
        ),
        *({"instances": value} for value in (None, "x", [1])),
        *({}, [1], "a", None, {"inputs": [1], "instances": [2]}, {"messages": [1]}, {"input": "x"}),
    ]
    return [
        *(
            _posted(f"{name} ({key})", {key: rows})
            for name, cell in cells.items()
            for key, rows in (
                ("dataframe_split", {"columns": ["image"], "data": [[cell]]}),
                ("inputs", [{"image": cell}]),
            )
        ),
        *(_posted(json.dumps(body)[:60], body) for body in bodies),
        ("no JSON", b"{", JSON),
        ("nothing", b"", JSON),
        ("no UTF-8", b"\xff\xfe", JSON),
        ("nested too deep", b'{"inputs":' + b"[" * 100_000 + b"]" * 100_000 + b"}", JSON),
        ("a number too long", b'{"inputs":' + b"9" * 5000 + b"}", JSON),
        ("no content type", b"{}", {}),
        ("CSV that is none", b"\xff\xfe", {"Content-Type": "text/csv"}),
        ("Parquet that is none", b"PAR1", {"Content-Type": "application/vnd.apache.parquet"}),
    ]


def damaged_bodies(good: bytes, count: int, seed: int = 0) -> Iterator[Body]:
    """Yield valid requests, each with one thing broken."""
    rng = random.Random(seed)
    text = base64_of(good)
    body = json.dumps({"dataframe_split": {"columns": ["image"], "data": [[text]]}})
    head = body[: body.index(text)]
    for number in range(count):
        kind = number % 4
        if kind == 0:  # the image ends too early
            cell = base64_of(good[: rng.randrange(len(good) // 2)])
            yield f"truncated image {number}", body.replace(text, cell).encode(), JSON
        elif kind == 1:  # a character that is not base64
            place = rng.randrange(len(text))
            cell = text[:place] + rng.choice("!§*%~") + text[place + 1 :]
            yield f"wrong base64 {number}", body.replace(text, cell).encode(), JSON
        elif kind == 2:  # the body ends too early
            yield f"truncated body {number}", body[: rng.randrange(len(body) - 1)].encode(), JSON
        else:  # another word instead of MLflow's
            place = rng.randrange(2, len(head) - 12)
            broken = body[:place] + rng.choice("#@^") + body[place + 1 :]
            yield f"wrong word {number}", broken.encode(), JSON


def odd_requests(good: bytes) -> some.SearchStrategy[tuple[bytes, dict[str, str]]]:
    """Requests of which anything may be wrong, or nothing."""
    text = base64_of(good)
    texts = some.one_of(
        some.sampled_from(
            [
                text,
                f"data:image/jpeg;base64,{text}",
                base64.encodebytes(good).decode(),
                base64.urlsafe_b64encode(good).decode().rstrip("="),
            ]
        ),
        some.integers(0, len(text)).map(lambda end: text[:end]),
        some.binary(max_size=60).map(base64_of),
        some.text(max_size=30),
    )
    plain = some.one_of(texts, some.none(), some.booleans(), some.integers(), some.floats())
    cells = some.recursive(
        plain,
        lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(), inner),
        max_leaves=4,
    )
    names = some.one_of(some.just("image"), some.sampled_from(["Image", "image ", "", "index"]))
    rows = some.lists(some.one_of(some.dictionaries(names, cells, max_size=2), cells), max_size=4)
    frames = some.one_of(
        rows,
        some.fixed_dictionaries({"image": some.one_of(some.lists(cells, max_size=4), cells)}),
        some.fixed_dictionaries(
            {
                "columns": some.one_of(some.just(["image"]), some.lists(names, max_size=3), cells),
                "data": some.one_of(some.lists(some.lists(cells, max_size=2), max_size=4), cells),
            },
            optional={"index": cells},
        ),
        cells,
    )
    forms = ["dataframe_split", "dataframe_records", "instances", "inputs"]
    keys = some.sampled_from([*forms, *forms, "params", "input", "messages", ""])
    bodies = some.one_of(
        some.dictionaries(keys, frames, min_size=1, max_size=2).map(json.dumps),
        some.lists(texts, max_size=3).map(lambda rows: "\n".join(["image", *rows])),
        cells.map(json.dumps),
    ).map(lambda body: body.encode(errors="surrogatepass"))
    types = [
        *8 * ["application/json"],
        *("text/csv", "application/vnd.apache.parquet", "application/json; charset=utf-16"),
        *("APPLICATION/JSON", "text/plain", "", ";", "application/json; charset=UTF-8"),
    ]
    return some.tuples(
        some.one_of(
            bodies,
            some.tuples(bodies, some.floats(0, 1)).map(lambda cut: cut[0][: int(cut[1] * 999)]),
            some.tuples(bodies, some.integers(0, 99), some.binary(min_size=1, max_size=3)).map(
                lambda new: new[0][: new[1]] + new[2] + new[0][new[1] + len(new[2]) :]
            ),
            some.binary(max_size=60),
        ),
        some.sampled_from(types).map(lambda kind: {"Content-Type": kind}),
    )
