"""What stands in for the parts of other tasks while one task is checked."""

import contextlib
import copy
import functools
import inspect
from unittest import mock

import numpy as np
import torch

from tests.checks.freedoms import close
from tests.checks.observing import array, same_course, unnoted

__all__ = ["PIXELS", "RecordedModel", "acting", "as_leaf"]

PIXELS = slice(0, None, 131)  # of an observation, enough to tell drawn pictures apart


def as_leaf(model, outputs):
    """Returns outputs [n, A + 1] as a tensor that gradients reach, of the model's kind."""
    parameter = next(model.parameters())
    root = torch.tensor(outputs, dtype=parameter.dtype, device=parameter.device)
    return root.requires_grad_()


class RecordedModel:
    """Returns recorded outputs with a graph, whatever the student's own network computes.

    What that network refuses (arrays, other types or shapes) is refused here too, unless it fails
    on right observations already, which is the matter of its own check.

    Attributes:
        root: [n, A + 1] tensor, logits and values of the known observations, for gradients.
        reached: What the network was called with, a list of [B, pixels] float64 arrays.
        given: The tensors or arrays that held it.
        columns: Whether the student's network returns values [B, 1], as most do.
    """

    def __init__(self, model, pictures, root):
        """Takes observations [n, 4, 84, 84], an array, and logits and values [n, A + 1]."""
        self._model, self._own, self._taken = model, model.forward, set()
        self._form = tuple  # of what the network returns
        self.columns = self._returns_columns(pictures[:2])
        self._pixels = pictures.reshape(len(pictures), -1)[:, PIXELS].astype(np.float64)
        self.root, self.reached, self.given = root, [], []

    def __call__(self, *given, **named):
        """Returns logits [B, A] and values [B, 1], or [B] where the student's network does.

        It takes observations in the way, by place or by name, that the student's network does.
        """
        inspect.signature(self._own).bind(*given, **named)  # raises what a wrong call does
        (observations,) = (*given, *named.values())
        self._refuse(observations)
        return self.recorded(observations)

    def recorded(self, observations):
        """Returns what a call does, whether or not the student's network takes these."""
        pixels = _pixels_of(observations)
        self.reached.append(pixels)
        self.given.append(observations)
        unlike = [np.abs(self._pixels - row).sum(1) for row in self._to_scale(pixels)]
        outputs = self.root[[int(row.argmin()) for row in unlike]]
        values = outputs[:, -1:] if self.columns else outputs[:, -1]
        return self._form((outputs[:, :-1], values))

    def _returns_columns(self, pictures):
        with contextlib.suppress(Exception), torch.no_grad(), same_course():
            device = next(self._model.parameters()).device
            observations = torch.as_tensor(pictures, device=device)
            returned = self._model(observations)
            self._taken.add(_kind_of(observations))
            self._form = getattr(returned, "_make", tuple)  # of a named tuple
            return returned[1].ndim != 1
        return True

    def _refuse(self, observations):
        """Raises what the student's network does for observations of a new kind."""
        kind = _kind_of(observations)
        if not self._taken or kind in self._taken:
            return
        first = observations[:1]
        with torch.no_grad(), same_course():
            self._own(first.clone() if torch.is_tensor(first) else copy.deepcopy(first))
        self._taken.add(kind)

    def forget(self):
        """Drops what the network was called with so far."""
        self.reached.clear()
        self.given.clear()

    def kept(self):
        """Tells whether what the network was called with is still there: learning needs it."""
        pairs = zip(self.reached, self.given, strict=True)
        return all(np.array_equal(pixels, _pixels_of(tensor)) for pixels, tensor in pairs)

    def _to_scale(self, pixels):
        return pixels / 255 if pixels.max(initial=0) > 2 else pixels

    @contextlib.contextmanager
    def standing_in(self):
        """Replaces `model.forward` within the block."""
        with mock.patch.object(self._model, "forward", self):
            yield self


def _kind_of(observations):
    """Returns all of observations that a network may refuse: no numbers, and not how many."""
    form = [getattr(observations, name, None) for name in ("dtype", "device")]
    return type(observations), *form, tuple(getattr(observations, "shape", ()))[1:]


def _pixels_of(observations):
    if not torch.is_tensor(observations):
        observations = torch.as_tensor(np.asarray(observations))
    pixels = observations.detach().reshape(len(observations), -1)[:, PIXELS]
    return pixels.cpu().double().numpy().copy()  # in this order: Apple's GPU has no float64


@contextlib.contextmanager
def acting(policy, network):
    """Lets a policy act on the network's stand-in; where that goes wrong, recorded entries serve.

    What it does wrong is the matter of its own check. Another policy acts as it does. The method
    is replaced in the class: an object may have slots or be frozen.

    Args:
        policy: The student's.
        network: A RecordedModel, standing in.
    """
    cls, own = type(policy), getattr(policy, "__dict__", {})
    act, acts = cls.act, policy.act

    def recorded(*args, **kwargs):
        inspect.signature(acts).bind(*args, **kwargs)  # raises what a wrong call does
        given = (x for x in (*args, *kwargs.values()) if hasattr(x, "__len__"))
        entries = _entries(network, next(given, None))
        found = _own_act(network, acts, args, kwargs)
        return found if _same_values(found, entries) else entries

    def method(self, *args, **kwargs):
        return (recorded if self is policy else functools.partial(act, self))(*args, **kwargs)

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(cls, "act", method))
        if "act" in own:
            stack.enter_context(mock.patch.dict(own, act=recorded))
        yield


def _own_act(network, acts, args, kwargs):
    """Returns what a policy's own act does, None where it raises, and leaves no trace of it."""
    calls = len(network.reached)
    try:
        args, kwargs = copy.deepcopy((args, kwargs))  # it may write into them
        with unnoted(), same_course():
            return acts(*args, **kwargs)
    except KeyboardInterrupt:
        raise
    except BaseException:  # the student's
        return None
    finally:
        del network.reached[calls:], network.given[calls:]


def _same_values(act, entries):
    """Tells whether an act has values of the right form, with or without a graph as recorded."""
    with contextlib.suppress(Exception):
        values, right = act["values"], entries["values"]
        graphs = values.requires_grad, right.requires_grad
        return close(array(values), array(right)) and graphs[0] == graphs[1]
    return False


def _entries(network, inputs):
    """Returns an act of the right form; actions and log-probabilities are any."""
    observations = inputs if torch.is_tensor(inputs) else torch.as_tensor(np.asarray(inputs))
    logits, values = network.recorded(observations)
    entries = {"actions": np.zeros(len(logits), int), "logits": logits}
    entries |= dict.fromkeys(("log_probs", "log_prob"), logits[:, 0])
    return {**entries, "values": values.reshape(-1)}
