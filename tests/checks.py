"""What each task must do, one check per task: the notebook's check cells, the tests and the grader
all call these.

A check takes the objects that the notebook made, feeds them small inputs whose right answers were
worked out by hand or by another formula, and raises an AssertionError that names the likely
mistake. Inputs are non-zero and unequal, with T steps and B environments that differ, so that a
wrong axis or a broadcast shows.
"""

import copy
from contextlib import contextmanager, suppress

import numpy as np
import torch

__all__ = ["check_a2c", "check_merge", "check_model", "check_policy", "check_value_targets"]

T, B = 4, 3

REWARDS = np.array(
    [[0.5, 2.0, -1.0], [1.0, -0.5, 3.0], [-2.0, 1.5, 0.25], [4.0, 1.0, -0.75]], dtype=np.float32
)  # [T, B]
RESETS = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]], dtype=bool)  # [T, B]


def _passed(task):
    print(f"{task}: passed.")


def _expect(holds, message):
    if not holds:
        raise AssertionError(message)


def _array(x):
    return (
        x.detach().cpu().double().numpy() if torch.is_tensor(x) else np.asarray(x, dtype=np.float64)
    )


def _observations(count, seed=0):
    return np.random.default_rng(seed).random((count, 4, 84, 84), dtype=np.float32)


@contextmanager
def _loud_heads(model):
    """Makes V(s) and the logits differ widely between observations, and restores the weights
    afterwards."""
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2 and parameter.shape[1] == 512:
                torch.nn.init.orthogonal_(parameter, 3.0)
    try:
        yield
    finally:
        model.load_state_dict(before)


def check_model(model, n_actions):
    """Checks shapes, size and initial weights of the network, called on [3, 4, 84, 84].

    Args:
        model: Returns (logits [B, n_actions], values [B, 1] or [B]).
        n_actions: Number of actions.
    """
    device = next(model.parameters()).device
    with torch.no_grad():
        logits, values = model(torch.as_tensor(_observations(B), device=device))
    _expect(
        logits.shape == (B, n_actions),
        f"logits have the shape {tuple(logits.shape)}, expected {(B, n_actions)}: one per action",
    )
    _expect(
        values.numel() == B,
        f"values have the shape {tuple(values.shape)}, expected {(B, 1)}: one per observation",
    )
    size = sum(parameter.numel() for parameter in model.parameters())
    expected = 8224 + 32832 + 36928 + 1606144 + 513 * n_actions + 513
    _expect(
        size == expected,
        f"the network has {size:,} parameters, expected {expected:,}: "
        "compare each layer with the table",
    )
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            _expect(not parameter.any(), f"{name} is not zero: set every bias to zero")
        if parameter.ndim == 4:
            kernels = _array(parameter).reshape(len(parameter), -1)
            orthogonal = np.allclose(kernels @ kernels.T, 2 * np.eye(len(kernels)), atol=1e-4)
            _expect(
                orthogonal,
                f"{name} is not orthogonal with gain √2: nn.init.orthogonal_(weight, 2 ** 0.5)",
            )
    _passed("NatureModel")


def check_policy(policy):
    """Checks what `policy.act` returns for an array and for a list of observations."""
    with _loud_heads(policy.model):
        observations = _observations(B, seed=1)
        act = policy.act(observations)
        missing = [key for key in ("actions", "logits", "log_probs", "values") if key not in act]
        _expect(not missing, f"policy.act returned no {missing}; it has the keys {sorted(act)}")
        actions, logits = act["actions"], _array(act["logits"])
        _expect(
            isinstance(actions, np.ndarray),
            f"actions are a {type(actions).__name__}, expected a NumPy array",
        )
        _expect(actions.shape == (B,), f"actions have the shape {actions.shape}, expected ({B},)")
        for key in ("logits", "log_probs", "values"):
            _expect(
                act[key].requires_grad,
                f"{key} carry no gradient: act without torch.no_grad(), learning needs the graph",
            )
        for key in ("log_probs", "values"):
            shape = tuple(act[key].shape)
            _expect(
                shape == (B,),
                f"{key} have the shape {shape}, expected ({B},): "
                "[B, 1] would broadcast against [B]",
            )
        log_softmax = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        expected = log_softmax[np.arange(B), actions]
        _expect(
            np.allclose(_array(act["log_probs"]), expected, atol=1e-4),
            "log_probs are not those of the actions returned",
        )
        listed = policy.act(list(observations))
        _expect(
            np.allclose(_array(listed["logits"]), logits, atol=1e-4),
            "a list of observations gives other logits than the array",
        )
        _check_sampling(policy, observations[:1])
    policy.reset()
    _passed("Policy")


