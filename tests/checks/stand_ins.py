"""What stands in for the parts of other tasks while one task is checked."""

import contextlib
from unittest import mock

import numpy as np
import torch

__all__ = ["RecordedModel"]

PIXELS = slice(0, None, 131)  # of an observation, enough to tell drawn pictures apart


class RecordedModel:
    """Returns recorded outputs with a graph, whatever the student's own network does.

    Attributes:
        root: [n, A + 1] leaf tensor, logits and values of the known observations, for gradients.
        reached: What the network was called with, a list of [B, pixels] float64 arrays.
    """

    def __init__(self, model, pictures, logits, values):
        """Takes observations [n, 4, 84, 84], logits [n, A] and values [n], NumPy arrays."""
        self._model, self._columns = model, _returns_columns(model, pictures)
        parameter = next(model.parameters())
        self._pixels = pictures.reshape(len(pictures), -1)[:, PIXELS].astype(np.float64)
        outputs = np.column_stack([logits, values])
        self.root = torch.tensor(outputs, dtype=parameter.dtype, device=parameter.device)
        self.root.requires_grad_()
        self.reached = []

    def __call__(self, observations):
        """Returns logits [B, A] and values [B, 1], or [B] where the student's network does."""
        pixels = observations.detach().reshape(len(observations), -1)[:, PIXELS]
        pixels = pixels.double().cpu().numpy()
        self.reached.append(pixels)
        unlike = [np.abs(self._pixels - row).sum(1) for row in self._to_scale(pixels)]
        outputs = self.root[[int(row.argmin()) for row in unlike]]
        values = outputs[:, -1:] if self._columns else outputs[:, -1]
        return outputs[:, :-1], values

    def _to_scale(self, pixels):
        return pixels / 255 if pixels.max(initial=0) > 2 else pixels

    @contextlib.contextmanager
    def standing_in(self):
        """Replaces `model.forward` within the block."""
        with mock.patch.object(self._model, "forward", self):
            yield self


def _returns_columns(model, pictures):
    """Tells whether the student's network returns values [B, 1], as most do."""
    with contextlib.suppress(Exception), torch.no_grad():
        device = next(model.parameters()).device
        return model(torch.as_tensor(pictures[:2], device=device))[1].ndim != 1
    return True
