"""Task 1: the network as a function, its gradient, its size and its first weights."""

import contextlib

import numpy as np
import torch

from tests.checks.draws import LAYERS, draw_pictures, draw_weighing, draw_weights, sketch
from tests.checks.errors import blaming, pass_or_raise
from tests.checks.expected import RELEASED_SEEDS, read_expected
from tests.checks.freedoms import close
from tests.checks.observing import array, exactly, quietly

__all__ = ["COORDINATES", "OBSERVATIONS", "WEIGHED", "check_model", "judge_model", "observe_model"]

OBSERVATIONS = 6
WEIGHED = 3  # logits that enter the sum that is differentiated: every game has as many actions
COORDINATES = 100  # of each gradient
UNSTEADY = (
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
    seen = _first_weights(model)
    layers, joint = _find_layers(model, n_actions)
    seen["missing"] = np.array([name for name in LAYERS if name not in layers], dtype=str)
    if len(seen["missing"]):
        return {**seen, "repeats": np.array(_repeats(model, seed))}
    with blaming("NatureModel"), exactly("NatureModel"), quietly(model):
        drawn = draw_weights(seed)
        for name in ("policy head", "value head"):
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


def _find_layers(model, n_actions):
    """Finds each layer's weights and biases by their shapes; tells if the two heads are one."""
    shapes = {name: shape for name, shape in LAYERS.items() if "head" not in name}
    shapes["policy head"], shapes["value head"] = (n_actions, 512), (1, 512)
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
    joint = "joint" in found and "policy head" not in found
    if joint:
        found["policy head"] = found["value head"] = found["joint"]
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
    if "head" not in name or layers["policy head"] is not layers["value head"]:
        return tensor
    logits, value = (tensor[1:], tensor[:1]) if value_first else (tensor[:-1], tensor[-1:])
    return value if name == "value head" else logits


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
    if not isinstance(out, (tuple, list)) or len(out) != 2 or not all(map(torch.is_tensor, out)):
        kind = f"{type(out).__name__} of {len(out)}" if hasattr(out, "__len__") else repr(out)
        return f"forward returns a {kind}, expected the pair logits, values"
    shapes = [list(x.shape) for x in out]
    if shapes[0] == [n, n_actions] and shapes[1] in ([n], [n, 1]):
        return ""
    swapped = ": they are in the wrong order" if shapes[1] == [n, n_actions] else ""
    return (
        f"for {n} observation(s) forward returns the shapes {shapes[0]} and {shapes[1]}, expected "
        f"logits {[n, n_actions]} and values {[n, 1]}{swapped}"
    )


@contextlib.contextmanager
def _inputs_of(model, layers):
    """Collects the mean input of each observation to each layer that is a module of its own."""
    seen, hooks = {}, []
    for module in model.modules():
        for name, (weight, _) in layers.items():
            if module._parameters.get("weight") is weight:
                hooks.append(module.register_forward_pre_hook(_note_mean(seen, name)))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _note_mean(seen, name):
    def note(_, inputs):
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
            gradient = gradient[:WEIGHED] if name == "policy head" else gradient
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
            return UNSTEADY
        shapes = {**LAYERS, "policy head": (n_actions, 512)}
        name = seen["missing"][0]
        return (
            f"the {name} is missing: no weights of the shape {list(shapes[name])} with biases; "
            f"{_size(seen, size)}"
        )
    if len(seen["frozen"]):
        return f"{seen['frozen'][0]} is frozen (requires_grad is False): all weights must learn"
    runs = [_strip(seen, f"{order}/") for order in range(1 + ("1/form" in seen))]
    mistakes = [_judge_run(run, expected, n_actions) for run in runs]
    if None not in mistakes:
        return mistakes[0] + ("" if seen["parameters"] == size else f"; {_size(seen, size)}")
    if seen["parameters"] != size:
        return _size(seen, size)
    return _judge_first_weights(seen)


def _size(seen, size):
    return f"it has {seen['parameters']:,} parameters, expected {size:,}: compare with the table"


def _strip(seen, prefix):
    return {name[len(prefix) :]: x for name, x in seen.items() if name.startswith(prefix)}


def _judge_run(run, expected, n_actions):
    if str(run["form"]):
        return str(run["form"])
    if not close(run["logits"], run["again"]):
        return UNSTEADY
    logits, values = expected["logits"][:, :n_actions], expected["values"]
    if close(run["logits"], logits) and close(run["values"], values):
        return _judge_gradients(run, expected)
    return _name_function(run, expected, n_actions)


def _name_function(run, expected, n_actions):
    """Names the mistake that explains the outputs wholly, or says where they differ."""
    for name, outputs in _strip(expected, "mistake/").items():
        logits, values = outputs[:, :n_actions], outputs[:, -1]
        if close(run["logits"], logits) and close(run["values"], values):
            return name
    right, got = expected["logits"][:, :n_actions], run["logits"]
    shifted = close(got - got.mean(1, keepdims=True), right - right.mean(1, keepdims=True))
    if shifted and not close(got, right):
        return "logits are shifted: return the policy head's output as it is, without a softmax"
    if close(got.sum(1), np.ones(len(got))) and (got > 0).all():
        return "logits are probabilities: return the policy head's output, without a softmax"
    if where := _first_difference(run, expected):
        return where
    part, got, right = ("values", run["values"], expected["values"])
    if not close(run["logits"], expected["logits"][:, :n_actions]):
        part, got, right = "logits", run["logits"], expected["logits"][:, :n_actions]
    at = np.unravel_index(np.abs(got - right).argmax(), got.shape)
    return (
        f"with known weights, {part}{[int(k) for k in at]} is {got[at]:.4g}, expected "
        f"{right[at]:.4g}: look at what stands between the hidden layer and this output"
    )


def _first_difference(run, expected):
    """Says between which layers the signal first differs, if the layers are modules."""
    before = "the observations"
    for name in LAYERS:
        got = run.get(f"input/{name}")
        if got is not None and not close(got, expected[f"input/{name}"]):
            return (
                f"with known weights, what reaches the {name} has the mean {got[0]:.4g}, expected "
                f"{expected[f'input/{name}'][0]:.4g}: look at what stands between {before} and it "
                "(stride, activation, flattening)"
            )
        before = before if "head" in name else f"the {name}"
    return None


def _judge_gradients(run, expected):
    for name in LAYERS:
        for kind in ("weights", "biases"):
            got = run[f"gradient/{name}/{kind}"]
            right = expected[f"gradient/{name}/{kind}"]
            if close(got, right):
                continue
            if not got.any():
                return (
                    f"no gradient reaches the {kind} of the {name}: something is detached, "
                    "frozen, or runs under no_grad"
                )
            return (
                f"the gradient at the {kind} of the {name} has the norm {got[0]:.4g}, expected "
                f"{right[0]:.4g}: is one of the heads cut from the body?"
            )
    return None


def _judge_first_weights(seen):
    if len(seen["zero"]):
        return f"{seen['zero'][0]} is zero everywhere, and such weights start dead: which gain?"
    if len(seen["biased"]):
        return f"{seen['biased'][0]} is not zero: set every bias to zero"
    if len(seen["not_orthogonal"]):
        return f"{seen['not_orthogonal'][0]} is not orthogonal with gain √2: nn.init.orthogonal_"
    return None