def _check_sampling(policy, observation):
    act = policy.act(np.repeat(observation, 400, axis=0))
    logits = _array(act["logits"])[0]
    probabilities = np.exp(logits) / np.exp(logits).sum()
    shares = np.bincount(act["actions"], minlength=len(logits)) / 400
    _expect(
        np.abs(shares - probabilities).max()
        < 0.13,  # five standard deviations of a share of one half
        f"over 400 draws the actions' shares are {shares.round(2)}, "
        f"the policy says {probabilities.round(2)}: sample them",
    )


def n_step_targets(rewards, resets, latest_values, gamma):
    """Sums v̂(s_t) term by term, as it is defined: no recursion.

    Args:
        rewards: [T, B].
        resets: [T, B] bool.
        latest_values: [B], V(s_{t+T}).
        gamma: Discount.

    Returns:
        [T, B] float64.
    """
    steps, nenvs = rewards.shape
    targets = np.zeros((steps, nenvs))
    for t in range(steps):
        for b in range(nenvs):
            alive = 1.0
            for k in range(t, steps):
                targets[t, b] += alive * gamma ** (k - t) * rewards[k, b]
                alive *= not resets[k, b]
            targets[t, b] += alive * gamma ** (steps - t) * latest_values[b]
    return targets


def check_value_targets(compute_value_targets, policy):
    """Checks the targets of a trajectory in which one environment resets midway and one on the last
    step."""
    with _loud_heads(policy.model):
        latest = _observations(B, seed=2)
        values = policy.act(latest)["values"]
        trajectory = {
            "rewards": list(REWARDS),
            "resets": list(RESETS),
            "values": [values * (t + 2) for t in range(T)],
        }
        trajectory["observations"] = [_observations(B, seed=3 + t) for t in range(T)]
        trajectory["state"] = {"latest_observation": latest, "env_steps": T}
        compute_value_targets(trajectory)
        _expect(
            "value_targets" in trajectory,
            'the trajectory has no "value_targets": store them in the dict that is given',
        )
        targets = trajectory["value_targets"]
        _expect(
            len(targets) == T,
            f"there are {len(targets)} value targets, expected {T}: one array [B] per step",
        )
        graph = any(torch.is_tensor(target) and target.requires_grad for target in targets)
        _expect(
            not graph,
            "value targets carry a gradient: the bootstrap V(s_{t+n}) is a constant, detach it",
        )
        got = np.stack([_array(target) for target in targets])
        _expect(got.shape == (T, B), f"value targets have the shape {got.shape}, expected {(T, B)}")
        _name_target_mistake(got, _array(values), compute_value_targets.gamma)
    _passed("ComputeValueTargets")


