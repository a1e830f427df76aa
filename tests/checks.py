"""What each task must do: the notebook's check cells, the tests and the grader all call this.

Every check has two halves. `observe_*` runs the student's objects on given inputs and returns plain
arrays; `judge_*` compares them with what it works out itself and returns None or the mistake.
In the notebook both run in place; a grader can run the first half apart, on inputs that it draws.
Checks take the objects that the notebook made, never a signature: the model, the policy, the
transforms, the optimizer and the A2C; and feed them what the runner feeds.
"""

import copy
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import torch

from runners import EnvRunner

__all__ = [
    "CheckError",
    "CheckWarning",
    "Inputs",
    "check_a2c",
    "check_curves",
    "check_merge",
    "check_model",
    "check_policy",
    "check_value_targets",
    "draw_inputs",
]

N_PARAMETERS = 1_684_128  # of the body; each of the heads' outputs has 513 more
SKETCH = 20_000  # coordinates of the gradient that are looked at


class CheckError(AssertionError):
    """An answer does not do what its task demands; the message names the likely mistake."""


class CheckWarning(UserWarning):
    """An answer passes, but something about it is odd."""


class Inputs(NamedTuple):
    """What a runner would have met: T steps in B environments."""

    observations: np.ndarray  # [T, B, 4, 84, 84] float32 in [0, 1]
    latest: np.ndarray  # [B, 4, 84, 84], the observation after the last step
    rewards: np.ndarray  # [T, B] float32
    resets: np.ndarray  # [T, B] bool
    seed: int


RESETS = np.array(
    [
        [0, 0, 0, 1, 0, 0],
        [0, 0, 0, 1, 1, 0],
        [1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 1],
        [0, 1, 0, 0, 1, 0],
    ],
    dtype=bool,
)  # [T, B]: midway, on the last step, never, twice in a row, midway and last, before the last


def draw_inputs(seed=1):
    """Draws pictures that differ, rewards that are neither 0 nor ±1, and all kinds of resets."""
    rng = np.random.default_rng(seed)
    steps, nenvs = RESETS.shape
    coarse = rng.random((steps + 1, nenvs, 4, 7, 7), dtype=np.float32)
    coarse *= rng.random((steps + 1, nenvs, 4, 1, 1), dtype=np.float32)
    pictures = np.kron(coarse, np.ones((12, 12), np.float32))
    rewards = (0.2 + 2 * rng.random((steps, nenvs))) * rng.choice([-1, 1], (steps, nenvs))
    return Inputs(pictures[:-1], pictures[-1], rewards.astype(np.float32), RESETS, seed)


def array(x):
    """Returns tensors, lists of tensors, lists of numbers and arrays as float64."""
    if isinstance(x, (list, tuple)):
        return np.stack([array(item) for item in x])
    return x.detach().cpu().double().numpy() if torch.is_tensor(x) else np.asarray(x, np.float64)


@contextmanager
def loud(model, seed, sign=1.0):
    """Makes V(s) and the logits differ widely between observations; restores all weights."""
    before = copy.deepcopy(model.state_dict())
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2 and weight.shape[0] < 32:
                noise = torch.randn(weight.shape, generator=generator) * 3 * weight.shape[1] ** -0.5
                weight.copy_(sign * noise)
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)
        model.load_state_dict(before)


def play(policy, inputs):
    """Returns the trajectory that a runner would collect, and a copy of each entry as it was."""
    steps, copies = [], []
    for observation in inputs.observations:
        act = policy.act(observation)
        if not isinstance(act, dict) or "actions" not in act:
            raise CheckError("policy.act must return a dict with 'actions'")
        steps.append(act)
        copies.append({key: copy.copy(array_or_none(value)) for key, value in act.items()})
    trajectory = {key: [step[key] for step in steps] for key in steps[0]}
    trajectory["observations"] = list(inputs.observations.copy())
    trajectory["rewards"] = list(inputs.rewards.copy())
    trajectory["resets"] = list(inputs.resets.copy())
    trajectory["state"] = {"latest_observation": inputs.latest.copy(), "env_steps": len(steps)}
    return trajectory, copies


def array_or_none(x):
    """Returns x as an array, or None where it is no number (a distribution, say)."""
    try:
        return array(x).copy()
    except (TypeError, ValueError, RuntimeError):
        return None


@contextmanager
def blaming(task):
    """Turns an exception of the student's into a CheckError that says where it arose."""
    try:
        yield
    except CheckError:
        raise
    except Exception as e:
        raise CheckError(f"{task} raised {type(e).__name__}: {e}{_place(e)}{_hint(e)}") from e


def _place(error):
    """Names the last line of the student's own that the exception passed."""
    found, trace = "", error.__traceback__
    while trace:
        code = trace.tb_frame.f_code
        if code.co_filename != __file__ and "site-packages" not in code.co_filename:
            in_notebook = "ipykernel" in code.co_filename
            source = "its cell" if in_notebook else Path(code.co_filename).name
            found = f" (in {code.co_name}, line {trace.tb_lineno} of {source})"
        trace = trace.tb_next
    return found


