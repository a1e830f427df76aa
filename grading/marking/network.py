"""The network of Mnih et al. 2015 from numbers alone: layers are found by their shapes."""

import numpy as np

from grading.marking.audit import log_softmax
from languages import _

__all__ = ["Network", "read_network"]

BODY = [((32, 4, 8, 8), 4), ((64, 32, 4, 4), 2), ((64, 64, 3, 3), 1), ((512, 3136), None)]
MOST_ACTIONS = 18
HIDDEN = 512


class Network:
    """The network that a list of arrays makes.

    Attributes:
        n_actions: A.
        value_first: Whether one head for both begins with the value; False where there are two.
        joint: Whether there is one head for both.
    """

    def __init__(self, arrays):
        """Finds the layers.

        Args:
            arrays: The arrays of a state dict, in its order. Biases of equal length belong to the
                weights of as many rows, in this order.

        Raises:
            ValueError: If they are not those of the assignment's network.
        """
        tensors = [np.array(one, np.float32) for one in arrays]
        biases = [one for one in tensors if one.ndim == 1]
        layers = {}
        for weight in (one for one in tensors if one.ndim > 1):
            at = next((k for k, one in enumerate(biases) if len(one) == len(weight)), None)
            if at is None:
                raise ValueError(_other_network(arrays))
            layers.setdefault(tuple(weight.shape), []).append((weight, biases.pop(at)))
        body = [layers.pop(shape, []) for shape, _stride in BODY]
        heads = [head for pairs in layers.values() for head in pairs]
        heads.sort(key=lambda head: -len(head[0]))
        if biases or not (all(len(one) == 1 for one in body) and _are_heads(heads)):
            raise ValueError(_other_network(arrays))
        self._body = [one[0] for one in body]
        self._head = [np.concatenate(parts) for parts in zip(*heads, strict=True)]
        self.joint, self.value_first = len(heads) == 1, False
        self.n_actions = len(self._head[0]) - 1

    def __call__(self, observations):
        """Returns log-probabilities [n, A] and values [n], both float64.

        Args:
            observations: [n, 4, 84, 84] bytes.
        """
        x = observations.astype(np.float32) / 255
        for (weight, bias), (_shape, stride) in zip(self._body, BODY, strict=True):
            if stride is None:
                x = x.reshape(len(x), -1) @ weight.T + bias
            else:
                x = _convolved(x, weight, bias, stride)
            x = np.maximum(x, 0)
        weight, bias = self._head
        outputs = (x @ weight.T + bias).astype(np.float64)
        logits, values = outputs[:, :-1], outputs[:, -1]
        if self.value_first:
            values, logits = outputs[:, 0], outputs[:, 1:]
        return log_softmax(logits), values


def read_network(path):
    """Returns the Network of an .npz file of arrays in a state dict's order.

    Raises:
        ValueError: If the file cannot be read, or holds another network's arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = [file[name] for name in file.files]
    except Exception as e:  # what numpy raises differs from one broken file to the next
        told = _("the weights cannot be read ({error})")
        raise ValueError(told.format(error=type(e).__name__)) from e
    network = Network(arrays)
    if not all(np.isfinite(one).all() for one in arrays):
        raise ValueError(_("the weights hold numbers that are not finite"))
    return network


def _convolved(x, weight, bias, stride):
    """Returns a convolution of x [n, C, H, W]: a product with all patches of it."""
    size = weight.shape[2:]
    patches = np.lib.stride_tricks.sliding_window_view(x, size, axis=(2, 3))
    patches = patches[:, :, ::stride, ::stride].transpose(0, 2, 3, 1, 4, 5)  # [n, h, w, C, k, k]
    rows = patches.reshape(*patches.shape[:3], -1) @ weight.reshape(len(weight), -1).T
    return (rows + bias).transpose(0, 3, 1, 2)


def _are_heads(heads):
    """Says whether heads, the largest first, are a policy's and a value's, or one for both."""
    rows = [len(weight) for weight, _bias in heads]
    right = rows[1:] == [1] or (len(rows) == 1 and rows[0] > 2)
    wide = all(weight.shape[1:] == (HIDDEN,) for weight, _bias in heads)
    return right and wide and rows[0] <= MOST_ACTIONS + 1


def _other_network(arrays):
    shapes = ", ".join(str(list(np.shape(one))) for one in arrays[:12])
    told = _("the weights are of another network than the assignment's: {shapes}")
    return told.format(shapes=shapes)
