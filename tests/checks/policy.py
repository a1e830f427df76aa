"""Task 2: what acting returns, its graph, how it samples, and what it leaves alone."""

import copy

import numpy as np
import torch

from languages import N_, _, ngettext
from tests.checks.draws import draw_pictures, draw_weighing
from tests.checks.errors import CheckError, blaming, pass_or_raise
from tests.checks.expected import RELEASED_SEEDS, read_expected
from tests.checks.freedoms import close
from tests.checks.observing import (
    array,
    calling,
    exactly,
    kind_in_words,
    log_probs_key,
    quietly,
    reseeded_by,
    same_course,
)
from tests.checks.stand_ins import PIXELS, RecordedModel, as_leaf

__all__ = ["check_policy", "judge_policy", "observe_policy"]

OBSERVATIONS = 6
COPIES, CALLS = 40, 25  # of each observation in a call, and calls: 1,000 actions of each
KEYS = ("logits", "log_probs", "values")


def check_policy(model, policy, n_actions):
    """Checks what acting returns."""
    for seed in RELEASED_SEEDS:
        expected = read_expected(seed)
        seen = observe_policy(model, policy, n_actions, seed, expected)
        if mistake := judge_policy(seen, expected, n_actions, seed):
            break
    pass_or_raise("Policy", mistake)


# observe: this half runs the student's policy


def observe_policy(model, policy, n_actions, seed, recorded):
    """Acts on known observations, with recorded logits and values in place of the network's.

    Args:
        recorded: {"policy/logits": [n, A or more], "values": [n]}, what the network gives.
    """
    pictures, mode = draw_pictures(seed, OBSERVATIONS), model.training
    outputs = np.column_stack([recorded["policy/logits"][:, :n_actions], recorded["values"]])
    stand_in = RecordedModel(model, pictures, as_leaf(model, outputs))
    with (
        blaming("Policy"),
        exactly("Policy"),
        quietly(model),
        same_course(),
        stand_in.standing_in(),
    ):
        given = pictures.copy()
        act = _act_first(model, policy, stand_in, given)
        seen = {**_describe(act, stand_in.root, seed), "inputs": given[:, :, ::12, ::12]}
        seen["reached"] = np.concatenate(stand_in.reached)
        seen["columns"] = np.array(stand_in.columns)
        before = {key: copy.copy(array(value)) for key, value in _numbers(act).items()}
        seen |= {f"list/{key}": array(x) for key, x in _numbers(_act(policy, [*given])).items()}
        _act(policy, given[::-1].copy())
        seen |= {f"one/{key}": array(x) for key, x in _numbers(_act(policy, given[2:3])).items()}
        changed = [
            key for key, value in _numbers(act).items() if (array(value) != before[key]).any()
        ]
        seen["changed"], seen["kept"] = np.array(changed, dtype=str), np.array(stand_in.kept())
        seen["reseeds"] = np.array(reseeded_by(lambda: policy.act(given)), dtype=str)
        seen["many"] = _sample(policy, pictures, stand_in)
        seen["mode"] = np.array(["evaluation", "training"])[[int(mode), int(model.training)]]
    return seen


def _act_first(model, policy, stand_in, observations):
    """Acts as a new policy; raises a CheckError if that calls another network, or none."""
    with calling(model, N_("the policy"), "Policy(model)"):
        policy.reset()
        act = _act(policy, observations)
    if stand_in.reached:
        return act
    told = _(
        "Policy: act does not call the network: call self.model(observations) itself, not its "
        "layers"
    )
    raise CheckError(told)


def _act(policy, observations):
    act = policy.act(observations)
    if act is None:
        raise CheckError(_("Policy: act returns nothing, expected a dict: is its return missing?"))
    if not isinstance(act, dict):
        told = _("{task}: act returns a {kind}, expected a dict.")
        raise CheckError(told.format(task="Policy", kind=type(act).__name__))
    return act


def _numbers(act):
    """Returns the entries that learning needs, log-probabilities under the name `log_probs`."""
    named = {**act, "log_probs": act.get(log_probs_key(act))}
    return {key: named[key] for key in ("actions", *KEYS) if named.get(key) is not None}


