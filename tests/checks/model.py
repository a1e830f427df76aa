"""Task 1: the network as a function, its gradient, its size and its first weights."""

import contextlib

import numpy as np
import torch

from languages import N_, _, grouped, ngettext
from tests.checks.draws import (
    LAYERS,
    POLICY_HEAD,
    VALUE_HEAD,
    draw_pictures,
    draw_weighing,
    draw_weights,
    sketch,
)
from tests.checks.errors import blaming, pass_or_raise
from tests.checks.expected import RELEASED_SEEDS, read_expected
from tests.checks.freedoms import close
from tests.checks.observing import array, exactly, quietly, same_course

__all__ = ["COORDINATES", "OBSERVATIONS", "WEIGHED", "check_model", "judge_model", "observe_model"]

OBSERVATIONS = 6
WEIGHED = 3  # logits that enter the sum that is differentiated: every game has as many actions
COORDINATES = 100  # of each gradient
UNSTEADY = N_(
    "two calls on the same observations differ: layers that are made inside forward are new each "
    "time and never learn, and dropout has no place here"
)
N_PARAMETERS = 1_684_128  # of the body; each of the heads' outputs has 513 more


def check_model(model, n_actions):
    """Checks the network: its function under known weights, gradients, size, initial weights."""
    for seed in RELEASED_SEEDS:
        expected = read_expected(seed)
        seen = observe_model(model, n_actions, seed, expected)
        if mistake := judge_model(seen, expected, n_actions):
            break
    pass_or_raise("NatureModel", mistake)


# observe: this half runs the student's network


def observe_model(model, n_actions, seed, biases):
    """Looks at the first weights, then at outputs and gradients under weights drawn by seed.

    Args:
        biases: {"biases/policy head": [A or more], "biases/value head": [1]}, with which each
            output is negative for half of the observations.
    """
    seen = _first_weights(model) | _another_width(model, n_actions)
    layers, joint = _find_layers(model, n_actions)
    seen["missing"] = np.array([name for name in LAYERS if name not in layers], dtype=str)
    if len(seen["missing"]):
        return {**seen, "repeats": np.array(_repeats(model, seed))}
    with blaming("NatureModel"), exactly("NatureModel"), quietly(model):
        drawn = draw_weights(seed)
        for name in (POLICY_HEAD, VALUE_HEAD):
            drawn[name] = drawn[name][0], biases[f"biases/{name}"]
        for order in range(1 + joint):  # a joint head may begin with the value
            _set_weights(layers, drawn, value_first=order == 1)
            seen |= _run(model, layers, n_actions, seed, order)
    return seen


def _first_weights(model):
    weights = {name: array(weight) for name, weight in model.named_parameters()}
    rows = {name: w.reshape(len(w), -1) for name, w in weights.items() if w.ndim > 1}
    heads = [name for name, w in weights.items() if w.ndim == 2 and w.shape[1] == 512]
    rows = {name: row for name, row in rows.items() if name not in heads}
    unlike = {name: np.abs(row @ row.T - 2 * np.eye(len(row))).max() for name, row in rows.items()}
    frozen = [name for name, weight in model.named_parameters() if not weight.requires_grad]
    biased = [name for name, weight in weights.items() if weight.ndim == 1 and weight.any()]
    return {
        "parameters": np.array(sum(weight.size for weight in weights.values())),
        "frozen": np.array(frozen, dtype=str),
        "biased": np.array(biased, dtype=str),
        "zero": np.array([name for name, row in rows.items() if not row.any()], dtype=str),
        "not_orthogonal": np.array([n for n, far in unlike.items() if far > 1e-3], dtype=str),
    }


def _another_width(model, n_actions):
    """Makes a network like this one for one more action; returns its logits', where it can."""
    with contextlib.suppress(Exception), same_course(), torch.no_grad():
        twin = type(model)(n_actions=n_actions + 1)
        logits, _values = twin(torch.zeros(2, 4, 84, 84))
        return {"another_width": np.array(logits.shape[1])}
    return {}