def _hint(error):
    if isinstance(error, KeyError):
        return ": is a key of the trajectory misspelt?"
    if "view size is not compatible" in str(error):
        return ": flatten with nn.Flatten or reshape, pictures are stored channels last"
    if "does not require grad" in str(error):
        return ": the losses are cut from the graph; merge with torch.cat, act without no_grad"
    return ""


# the model


def outputs_of(model, observations):
    """Returns whatever the model returns as one array of columns, [N, A + 1]."""
    device = next(model.parameters()).device
    out = model(torch.as_tensor(observations, device=device))
    parts = list(out.values()) if isinstance(out, dict) else out
    parts = [parts] if torch.is_tensor(parts) else [p for p in parts if torch.is_tensor(p)]
    return torch.cat([p.reshape(len(observations), -1) for p in parts], dim=1)


@contextmanager
def first_layer_input(model):
    """Collects what reaches the first convolution."""
    seen = []
    layer = next((m for m in model.modules() if isinstance(m, torch.nn.Conv2d)), model)
    hook = layer.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    try:
        yield seen
    finally:
        hook.remove()


def observe_model(model, inputs):
    """Looks at the network's outputs, size and initial weights."""
    observations = inputs.observations[:2].reshape(-1, 4, 84, 84)
    with torch.no_grad(), blaming("NatureModel"):
        with first_layer_input(model) as seen:
            plain = array(outputs_of(model, observations))
        again = array(outputs_of(model, observations))
        with loud(model, inputs.seed):
            positive = array(outputs_of(model, observations))
        with loud(model, inputs.seed, sign=-1.0):
            negative = array(outputs_of(model, observations))
    weights = dict(model.named_parameters())
    kernels = {name: array(w).reshape(len(w), -1) for name, w in weights.items() if w.ndim == 4}
    unlike = {name: np.abs(k @ k.T - 2 * np.eye(len(k))).max() for name, k in kernels.items()}
    return {
        "columns": plain.shape[1],
        "repeats": np.allclose(plain, again),
        "scale": float(seen[0].float().mean()) / observations.mean() if seen else 1.0,
        "lowest": np.minimum(positive, negative).min(0),
        "parameters": sum(w.numel() for w in weights.values()),
        "zero": [name for name, w in weights.items() if w.ndim > 1 and not w.any()],
        "biased": [name for name, w in weights.items() if w.ndim == 1 and w.any()],
        "not_orthogonal": [name for name, distance in unlike.items() if distance > 1e-3],
    }


def judge_model(seen, n_actions):
    """Names what is wrong with the network."""
    expected = N_PARAMETERS + 513 * (n_actions + 1)
    if not seen["repeats"]:
        return (
            "two calls on the same observations differ: heads that are made inside forward are "
            "new each time and never learn; make them in __init__"
        )
    if seen["columns"] != n_actions + 1:
        return f"it returns {seen['columns']} numbers per observation, expected {n_actions} + 1"
    if mistake := name_scale(seen["scale"]):
        return mistake
    if seen["zero"]:
        return f"{seen['zero'][0]} is zero everywhere, and such weights start dead: which gain?"
    if seen["parameters"] != expected:
        return (
            f"it has {seen['parameters']:,} parameters, expected {expected:,}: "
            "compare each layer with the table"
        )
    if (seen["lowest"] >= 0).any():
        return "a logit or the value is never negative: leave the ReLU off after the heads"
    if seen["biased"]:
        return f"{seen['biased'][0]} is not zero: set every bias to zero"
    if seen["not_orthogonal"]:
        return f"{seen['not_orthogonal'][0]} is not orthogonal with gain √2: nn.init.orthogonal_"
    return None


def name_scale(scale):
    """Names a second division by 255, or one that is taken back."""
    if abs(scale * 255 - 1) < 0.01:
        return "observations are divided by 255 again: they are in [0, 1] already"
    if abs(scale / 255 - 1) < 0.01:
        return "observations are multiplied by 255: the network expects them in [0, 1]"
    return None


# the policy


def log_probs_key(act):
    """Returns the key under which a policy keeps its log-probabilities, or None."""
    return next((key for key in act if key.startswith("log_prob")), None)


def split_columns(columns, values):
    """Tells logits from the value among the model's outputs: [N, A + 1] → [N, A]."""
    values = values.reshape(-1, 1)
    return np.delete(columns, np.abs(columns - values).sum(0).argmin(), axis=1)


def log_softmax(logits):
    """Returns log-probabilities [N, A]."""
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def observe_policy(model, policy, inputs):
    """Looks at what acting returns, for an array, for a list and many times over."""
    observation = inputs.observations[0]
    with blaming("Policy"):
        with loud(model, inputs.seed):
            with first_layer_input(model) as seen:
                trajectory, copies = play(policy, inputs)
            listed = policy.act(list(observation))
            with torch.no_grad():
                columns = array(outputs_of(model, observation))
        many = policy.act(np.repeat(observation[:1], 400, axis=0))
        with torch.no_grad():
            quiet = array(outputs_of(model, observation[:1]))
    first = copies[0]
    return {
        "keys": sorted(first),
        "kind": type(trajectory["actions"][0]).__name__,
        "actions": first["actions"],
        "values": first.get("values"),
        "listed_values": array_or_none(listed.get("values")),
        "log_probs": first.get(log_probs_key(first)),
        "columns": columns,
        "scale": float(seen[0].float().mean()) / observation.mean() if seen else 1.0,
        "many": array(many["actions"]),
        "many_values": array_or_none(many.get("values")),
        "quiet": quiet,
        "changed": changed_later(trajectory, copies),
    }


