"""What a run needs beside the algorithm."""

__all__ = ["RunError"]


class RunError(RuntimeError):
    """A run cannot be started, resumed, trained or saved as things are."""
