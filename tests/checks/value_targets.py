"""Task 3: the n-step bootstrapped targets, for all kinds of resets, steps and environments."""

import contextlib
import copy

import numpy as np
import torch

from tests.checks.draws import draw_trajectory
from tests.checks.errors import CheckError, blaming, pass_or_raise
from tests.checks.expected import RELEASED_SEEDS, read_expected
from tests.checks.freedoms import CLOSE, close
from tests.checks.observing import array, calling, exactly, quietly
from tests.checks.stand_ins import PIXELS, RecordedModel, acting, as_leaf

__all__ = [
    "CASES",
    "FIRST",
    "check_value_targets",
    "draw_case",
    "evaluate",
    "judge_value_targets",
    "observe_value_targets",
    "transform_of_targets",
]

TASK = "ComputeValueTargets"
N_ACTIONS = 7  # unlike any number of steps or environments
FIRST = "5 steps in 6 environments"
RESETS = np.array(
    [
        [0, 0, 0, 1, 0, 0],
        [1, 0, 0, 1, 1, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 1],
        [0, 1, 0, 0, 1, 0],
    ],
    dtype=bool,
)  # [T, B]: midway, on the last step, never, twice in a row, midway and last, before the last
CASES = {  # name: resets [T, B]; one transform is called on all, in this order
    FIRST: RESETS,
    f"a second trajectory of {FIRST}": RESETS,
    "3 steps in 4 environments": np.array([[0, 1, 0, 0], [0, 0, 0, 1], [0, 1, 1, 0]], bool),
    "7 steps in 2 environments": np.eye(7, 2, -3, dtype=bool),
    "1 step in 4 environments": np.array([[0, 1, 0, 1]], bool),
    "5 steps in 1 environment": np.array([[0], [0], [1], [0], [0]], bool),
    "a reset on each of 2 steps in 3 environments": np.ones((2, 3), bool),
    "no reset on 4 steps in 3 environments": np.zeros((4, 3), bool),
    f"a last trajectory of {FIRST}": RESETS,
}


def check_value_targets(model, policy, transforms, gamma=0.99):
    """Checks the targets, with all kinds of resets."""
    for seed in RELEASED_SEEDS:
        seen = observe_value_targets(model, policy, transforms, seed, gamma)
        if mistake := judge_value_targets(seen, read_expected(seed), gamma, seed):
            break
    pass_or_raise(TASK, mistake)


def draw_case(seed, case):
    """Draws the trajectory of a case; no two cases have the same rewards and values."""
    return draw_trajectory(seed + 50 * list(CASES).index(case), CASES[case], N_ACTIONS)


def transform_of_targets(transforms):
    """Returns the transform that computes targets: the one with this name, or the first."""
    named = [x for x in transforms if type(x).__name__ == TASK]
    return next(iter([*named, *transforms]), None)


def _another(gamma):
    """Returns a discount that no target of this one could be taken for."""
    return 0.7 if abs(gamma - 0.7) > 0.1 else 0.45


# observe: this half runs the student's transform


def observe_value_targets(model, policy, transforms, seed, gamma):
    """Calls the transform on recorded trajectories of all cases, and once with another gamma."""
    transform = transform_of_targets(list(transforms))
    if transform is None:
        raise CheckError(f"{TASK}: there are no transforms, hand {TASK}(policy, GAMMA) over")
    seen = {}
    with exactly(TASK), quietly(model):
        for case in CASES:
            task = TASK if case == FIRST else f"{TASK}, called on {case},"
            with blaming(task):
                seen |= _prefixed(case, _observe(model, policy, transform, draw_case(seed, case)))
        for make in _makers(transform, policy, _another(gamma)):
            with contextlib.suppress(Exception):
                run = _observe(model, policy, make(), draw_case(seed, FIRST))
                return {**seen, **_prefixed("another gamma", run)}
    return seen


def _prefixed(case, run):
    return {f"{case}/{name}": x for name, x in run.items()}


def _makers(transform, policy, gamma):
    """Returns functions that make a transform like this one with another gamma, or fail."""

    def changed_copy():
        twin = copy.copy(transform)
        if not hasattr(twin, "gamma"):
            raise AttributeError("gamma")
        object.__setattr__(twin, "gamma", gamma)  # frozen ones too
        return twin

    cls = type(transform)
    return (
        lambda: cls(policy, gamma=gamma),
        lambda: cls(policy=policy, gamma=gamma),
        changed_copy,
    )