def _describe(act, root, seed):
    """Returns the entries of an act as arrays, with their kinds and gradients."""
    numbers = _numbers(act)
    seen = {"keys": np.array(sorted(map(str, act)), dtype=str)}
    for key, value in numbers.items():
        seen[key], seen[f"kind/{key}"] = array(value), np.array(_kind(value))
        if torch.is_tensor(value) and value.requires_grad and key in KEYS:
            weighing = torch.as_tensor(_weighing(seed, value.shape)).to(value)
            total = (weighing * value).sum()
            gradient = torch.autograd.grad(total, root, retain_graph=True, allow_unused=True)[0]
            seen[f"gradient/{key}"] = array(
                torch.zeros_like(root) if gradient is None else gradient
            )
    return seen


def _weighing(seed, shape):
    return draw_weighing(seed, shape[0], int(np.prod(shape[1:]))).reshape(shape)


def _kind(value):
    integer = isinstance(value, np.ndarray) and np.issubdtype(value.dtype, np.integer)
    return "integers" if integer else type(value).__name__


def _sample(policy, pictures, stand_in):
    """Acts on many copies of each observation; returns actions [calls, n, copies]."""
    many, calls = np.repeat(pictures, COPIES, axis=0), []
    with torch.no_grad():
        for _call in range(CALLS):
            calls.append(array(policy.act(many)["actions"]).ravel())
            stand_in.forget()  # 27 MB a call
    return np.stack(calls).reshape(CALLS, len(pictures), -1)


# judge: plain arrays alone


def judge_policy(seen, expected, n_actions, seed):
    """Returns what is wrong with acting, or None; all arguments are plain arrays."""
    tables = {
        "logits": expected["policy/logits"][:, :n_actions],
        "values": expected["values"],
        "log_probs": expected[f"log_probs/{n_actions}"],
        "probabilities": expected[f"probabilities/{n_actions}"],
        "wrong_axis": expected[f"wrong_axis/{n_actions}"],
        "twice": expected[f"softmax_twice/{n_actions}"],
    }
    return (
        _judge_keys(seen)
        or _judge_inputs(seen, seed)
        or _judge_shapes(seen, n_actions)
        or _judge_logits(seen, tables)
        or _judge_values(seen, tables)
        or _judge_log_probs(seen, tables)
        or _judge_graph(seen, tables, seed)
        or _judge_traces(seen, seed)
        or _judge_sampling(seen, tables["probabilities"])
    )


def _judge_keys(seen):
    for prefix, told in (
        ("", _("for an array act returns no {key}; its keys are {keys}")),
        ("list/", _("for a list act returns no {key}; its keys are {keys}")),
        ("one/", _("for one observation act returns no {key}; its keys are {keys}")),
    ):
        for key in ("actions", *KEYS):
            if f"{prefix}{key}" not in seen:
                return told.format(key=key, keys=", ".join(map(str, seen["keys"])))
    return None


def _judge_inputs(seen, seed):
    right = draw_pictures(seed, OBSERVATIONS).reshape(OBSERVATIONS, -1)[:, PIXELS]
    got = seen["reached"]
    if got.shape[1:] == right.shape[1:] and all(
        np.abs(right - row).max(1).min() < 1e-3 for row in got
    ):
        return None
    scale = got.mean() / right.mean()
    if abs(scale * 255 - 1) < 0.1:
        return _("observations are divided by 255 again: they are in [0, 1] already")
    if abs(scale / 255 - 1) < 0.1:
        return _("observations are multiplied by 255: the network expects them in [0, 1]")
    return _(
        "the network is given other numbers than act is: hand the observations on as they are, an "
        "array and a list alike"
    )


