"""Task 3: the n-step bootstrapped targets, for all kinds of resets, steps and environments."""

import contextlib
import copy

import numpy as np
import torch

from languages import N_, _
from tests.checks.draws import draw_trajectory
from tests.checks.errors import CheckError, blaming, pass_or_raise
from tests.checks.expected import RELEASED_SEEDS, read_expected
from tests.checks.freedoms import CLOSE, close
from tests.checks.observing import array, calling, exactly, kind_in_words, quietly, same
from tests.checks.stand_ins import PIXELS, RecordedModel, acting, as_leaf

__all__ = [
    "CASES",
    "FIRST",
    "check_value_targets",
    "draw_case",
    "evaluate",
    "judge_effects",
    "judge_value_targets",
    "observe_effects",
    "observe_value_targets",
    "transform_of_targets",
]

TASK = "ComputeValueTargets"
N_ACTIONS = 7  # unlike any number of steps or environments
FIRST = N_("5 steps in 6 environments")
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
    N_("a second trajectory of 5 steps in 6 environments"): RESETS,
    N_("3 steps in 4 environments"): np.array([[0, 1, 0, 0], [0, 0, 0, 1], [0, 1, 1, 0]], bool),
    N_("7 steps in 2 environments"): np.eye(7, 2, -3, dtype=bool),
    N_("1 step in 4 environments"): np.array([[0, 1, 0, 1]], bool),
    N_("5 steps in 1 environment"): np.array([[0], [0], [1], [0], [0]], bool),
    N_("a reset on each of 2 steps in 3 environments"): np.ones((2, 3), bool),
    N_("no reset on 4 steps in 3 environments"): np.zeros((4, 3), bool),
    N_("a last trajectory of 5 steps in 6 environments"): RESETS,
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
        told = _("{task}: there are no transforms, hand `{task}(policy, GAMMA)` over")
        raise CheckError(told.format(task=TASK))
    seen = {}
    with exactly(TASK), quietly(model):
        for case in CASES:
            called = _("{task}, called on {case},").format(task=TASK, case=_(case))
            with blaming(TASK if case == FIRST else called):
                seen |= _prefixed(
                    case, observe_effects(model, policy, transform, draw_case(seed, case))
                )
        for make in _makers(transform, policy, _another(gamma)):
            with contextlib.suppress(Exception):
                run = observe_effects(model, policy, make(), draw_case(seed, FIRST))
                return {**seen, **_prefixed("another_gamma", run)}
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


def observe_effects(model, policy, transform, recorded):
    """Calls a transform on one recorded trajectory; returns what it did as arrays."""
    root = as_leaf(model, recorded.outputs)
    stand_in = RecordedModel(model, recorded.pictures, root)
    trajectory, before = _collect(recorded, root), _collect(recorded, root)
    with stand_in.standing_in(), acting(policy, stand_in):
        with calling(model, N_("a transform"), f"{TASK}(policy)") as ran:
            returned = transform(trajectory)
    if ran and not stand_in.reached:
        told = _(
            "{task} calls layers of the network: call self.policy.act(...) or the network itself, "
            "not its layers"
        )
        raise CheckError(told.format(task=TASK))
    wrong_dict = isinstance(returned, dict) and returned is not trajectory
    reached = stand_in.reached
    reached = np.unique(np.concatenate(reached), axis=0) if reached else np.zeros((0, 0))
    changed = [key for key, x in before.items() if not same(x, trajectory.get(key))]
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
    """Says what something is: "tensor [6]", "array [5, 6]", "list(5)", "float"."""
    if torch.is_tensor(x) or isinstance(x, np.ndarray):
        return f"{'tensor' if torch.is_tensor(x) else 'array'} {list(x.shape)}"
    return f"{type(x).__name__}({len(x)})" if isinstance(x, (list, tuple)) else type(x).__name__


# judge: plain arrays alone


def judge_value_targets(seen, expected, gamma, seed):
    """Returns what is wrong with the targets, or None; all arguments are plain arrays."""
    for case, resets in CASES.items():
        run = _part(seen, case)
        pictures = draw_case(seed, FIRST).pictures if case == FIRST else None
        mistake = judge_effects(run, *resets.shape, pictures)
        if case == FIRST:
            if mistake := mistake or _judge_first(
                run, _part(seen, "another_gamma"), expected, gamma
            ):
                return mistake
            continue
        right = evaluate(expected[f"targets/{case}"], gamma)
        if not mistake and not close(run["targets"], right):
            mistake = _(
                "{mistake}. The first trajectory is right: are numbers of steps or environments "
                "fixed, or is something kept between calls?"
            ).format(mistake=_difference(run["targets"], right, resets))
        if mistake:
            return _("called on {case}: {mistake}").format(case=_(case), mistake=mistake)
    return None


def judge_effects(run, steps, nenvs, pictures=None):
    """Returns what a transform did wrong, whatever its numbers, or None.

    Args:
        run: What `observe_effects` returned.
        steps: T.
        nenvs: B.
        pictures: What the network may be called with; None to let that be.
    """
    return (
        _judge_dict(run)
        or _judge_form(run, steps, nenvs)
        or (None if pictures is None else _judge_reached(run, pictures))
        or _judge_changed(run)
    )


