"""Task 4: every key is flattened in one order, in place, and keeps its graph."""

import numpy as np
import torch

from languages import _
from tests.checks.draws import draw_trajectory
from tests.checks.errors import CheckError, blaming, pass_or_raise
from tests.checks.expected import RELEASED_SEEDS
from tests.checks.freedoms import close
from tests.checks.observing import array, array_or_none, exactly, kind_in_words
from tests.checks.stand_ins import as_leaf
from tests.checks.value_targets import transform_of_targets

__all__ = ["check_merge", "judge_merge", "observe_merge"]

TASK = "MergeTimeBatch"
CASES = ((5, 6), (3, 4), (1, 4), (5, 1), (5, 6))  # T, B of the calls of one object
COLUMNS = {"logits": 7, "log_probs": 0, "values": 0, "of_your_own": 3}  # 0: a key is [B]
ARRAYS = ("observations", "actions", "rewards", "resets")
KEYS = (*ARRAYS, *COLUMNS, "value_targets")


def check_merge(model, policy, transforms):
    """Checks that all keys are flattened in one order, in place."""
    for seed in RELEASED_SEEDS:
        mistake = judge_merge(observe_merge(model, policy, transforms, seed), seed)
        if mistake:
            break
    pass_or_raise(TASK, mistake)


def _draw(seed, case):
    """Returns {key: [T, B, ...]} of a recorded trajectory, and V(latest observation)'s picture."""
    steps, nenvs = CASES[case]
    resets = np.random.RandomState(5000 + seed + case).random_sample((steps, nenvs)) < 0.3
    recorded = draw_trajectory(seed + 50 * case, resets, COLUMNS["logits"])
    rng = np.random.RandomState(6000 + seed + case)
    shapes = {key: (steps, nenvs, *([n] if n else [])) for key, n in COLUMNS.items()}
    numbers = {key: rng.standard_normal(shape) for key, shape in shapes.items()}
    numbers["value_targets"] = rng.standard_normal((steps, nenvs))
    numbers |= {key: getattr(recorded, key) for key in ARRAYS}
    return numbers, recorded.latest


# observe: this half runs the student's transform


def observe_merge(model, policy, transforms, seed):
    """Calls all transforms but that of Task 3 on recorded trajectories."""
    merging = [x for x in transforms if x is not transform_of_targets(transforms)]
    if not merging:
        told = _("{task}: there is no second transform, hand `{task}()` over")
        raise CheckError(told.format(task=TASK))
    seen = {}
    with exactly(TASK):
        for case in range(len(CASES)):
            try:
                with blaming(TASK):
                    run = _observe(model, merging, seed, case)
            except CheckError as e:
                if case == 0:
                    raise
                run = {"raised": np.array(str(e))}
            seen |= {f"{case}/{name}": x for name, x in run.items()}
    return seen


def _observe(model, merging, seed, case):
    numbers, latest = _draw(seed, case)
    roots = {key: as_leaf(model, numbers[key]) for key in COLUMNS}
    trajectory = {key: list(numbers[key].copy()) for key in ARRAYS}
    trajectory |= {key: [x.clone() for x in root] for key, root in roots.items()}
    trajectory["value_targets"] = [torch.as_tensor(x).float() for x in numbers["value_targets"]]
    state = {"latest_observation": latest.copy(), "env_steps": CASES[case][0]}
    trajectory["state"] = dict(state)
    returned = [_merge(transform, trajectory) for transform in merging]
    seen = {
        "returned": np.array(any(isinstance(x, dict) and x is not trajectory for x in returned)),
        "state": np.array(_is_same_state(trajectory.get("state"), latest, state)),
    }
    for key in KEYS:
        seen |= _describe(key, trajectory.get(key), roots.get(key), seed + case)
    return seen


def _merge(transform, trajectory):
    """Calls a transform; says so where nothing but `state` makes it fail."""
    lists = {key: steps for key, steps in trajectory.items() if key != "state"}
    try:
        return transform(trajectory)
    except Exception:
        transform(lists)
        told = _("{task}: it fails at `state`, which is no list: leave it as it is")
        raise CheckError(told.format(task=TASK)) from None


def _is_same_state(got, latest, state):
    if not isinstance(got, dict) or got.keys() != state.keys():
        return False
    return np.array_equal(array_or_none(got["latest_observation"]), latest)


