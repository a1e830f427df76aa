"""The network in `weights.pt`: is it the task's, and is it somebody else's?"""

import hashlib
import re
import zipfile
from collections import Counter
from typing import NamedTuple

import numpy as np
import torch

from grading.marking.read.common import Unreadable, one_line, shown
from languages import _, grouped

__all__ = ["read"]

FILE = "weights.pt"
MOST_BYTES = 200 * 2**20  # of the file; a checkpoint with its optimizer has 14 MB
MOST_FLOATS = 16 * 2**20  # of a network, 64 MB; the task's has 1.7 million
BODY = [(32, 4, 8, 8), (64, 32, 4, 4), (64, 64, 3, 3), (512, 3136)]
HIDDEN = 512
CONSTANT = 8  # numbers of a tensor beside the layers, at most
SKETCH = {0: 800, 1: 800, 2: 800, 3: 800, 4: 800, 5: 96}  # values of each layer, 4,096 in all
SEED = 4096  # of the places that are looked at; the same for all


def read(order, folder, out):
    """Returns the part "weights", and leaves `weights.npz` where the network is the task's.

    Args:
        order: With "actions", the number of the game's actions.
        folder: The hand-in's folder.
        out: Where `weights.npz` goes: float32 arrays in the file's order.
    """
    found = dict(problem="", network=None, same_network=False, digest="", sketch=[])
    try:
        tensors = _without_constants(_tensors(folder / FILE), order["actions"])
        found["network"] = _network(tensors)
        found["problem"] = _difference(_shapes(tensors), order["actions"])
        found["same_network"] = not found["problem"]
        arrays = [tensor.detach().to(torch.float32).numpy() for tensor in tensors]
    except Unreadable as e:
        return {**found, "problem": str(e)}
    found["digest"] = _digest(arrays)
    if not all(np.isfinite(array).all() for array in arrays):
        found["problem"] = found["problem"] or _("weights.pt has values that are no numbers")
    elif found["same_network"]:
        found["network"]["actions"] = order["actions"]
        found["sketch"] = _sketch(arrays)
        np.savez(out / "weights.npz", **{f"{k:03d}": array for k, array in enumerate(arrays)})
    return found


# the file


def _tensors(path):
    """Returns the tensors of the network that a file holds, each once, none of them too large."""
    if not path.is_file():
        raise Unreadable(_("weights.pt is not there"))
    _check_size(path)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:  # what torch raises differs from one broken file to the next
        raise Unreadable(_refusal(e)) from e
    tensors = _state(loaded)
    if sum(tensor.numel() for tensor in tensors) > MOST_FLOATS:
        told = _("weights.pt holds {n} numbers, the task's network has 1.7 million")
        raise Unreadable(told.format(n=grouped(sum(tensor.numel() for tensor in tensors))))
    return tensors


def _check_size(path):
    size = path.stat().st_size
    if size <= MOST_BYTES and zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
        except Exception as e:
            raise Unreadable(_("weights.pt is broken ({error})").format(error=shown(e))) from e
    if size > MOST_BYTES:
        told = _("weights.pt has {size} MB, at most {most:.0f} are expected")
        raise Unreadable(told.format(size=grouped(size / 1e6, ".0f"), most=MOST_BYTES / 1e6))


def _refusal(error):
    """Returns in one line why a file was not loaded: it would run code, or is broken."""
    said = str(error)
    code = re.search(r"(?:GLOBAL|Unsupported class) ([A-Za-z_][\w.]*)", said)
    if code:
        told = _("weights.pt holds {what}, which is more than weights: it was not loaded")
        return told.format(what=one_line(code[1], 80))
    first = next((line for line in said.splitlines() if line.strip()), "")
    told = _("weights.pt cannot be loaded ({error})")
    return told.format(error=one_line(f"{type(error).__name__}: {first}"))


def _state(loaded):
    """Returns the tensors of a state dict, or of the one in a checkpoint that is most a network."""
    inner = loaded.values() if isinstance(loaded, dict) else ()
    found = [_own(one) for one in (loaded, *inner) if isinstance(one, dict)]
    found = [tensors for tensors in found if tensors]
    if not found:
        raise Unreadable(_("weights.pt holds no weights: expected a state dict"))
    shapes = Counter(BODY)
    return max(found, key=lambda ts: sum((shapes & Counter(tuple(t.shape) for t in ts)).values()))