def _judge_shapes(seen, n_actions):
    n = OBSERVATIONS
    if seen["kind/actions"] != "integers" or seen["actions"].shape != (n,):
        return _(
            "actions are of the kind {kind}, shape {shape}; expected a NumPy array of integers "
            "[{n}]"
        ).format(
            kind=kind_in_words(str(seen["kind/actions"])), shape=list(seen["actions"].shape), n=n
        )
    for key in KEYS:
        if seen[f"kind/{key}"] != "Tensor":
            told = _("{key} are of the kind {kind}, expected a tensor with its graph")
            return told.format(key=key, kind=kind_in_words(str(seen[f"kind/{key}"])))
    for prefix, n in (("", OBSERVATIONS), ("one/", 1)):
        if list(seen[f"{prefix}actions"].shape) != [n]:
            return _wrong_shape(seen, prefix, "actions", n, f"[{n}]")
        if list(seen[f"{prefix}logits"].shape) != [n, n_actions]:
            return _wrong_shape(seen, prefix, "logits", n, f"[{n}, {n_actions}]")
        if list(seen[f"{prefix}values"].shape) != [n]:
            return _wrong_shape(seen, prefix, "values", n, f"[{n}]")
        if list(seen[f"{prefix}log_probs"].shape) not in ([n], [n, 1], [n, n_actions]):
            return _wrong_shape(seen, prefix, "log_probs", n, f"[{n}]")
    return None


def _wrong_shape(seen, prefix, key, n, expected):
    told = ngettext(
        "for {n} observation {key} have the shape {shape}, expected {expected}",
        "for {n} observations {key} have the shape {shape}, expected {expected}",
        n,
    ).format(n=n, key=key, shape=list(seen[f"{prefix}{key}"].shape), expected=expected)
    if n > 1:
        return told
    why = _("{mistake}: squeeze removes every axis of length 1, name the axis")
    if key == "values" and not seen["columns"]:
        why = _(
            "{mistake}: the network returns them without an axis to remove; reshape(-1) suits both"
        )
    return why.format(mistake=told)


def _judge_logits(seen, tables):
    got, right = seen["logits"], tables["logits"]
    if close(got - got.mean(1, keepdims=True), right - right.mean(1, keepdims=True)):
        return None
    if close(got, tables["probabilities"]):
        return _("logits are probabilities: return what the model returns, before any softmax")
    return _("logits are not those that the model returned for these observations")


def _judge_values(seen, tables):
    for prefix, right in (("", tables["values"]), ("one/", tables["values"][2:3])):
        if not close(seen[f"{prefix}values"], right):
            return _("values are not those that the model returned for these observations")
    if not close(seen["list/values"], tables["values"]):
        return _("a list of observations gives other values than the same array")
    return None


def _judge_log_probs(seen, tables):
    table, actions, got = tables["log_probs"], seen["actions"].astype(int), seen["log_probs"]
    if actions.min() < 0 or actions.max() >= table.shape[1]:
        told = _("an action is {action}, expected 0 to {last}")
        return told.format(action=actions.max(), last=table.shape[1] - 1)
    pick = (lambda t: t) if got.size == table.size else lambda t: t[np.arange(len(t)), actions]
    got = got.reshape(pick(table).shape)
    if close(got, pick(table)):
        return None
    for mistake, wrong in _wrong_log_probs(tables).items():
        if close(got, pick(wrong)):
            return mistake
    if got.ndim == 1 and all(
        np.abs(row - x).min() < 1e-3 for row, x in zip(table, got, strict=True)
    ):
        return _("log_probs are those of other actions than the ones that are returned")
    at = np.unravel_index(np.abs(got - pick(table)).argmax(), got.shape)
    return _("{entry} is {got:.4g}, expected {right:.4g}: log π(a|s) of the action taken").format(
        entry=f"log_probs{[int(k) for k in at]}", got=got[at], right=pick(table)[at]
    )


def _wrong_log_probs(tables):
    """Returns {what is wrong: log_probs [n, A]}."""
    return {
        _("log_probs are probabilities: take their logarithm"): tables["probabilities"],
        _("log_probs are logits: subtract the logarithm of the sum of their exponentials"): tables[
            "logits"
        ],
        _("the softmax runs over the wrong axis: over actions, the last one"): tables["wrong_axis"],
        _("log_probs have the wrong sign"): -tables["log_probs"],
        _("the softmax is taken twice: probabilities stand where logits belong"): tables["twice"],
    }