def _part(seen, case):
    return {name[len(case) + 1 :]: x for name, x in seen.items() if name.startswith(f"{case}/")}


def _judge_dict(run):
    if str(run["kind"]) != "NoneType":
        return None
    if run["returned"]:
        return _(
            "it returns a new dict with value_targets; add them to the dict that is given, the "
            "runner ignores what a transform returns"
        )
    if not len(run["added"]):
        return _('the trajectory has no "value_targets" afterwards: it adds no key')
    told = _('the trajectory has no "value_targets" afterwards: the keys that it adds are {keys}')
    return told.format(keys=", ".join(f'"{key}"' for key in run["added"]))


def _judge_form(run, steps, nenvs):
    kind, form = str(run["kind"]), {"steps": steps, "nenvs": nenvs}
    if kind not in (f"list({steps})", f"tuple({steps})"):
        told = _(
            "value_targets are a {kind}, expected a list of {steps} tensors [{nenvs}], one per step"
        )
        return told.format(kind=_in_words(kind), **form)
    for t, kind in enumerate(map(str, run["kinds"])):
        if kind != f"tensor [{nenvs}]":
            told = _(
                "{entry} is a {kind}, expected a list of {steps} tensors [{nenvs}], one per step"
            )
            return told.format(entry=f"value_targets[{t}]", kind=_in_words(kind), **form)
    if run["graph"].any():
        return _(
            "{entry} carries a graph: targets are constants, act under torch.no_grad or detach"
        ).format(entry=f"value_targets[{int(run['graph'].argmax())}]")
    return None


def _in_words(kind):
    """Returns what `_kind` says, in the language of the course."""
    name, _space, shape = kind.partition(" ")
    if shape:
        return f"{kind_in_words(name)} {shape}"
    name, _bracket, n = kind.rstrip(")").partition("(")
    return _("{kind} of {n}").format(kind=name, n=n) if n else name


def _judge_reached(run, pictures):
    """Compares what the network was called with, if it was, with the recorded observations."""
    known = pictures.reshape(len(pictures), -1)[:, PIXELS]
    if all(np.abs(known - row).max(1).min() < 1e-3 for row in run["reached"]):
        return None
    return _("the network is given other numbers than the observations: hand them on as they are")


def _judge_changed(run):
    if not len(run["changed"]):
        return None
    key = str(run["changed"][0])
    if key == "state":
        return _("`state` is gone or changed: leave it as it is")
    told = _("the {key} of the trajectory are overwritten or changed: work on a copy")
    return told.format(key=key)


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
        return _("steps share one and the same tensor, an alias: make a new one for each step")
    for factors in (
        runs,
        [(gamma, targets) for _other, targets in runs],
    ):  # gamma is used, or fixed
        if mistake := _named(factors, _part(expected, "targets/mistake")):
            return mistake
    if mistake := _judge_gamma(runs, right):
        return mistake
    wrong = next(pair for pair in runs if not _explains(right, [pair]))
    mistake = _difference(wrong[1], evaluate(right, wrong[0]), RESETS)
    if wrong[0] == gamma:
        return mistake
    return _("with gamma = {gamma}, {mistake}").format(gamma=wrong[0], mistake=mistake)


def _explains(polynomial, runs):
    return all(close(got, evaluate(polynomial, gamma)) for gamma, got in runs)


def _named(runs, mistakes):
    """Returns the first mistake that explains all targets wholly, or None."""
    for mistake, polynomials in mistakes.items():
        if any(_explains(each, runs) for each in np.moveaxis(polynomials, 1, 0)):
            return _(mistake)
    return None


def _judge_gamma(runs, right):
    """Names a wrong discount, if all targets are right but for that."""
    found = [_gamma_of(got, right) for _gamma, got in runs]
    if None in found:
        return None
    gamma, *others = [gamma for gamma, _got in runs]
    if not np.isclose(found[0], gamma, atol=1e-3):
        told = _("the targets are those of γ = {found:.4g}, expected γ = {gamma:.4g}")
        told = told.format(found=found[0], gamma=gamma)
        left_out = _("{mistake}: it is left out").format(mistake=told)
        return left_out if np.isclose(found[0], 1, atol=1e-3) else told
    return _(
        "with gamma = {gamma} the targets are those of γ = {found:.4g}: use the argument gamma, no "
        "fixed number"
    ).format(gamma=others[0], found=found[1])


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
        look = _("environments without a reset are right: look at what a reset cuts")
    elif not wrong[-1].any():
        look = _("the last step is right: look at how earlier ones follow from later ones")
    else:
        look = _("the last step is wrong too: look at it first, it has the fewest terms")
    told = (
        _(
            "the target of step {t} in environment {b} is {got:.4f}, expected {right:.4f} (reset "
            "at step {resets}); {look}"
        )
        if ended
        else _(
            "the target of step {t} in environment {b} is {got:.4f}, expected {right:.4f} (no "
            "reset); {look}"
        )
    )
    return told.format(t=t, b=b, got=got[t, b], right=right[t, b], resets=ended, look=look)