def changed_later(trajectory, copies):
    """Returns the keys whose earlier entries are no longer what they were."""
    return [
        key
        for key in copies[0]
        for then, now in zip(copies, trajectory[key], strict=True)
        if then[key] is not None and not np.array_equal(then[key], array(now), equal_nan=True)
    ]


def judge_policy(seen):
    """Names what is wrong with acting."""
    nenvs = len(RESETS[0])
    if seen["values"] is None or seen["log_probs"] is None:
        return f"act returns no values or no log_probs; it has the keys {seen['keys']}"
    if seen["kind"] != "ndarray" or seen["actions"].shape != (nenvs,):
        shape = list(seen["actions"].shape)
        return f"actions are a {seen['kind']} {shape}, expected a NumPy array [{nenvs}]"
    if mistake := name_scale(seen["scale"]):
        return mistake
    if seen["changed"]:
        return (
            f"{seen['changed'][0]} of earlier steps change when act is called again: "
            "an alias of one buffer is stored; return new arrays"
        )
    if seen["values"].size != nenvs:
        return f"values have the shape {list(seen['values'].shape)}, expected [{nenvs}]"
    if not np.allclose(seen["values"].ravel(), seen["listed_values"].ravel(), atol=1e-3):
        return "a list of observations gives other values than the same array"
    return _judge_log_probs(seen) or _judge_sampling(seen)


def _judge_log_probs(seen):
    logits = split_columns(seen["columns"], seen["values"])
    every = log_softmax(logits)
    right = every[np.arange(len(every)), seen["actions"].astype(int)]
    got = seen["log_probs"]
    if got.size == every.size and np.allclose(got.reshape(every.shape), every, atol=1e-3):
        return None
    if got.size == right.size and np.allclose(got.ravel(), right, atol=1e-3):
        return None
    return "log_probs are not those of the actions that are returned"


def _judge_sampling(seen):
    values = np.full(1, seen["many_values"].ravel()[0])
    probabilities = np.exp(log_softmax(split_columns(seen["quiet"], values)))[0]
    shares = np.bincount(seen["many"].astype(int), minlength=len(probabilities)) / 400
    if np.abs(shares - probabilities).max() < 0.13:  # five standard deviations at the most
        return None
    if shares.max() == 1:
        return "the same action 400 times: greedy, the policy must sample"
    return f"actions' shares are {shares.round(2)}, the policy says {probabilities.round(2)}"


# the value targets


def observe_targets(model, policy, transforms, inputs, gamma=0.99):
    """Applies the transforms one by one until there are value targets."""
    with loud(model, inputs.seed), blaming("ComputeValueTargets"):
        with torch.no_grad():
            values = [array(policy.act(x)["values"]).ravel() for x in inputs.observations]
            latest = array(policy.act(inputs.latest)["values"]).ravel()
        trajectory, _ = play(policy, inputs)
        for transform in transforms:
            transform(trajectory)
            if "value_targets" in trajectory:
                break
        targets = trajectory.get("value_targets")
    return {
        "targets": None if targets is None else array_or_none(targets),
        "values": np.stack(values),
        "latest": latest,
        "rewards": np.sort(array(trajectory["rewards"]).ravel()),
        "gamma": gamma,
    }


def n_step(rewards, goes_on, latest, gamma):
    """Sums the n-step targets term by term, as they are defined.

    Args:
        rewards: [T, B].
        goes_on: [T, B], 0 where a step ended an episode and 1 elsewhere.
        latest: [B], V(s_{t+T}).
        gamma: Discount.

    Returns:
        [T, B] float64.
    """
    steps = len(rewards)
    targets = np.zeros(rewards.shape)
    for t in range(steps):
        alive = np.ones(rewards.shape[1])
        for k in range(t, steps):
            targets[t] += gamma ** (k - t) * alive * rewards[k]
            alive = alive * goes_on[k]
        targets[t] += gamma ** (steps - t) * alive * latest
    return targets


def wrong_targets(inputs, seen):
    """Returns what each classic mistake would have given, {message: [T, B] arrays}."""
    r, on = inputs.rewards.astype(np.float64), 1.0 - inputs.resets
    v, late, g = seen["values"], seen["latest"], seen["gamma"]
    right = n_step(r, on, late, g)
    return {
        **wrong_resets(r, on, v, late, g),
        **wrong_bootstraps(r, on, v, late, g),
        "a TD(λ) return, not the n-step one": [
            td_lambda(r, on, v, late, g, lam) for lam in np.linspace(0, 0.99, 100)
        ],
        "the powers of γ are wrong": wrong_powers(r, on, late, g),
        "the targets are in reverse order": [right[::-1]],
        "time and environment are mixed up": [
            case
            for mix in (lambda x: x.reshape(x.T.shape).T, lambda x: x.T.reshape(x.shape))
            for case in (
                mix(right),
                n_step(mix(r), on, late, g),
                n_step(r, mix(on), late, g),
                n_step(mix(r), mix(on), late, g),
            )
        ],
    }