def _observe(model, policy, transform, recorded):
    """Calls a transform on one recorded trajectory; returns what it did as arrays."""
    root = as_leaf(model, recorded.outputs)
    stand_in = RecordedModel(model, recorded.pictures, root)
    trajectory, before = _collect(recorded, root), _collect(recorded, root)
    with stand_in.standing_in(), acting(policy, stand_in):
        with calling(model, "a transform", f"{TASK}(policy)"):
            returned = transform(trajectory)
    wrong_dict = isinstance(returned, dict) and returned is not trajectory
    reached = np.concatenate(stand_in.reached) if stand_in.reached else np.zeros((0, 0))
    changed = [key for key, x in before.items() if not _same(x, trajectory.get(key))]
    return {
        "reached": reached,
        "changed": np.array(changed, dtype=str),
        "added": np.array([str(key) for key in trajectory if key not in before], dtype=str),
        "returned": np.array(wrong_dict and "value_targets" in returned),
        **_describe(trajectory.get("value_targets")),
    }


def _collect(recorded, root):
    """Returns the trajectory that a runner would have collected."""
    steps, nenvs = recorded.resets.shape
    outputs = root[: steps * nenvs].reshape(steps, nenvs, -1)
    return {
        "observations": list(recorded.observations.copy()),
        "actions": list(recorded.actions.copy()),
        "logits": [x[:, :-1].clone() for x in outputs],
        "log_probs": [x[:, 0].clone() for x in outputs],
        "values": [x[:, -1].clone() for x in outputs],
        "rewards": list(recorded.rewards.copy()),
        "resets": list(recorded.resets.copy()),
        "state": {"latest_observation": recorded.latest.copy(), "env_steps": steps},
    }


def _same(before, after):
    """Tells whether an entry of the trajectory is what it was, kinds and numbers alike."""
    if type(before) is not type(after):
        return False
    if torch.is_tensor(before):
        alike = before.requires_grad == after.requires_grad and before.dtype == after.dtype
        return alike and torch.equal(before, after)
    if isinstance(before, np.ndarray):
        return before.dtype == after.dtype and np.array_equal(before, after)
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(_same(before[k], after[k]) for k in before)
    if isinstance(before, list):
        return len(before) == len(after) and all(map(_same, before, after))
    return before == after


def _describe(targets):
    """Returns kinds, graph and numbers of the value targets."""
    seen = {"kind": np.array(_kind(targets))}
    if isinstance(targets, (list, tuple)):
        tensors = [x for x in targets if torch.is_tensor(x)]
        seen["kinds"] = np.array([_kind(x) for x in targets], dtype=str)
        seen["graph"] = np.array([x.requires_grad for x in tensors], dtype=bool)
        seen["places"] = np.array(len({x.data_ptr() for x in tensors}))
        if len(tensors) == len(targets) and len({x.shape for x in tensors}) == 1:
            seen["targets"] = array(targets)
    return seen


def _kind(x):
    """Says what something is: "tensor [6]", "NumPy array [5, 6]", "list of 5", "float"."""
    if torch.is_tensor(x) or isinstance(x, np.ndarray):
        return f"{'tensor' if torch.is_tensor(x) else 'NumPy array'} {list(x.shape)}"
    return f"{type(x).__name__} of {len(x)}" if isinstance(x, (list, tuple)) else type(x).__name__


# judge: plain arrays alone


def judge_value_targets(seen, expected, gamma, seed):
    """Returns what is wrong with the targets, or None; all arguments are plain arrays."""
    for case, resets in CASES.items():
        run = _part(seen, case)
        mistake = (
            _judge_dict(run)
            or _judge_form(run, *resets.shape)
            or (_judge_reached(run, seed) if case == FIRST else None)
            or _judge_changed(run)
        )
        if case == FIRST:
            if mistake := mistake or _judge_first(
                run, _part(seen, "another gamma"), expected, gamma
            ):
                return mistake
            continue
        right = evaluate(expected[f"targets/{case}"], gamma)
        if not mistake and not close(run["targets"], right):
            mistake = (
                f"{_difference(run['targets'], right, resets)}. The first trajectory is right: "
                "are numbers of steps or environments fixed, or is something kept between calls?"
            ).rstrip(".")
        if mistake:
            return f"called on {case}: {mistake}"
    return None


def _part(seen, case):
    return {name[len(case) + 1 :]: x for name, x in seen.items() if name.startswith(f"{case}/")}


def _judge_dict(run):
    if str(run["kind"]) != "NoneType":
        return None
    if run["returned"]:
        return (
            "it returns a new dict with value_targets; add them to the dict that is given, the "
            "runner ignores what a transform returns"
        )
    added = ", ".join(f'"{key}"' for key in run["added"])
    found = f"the keys that it adds are {added}" if added else "it adds no key"
    return f'the trajectory has no "value_targets" afterwards: {found}'


