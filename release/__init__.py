"""The students' kit, made of the one solved notebook: `python -m release --out DIR`."""


class ReleaseError(Exception):
    """The kit cannot be released; the message names file and line."""