def wrong_resets(r, on, v, late, g):
    """Returns the targets of mistakes with resets; `on` is 0 where a step ended an episode."""
    one, every = np.ones((1, r.shape[1])), np.ones_like(on)
    following = np.concatenate([v[1:], late[None]])
    off_by_one = [[one, on[:-1]], [on[1:], one], [on[1:], on[-1:]]]
    of_one = [np.repeat(column[:, None], r.shape[1], 1) for column in on.T]
    of_all = [np.repeat(on.min(1, keepdims=True), r.shape[1], 1)]
    return {
        "resets are ignored: cut the sum where an episode ended": [n_step(r, every, late, g)],
        "the mask of resets is inverted": [n_step(r, 1 - on, late, g)],
        "the reward of the step that ends an episode is lost": [
            n_step(r * on, on, late, g),
            n_step(np.where(on, r, v), on, late, g),
        ],
        "resets are read one step off: resets[t] belongs to rewards[t]": [
            n_step(r, np.concatenate(mask), late, g) for mask in off_by_one
        ],
        "after a reset the target goes on with the value of the next episode": [
            n_step(r + (1 - on) * tail, on, late, g) for tail in (g * following, following, g * v)
        ],
        "resets cut the bootstrap only: the rewards of the next episode still count": [
            n_step(r, every, 0 * late, g) + n_step(0 * r, on, late, g),
            n_step(r, every, late * on[-1], g),
        ],
        "resets of different environments are collapsed into one": [
            n_step(r, mask, late, g) for mask in of_one + of_all
        ],
    }


def wrong_bootstraps(r, on, v, late, g):
    """Returns the targets of mistakes with V(s_{t+n})."""
    right = n_step(r, on, late, g)
    return {
        "the bootstrap is values[-1], not V(latest observation)": [n_step(r, on, v[-1], g)],
        "off by one: V(latest observation) is stored as the last step's own target": [
            np.concatenate([n_step(r[:-1], on[:-1], late, g), late[None]]),
            np.concatenate([right[1:], late[None]]),
            np.concatenate([right[:1], right[:-1]]),
        ],
        "there is no bootstrap: add γ^n V(latest observation)": [n_step(r, on, 0 * late, g)],
        "one environment's V is used for all": [
            n_step(r, on, 0 * late + one, g) for one in (*late, late.mean(), late.max(), late.sum())
        ],
    }


def wrong_powers(r, on, late, g):
    """Returns targets with other powers of γ."""
    t = np.arange(len(r))[:, None]
    rewards, bootstrap = n_step(r, on, 0 * late, g), n_step(0 * r, on, late, g)
    undiscounted = n_step(0 * r, on, late, 1.0)
    growing = [late]
    for k in reversed(range(len(r))):
        growing.append(r[k] + g ** len(growing) * on[k] * growing[-1])
    return [
        g * n_step(r, on, late, g),
        n_step(g * r, on, late, g),
        *(n_step(r, on, late * g**k, g) for k in range(-5, 6) if k),
        *(n_step(r, on, late, other) for other in (1.0, g**2, 0.5, 0.9, 0.95, 0.999)),
        n_step(r * g**t, on, late * g ** len(r), 1.0),
        n_step(r, on, 0 * late, 1.0) + bootstrap,
        *(rewards + undiscounted * g**k for k in (0, 1, len(r))),
        rewards + n_step(0 * r, on, late, g**2),
        np.stack(growing[:0:-1]),
    ]


def td_lambda(rewards, goes_on, values, latest, gamma, lam):
    """Returns V + GAE(λ), the TD(λ) return, [T, B]."""
    following = np.concatenate([values[1:], latest[None]])
    advantage, out = 0.0, np.zeros(rewards.shape)
    for t in reversed(range(len(rewards))):
        delta = rewards[t] + gamma * goes_on[t] * following[t] - values[t]
        advantage = delta + gamma * lam * goes_on[t] * advantage
        out[t] = values[t] + advantage
    return out


def judge_targets(seen, inputs):
    """Names what is wrong with the targets."""
    got, shape = seen["targets"], inputs.rewards.shape
    if got is None:
        return 'no transform adds "value_targets": store them in the dict that is given'
    if got.size != inputs.rewards.size:
        return f"value_targets have the shape {list(got.shape)}, expected {list(shape)}: T × [B]"
    if not np.allclose(seen["rewards"], np.sort(inputs.rewards.ravel())):
        return "the rewards of the trajectory are overwritten: work on a copy"
    got = got.reshape(shape)
    if np.ptp(got, axis=0).max() == 0:
        return "all steps hold one and the same target: an alias of one tensor, make a new one"
    right = n_step(inputs.rewards, 1.0 - inputs.resets, seen["latest"], seen["gamma"])
    if close(got, right):
        return None
    for mistake, candidates in wrong_targets(inputs, seen).items():
        if any(close(got, candidate) for candidate in candidates):
            return mistake
    t, b = np.unravel_index(np.abs(got - right).argmax(), shape)
    return f"the target of step {t} in environment {b} is {got[t, b]:.4f}, not {right[t, b]:.4f}"