def _judge_graph(seen, tables, seed):
    """Compares the gradients that flow back through each entry."""
    for key, rights in _right_gradients(seen, tables, seed).items():
        got = seen.get(f"gradient/{key}")
        if got is None or not got.any():
            told = _(
                "{key} carry no graph: learning runs backward through them, nothing is detached"
            )
            return told.format(key=key)
        if not any(close(got, right) for right in rights):
            told = _("the gradient through {key} is not theirs: is part of them detached?")
            return told.format(key=key)
    return None


def _right_gradients(seen, tables, seed):
    """Returns {key: gradients [n, A + 1] that are right}; logits may be normalised."""
    p, rows = tables["probabilities"], np.arange(OBSERVATIONS)
    zeros = np.zeros((OBSERVATIONS, 1))
    weighing = {key: _weighing(seed, seen[key].shape) for key in KEYS}
    of_logits = weighing["logits"]
    taken = weighing["log_probs"].reshape(OBSERVATIONS, -1)
    if taken.shape[1] == 1:
        chosen = np.zeros_like(p)
        chosen[rows, seen["actions"].astype(int)] = taken[:, 0]
        taken = chosen
    normalised = [x - p * x.sum(1, keepdims=True) for x in (of_logits, taken)]
    return {
        "logits": [np.hstack([x, zeros]) for x in (of_logits, normalised[0])],
        "log_probs": [np.hstack([normalised[1], zeros])],
        "values": [np.hstack([0 * p, weighing["values"][:, None]])],
    }


def _judge_traces(seen, seed):
    if not close(seen["inputs"], draw_pictures(seed, OBSERVATIONS)[:, :, ::12, ::12]):
        return _("act changes the observations that it is given: work on a copy")
    if not seen["kept"]:
        return _(
            "the tensor that the network was given changes when act is called again, and learning "
            "still needs it: make a new one each time"
        )
    if len(seen["changed"]):
        return _(
            "{key} of earlier steps change when act is called again: an alias of one buffer is "
            "stored; return new arrays"
        ).format(key=seen["changed"][0])
    if len(seen["reseeds"]):
        return _(
            "act seeds the generator of {library}: every step then draws the same random numbers; "
            "seed once, before the run"
        ).format(library=seen["reseeds"][0])
    if seen["mode"][0] != seen["mode"][1]:
        if seen["mode"][1] == "training":
            return _("act leaves the model in training mode: leave its mode alone")
        return _("act leaves the model in evaluation mode: leave its mode alone")
    return None


def _judge_sampling(seen, probabilities):
    """Compares the shares of actions with π by the G-test, over all observations."""
    many, n_actions = seen["many"].astype(int), probabilities.shape[1]
    if many.min() < 0 or many.max() >= n_actions:
        told = _("an action is {least} or {largest}, expected 0 to {last}")
        return told.format(least=many.min(), largest=many.max(), last=n_actions - 1)
    if (many == many[:, :, :1]).all() and (many == many[:1]).all():
        told = _("the same action {times} times: greedy, the policy must sample")
        return told.format(times=CALLS * COPIES)
    if (many == many[:1]).all():
        return _("each call draws the same actions again: use no seed or generator of your own")
    return _judge_shares(many, probabilities)


def _judge_shares(many, probabilities):
    n_actions = probabilities.shape[1]
    rows = many.transpose(1, 0, 2).reshape(len(probabilities), -1)
    shares = np.stack([np.bincount(row, minlength=n_actions) for row in rows])
    shares = shares / shares.sum(1, keepdims=True)
    logs = np.log(np.maximum(shares, 1e-9) / probabilities)
    off = 2 * CALLS * COPIES * (shares * logs).sum(1)
    freedom = probabilities.size - len(probabilities)
    if off.sum() < freedom + 7 * np.sqrt(2 * freedom) + 20:  # a right answer: all but one in 10^9
        return None
    got, right = shares[off.argmax()].round(2), probabilities[off.argmax()].round(2)
    even = np.abs(shares - 1 / n_actions).max() < 0.07
    told = _("actions' shares are {got}, the policy says {right}").format(got=got, right=right)
    why = _("{mistake}: they are drawn evenly, whatever the logits")
    return why.format(mistake=told) if even else told
