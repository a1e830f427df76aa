"""What each part of a hand-in must look like before anything else reads it: bounds on all of it."""

from jsonschema import Draft202012Validator

__all__ = ["EMPTY", "check_part"]


def _text(most=300):
    return {"type": "string", "maxLength": most}


def _match(pattern):
    return {"type": "string", "pattern": rf"^{pattern}\Z", "maxLength": 128}


def _list(item, most):
    return {"type": "array", "items": item, "maxItems": most}


def _object(**keys):
    return {
        "type": "object",
        "properties": keys,
        "required": [*keys],
        "additionalProperties": False,
    }


def _named(item, most):
    """An object of at most so many names."""
    names = _text(200)
    return {
        "type": "object",
        "additionalProperties": item,
        "maxProperties": most,
        "propertyNames": names,
    }


def _or_none(one):
    return {"anyOf": [one, {"type": "null"}]}


_NUMBER = {"type": "number", "minimum": -1e300, "maximum": 1e300}
_COUNT = {"type": "integer", "minimum": 0, "maximum": 2**53}
_BOOL = {"type": "boolean"}
_HEX = _match("[0-9a-f]{0,64}")
_PICTURE = r"[a-z]+(-\d{1,4}){1,2}\.png"
_PROBLEM = _text(2000)

_RUN = _object(
    name=_text(),
    best=_or_none(_NUMBER),
    last=_or_none(_NUMBER),
    counted=_or_none(_NUMBER),
    games=_COUNT,
    steps=_COUNT,
    hours={**_NUMBER, "minimum": 0},
    missing=_list(_text(), 20),
    oddities=_list(_text(), 20),
    sittings=_COUNT,
    floats=_list(_HEX, 300),
)
_POINTS = _object(steps=_list(_NUMBER, 400), values=_list(_NUMBER, 400))
_NETWORK = _object(actions=_COUNT, parameters=_COUNT, layers=_list(_list(_COUNT, 8), 200))
_VIDEO = _object(
    name=_text(),
    kind={"enum": ["sampled", "greedy", ""]},
    problem=_PROBLEM,
    seconds={**_NUMBER, "minimum": 0},
    frames=_COUNT,
    rate={**_NUMBER, "minimum": 0},
    digest=_HEX,
    strip=_match(r"(strip-\d{1,3}\.jpg)?"),
    copy=_match(r"(video-\d{1,3}\.mp4)?"),
    follows={"type": "null"},
    moves={"const": 0},
    seen={"const": 0},
)
_OUTPUT = {
    "anyOf": [
        _object(text=_text(20_000)),
        _object(picture=_match(_PICTURE)),
        _object(error=_text(20_000)),
    ]
}
_CELL = _object(
    id=_text(64),
    kind={"enum": ["code", "markdown"]},
    source=_text(50_000),
    count=_or_none(_COUNT),
    outputs=_list(_OUTPUT, 40),
)
_PARTS = {
    "curves": _object(
        problem=_PROBLEM, chosen=_COUNT, runs=_list(_RUN, 10), points=_named(_POINTS, 20)
    ),
    "weights": _object(
        problem=_PROBLEM,
        network=_or_none(_NETWORK),
        same_network=_BOOL,
        digest=_HEX,
        sketch=_list(_NUMBER, 4096),
    ),
    "videos": _object(problem=_PROBLEM, files=_list(_VIDEO, 24)),
    "pictures": _object(
        problem=_PROBLEM,
        files=_list(
            _object(
                name=_text(),
                picture=_match(f"({_PICTURE})?"),
                caption=_text(1000),
                shown=_BOOL,
            ),
            60,
        ),
    ),
    "comments": _object(problem=_PROBLEM, text=_text(20_000), words=_COUNT),
    "notebook": _object(
        problem=_PROBLEM,
        cells=_list(_CELL, 1000),
        rows=_list({**_list(_text(500), 3), "minItems": 3}, 50),
        shapes=_named(_list(_HEX, 4000), 5),
        phrases=_list(_HEX, 2000),
    ),
}
EMPTY = {  # what is known of a part that could not be read
    "curves": {"chosen": 0, "runs": [], "points": {}},
    "weights": {"network": None, "same_network": False, "digest": "", "sketch": []},
    "videos": {"files": []},
    "pictures": {"files": []},
    "comments": {"text": "", "words": 0},
    "notebook": {"cells": [], "rows": [], "shapes": {}, "phrases": []},
}


def check_part(name, found):
    """Raises a jsonschema.ValidationError where a part is not what evidence holds of it.

    Args:
        name: One of EMPTY.
        found: What was read, any JSON value.
    """
    Draft202012Validator(_PARTS[name]).validate(found)
    if name == "curves" and found["runs"] and found["chosen"] >= len(found["runs"]):
        Draft202012Validator({"maximum": len(found["runs"]) - 1}).validate(found["chosen"])
