"""Task 5: each loss, three real updates, and the objects that make them."""

import contextlib
import io

import numpy as np

from languages import _
from tests.checks.batches import SCALES, draw_batch, make_batch
from tests.checks.chain import judge_chain, observe_chain
from tests.checks.errors import CheckError, blaming, pass_or_raise
from tests.checks.expected import RELEASED_SEEDS, read_expected
from tests.checks.freedoms import close
from tests.checks.losses import judge_loss, judge_terms, name_changed, only_apart, right_rows
from tests.checks.merge import check_merge
from tests.checks.observing import (
    array_or_none,
    exactly,
    quietly,
    require_together,
    same,
    transform_named,
)
from tests.checks.policy import check_policy
from tests.checks.updating import (
    APART,
    coefficients_of,
    judge_moves,
    judge_returned,
    judge_update,
    number,
    restoring,
    set_apart,
    update,
)
from tests.checks.value_targets import check_value_targets

__all__ = ["check_a2c", "judge_a2c", "observe_a2c"]

TRANSFORMS = ["ComputeValueTargets", "MergeTimeBatch"]
LOSSES = ("policy_loss", "value_loss", "entropy", "loss")
READ = ("values", "value_targets", "rewards")


def check_a2c(model, policy, runner, optimizer, a2c, n_actions, settings):
    """Checks the losses, three updates, and at last all five tasks together."""
    made = model, policy, runner, optimizer, a2c, n_actions
    for seed in RELEASED_SEEDS:
        expected = read_expected(seed)
        seen = observe_a2c(*made, seed, expected)
        if mistake := judge_a2c(seen, expected, n_actions, settings):
            break
    if not mistake and _others_pass(model, policy, runner.transforms, n_actions, settings["gamma"]):
        mistake = judge_chain(observe_chain(*made, seed), expected, n_actions, seed, settings)
    pass_or_raise("A2C", mistake)


