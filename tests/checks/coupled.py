"""Recorded numbers that hang on the weights of a network, to read gradients and steps from it."""

import numpy as np
import torch

from tests.checks.observing import array

__all__ = ["Coupled"]


class Coupled:
    """Numbers, each of which moves with one weight that is its own, and keeps its value.

    So the gradient that arrives at this weight is the gradient with respect to the number, and the
    weight shows what an optimizer made of it. All other weights take part with a gradient of zero.

    Attributes:
        root: [N, C] tensor, the numbers.
    """

    def __init__(self, model, numbers):
        """Spreads numbers, [N, C], over all weights of a network that learn."""
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._shape, size = numbers.shape, numbers.size
        rounds = range(max(weight.numel() for weight in self._weights))
        places = ((k, w) for k in rounds for w, x in enumerate(self._weights) if k < x.numel())
        which = np.array([place for place, _ in zip(places, range(size), strict=False)])
        self._order = np.argsort(np.lexsort((which[:, 0], which[:, 1])))
        self._at = [which[which[:, 1] == w, 0] for w in range(len(self._weights))]
        moving = self._gather(self._weights)
        held = torch.as_tensor(numbers).to(moving)
        self.root = held + (moving - moving.detach())

    def _gather(self, tensors):
        """Returns what belongs to the numbers of a tensor for each weight, [N, C]."""
        parts = [x.reshape(-1)[at] for x, at in zip(tensors, self._at, strict=True)]
        return torch.cat(parts)[self._order].reshape(self._shape)

    def gradient_of(self, loss):
        """Returns d loss / d numbers, [N, C] float64; zeros where there is no graph."""
        if not torch.is_tensor(loss) or not loss.requires_grad:
            return np.zeros(self._shape)
        found = torch.autograd.grad(loss.sum(), self.root, retain_graph=True, allow_unused=True)[0]
        return np.zeros(self._shape) if found is None else array(found)

    def _gradients(self):
        return [torch.zeros_like(w) if w.grad is None else w.grad for w in self._weights]

    def arrived(self):
        """Returns the gradient that lies at the weights, [N, C], and the norm of all of it."""
        norms = [float(gradient.cpu().double().norm()) for gradient in self._gradients()]
        return array(self._gather(self._gradients())), float(np.linalg.norm(norms))

    def weights(self):
        """Returns a copy of all weights."""
        return [weight.detach().clone() for weight in self._weights]

    def moved(self, before, after):
        """Returns by how much weights moved, [N, C], and the largest step of all the others."""
        pairs = zip(before, after, strict=True)
        steps = [(b.cpu().double() - a.cpu().double()).reshape(-1) for a, b in pairs]
        own = array(self._gather(steps))
        for step, at in zip(steps, self._at, strict=True):
            step[at] = 0
        return own, max(float(step.abs().max()) for step in steps)