def _find_layers(model, n_actions):
    """Finds each layer's weights and biases by their shapes; tells if the two heads are one."""
    shapes = {name: shape for name, shape in LAYERS.items() if "head" not in name}
    shapes[POLICY_HEAD], shapes[VALUE_HEAD] = (n_actions, 512), (1, 512)
    shapes["joint"] = (n_actions + 1, 512)
    found, vectors = {}, []
    for parameter in model.parameters():
        name = next((n for n, shape in shapes.items() if shape == tuple(parameter.shape)), None)
        if name and name not in found:
            found[name] = [parameter, None]
        elif parameter.ndim == 1:
            vectors.append(parameter)
    for pair in found.values():  # biases come in the order of the weights
        at = next((k for k, bias in enumerate(vectors) if len(bias) == len(pair[0])), None)
        pair[1] = None if at is None else vectors.pop(at)
    joint = "joint" in found and POLICY_HEAD not in found
    if joint:
        found[POLICY_HEAD] = found[VALUE_HEAD] = found["joint"]
    return {
        name: pair for name, pair in found.items() if name != "joint" and None not in pair
    }, joint


def _set_weights(layers, drawn, value_first):
    """Loads known weights; a joint head takes those of both."""
    with torch.no_grad():
        for name, pair in layers.items():
            for tensor, numbers in zip(pair, drawn[name], strict=True):
                rows = _rows(tensor, name, layers, value_first)
                rows.copy_(torch.as_tensor(numbers[: len(rows)]))


def _rows(tensor, name, layers, value_first):
    """Returns the rows that belong to a layer: all of them, unless the two heads are one."""
    if "head" not in name or layers[POLICY_HEAD] is not layers[VALUE_HEAD]:
        return tensor
    logits, value = (tensor[1:], tensor[:1]) if value_first else (tensor[:-1], tensor[-1:])
    return value if name == VALUE_HEAD else logits


def _run(model, layers, n_actions, seed, order):
    """Returns outputs, gradients and what reaches each layer, keys beginning with the order."""
    device = next(model.parameters()).device
    pictures = torch.as_tensor(draw_pictures(seed, OBSERVATIONS), device=device)
    with _inputs_of(model, layers) as inputs:
        out = model(pictures)
    form = _form_of(out, OBSERVATIONS, n_actions) or _form_of(model(pictures[:1]), 1, n_actions)
    if form:
        return {f"{order}/form": np.array(form)}
    logits, values = out[0], out[1].reshape(-1)
    again = model(pictures)
    seen = {"form": np.array(""), "logits": array(logits), "values": array(values)}
    seen["again"] = array(again[0])
    seen |= {f"input/{name}": x for name, x in inputs.items()}
    seen |= _gradients(logits, values, layers, seed, order == 1)
    return {f"{order}/{name}": x for name, x in seen.items()}


def _form_of(out, n, n_actions):
    """Says how outputs for n observations differ from a pair of the right shapes, "" if not."""
    if out is None:
        return _(
            "forward returns nothing, expected the pair logits, values: is its return missing?"
        )
    if not isinstance(out, (tuple, list)) or len(out) != 2 or not all(map(torch.is_tensor, out)):
        told = _("forward returns a {kind}, expected the pair logits, values")
        return told.format(kind=_kind(out))
    shapes = [list(x.shape) for x in out]
    if shapes[0] == [n, n_actions] and shapes[1] in ([n], [n, 1]):
        return ""
    told = ngettext(
        "for {n} observation forward returns the shapes {first} and {second}, expected logits "
        "{logits} and values {values}",
        "for {n} observations forward returns the shapes {first} and {second}, expected logits "
        "{logits} and values {values}",
        n,
    )
    rights = {"logits": [n, n_actions], "values": [n, 1]}
    told = told.format(n=n, first=shapes[0], second=shapes[1], **rights)
    swapped = shapes[1] == [n, n_actions]
    return _("{mistake}: they are in the wrong order").format(mistake=told) if swapped else told


def _kind(out):
    if not hasattr(out, "__len__"):
        return repr(out)
    return _("{kind} of {n}").format(kind=type(out).__name__, n=len(out))