def _name_target_mistake(got, latest, gamma):
    last_lost = np.where(RESETS, 0, REWARDS)
    candidates = {
        "resets are ignored: cut the sum where an episode ended": (
            REWARDS,
            np.zeros_like(RESETS),
            latest,
        ),
        "the mask of resets is inverted": (REWARDS, ~RESETS, latest),
        "the reward of the step that ends an episode is lost": (last_lost, RESETS, latest),
        "the bootstrap V(latest observation) is missing": (REWARDS, RESETS, 0 * latest),
        "the bootstrap is the last entry of values, not V(latest observation)": (
            REWARDS,
            RESETS,
            (T + 1) * latest,
        ),
        "resets are read one step late": (REWARDS, np.roll(RESETS, 1, axis=0), latest),
    }
    right = n_step_targets(REWARDS, RESETS, latest, gamma)
    if np.allclose(got, right, atol=1e-3):
        return
    for mistake, (rewards, resets, values) in candidates.items():
        if np.allclose(got, n_step_targets(rewards, resets, values, gamma), atol=1e-3):
            raise AssertionError(mistake)
    t, b = np.unravel_index(np.abs(got - right).argmax(), right.shape)
    raise AssertionError(
        f"the target of step {t} in environment {b} is {got[t, b]:.4f}, expected {right[t, b]:.4f}"
    )


def check_merge(merge_time_batch):
    """Checks that every key is flattened, in one order, and that the graph stays whole."""
    numbers = np.arange(1.0, T * B + 1, dtype=np.float32).reshape(T, B)  # row t, environment b
    leaf = torch.tensor(numbers, requires_grad=True)
    trajectory = {
        "rewards": list(numbers),
        "values": list(leaf.unbind()),
        "logits": [row[:, None] * torch.ones(B, 2) for row in leaf],
    }
    trajectory["state"] = {"env_steps": T}
    merge_time_batch(trajectory)
    for key in ("rewards", "values"):
        shape = tuple(np.shape(_array(trajectory[key])))
        _expect(
            shape == (T * B,), f"{key} have the shape {shape} after merging, expected ({T * B},)"
        )
    _expect(
        _array(trajectory["logits"]).shape == (T * B, 2),
        "logits lost their last axis: merge the first two only",
    )
    same_order = np.allclose(_array(trajectory["rewards"]), _array(trajectory["values"]))
    same_order &= np.allclose(_array(trajectory["logits"])[:, 0], _array(trajectory["values"]))
    _expect(same_order, "the keys are flattened in two different orders")
    in_place = np.allclose(_array(trajectory["rewards"]), numbers.ravel())
    _expect(in_place, "step t of environment b is not in row t·B + b: join along the first axis")
    _expect(
        trajectory["values"].requires_grad,
        "merging cuts values from the graph: use torch.cat, not .numpy() or .item()",
    )
    _expect(trajectory["state"] == {"env_steps": T}, '"state" must stay as it is')
    _passed("MergeTimeBatch")


def _merged_trajectory(device):
    rng = torch.Generator().manual_seed(5)
    logits = torch.randn(6, 3, generator=rng).to(device).requires_grad_()
    actions = torch.tensor([0, 2, 1, 1, 0, 2], device=device)
    rows = torch.arange(6, device=device)
    values = torch.tensor([0.5, -1.0, 2.0, 0.25, 1.5, -0.75], device=device)
    return {
        "logits": logits,
        "actions": actions.cpu().numpy(),
        "log_probs": torch.log_softmax(logits, -1)[rows, actions],
        "values": values.requires_grad_(),
        "value_targets": torch.tensor([1.5, 0.5, 1.0, -0.75, 3.5, 0.25], device=device),
    }


def _gradient(loss, leaf):
    return torch.autograd.grad(loss, leaf, retain_graph=True, allow_unused=True)[0]


def check_a2c(a2c):
    """Checks the losses and their gradients on six samples, then two real steps of the
    optimizer."""
    _check_losses(a2c, _merged_trajectory(next(a2c.policy.model.parameters()).device))
    _check_steps(a2c)
    _passed("A2C")