def _others_pass(model, policy, transforms, n_actions, gamma):
    """Tells whether Tasks 2 to 4 pass; else their own checks say what is wrong."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(CheckError):
        check_policy(model, policy, n_actions)
        check_value_targets(model, policy, transforms, gamma)
        check_merge(model, policy, transforms)
        return True
    return False


# observe: this half runs the student's losses and updates


def observe_a2c(model, policy, runner, optimizer, a2c, n_actions, seed, expected):
    """Computes each loss of a recorded batch, and makes three updates.

    Args:
        expected: {"a2c/<k>/normalisers": [N]} of each batch, log Σ exp of the logits.

    Returns:
        {name: array}; gradients are [N, A + 1 + A]: of logits, values, and log-probabilities.
    """
    require_together(model, optimizer, a2c, runner)
    seen = _describe(model, policy, runner, optimizer, a2c)
    merge = transform_named("MergeTimeBatch", runner.transforms)

    def batch(k):
        drawn, normalisers = draw_batch(seed, k, n_actions), expected[f"a2c/{k}/normalisers"]
        return make_batch(model, policy, merge, drawn, normalisers)

    with blaming("A2C"), exactly("A2C"), quietly(model), restoring(model, optimizer, a2c):
        losses = _losses(a2c, batch(0))
        seen |= losses
        if not _can_learn(losses):
            return {**seen, **_named("apart/", losses)}
        for k in range(len(SCALES)):
            seen |= _named(f"{k}/", _update(a2c, optimizer, batch(k)))
        with set_apart(a2c) as names:
            seen |= {"apart/names": np.array(names, dtype=str)}
            aside = _losses(a2c, batch(0)) | _update(a2c, optimizer, batch(1))
    return seen | _named("apart/", aside)


def _named(prefix, arrays):
    return {f"{prefix}{name}": x for name, x in arrays.items()}


def _describe(model, policy, runner, optimizer, a2c):
    """Returns what optimizer, runner and A2C were made with."""
    weights = {id(parameter) for parameter in model.parameters()}
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    seen = {
        "optimizer/kind": type(optimizer).__name__,
        "optimizer/missing": len(weights.difference(held)),
        "optimizer/foreign": len(set(held) - weights),
        "runner/nsteps": runner.nsteps,
        "runner/nenvs": runner.nenvs,
        "runner/policy": runner.policy is policy,
        "runner/transforms": [type(transform).__name__ for transform in runner.transforms],
    }
    numbers = {k: v for k, v in optimizer.param_groups[0].items() if isinstance(v, (int, float))}
    seen |= _named("optimizer/", numbers) | _named("a2c/", coefficients_of(a2c))
    return {name: np.array(x) for name, x in seen.items()}


def _losses(a2c, batch):
    """Returns each loss of a batch, its gradient to the recorded numbers, and what it changes.

    It ends with the first that gives no number: those that need it would raise.
    """
    seen = {}
    with batch.network.standing_in():
        for name in LOSSES:
            trajectory, before = batch.trajectory(), batch.trajectory()
            loss = getattr(a2c, name)(trajectory)
            seen[name], seen[f"gradient/{name}"] = number(loss), batch.numbers.gradient_of(loss)
            changed, overwritten = _changed(before, trajectory), _overwritten(before, trajectory)
            if changed and not overwritten and not _repeats(a2c, name, trajectory, seen[name]):
                overwritten = changed
            seen[f"changed/{name}"] = np.array(changed, dtype=str)
            seen[f"overwritten/{name}"] = np.array(overwritten, dtype=str)
            if not np.isfinite(seen[name]).all():
                break
    return seen


def _can_learn(losses):
    """Tells whether a step can be made with what `_losses` returned."""
    numbers = [losses.get(name, np.array(np.nan)) for name in LOSSES]
    are_numbers = all(x.size == 1 and np.isfinite(x).all() for x in numbers)
    return are_numbers and losses["gradient/loss"].any()


def _repeats(a2c, name, trajectory, first):
    """Tells whether a loss gives the same again of a trajectory that it changed."""
    with contextlib.suppress(Exception):
        return close(number(getattr(a2c, name)(trajectory)), first)
    return True


def _changed(before, after):
    """Names the entries that a loss changed, as far as they can be compared."""
    with contextlib.suppress(Exception):
        return [key for key, x in before.items() if not same(x, after.get(key))]
    return []


def _overwritten(before, after):
    """Names the entries that later losses and curves read and that hold other numbers now."""
    pairs = {key: (array_or_none(before[key]), array_or_none(after.get(key))) for key in READ}
    return [key for key, (x, y) in pairs.items() if not np.array_equal(x, y)]


def _update(a2c, optimizer, batch):
    return update(a2c, optimizer, batch.network, batch.numbers, batch.trajectory())


# judge: plain arrays alone


def judge_a2c(seen, expected, n_actions, settings):
    """Returns what is wrong with losses, updates or the objects that make them, or None.

    Args:
        seen: What `observe_a2c` returned, plain arrays.
        settings: {"value_loss_coef", "lr" and so on: number}, as in the notebook's settings.
    """
    mistake, half = judge_terms(seen, expected, n_actions, settings)
    if mistake := mistake or _judge_made(seen, settings):
        return mistake
    made = {name: settings[name] for name in APART}
    held = set(map(str, seen.get("apart/names", ())))
    kept = {name: APART[name](float(seen[f"a2c/{name}"])) for name in APART if name in held}
    apart = {**made, **kept}
    rows = [right_rows(expected, k, half) for k in range(len(SCALES))]
    aside = _strip(seen, "apart/")
    return (
        judge_loss((seen, aside), expected, rows[0], (made, apart))
        or _judge_updates(seen, expected, rows, made)
        or judge_moves([_strip(seen, f"{k}/") for k in range(len(SCALES))], settings)
        or only_apart(judge_update(aside, expected, 1, rows[1], apart))
        or name_changed(seen, "overwritten")
    )


def _strip(seen, prefix):
    return {name[len(prefix) :]: x for name, x in seen.items() if name.startswith(prefix)}


def _judge_updates(seen, expected, rows, coefficients):
    updates, before = [_strip(seen, f"{k}/") for k in range(len(rows))], None
    for k, (one, rights) in enumerate(zip(updates, rows, strict=True)):
        if mistake := judge_update(one, expected, k, rights, coefficients, before):
            told = _("update {k} of three in a row: {mistake}")
            return mistake if k == 0 else told.format(k=k + 1, mistake=mistake)
        before = one
    triples = enumerate(zip(updates, rows, strict=True))
    found = [judge_returned(one, expected, k, rights, coefficients) for k, (one, rights) in triples]
    return next(filter(None, found), None)


def _judge_made(seen, settings):
    """Returns what optimizer, runner or A2C were made with that is not in the settings."""
    if str(seen["optimizer/kind"]) != "RMSprop":
        told = _("the optimizer is {kind}, expected torch.optim.RMSprop")
        return told.format(kind=seen["optimizer/kind"])
    if seen["optimizer/missing"] or seen["optimizer/foreign"]:
        return _(
            "the optimizer lacks {missing} of the model's tensors and holds {foreign} of others: "
            "give it model.parameters()"
        ).format(missing=seen["optimizer/missing"], foreign=seen["optimizer/foreign"])
    if not seen["runner/policy"]:
        return _("the runner plays with another policy than `policy`: run its cell again")
    transforms = list(map(str, seen["runner/transforms"]))
    if transforms != TRANSFORMS:
        told = _("the runner's transforms are {transforms}, expected {expected}, in this order")
        return told.format(transforms=transforms, expected=TRANSFORMS)
    return _judge_settings(seen, settings)


def _judge_settings(seen, settings):
    """Returns which number of the optimizer or the runner is not in the settings, or None."""
    wanted = {f"optimizer/{name}": settings[name] for name in ("lr", "alpha", "eps")}
    wanted |= {f"optimizer/{name}": 0 for name in ("momentum", "weight_decay", "centered")}
    wanted |= {f"runner/{name}": settings[name] for name in ("nsteps", "nenvs")}
    for name, right in wanted.items():
        got = float(seen.get(name, right))
        if abs(got - right) > 1e-6 * abs(right):
            owner, setting = name.split("/")
            told = _("{setting} of the {owner} is {got:g}, expected {right:g}, as the settings say")
            return told.format(setting=setting, owner=owner, got=got, right=right)
    return None