@contextlib.contextmanager
def _inputs_of(model, layers):
    """Collects the mean input of each observation to each layer that is a module of its own."""
    seen, hooks = {}, []
    for module in model.modules():
        for name, pair in layers.items():
            if module._parameters.get("weight") is pair[0]:
                hooks.append(module.register_forward_pre_hook(_note_mean(seen, name)))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _note_mean(seen, name):
    def note(module, inputs):
        seen[name] = array(inputs[0]).reshape(len(inputs[0]), -1).mean(1)

    return note


def _gradients(logits, values, layers, seed, value_first):
    weighing = torch.as_tensor(draw_weighing(seed, OBSERVATIONS, WEIGHED + 1)).to(logits)
    total = (weighing[:, :-1] * logits[:, :WEIGHED]).sum() + (weighing[:, -1] * values).sum()
    tensors = {id(tensor): tensor for pair in layers.values() for tensor in pair}
    tensors = [tensor for tensor in tensors.values() if tensor.requires_grad]
    found = [None] * len(tensors)
    if total.requires_grad:
        found = torch.autograd.grad(total, tensors, allow_unused=True)
    by_tensor = {id(tensor): g for tensor, g in zip(tensors, found, strict=True) if g is not None}
    seen = {}
    for name, pair in layers.items():
        for kind, tensor in zip(("weights", "biases"), pair, strict=True):
            gradient = by_tensor.get(id(tensor), torch.zeros_like(tensor))
            gradient = _rows(gradient, name, layers, value_first)
            gradient = gradient[:WEIGHED] if name == POLICY_HEAD else gradient
            seen[f"gradient/{name}/{kind}"] = sketch(array(gradient), COORDINATES)
    return seen


def _repeats(model, seed):
    """Tells whether two calls of a network that lacks a layer agree, as far as it runs at all."""
    device = next(model.parameters(), torch.empty(0)).device
    pictures = torch.as_tensor(draw_pictures(seed, OBSERVATIONS), device=device)
    with contextlib.suppress(Exception), quietly(model):
        first, second = (model(pictures) for _ in range(2))
        return close(array(first[0]), array(second[0]))
    return True


# judge: plain arrays alone


def judge_model(seen, expected, n_actions):
    """Returns what is wrong with the network, or None; all arguments are plain arrays."""
    size = N_PARAMETERS + 513 * (n_actions + 1)
    if len(seen["missing"]):
        if not seen["repeats"]:
            return _(UNSTEADY)
        shapes = {**LAYERS, POLICY_HEAD: (n_actions, 512)}
        name = seen["missing"][0]
        told = _("the {layer} is missing: no weights of the shape {shape} with biases")
        told = told.format(layer=_(name), shape=list(shapes[name]))
        return told + ("" if seen["parameters"] == size else f"; {_size(seen, size)}")
    if len(seen["frozen"]):
        told = _("{weights} is frozen (requires_grad is False): all weights must learn")
        return told.format(weights=seen["frozen"][0])
    runs = [_strip(seen, f"{order}/") for order in range(1 + ("1/form" in seen))]
    mistakes = [_judge_run(run, expected, n_actions) for run in runs]
    if None not in mistakes:
        return mistakes[0] + ("" if seen["parameters"] == size else f"; {_size(seen, size)}")
    if seen["parameters"] != size:
        return _size(seen, size)
    return _judge_first_weights(seen) or _judge_width(seen, n_actions)


def _size(seen, size):
    told = _("it has {n} parameters, expected {expected}: compare with the table")
    return told.format(n=grouped(int(seen["parameters"])), expected=grouped(size))


def _strip(seen, prefix):
    return {name[len(prefix) :]: x for name, x in seen.items() if name.startswith(prefix)}


def _judge_run(run, expected, n_actions):
    if str(run["form"]):
        return str(run["form"])
    if not close(run["logits"], run["again"]):
        return _(UNSTEADY)
    logits, values = expected["logits"][:, :n_actions], expected["values"]
    if close(run["logits"], logits) and close(run["values"], values):
        return _judge_gradients(run, expected)
    return _name_function(run, expected, n_actions)