def close(got, right):
    """Tells whether targets agree up to float32."""
    return np.abs(got - right).max() < 1e-4 * (1 + np.abs(right).max())


# merging


def observe_merge(model, policy, transforms, inputs):
    """Applies all transforms; returns every key before and after, and what a transform returned."""
    with loud(model, inputs.seed), blaming("MergeTimeBatch"):
        trajectory, copies = play(policy, inputs)
        numbers = [key for key, value in copies[0].items() if value is not None]
        before = {key: np.stack([step[key] for step in copies]) for key in numbers}
        before |= {"rewards": inputs.rewards, "resets": inputs.resets}
        returned = []
        for transform in transforms:
            returned.append(transform(trajectory))
            if "value_targets" in trajectory and "value_targets" not in before:
                before["value_targets"] = array(trajectory["value_targets"])
    return {
        "before": before,
        "after": {key: array_or_none(trajectory.get(key)) for key in before},
        "returned": any(isinstance(x, dict) and x is not trajectory for x in returned),
    }


def judge_merge(seen):
    """Names what is wrong with merging."""
    before, after = seen["before"], seen["after"]
    needed = {"values", "value_targets", log_probs_key(before)} & before.keys()
    orders = {}
    for key in before:
        order = order_of(before[key], after[key])
        if order == "lost" and key in needed:
            shape = None if after[key] is None else list(after[key].shape)
            return f"{key} have the shape {shape} after merging, expected T·B rows"
        if order == "scrambled":
            return f"{key} come out of merging with rows that fit no order"
        orders.setdefault(order, []).append(key)
    unmerged = needed & set(orders.get("unmerged", ()))
    if unmerged == needed and seen["returned"]:
        return "merging returns a new dict; change the one that is given, the runner keeps that"
    if unmerged == needed:
        return "merging does nothing: the lists of the trajectory are as they were"
    if unmerged:
        return f"{min(unmerged)} are not merged, other keys are"
    if {"t·B + b", "b·T + t"} <= orders.keys():
        one, other = orders["t·B + b"][0], orders["b·T + t"][0]
        return f"{one} are flattened in the order t·B + b, but {other} in the order b·T + t"
    return None


def order_of(before, after):
    """Names the order in which [T, B, ...] became rows: "t·B + b", "b·T + t" or what else."""
    steps, nenvs = RESETS.shape
    if after is None or after.size != before.size:
        return "lost"
    if len(after) != steps * nenvs:
        return "unmerged"
    rows = before.reshape(steps, nenvs, -1).astype(float)
    after = after.reshape(steps * nenvs, -1)
    for order, flat in (("t·B + b", rows), ("b·T + t", rows.swapaxes(0, 1))):
        if np.allclose(after, flat.reshape(after.shape)):
            return order
    return "scrambled"


# the update


@contextmanager
def recording(model, optimizer):
    """Collects the gradients that reach `optimizer.step()`, in place of stepping.

    Curves that a student draws in `step` are left out: the run has not begun.
    """
    gradients = []
    held = optimizer.__dict__.get("step")

    def note(*args, **kwargs):
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
        gradients.append(torch.cat([part.detach().flatten() for part in parts]).clone())

    optimizer.step = note
    try:
        with mock.patch.object(EnvRunner, "add_summary"):
            yield gradients
    finally:
        del optimizer.step
        if held is not None:
            optimizer.step = held
        optimizer.zero_grad()


def observe_a2c(model, policy, transforms, optimizer, a2c, inputs, gamma=0.99):
    """Runs `a2c.step` on an optimizer that records; returns gradients beside those of each term."""
    held = {name: getattr(a2c, name, None) for name in COEFFICIENTS}
    for name, (_, apart) in COEFFICIENTS.items():
        if held[name] is not None:
            setattr(a2c, name, apart)
    try:
        with loud(model, inputs.seed), blaming("A2C"), recording(model, optimizer) as gradients:
            steps = [
                observe_step(model, policy, transforms, a2c, gradients, draw_inputs(seed), gamma)
                for seed in (inputs.seed, inputs.seed + 100)
            ]
    finally:
        for name, value in held.items():
            if value is not None:
                setattr(a2c, name, value)
    return {
        "steps": steps,
        "coefficients": {
            name: default if held[name] is None else apart
            for name, (default, apart) in COEFFICIENTS.items()
        },
        **observe_clipping(model, policy, transforms, optimizer, a2c, inputs),
    }


def observe_step(model, policy, transforms, a2c, gradients, inputs, gamma):
    """Returns a sketch of the gradient of one step, {"all": [K] or None, term: [K]}."""
    trajectory, actions, targets = merged(policy, transforms, inputs)
    before = len(gradients)
    a2c.step(trajectory)
    bases = basis(model, policy, inputs, actions, targets, gamma)
    size = len(bases["policy"])
    some = torch.randperm(size, generator=torch.Generator().manual_seed(0))[:SKETCH]
    sketch = {name: array(vector.cpu()[some]) for name, vector in bases.items()}
    arrived = gradients[-1].cpu() if len(gradients) > before else None
    return {**sketch, "all": None if arrived is None else array(arrived[some])}


