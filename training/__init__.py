"""What a run needs beside the algorithm."""

import textwrap

__all__ = ["RunError"]


class RunError(RuntimeError):
    """A run cannot be started, resumed, trained or saved; a notebook shows the message alone."""

    def _render_traceback_(self):
        """Returns what IPython shows, a list of lines."""
        whole = dict(break_long_words=False, break_on_hyphens=False)  # names of files
        return textwrap.wrap(f"RunError: {self}", 100, **whole)