def _name_function(run, expected, n_actions):
    """Names the mistake that explains the outputs wholly, or says where they differ."""
    for name, outputs in _strip(expected, "mistake/").items():
        logits, values = outputs[:, :n_actions], outputs[:, -1]
        if close(run["logits"], logits) and close(run["values"], values):
            return _(name)
    right, got = expected["logits"][:, :n_actions], run["logits"]
    shifted = close(got - got.mean(1, keepdims=True), right - right.mean(1, keepdims=True))
    if shifted and not close(got, right):
        return _("logits are shifted: return the policy head's output as it is, without a softmax")
    if close(got.sum(1), np.ones(len(got))) and (got > 0).all():
        return _("logits are probabilities: return the policy head's output, without a softmax")
    return _first_difference(run, expected) or _last_difference(run, expected, n_actions)


def _last_difference(run, expected, n_actions):
    """Says where outputs differ most."""
    part, got, right = ("values", run["values"], expected["values"])
    if not close(run["logits"], expected["logits"][:, :n_actions]):
        part, got, right = "logits", run["logits"], expected["logits"][:, :n_actions]
    at = np.unravel_index(np.abs(got - right).argmax(), got.shape)
    return _(
        "with known weights, {entry} is {got:.4g}, expected {right:.4g}: look at what stands "
        "between the hidden layer and this output"
    ).format(entry=f"{part}{[int(k) for k in at]}", got=got[at], right=right[at])


def _first_difference(run, expected):
    """Says between which layers the signal first differs, if the layers are modules."""
    before = None
    for name in LAYERS:
        got, right = run.get(f"input/{name}"), expected[f"input/{name}"]
        if got is not None and not close(got, right):
            told = (
                _(
                    "with known weights, what reaches the {layer} has the mean {got:.4g}, expected "
                    "{right:.4g}: look at what stands between the {before} and it (stride, "
                    "activation, flattening)"
                )
                if before
                else _(
                    "with known weights, what reaches the {layer} has the mean {got:.4g}, expected "
                    "{right:.4g}: look at what stands between the observations and it (stride, "
                    "activation, flattening)"
                )
            )
            names = {"layer": _(name), "before": before and _(before)}
            return told.format(got=got[0], right=right[0], **names)
        before = before if "head" in name else name
    return None


def _judge_gradients(run, expected):
    for name in LAYERS:
        for kind in (N_("weights"), N_("biases")):
            got = run[f"gradient/{name}/{kind}"]
            right = expected[f"gradient/{name}/{kind}"]
            if close(got, right):
                continue
            told = (
                _(
                    "the gradient at the {part} of the {layer} has the norm {got:.4g}, expected "
                    "{right:.4g}: is one of the heads cut from the body?"
                )
                if got.any()
                else _(
                    "no gradient reaches the {part} of the {layer}: something is detached, "
                    "frozen, or runs under no_grad"
                )
            )
            return told.format(part=_(kind), layer=_(name), got=got[0], right=right[0])
    return None


def _judge_width(seen, n_actions):
    width = int(seen.get("another_width", n_actions + 1))
    if width == n_actions + 1:
        return None
    told = ngettext(
        "{network} returns {n} logit: use the argument n_actions",
        "{network} returns {n} logits: use the argument n_actions",
        width,
    )
    return told.format(network=f"NatureModel({n_actions + 1})", n=width)


def _judge_first_weights(seen):
    if len(seen["zero"]):
        told = _("{weights} is zero everywhere, and such weights start dead: which gain?")
        return told.format(weights=seen["zero"][0])
    if len(seen["biased"]):
        told = _("{biases} is not zero: set every bias to zero")
        return told.format(biases=seen["biased"][0])
    if len(seen["not_orthogonal"]):
        told = _("{weights} is not orthogonal with gain √2: set it with nn.init.orthogonal_")
        return told.format(weights=seen["not_orthogonal"][0])
    return None