def merged(policy, transforms, inputs):
    """Returns a trajectory after all transforms, the actions [T, B] and the targets [T, B]."""
    trajectory, copies = play(policy, inputs)
    actions = np.stack([copy["actions"] for copy in copies]).astype(int)
    targets = None
    for transform in transforms:
        transform(trajectory)
        if targets is None and "value_targets" in trajectory:
            targets = array(trajectory["value_targets"]).reshape(inputs.rewards.shape)
    if targets is None:
        raise CheckError("no transform adds value_targets to the trajectory")
    return trajectory, actions, targets


def basis(model, policy, inputs, actions, targets, gamma):
    """Returns the gradients of the right terms and of the classic leaks, {name: [P]}."""
    steps, nenvs = inputs.rewards.shape
    observations = inputs.observations.reshape(-1, 4, 84, 84)
    columns = outputs_of(model, np.concatenate([observations, inputs.latest]))
    with torch.no_grad():
        reference = array(policy.act(inputs.latest)["values"]).ravel()
    where = np.abs(array(columns)[-nenvs:] - reference[:, None]).sum(0).argmin()
    value_column = columns[:, where]
    others = [k for k in range(columns.shape[1]) if k != where]
    v, latest = value_column[:-nenvs], value_column[-nenvs:]
    log_p = torch.log_softmax(columns[:-nenvs][:, others], -1)
    taken = log_p[torch.arange(len(log_p)), torch.as_tensor(actions.ravel(), device=log_p.device)]
    t = torch.as_tensor(targets.ravel(), device=v.device, dtype=v.dtype)
    r = torch.as_tensor(inputs.rewards.ravel(), device=v.device)
    weight = n_step(0 * inputs.rewards, 1.0 - inputs.resets, np.ones(nenvs), gamma)
    weight = torch.as_tensor(weight, device=v.device, dtype=v.dtype)
    moving = (weight * latest).flatten()  # the part of the targets that could carry a gradient
    advantage = (t - v).detach()
    losses = {
        "policy": -(advantage * taken).mean(),
        "value": (v - t).square().mean(),
        "entropy": -(log_p.exp() * log_p).sum(-1).mean(),
        "taken": taken.mean(),
        "taken weighted": (taken.exp() * taken).mean(),
        "undetached": -((t - v) * taken.detach()).mean(),
        "through targets": 2 * ((t - v).detach() * moving).mean(),
        "through targets of the actor": -(moving * taken.detach()).mean(),
        "all actions": -(advantage * log_p.sum(-1)).mean(),
        "targets for advantages": -(t * taken).mean(),
        "rewards for advantages": -(r * taken).mean(),
        "value broadcast": (v[:, None] - t[None]).square().mean(),
    }
    parameters = list(model.parameters())
    return {name: flat_gradient(loss, parameters) for name, loss in losses.items()}


def flat_gradient(loss, parameters):
    """Returns d loss / d parameters as one vector [P]."""
    parts = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    filled = [
        torch.zeros_like(p) if g is None else g for g, p in zip(parts, parameters, strict=True)
    ]
    return torch.cat([part.flatten() for part in filled])


RIGHT_TERMS = ["policy", "value", "entropy"]
COEFFICIENTS = {  # name: (default, a value that sets c, c/2, c², ½ and 1 apart and clips nothing)
    "value_loss_coef": (0.25, 0.3),
    "entropy_coef": (0.01, 0.2),
    "max_grad_norm": (0.5, 1e9),
}


def resolve(step):
    """Resolves a gradient into the right terms and, if something is left, into all.

    Returns:
        {name: coefficient}, and what is left, relative to the gradient.
    """
    gradient, bases = step["all"], {name: x for name, x in step.items() if name != "all"}
    for names in (RIGHT_TERMS, list(bases)):
        columns = np.stack([bases[name] for name in names], axis=1)
        scale = np.linalg.norm(columns, axis=0) + 1e-30
        fit, *_ = np.linalg.lstsq(columns / scale, gradient, rcond=1e-7)
        left = np.linalg.norm(columns / scale @ fit - gradient)
        residual = left / (np.linalg.norm(gradient) + 1e-30)
        if residual < 2e-4:
            break
    return dict.fromkeys(bases, 0.0) | dict(zip(names, fit / scale, strict=True)), residual


def carries(steps):
    """Tells whether the second gradient still holds the first."""
    first, second = steps
    _, left = resolve(second)
    _, left_without = resolve({**second, "all": second["all"] - first["all"]})
    return left > 1e-2 and left_without < left / 5


def observe_clipping(model, policy, transforms, optimizer, a2c, inputs):
    """Takes a step towards targets far away: how long is the gradient that arrives?"""
    with loud(model, inputs.seed), blaming("A2C"), recording(model, optimizer) as gradients:
        trajectory, _, _ = merged(policy, transforms, inputs)
        targets = trajectory["value_targets"]
        far = [x * 1000 for x in targets] if isinstance(targets, list) else targets * 1000
        trajectory["value_targets"] = far
        a2c.step(trajectory)
        after = [p.grad.norm().item() for p in model.parameters() if p.grad is not None]
    limit = getattr(a2c, "max_grad_norm", 0.5)
    return {
        "arrived": float(gradients[-1].double().norm()) if gradients else None,
        "afterwards": float(np.linalg.norm(after)) if after else None,
        "limit": limit if isinstance(limit, (int, float)) else 0.5,
    }