def _own(state):
    """Returns the tensors of a dict, each once, whatever names it has."""
    tensors = {}
    for tensor in state.values():
        if torch.is_tensor(tensor):
            dense = tensor.layout == torch.strided and tensor.device.type == "cpu"
            if not dense or tensor.is_quantized or tensor.is_complex():
                raise Unreadable(_("weights.pt holds a tensor that is not dense, as weights are"))
            tensors.setdefault((tensor.data_ptr() or id(tensor), tuple(tensor.shape)), tensor)
    return list(tensors.values())


# the network


def _network(tensors):
    """Describes a network; heads that are not the task's leave the number of actions open."""
    shapes = [[int(n) for n in tensor.shape][:8] for tensor in tensors]
    heads = [shape[0] for shape in shapes if len(shape) == 2 and shape[1] == HIDDEN]
    parameters = sum(tensor.numel() for tensor in tensors)
    return dict(actions=max(heads, default=0), parameters=parameters, layers=shapes[:200])


def _shapes(tensors):
    return [tuple(tensor.shape) for tensor in tensors]


def _wanted(actions):
    """Returns the shapes of the task's network, counted: with two heads, and with one for both."""
    for heads in ([(actions, HIDDEN), (1, HIDDEN)], [(actions + 1, HIDDEN)]):
        layers = [*BODY, *heads]
        yield Counter([*layers, *((shape[0],) for shape in layers)])


def _without_constants(tensors, actions):
    """Returns tensors without the small ones that a model of the task's keeps beside its layers.

    All are returned where the rest is another network, or one of them could be a layer's.
    """
    for wanted in _wanted(actions):
        layers = [t for t in tensors if t.numel() > CONSTANT or tuple(t.shape) in wanted]
        if Counter(_shapes(layers)) == wanted:
            return layers
    return tensors


def _difference(shapes, actions):
    """Returns how shapes differ from those of the task's network, "" where they do not."""
    found, (wanted, joint) = Counter(shapes), _wanted(actions)
    if found in (wanted, joint):
        return ""
    if not (found & Counter(BODY)) == Counter(BODY):
        lacks = [s for s in BODY if s not in found]
        told = _("the network is not the task's: it has no layer {shape}")
        return told.format(shape=list(lacks[0]) if lacks else "")
    if not found - wanted and (1, HIDDEN) not in found:
        return _("the network is not the task's: it has no value head, as Q-networks have none")
    more = [list(shape) for shape in (found - wanted)]
    lacks = [list(shape) for shape in (wanted - found)]
    told = _("the network is not the task's: it has {more} beside, and lacks {lacks}")
    return one_line(told.format(more=more or _("nothing"), lacks=lacks or _("nothing")), 300)


# is it somebody else's?


def _digest(arrays):
    """Returns a digest of all numbers, whatever the arrays' order."""
    each = sorted(hashlib.sha256(np.ascontiguousarray(a)).hexdigest() for a in arrays)
    return hashlib.sha256("".join(each).encode()).hexdigest()


class _Layers(NamedTuple):
    """The six layers' kernels, flat."""

    conv1: np.ndarray
    conv2: np.ndarray
    conv3: np.ndarray
    hidden: np.ndarray
    policy: np.ndarray
    value: np.ndarray


def _sketch(arrays):
    """Returns values at places that are the same for all, each layer's divided by their size."""
    sketch = []
    for k, layer in enumerate(_layers(arrays)):
        places = np.random.default_rng(SEED + k).integers(layer.size, size=SKETCH[k])
        values = layer[places].astype(np.float64)
        size = np.sqrt(np.mean(values**2)) or 1.0
        sketch += [round(float(value), 5) for value in values / size]
    return sketch


def _layers(arrays):
    """Finds the layers by their shapes; a joint head's first rows count as the policy's."""
    body = [next(a for a in arrays if a.shape == shape).ravel() for shape in BODY]
    heads = [a for a in arrays if a.ndim == 2 and a.shape[1] == HIDDEN]
    heads = sorted(heads, key=len)
    if len(heads) == 1:
        return _Layers(*body, heads[0][:-1].ravel(), heads[0][-1])
    return _Layers(*body, heads[1].ravel(), heads[0].ravel())