def _judge_form(run, steps, nenvs):
    expected, kind = f"expected a list of {steps} tensors [{nenvs}], one per step", str(run["kind"])
    if kind not in (f"list of {steps}", f"tuple of {steps}"):
        return f"value_targets are a {kind}, {expected}"
    for t, kind in enumerate(map(str, run["kinds"])):
        if kind != f"tensor [{nenvs}]":
            return f"value_targets[{t}] is a {kind}, {expected}"
    if run["graph"].any():
        return (
            f"value_targets[{int(run['graph'].argmax())}] carries a graph: targets are constants, "
            "act under torch.no_grad or detach"
        )
    return None


def _judge_reached(run, seed):
    """Compares what the network was called with, if it was, with the recorded observations."""
    pictures = draw_case(seed, FIRST).pictures
    known = pictures.reshape(len(pictures), -1)[:, PIXELS]
    if all(np.abs(known - row).max(1).min() < 1e-3 for row in run["reached"]):
        return None
    return "the network is given other numbers than the observations: hand them on as they are"


def _judge_changed(run):
    if not len(run["changed"]):
        return None
    key = str(run["changed"][0])
    if key == "state":
        return "`state` is gone or changed: leave it as it is"
    return f"the {key} of the trajectory are overwritten or changed: work on a copy"


def evaluate(polynomial, gamma):
    """Returns targets [T, B] of coefficients [K, T, B] of the powers of gamma."""
    powers = float(gamma) ** np.arange(len(polynomial))
    return np.tensordot(powers, polynomial.astype(np.float64), 1)


def _judge_first(run, other, expected, gamma):
    """Judges the first case, as it is and, where that could be done, with another gamma."""
    right, got = expected[f"targets/{FIRST}"], run["targets"]
    runs = [(gamma, got)]
    if other.get("targets", got[:0]).shape == got.shape:
        runs.append((_another(gamma), other["targets"]))
    if _explains(right, runs):
        return None
    if run["places"] < len(got):
        return "steps share one and the same tensor, an alias: make a new one for each step"
    for factors in (runs, [(gamma, targets) for _, targets in runs]):  # gamma is used, or fixed
        if mistake := _named(factors, _part(expected, "targets/mistake")):
            return mistake
    if mistake := _judge_gamma(runs, right):
        return mistake
    wrong = next(pair for pair in runs if not _explains(right, [pair]))
    intro = "" if wrong[0] == gamma else f"with gamma = {wrong[0]}, "
    return intro + _difference(wrong[1], evaluate(right, wrong[0]), RESETS)


def _explains(polynomial, runs):
    return all(close(got, evaluate(polynomial, gamma)) for gamma, got in runs)


def _named(runs, mistakes):
    """Returns the first mistake that explains all targets wholly, or None."""
    for mistake, polynomials in mistakes.items():
        if any(_explains(each, runs) for each in np.moveaxis(polynomials, 1, 0)):
            return mistake
    return None


def _judge_gamma(runs, right):
    """Names a wrong discount, if all targets are right but for that."""
    found = [_gamma_of(got, right) for _, got in runs]
    if None in found:
        return None
    (gamma, _), *others = runs
    if not np.isclose(found[0], gamma, atol=1e-3):
        left_out = ": it is left out" if np.isclose(found[0], 1, atol=1e-3) else ""
        return f"the targets are those of γ = {found[0]:.4g}, expected γ = {gamma:.4g}{left_out}"
    return (
        f"with gamma = {others[0][0]} the targets are those of γ = {found[1]:.4g}: use the "
        "argument gamma, no fixed number"
    )


def _gamma_of(got, right):
    """Returns the discount with which the right polynomial gives these targets, or None."""
    constant, linear = right[:2, -1]  # the last step's targets have no other powers
    b = np.abs(linear).argmax()
    found = float((got[-1, b] - constant[b]) / linear[b])
    return found if np.isfinite(found) and _explains(right, [(found, got)]) else None


def _difference(got, right, resets):
    """Says where targets differ most, and what the differences have in common."""
    off = np.nan_to_num(np.abs(got - right), nan=np.inf)
    t, b = (int(k) for k in np.unravel_index(off.argmax(), off.shape))
    wrong, whole = off > CLOSE * np.abs(right).max(), ~resets.any(0)
    ended = ", ".join(map(str, np.flatnonzero(resets[:, b])))
    if whole.any() and not wrong[:, whole].any():
        look = "environments without a reset are right: look at what a reset cuts"
    elif not wrong[-1].any():
        look = "the last step is right: look at how earlier ones follow from later ones"
    else:
        look = "the last step is wrong too: look at it first, it has the fewest terms"
    return (
        f"the target of step {t} in environment {b} is {got[t, b]:.4f}, expected {right[t, b]:.4f} "
        f"({f'reset at step {ended}' if ended else 'no reset'}); {look}"
    )