def _check_losses(a2c, trajectory):
    log_probs, values, logits = (trajectory[key] for key in ("log_probs", "values", "logits"))
    advantages = torch.tensor([1.0, 1.5, -1.0, -1.0, 2.0, 1.0], device=values.device)
    policy_loss, value_loss, loss = (
        getattr(a2c, name)(trajectory) for name in ("policy_loss", "value_loss", "loss")
    )
    for name, value in (("policy_loss", policy_loss), ("value_loss", value_loss), ("loss", loss)):
        _expect(
            value.ndim == 0,
            f"{name} has the shape {tuple(value.shape)}, expected one number: take the mean",
        )
    leak = _gradient(policy_loss, values)
    _expect(
        leak is None or not leak.any(),
        "the advantage is not detached: policy_loss must not train the critic",
    )
    score = _gradient(policy_loss, log_probs)
    _expect(
        torch.allclose(score, -advantages / 6),
        "d policy_loss / d log_probs is not −advantage / N: look at its sign and mean",
    )
    critic = _gradient(value_loss, values)
    _expect(
        torch.allclose(critic, -2 * advantages / 6),
        "d value_loss / d values is not −2 (target − value) / N",
    )
    probabilities = torch.softmax(logits, -1)
    log_p = torch.log_softmax(logits, -1)
    entropy = -(probabilities * log_p).sum(-1, keepdim=True)
    spread = -probabilities * (log_p + entropy) / 6  # d mean entropy / d logits
    expected = _gradient(policy_loss, logits) - a2c.entropy_coef * spread
    got = _gradient(loss, logits)
    wrong_sign = torch.allclose(got, expected + 2 * a2c.entropy_coef * spread, atol=1e-6)
    _expect(not wrong_sign, "the entropy's sign is wrong: it is a bonus, subtracted from the loss")
    _expect(
        torch.allclose(got, expected, atol=1e-6),
        "the loss is not policy_loss + c·value_loss − entropy_coef·entropy",
    )
    _expect(
        torch.allclose(_gradient(loss, values), a2c.value_loss_coef * critic, atol=1e-6),
        "the critic's gradient is not value_loss_coef times that of value_loss",
    )


def _check_steps(a2c):
    model, optimizer = a2c.policy.model, a2c.optimizer
    before = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    norms = []  # of the gradient that reaches the optimizer

    def note_norm(*_):
        norms.append(torch.stack([p.grad.norm() for p in model.parameters()]).norm().item())

    hook = optimizer.register_step_pre_hook(note_norm)
    try:
        returned = a2c.step(_trajectory_of(a2c.policy, advantage=500))
    finally:
        hook.remove()
        moved = any((p != before[0][name]).any() for name, p in model.state_dict().items())
        model.load_state_dict(before[0])
        optimizer.load_state_dict(before[1])
    _expect(norms and moved, "no weight moved: call optimizer.step() after loss.backward()")
    _expect(
        norms[0] <= a2c.max_grad_norm * 1.001,
        f"the gradient's norm is {norms[0]:.3g} when optimizer.step() is called: "
        f"clip it to {a2c.max_grad_norm} before",
    )
    _expect(
        returned is not None and float(returned) > 10 * a2c.max_grad_norm,
        f"step returned {returned}, expected the gradient's norm from before clipping",
    )
    _check_zeroing(a2c)


def _trajectory_of(policy, advantage):
    act = policy.act(_observations(6, seed=11))
    far = torch.arange(1.0, 7, device=act["values"].device) * advantage
    return {**act, "value_targets": act["values"].detach() + far}


def _check_zeroing(a2c):
    """A batch without any advantage, after one with much: what is left of the gradient?"""
    model, optimizer = a2c.policy.model, a2c.optimizer
    norms = []

    def note_norm(*_):
        norms.append(torch.stack([p.grad.norm() for p in model.parameters()]).norm().item())
        raise StopIteration  # the weights stay as they are

    hook = optimizer.register_step_pre_hook(note_norm)
    try:
        for advantage in (500, 0):
            with suppress(StopIteration):
                a2c.step(_trajectory_of(a2c.policy, advantage))
    finally:
        hook.remove()
        optimizer.zero_grad()
    _expect(
        norms[1] < 0.5 * norms[0],
        "the gradient of the batch before is still there: "
        "call optimizer.zero_grad() before loss.backward()",
    )