def judge_a2c(seen):
    """Names what is wrong with the update."""
    if any(step["all"] is None for step in seen["steps"]):
        return "optimizer.step() is not called: the weights never move"
    if carries(seen["steps"]):
        return "the gradient of the batch before is still there: call optimizer.zero_grad()"
    return _judge_terms(seen["steps"][0], seen["coefficients"]) or _judge_clipping(seen)


def _judge_terms(step, coefficients):
    c, beta = coefficients["value_loss_coef"], coefficients["entropy_coef"]
    size = {name: np.linalg.norm(vector) for name, vector in step.items() if name != "all"}
    norm = np.linalg.norm(step["all"])
    if norm == 0 or not np.isfinite(norm):
        return (
            f"the gradient that reaches optimizer.step() has the norm {norm:.3g}: the losses are "
            "cut from the graph, or it is zeroed after loss.backward()"
        )
    parts, left = resolve(step)

    def there(name):
        return abs(parts[name]) * size[name] > 0.02 * max(size["policy"], c * size["value"])

    if leak := _judge_leaks(parts, there, beta):
        return leak
    if left > 5e-3:
        return (
            "the gradient is not that of policy_loss + c · value_loss − β · entropy; "
            f"{left:.0%} of it are left unexplained"
        )
    clipped = coefficients["max_grad_norm"] < 1 and abs(parts["policy"] - 1) > 1e-2
    scale = parts["policy"] if clipped else 1.0  # the bound could not be lifted from outside
    return _judge_sizes(parts, scale, c, beta)


def _judge_leaks(parts, there, beta):
    broadcast = "are broadcast to [N, N]: [N] against [N, 1]"
    if there("undetached"):
        return "the advantage is not detached: the policy loss trains the critic"
    if there("through targets") or there("through targets of the actor"):
        return "a gradient flows through the targets: they are constants, detach them"
    if there("value broadcast"):
        return f"values and targets of the value loss {broadcast}"
    if there("all actions"):
        return "the policy loss takes the log-probabilities of all actions, not of those taken"
    if there("targets for advantages") and there("taken"):
        return f"values and targets of the advantage {broadcast}"
    if there("targets for advantages"):
        return "no advantage is formed: policy_loss is weighted with targets or values alone"
    if there("rewards for advantages"):
        return "no advantage is formed: policy_loss is weighted with the rewards"
    if there("taken") and not there("policy"):
        return f"log-probabilities and advantages {broadcast}"
    if there("taken") and abs(abs(parts["taken"]) - beta) > 0.05 * beta:
        return "the advantages are shifted or scaled: they are targets − values, as they are"
    if abs(parts["taken"]) > 0.5 * beta or abs(parts["taken weighted"]) > 0.5 * beta:
        return (
            "entropy is that of the actions taken only, which has no effect in expectation: "
            "take the distribution's, −Σ π log π"
        )
    return None


def _near(x, expected):
    return abs(x - expected) < 0.02 * abs(expected)


def _judge_sizes(parts, scale, c, beta):
    policy, value = parts["policy"] / scale, parts["value"] / scale
    entropy = parts["entropy"] / scale
    if abs(policy) < 0.01:
        return "the policy term is missing: log_probs are cut from the graph, or left out"
    if parts["policy"] < 0:
        return "the policy loss has the wrong sign: minus the mean of advantage · log_prob"
    if not _near(policy, 1):
        return f"the policy term is {policy:.3g} times what it should be: take the mean over N"
    if abs(value) < 1e-3 * c:
        return "the critic gets no gradient: values are cut from the graph, or the loss left out"
    if _near(value, 2 * c):
        message = "the value loss counts twice: check value_loss_coef"
        warnings.warn(message, CheckWarning, stacklevel=4)
    elif _near(value, c**2) or _near(value, c**2 / 2):
        return "value_loss_coef is squared: multiply with it once"
    elif _near(value, 1) or _near(value, 0.5):
        return "value_loss_coef is ignored"
    elif not (_near(value, c) or _near(value, c / 2)):
        return (
            f"the value term counts {value:.3g} times, expected value_loss_coef {c} or half of it"
        )
    return _judge_entropy(entropy, beta)


def _judge_entropy(entropy, beta):
    if _near(entropy, -beta):
        return None
    if abs(entropy) < 0.02 * beta:
        return "the entropy term is missing, or detached: it gets no gradient"
    if _near(entropy, beta):
        return "the entropy's sign is wrong: it is a bonus, subtracted from the loss"
    if _near(entropy, -beta * RESETS.size):
        return "entropy is summed over the batch: take the mean"
    return f"entropy counts {-entropy:.3g} times, expected entropy_coef {beta}"