def _describe(key, rows, root, seed):
    """Returns kind, numbers and, where there is a graph, the gradient of an entry."""
    kinds = {torch.Tensor: "tensor", np.ndarray: "array", list: "list", tuple: "tuple"}
    kind = next((name for cls, name in kinds.items() if isinstance(rows, cls)), type(rows).__name__)
    seen = {f"kind/{key}": np.array(kind)}
    if kind in ("tensor", "array"):
        whole = not rows.is_floating_point() if kind == "tensor" else rows.dtype.kind in "iub"
        seen[f"whole/{key}"], seen[key] = np.array(whole), array_or_none(rows)
        seen[key] = np.array([]) if seen[key] is None else seen[key]
    if root is not None and torch.is_tensor(rows) and rows.requires_grad:
        weighing = torch.as_tensor(_weighing(seed, rows.shape)).to(rows)
        found = torch.autograd.grad((weighing * rows).sum(), root, allow_unused=True)[0]
        seen[f"gradient/{key}"] = array(torch.zeros_like(root) if found is None else found)
    return seen


def _weighing(seed, shape):
    return np.random.RandomState(7000 + seed).standard_normal(shape)


# judge: plain arrays alone


def judge_merge(seen, seed):
    """Returns what is wrong with merging, or None; all arguments are plain arrays."""
    for case, (steps, nenvs) in enumerate(CASES):
        run = {name[2:]: x for name, x in seen.items() if name.startswith(f"{case}/")}
        numbers, _latest = _draw(seed, case)
        raised = str(run.get("raised", ""))
        mistake = raised or _judge_run(run, numbers, seed + case)
        if mistake and case:
            told = _("called again, on {steps} steps in {nenvs} environments: {mistake}")
            return told.format(steps=steps, nenvs=nenvs, mistake=mistake)
        if mistake:
            return mistake
    return None


def _judge_run(run, numbers, seed):
    mistake = _judge_lists(run) or _judge_rows(run, numbers) or _judge_graph(run, numbers, seed)
    if mistake or run["whole/actions"]:
        return mistake
    return _("actions are no whole numbers any more: keep their type")


def _judge_lists(run):
    """Finds what was not merged at all, or in another dict."""
    kinds = {key: str(run[f"kind/{key}"]) for key in KEYS}
    left = [key for key, kind in kinds.items() if kind == "list"]
    if len(left) == len(KEYS) and run["returned"]:
        return _("it returns a new dict; change the one that is given, the runner keeps that")
    if len(left) == len(KEYS):
        return _("it does nothing: the lists of the trajectory are as they were")
    if not run["state"]:
        return _("`state` is gone or changed: leave it as it is")
    return next(filter(None, (_judge_kind(key, kind) for key, kind in kinds.items())), None)


def _judge_kind(key, kind):
    if kind == "NoneType":
        return _("{key} are gone: merge every key but `state`").format(key=key)
    if kind == "tensor" or (kind == "array" and key in ARRAYS):
        return None
    if key in ARRAYS:
        told = _("what becomes of {key} is a {kind}, expected a tensor or a NumPy array")
    elif kind == "array":
        told = _("what becomes of {key} is a {kind}, expected a tensor: torch.cat keeps tensors")
    else:
        told = _("what becomes of {key} is a {kind}, expected a tensor")
    named = _("a list of tensors that your policy adds") if key == "of_your_own" else key
    return told.format(key=named, kind=kind_in_words(kind))


def _judge_rows(run, numbers):
    """Compares shapes and numbers with rows in the order t·B + b."""
    orders = {}
    for key in KEYS:
        right = numbers[key].reshape(-1, *numbers[key].shape[2:])
        if run[key].shape != right.shape:
            return _(
                "{key} have the shape {shape}, expected {expected}: T pieces [B, …] become one of "
                "T·B rows"
            ).format(key=key, shape=list(run[key].shape), expected=list(right.shape))
        turned = numbers[key].swapaxes(0, 1).reshape(right.shape)
        order = "t·B + b" if close(run[key], right) else "none"
        order = "b·T + t" if order == "none" and close(run[key], turned) else order
        orders.setdefault(order, []).append(key)
    return _judge_orders(orders)


def _judge_orders(orders):
    """Says which keys are not in the order t·B + b; takes {order: keys}."""
    if "none" in orders:
        told = _("the rows of {key} are not those that were collected, in any order")
        return told.format(key=orders["none"][0])
    if len(orders) > 1:
        told = _("{key} are flattened in the order t·B + b, but {other} in the order b·T + t")
        return told.format(key=orders["t·B + b"][0], other=orders["b·T + t"][0])
    if "b·T + t" in orders:
        return _("all keys are flattened in the order b·T + t, expected t·B + b: step after step")
    return None


def _judge_graph(run, numbers, seed):
    for key in COLUMNS:
        got = run.get(f"gradient/{key}")
        right = _weighing(seed, run[key].shape).reshape(numbers[key].shape)
        if got is None:
            told = _("{key} are cut from their graph: do not detach them, learning needs it")
            return told.format(key=key)
        if not close(got, right):
            return _("the gradient that flows back through {key} is not theirs").format(key=key)
    return None