def _judge_clipping(seen):
    if seen["arrived"] is not None and seen["arrived"] <= 1.01 * seen["limit"]:
        return None
    if seen["afterwards"] is not None and seen["afterwards"] <= 1.01 * seen["limit"]:
        return "the gradient is clipped after optimizer.step(): clip it before"
    return f"the gradient is not clipped: its norm is {seen['arrived']:.3g} at optimizer.step()"


# what the curves and videos read


def observe_curves(model, policy, transforms, optimizer, a2c, inputs):
    """Looks at the merged trajectory, at each loss, and at what `a2c.step` returns."""
    with loud(model, inputs.seed), blaming("A2C"), recording(model, optimizer) as gradients:
        trajectory, _, _ = merged(policy, transforms, inputs)
        losses = {name: getattr(a2c, name)(trajectory) for name in LOSSES}
        norm = a2c.step(trajectory)
    return {
        "trajectory": {key: array_or_none(trajectory.get(key, {})) for key in READ},
        "losses": {name: array_or_none(loss) for name, loss in losses.items()},
        "norm": array_or_none(norm),
        "arrived": float(gradients[-1].double().norm()) if gradients else 0.0,
        "coefficients": [getattr(a2c, name, COEFFICIENTS[name][0]) for name in COEFFICIENTS],
    }


READ = ("values", "value_targets", "log_probs", "logits")
LOSSES = ("policy_loss", "value_loss", "entropy", "loss")


def judge_curves(seen):
    """Names what would fail, or be drawn wrong, when the run has begun."""
    for key, rows in seen["trajectory"].items():
        expected = f"[{RESETS.size}, N_ACTIONS]" if key == "logits" else f"[{RESETS.size}]"
        if rows is None:
            return f"the merged trajectory has no {key}, expected {expected}"
        if rows.shape[:1] != (RESETS.size,) or rows.ndim != 1 + (key == "logits"):
            return f"{key} are {list(rows.shape)} after merging, expected {expected}: squeeze"
    for name, right in _right_losses(seen).items():
        got = seen["losses"][name]
        if got is None or got.size != 1:
            return f"{name} returns no single number: return one, its parts have names of their own"
        if not any(np.allclose(got, one, rtol=1e-3, atol=1e-5) for one in right):
            return (
                f"{name} returns {got.item():.4g} where the task's formula gives {right[0]:.4g}: "
                "mind sign, mean, and that c and β belong into loss alone"
            )
    return _judge_norm(seen)


def _right_losses(seen):
    """Returns what each loss may be, {name: numbers}; the value loss with or without a half."""
    values, targets, log_probs, logits = (seen["trajectory"][key] for key in READ)
    c, beta, _ = seen["coefficients"]
    log_p = log_softmax(logits)
    square = np.mean((targets - values) ** 2)
    policy = -np.mean((targets - values) * log_probs)
    entropy = -np.mean(np.sum(np.exp(log_p) * log_p, axis=1))
    return {
        "policy_loss": [policy],
        "value_loss": [square, square / 2],
        "entropy": [entropy],
        "loss": [policy + c * square - beta * entropy, policy + c * square / 2 - beta * entropy],
    }


def _judge_norm(seen):
    norm, limit = seen["norm"], seen["coefficients"][2]
    if norm is None or norm.size != 1 or not np.isfinite(norm):
        return "step returns no number: return the gradient's norm, one of the curves"
    if seen["arrived"] > 0.99 * limit and norm <= 1.01 * limit:
        return f"step returns {norm.item():.4g}, expected the gradient's norm from before clipping"
    return None


# in the notebook: both halves in place


def _pass_or_raise(task, mistake):
    if mistake:
        raise CheckError(f"{task}: {mistake}.")
    print(f"{task}: passed.")


def check_model(model, n_actions):
    """Checks the network: outputs, size, initial weights."""
    _pass_or_raise("NatureModel", judge_model(observe_model(model, draw_inputs()), n_actions))


def check_policy(model, policy):
    """Checks what acting returns."""
    _pass_or_raise("Policy", judge_policy(observe_policy(model, policy, draw_inputs())))


def check_value_targets(model, policy, transforms, gamma=0.99):
    """Checks the targets, with all kinds of resets."""
    inputs = draw_inputs()
    seen = observe_targets(model, policy, transforms, inputs, gamma)
    _pass_or_raise("ComputeValueTargets", judge_targets(seen, inputs))


def check_merge(model, policy, transforms):
    """Checks that all keys are flattened in one order, in place."""
    seen = observe_merge(model, policy, transforms, draw_inputs())
    _pass_or_raise("MergeTimeBatch", judge_merge(seen))


def check_a2c(model, policy, transforms, optimizer, a2c, gamma=0.99):
    """Checks the gradient that reaches the optimizer, term by term, and its clipping."""
    seen = observe_a2c(model, policy, transforms, optimizer, a2c, draw_inputs(), gamma)
    _pass_or_raise("A2C", judge_a2c(seen))


def check_curves(model, policy, transforms, optimizer, a2c):
    """Checks that the parts give what later cells of the notebook read from them."""
    seen = observe_curves(model, policy, transforms, optimizer, a2c, draw_inputs())
    _pass_or_raise("What the curves read", judge_curves(seen))
