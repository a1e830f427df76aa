"""The classic mistakes, each as a small change of the notebook's solution.

`WRONG` lists them task by task. Every change names a cell, a piece of its source that occurs there
once, and what a student would have written in its place. All of them run but those whose name ends
in `-crashes` and those that leave lists unmerged or a key missing: these raise in the student's
own code, as they would in the notebook.
"""

from typing import NamedTuple

MODEL, POLICY, TARGETS = "model-class", "policy-class", "value-targets-class"
MERGE, LEARNER, GLUE = "merge-class", "a2c-class", "glue"


class Wrong(NamedTuple):
    """A mistake, the task whose check must fail, and how the message must name it."""

    name: str
    task: str
    changes: tuple[tuple[str, str, str], ...]  # (cell id, old, new)
    says: str  # a fragment of the message


# pieces of the solution that several mistakes change
LINE = "\n        "  # between two lines of a method
BOOTSTRAP = 'self.policy.act(trajectory["state"]["latest_observation"])["values"]'
UPDATE = "target = rewards + self.gamma * goes_on * target"
UPDATE_AND_STORE = UPDATE + "\n            targets.append(target)"
ZIP_END = 'trajectory["resets"], strict=True'
JOIN = "trajectory[key] = join(steps)"
ADVANTAGES = '(trajectory["value_targets"] - trajectory["values"]).detach()'
ENTROPY = 'torch.distributions.Categorical(logits=trajectory["logits"]).entropy().mean()'
CLIP = "norm = nn.utils.clip_grad_norm_(parameters, self.max_grad_norm, error_if_nonfinite=True)"
LOSS_AND_BONUS = "loss = self.loss(trajectory) - self.entropy_coef * self.entropy(trajectory)"
LOSS_OF_PARTS = LOSS_AND_BONUS.replace("self.loss(trajectory)", "sum(self.loss(trajectory))")
CRITIC_FIRST = """critic = self.value_loss_coef * self.value_loss(trajectory)
        return self.policy_loss(trajectory) + critic"""
ACTOR_FIRST = """actor = self.policy_loss(trajectory)
        return actor + self.value_loss_coef * self.value_loss(trajectory)"""
PARAMETERS = "parameters = self.policy.model.parameters()"
LOGITS_HEAD = "self.logits = orthogonal(nn.Linear(512, n_actions), 0.01)"
VALUE_HEAD = "self.value = orthogonal(nn.Linear(512, 1), 1.0)"

TANH_BODY = """hidden = observations
        for layer in self.body:
            hidden = hidden.tanh() if isinstance(layer, nn.ReLU) else layer(hidden)"""
ORTHOGONAL_BIAS = "    if layer.bias is not None:\n        nn.init.zeros_(layer.bias)\n"

WITH_FOLLOWING_VALUES = (  # `following` is V(s_{t+1}), also where s_{t+1} opens a new episode
    (TARGETS, ZIP_END, 'trajectory["resets"], [*trajectory["values"][1:], target], strict=True'),
    (TARGETS, "for rewards, resets in", "for rewards, resets, following in"),
)


def _bootstrap_apart(factor):
    """Returns the changes that add alive · factor · V(latest) to the discounted rewards."""
    return (
        (TARGETS, "targets = []", f"targets, last, target = [], {factor}target, 0 * target"),
        (
            TARGETS,
            UPDATE_AND_STORE,
            UPDATE
            + "\n            last = goes_on * last\n            targets.append(target + last)",
        ),
    )


MODEL_MISTAKES = [
    Wrong(
        "model-view-crashes",
        "NatureModel",
        (
            (
                MODEL,
                "hidden = self.body(observations)",
                "x = self.body[:6](observations)\n        "
                "hidden = self.body[7:](x.view(len(x), -1))",
            ),
        ),
        "flatten with nn.Flatten or reshape",
    ),
    Wrong(
        "model-heads-made-in-forward",
        "NatureModel",
        (
            (MODEL, LOGITS_HEAD + "\n        " + VALUE_HEAD, "self.n_actions = n_actions"),
            (
                MODEL,
                "return self.logits(hidden), self.value(hidden)",
                "actor = orthogonal(nn.Linear(512, self.n_actions), 0.01)\n"
                "        critic = orthogonal(nn.Linear(512, 1), 1.0)\n"
                "        return actor(hidden), critic(hidden)",
            ),
        ),
        "two calls on the same observations differ",
    ),
    Wrong(
        "model-heads-replaced-in-forward",
        "NatureModel",
        (
            (
                MODEL,
                LOGITS_HEAD + "\n        " + VALUE_HEAD,
                "self.n_actions, self.logits, self.value = n_actions, None, None",
            ),
            (
                MODEL,
                "return self.logits(hidden), self.value(hidden)",
                "self.logits = orthogonal(nn.Linear(512, self.n_actions), 0.01)\n"
                "        self.value = orthogonal(nn.Linear(512, 1), 1.0)\n"
                "        return self.logits(hidden), self.value(hidden)",
            ),
        ),
        "two calls on the same observations differ",
    ),
    Wrong(
        "model-relu-on-logits",
        "NatureModel",
        ((MODEL, "self.logits(hidden)", "F.relu(self.logits(hidden))"),),
        "a logit or the value is never negative",
    ),
    Wrong(
        "model-relu-in-the-policy-head",
        "NatureModel",
        (
            (
                MODEL,
                "orthogonal(nn.Linear(512, n_actions), 0.01)",
                "nn.Sequential(orthogonal(nn.Linear(512, n_actions), 0.01), nn.ReLU())",
            ),
        ),
        "a logit or the value is never negative",
    ),
    Wrong(
        "model-relu-on-value",
        "NatureModel",
        ((MODEL, "self.value(hidden)", "F.relu(self.value(hidden))"),),
        "a logit or the value is never negative",
    ),
    Wrong(
        "model-observations-divided-by-255",
        "NatureModel",
        ((MODEL, "self.body(observations)", "self.body(observations / 255)"),),
        "observations are divided by 255 again",
    ),
    Wrong(
        "model-observations-times-255",
        "NatureModel",
        ((MODEL, "self.body(observations)", "self.body(observations * 255)"),),
        "observations are multiplied by 255",
    ),
    Wrong(
        "model-gain-zero-everywhere",
        "NatureModel",
        ((MODEL, "layer.weight, gain", "layer.weight, 0"),),
        "body.0.weight is zero everywhere,",
    ),
    Wrong(
        "model-gain-zero-in-the-body",
        "NatureModel",
        ((MODEL, "gain = 2**0.5", "gain = 0"),),
        "body.0.weight is zero everywhere,",
    ),
    Wrong(
        "model-gain-one",
        "NatureModel",
        ((MODEL, "gain = 2**0.5", "gain = 1.0"),),
        "body.0.weight is not orthogonal with gain √2",
    ),
    Wrong(
        "model-weights-not-orthogonal",
        "NatureModel",
        ((MODEL, "nn.init.orthogonal_(layer.weight, gain)\n    ", ""),),
        "body.0.weight is not orthogonal with gain √2",
    ),
    Wrong(
        "model-weights-xavier",
        "NatureModel",
        ((MODEL, "orthogonal_(layer", "xavier_uniform_(layer"),),
        "body.0.weight is not orthogonal with gain √2",
    ),
    Wrong(
        "model-biases-left-random",
        "NatureModel",
        ((MODEL, "nn.init.zeros_(layer.bias)\n    ", ""),),
        "body.0.bias is not zero",
    ),
    Wrong(
        "model-biases-a-tenth",
        "NatureModel",
        ((MODEL, "nn.init.zeros_(layer.bias)", "nn.init.constant_(layer.bias, 0.1)"),),
        "body.0.bias is not zero",
    ),
    Wrong(
        "model-wrong-stride",
        "NatureModel",
        ((MODEL, "kernel_size=3, stride=1", "kernel_size=3, stride=2"), (MODEL, "7 * 7", "4 * 4")),
        "parameters, expected 1,687,719",
    ),
    Wrong(
        "model-no-relu-after-the-hidden-layer",
        "NatureModel",
        (
            (
                MODEL,
                "orthogonal(nn.Linear(64 * 7 * 7, 512), gain),\n            nn.ReLU(),",
                "orthogonal(nn.Linear(64 * 7 * 7, 512), gain),",
            ),
        ),
        "there is no ReLU after the hidden layer",
    ),
    Wrong(
        "model-no-relu-after-the-third-convolution",
        "NatureModel",
        ((MODEL, "nn.ReLU(),\n            nn.Flatten(),", "nn.Flatten(),"),),
        "there is no ReLU after the third convolution",
    ),
    Wrong(
        "model-tanh-everywhere",
        "NatureModel",
        (
            (MODEL, "hidden = self.body(observations)", TANH_BODY),
            (MODEL, "self.body = nn.Sequential(", "self.body = nn.ModuleList(["),
            (MODEL, "nn.ReLU(),\n        )\n", "nn.ReLU(),\n        ])\n"),
        ),
        "tanh stands where the table says ReLU",
    ),
    Wrong(
        "model-value-head-cut-from-the-body",
        "NatureModel",
        ((MODEL, "self.value(hidden)", "self.value(hidden.detach())"),),
        "is one of the heads cut from the body?",
    ),
    Wrong(
        "model-policy-head-cut-from-the-body",
        "NatureModel",
        ((MODEL, "self.logits(hidden)", "self.logits(hidden.detach())"),),
        "is one of the heads cut from the body?",
    ),
    Wrong(
        "model-body-without-gradient",
        "NatureModel",
        (
            (
                MODEL,
                "hidden = self.body(observations)",
                "with torch.no_grad():\n            hidden = self.body(observations)",
            ),
        ),
        "no gradient reaches the weights of the first convolution",
    ),
    Wrong(
        "model-frozen-convolutions",
        "NatureModel",
        (
            (
                MODEL,
                "self.value = orthogonal(nn.Linear(512, 1), 1.0)",
                "self.value = orthogonal(nn.Linear(512, 1), 1.0)\n"
                "        self.body[0].weight.requires_grad_(False)",
            ),
        ),
        "body.0.weight is frozen",
    ),
    Wrong(
        "model-softmax-on-logits",
        "NatureModel",
        ((MODEL, "self.logits(hidden)", "self.logits(hidden).softmax(-1)"),),
        "logits are probabilities",
    ),
    Wrong(
        "model-log-softmax-on-logits",
        "NatureModel",
        ((MODEL, "self.logits(hidden)", "self.logits(hidden).log_softmax(-1)"),),
        "logits are shifted",
    ),
    Wrong(
        "model-dropout",
        "NatureModel",
        ((MODEL, "self.logits(hidden)", "self.logits(F.dropout(hidden, 0.1))"),),
        "two calls on the same observations differ",
    ),
    Wrong(
        "model-swapped-pair",
        "NatureModel",
        (
            (
                MODEL,
                "return self.logits(hidden), self.value(hidden)",
                "return self.value(hidden), self.logits(hidden)",
            ),
        ),
        "they are in the wrong order",
    ),
    Wrong(
        "model-returns-a-dict",
        "NatureModel",
        (
            (
                MODEL,
                "return self.logits(hidden), self.value(hidden)",
                'return {"logits": self.logits(hidden), "values": self.value(hidden)}',
            ),
        ),
        "forward returns a dict of 2, expected the pair logits, values",
    ),
    Wrong(
        "model-returns-nothing",
        "NatureModel",
        ((MODEL, "return self.logits(hidden), self.value(hidden)", "self.logits(hidden)"),),
        "forward returns nothing, expected the pair logits, values: is its return missing?",
    ),
    Wrong(
        "model-hidden-layer-not-orthogonal",
        "NatureModel",
        ((MODEL, "orthogonal(nn.Linear(64 * 7 * 7, 512), gain)", "nn.Linear(64 * 7 * 7, 512)"),),
        "body.7.bias is not zero",
    ),
    Wrong(
        "model-hidden-layer-with-gain-one",
        "NatureModel",
        ((MODEL, "nn.Linear(64 * 7 * 7, 512), gain", "nn.Linear(64 * 7 * 7, 512), 1.0"),),
        "body.7.weight is not orthogonal with gain √2",
    ),
    Wrong(
        "model-batch-statistics",
        "NatureModel",
        (
            (
                MODEL,
                "self.body(observations)",
                "self.body((observations - observations.mean()) / observations.std())",
            ),
        ),
        "what reaches the first convolution has the mean",
    ),
    Wrong(
        "model-one-action-too-many",
        "NatureModel",
        ((MODEL, "nn.Linear(512, n_actions)", "nn.Linear(512, n_actions + 1)"),),
        "forward returns the shapes [6, 7] and [6, 1], expected logits [6, 6]",
    ),
    Wrong(
        "model-ignores-its-argument",
        "NatureModel",
        ((MODEL, "nn.Linear(512, n_actions)", "nn.Linear(512, N_ACTIONS)"),),
        "NatureModel(7) returns 6 logits: use the argument n_actions",
    ),
    Wrong(
        "model-without-biases",
        "NatureModel",
        (
            (MODEL, "nn.Linear(512, n_actions)", "nn.Linear(512, n_actions, bias=False)"),
            (MODEL, "    nn.init.zeros_(layer.bias)\n", ORTHOGONAL_BIAS),
        ),
        "the policy head is missing: no weights of the shape [6, 512] with biases",
    ),
    Wrong(
        "model-hidden-size-does-not-fit-crashes",
        "NatureModel",
        ((MODEL, "7 * 7", "8 * 8"),),
        "the hidden layer is missing: no weights of the shape [512, 3136]",
    ),
]

POLICY_MISTAKES = [
    Wrong(
        "policy-greedy",
        "Policy",
        ((POLICY, "distribution.sample()", "logits.argmax(dim=-1)"),),
        "the same action 1000 times: greedy",
    ),
    Wrong(
        "policy-greedy-by-the-mode",
        "Policy",
        ((POLICY, "distribution.sample()", "distribution.mode"),),
        "the same action 1000 times: greedy",
    ),
    Wrong(
        "policy-log-probs-of-a-second-sample",
        "Policy",
        ((POLICY, "log_prob(actions)", "log_prob(distribution.sample())"),),
        "log_probs are those of other actions than the ones that are returned",
    ),
    Wrong(
        "policy-actions-sampled-again",
        "Policy",
        ((POLICY, "actions.cpu()", "distribution.sample().cpu()"),),
        "log_probs are those of other actions than the ones that are returned",
    ),
    Wrong(
        "policy-log-probs-of-the-likeliest-action",
        "Policy",
        (
            (
                POLICY,
                "distribution.log_prob(actions)",
                "distribution.log_prob(logits.argmax(dim=-1))",
            ),
        ),
        "log_probs are those of other actions than the ones that are returned",
    ),
    Wrong(
        "policy-observations-divided-by-255",
        "Policy",
        ((POLICY, "self.model(observations)", "self.model(observations / 255)"),),
        "observations are divided by 255 again",
    ),
    Wrong(
        "policy-observations-times-255",
        "Policy",
        ((POLICY, "self.model(observations)", "self.model(observations * 255)"),),
        "observations are multiplied by 255",
    ),
    Wrong(
        "policy-one-array-of-actions-for-all-steps",
        "Policy",
        (
            (
                POLICY,
                "return {",
                "if len(getattr(self, 'actions', ())) != len(actions):\n"
                "            self.actions = np.zeros(len(actions), dtype=np.int64)\n"
                "        self.actions[:] = actions.cpu().numpy()\n"
                "        return {",
            ),
            (POLICY, '"actions": actions.cpu().numpy()', '"actions": self.actions'),
        ),
        "actions of earlier steps change when act is called again",
    ),
    Wrong(
        "policy-values-in-a-column",
        "Policy",
        ((POLICY, "values.squeeze(-1)", "values"),),
        "for 6 observations values have the shape [6, 1], expected [6]",
    ),
    Wrong(
        "policy-squeezes-every-axis",
        "Policy",
        ((POLICY, "values.squeeze(-1)", "values.squeeze()"),),
        "for 1 observation values have the shape [], expected [1]: squeeze removes every axis",
    ),
    Wrong(
        "policy-squeezes-actions",
        "Policy",
        ((POLICY, "actions.cpu().numpy()", "actions.squeeze().cpu().numpy()"),),
        "for 1 observation actions have the shape [], expected [1]",
    ),
    Wrong(
        "policy-an-action-too-many-now-and-then",
        "Policy",
        (
            (
                POLICY,
                "distribution.sample()",
                "torch.where(torch.rand(len(logits)) < 0.01, 6, distribution.sample())",
            ),
            (POLICY, "log_prob(actions)", "log_prob(actions.clamp(max=logits.shape[-1] - 1))"),
        ),
        "expected 0 to 5",
    ),
    Wrong(
        "policy-uniform-actions",
        "Policy",
        (
            (
                POLICY,
                "distribution.sample()",
                "torch.randint(0, logits.shape[-1], (len(logits),), device=logits.device)",
            ),
        ),
        "they are drawn evenly, whatever the logits",
    ),
    Wrong(
        "policy-epsilon-greedy",
        "Policy",
        (
            (
                POLICY,
                "distribution.sample()",
                "torch.where(\n            torch.rand(len(logits)) < 0.1,\n"
                "            torch.randint(0, logits.shape[-1], (len(logits),)),\n"
                "            logits.argmax(-1),\n        )",
            ),
        ),
        "actions' shares are",
    ),
    Wrong(
        "policy-a-tenth-uniform",
        "Policy",
        (
            (
                POLICY,
                "distribution.sample()",
                "torch.where(\n            torch.rand(len(logits)) < 0.1,\n"
                "            torch.randint(0, logits.shape[-1], (len(logits),)),\n"
                "            distribution.sample(),\n        )",
            ),
        ),
        "actions' shares are",
    ),
    Wrong(
        "policy-sharpened",
        "Policy",
        (
            (
                POLICY,
                "distribution.sample()",
                "torch.distributions.Categorical(logits=1.5 * logits).sample()",
            ),
        ),
        "actions' shares are",
    ),
    Wrong(
        "policy-seeds-itself",
        "Policy",
        (
            (
                POLICY,
                "actions = distribution",
                "torch.manual_seed(0)\n        actions = distribution",
            ),
        ),
        "act seeds the generator of torch",
    ),
    Wrong(
        "policy-a-generator-of-its-own-made-each-time",
        "Policy",
        (
            (
                POLICY,
                "distribution.sample()",
                "torch.multinomial(\n            distribution.probs, 1, "
                "generator=torch.Generator().manual_seed(1)\n        )[:, 0]",
            ),
        ),
        "each call draws the same actions again",
    ),
    Wrong(
        "policy-one-draw-for-all",
        "Policy",
        (
            (
                POLICY,
                "distribution.sample()",
                "(distribution.probs.cumsum(-1) < torch.rand(1)).sum(-1).clamp(max=5)",
            ),
        ),
        "actions' shares are",
    ),
    Wrong(
        "policy-probabilities-for-log-probs",
        "Policy",
        ((POLICY, "distribution.log_prob(actions)", "distribution.log_prob(actions).exp()"),),
        "log_probs are probabilities",
    ),
    Wrong(
        "policy-logits-for-log-probs",
        "Policy",
        (
            (
                POLICY,
                "distribution.log_prob(actions)",
                "logits[torch.arange(len(actions)), actions]",
            ),
        ),
        "log_probs are logits",
    ),
    Wrong(
        "policy-softmax-over-the-batch",
        "Policy",
        (
            (
                POLICY,
                "distribution.log_prob(actions)",
                "logits.log_softmax(0)[torch.arange(len(actions)), actions]",
            ),
        ),
        "the softmax runs over the wrong axis",
    ),
    Wrong(
        "policy-probabilities-for-logits",
        "Policy",
        ((POLICY, '"logits": logits', '"logits": distribution.probs'),),
        "logits are probabilities",
    ),
    Wrong(
        "policy-actions-as-a-tensor",
        "Policy",
        ((POLICY, "actions.cpu().numpy()", "actions"),),
        "actions are of the kind Tensor",
    ),
    Wrong(
        "policy-actions-in-a-column",
        "Policy",
        ((POLICY, "actions.cpu().numpy()", "actions.cpu().numpy()[:, None]"),),
        "shape [6, 1]; expected a NumPy array of integers [6]",
    ),
    Wrong(
        "policy-values-as-numbers",
        "Policy",
        ((POLICY, "values.squeeze(-1)", "values.squeeze(-1).detach().numpy()"),),
        "values are of the kind ndarray, expected a tensor with its graph",
    ),
    Wrong(
        "policy-no-logits",
        "Policy",
        ((POLICY, '"logits": logits', '"scores": logits'),),
        "for an array act returns no logits; its keys are actions, log_probs, scores, values",
    ),
    Wrong(
        "policy-returns-a-tuple",
        "Policy",
        (
            (POLICY, "return {", "result = {"),
            (
                POLICY,
                "# [B, 1] → [B]\n        }",
                "\n        }\n        return tuple(result.values())",
            ),
        ),
        "act returns a tuple, expected a dict",
    ),
    Wrong(
        "policy-leaves-the-model-in-evaluation-mode",
        "Policy",
        ((POLICY, "observations = torch", "self.model.eval()\n        observations = torch"),),
        "act leaves the model in evaluation mode",
    ),
    Wrong(
        "policy-half-of-the-graph-detached",
        "Policy",
        (
            (
                POLICY,
                "distribution.log_prob(actions)",
                "logits.gather(1, actions[:, None])[:, 0] - logits.detach().logsumexp(-1)",
            ),
        ),
        "the gradient through log_probs is not theirs",
    ),
    Wrong(
        "policy-scales-the-stored-observations",
        "Policy",
        ((POLICY, "self.model(observations)", "self.model(observations.mul_(2).sub_(1))"),),
        "the network is given other numbers than act is",
    ),
    Wrong(
        "policy-calls-the-layers-of-the-network",
        "Policy",
        (
            (
                POLICY,
                "logits, values = self.model(observations)",
                "hidden = self.model.body(observations)\n        "
                "logits, values = self.model.logits(hidden), self.model.value(hidden)",
            ),
        ),
        "act does not call the network: call self.model(observations) itself",
    ),
    Wrong(
        "policy-observations-of-float64-crashes",
        "Policy",
        ((POLICY, "np.asarray(inputs)", "np.asarray(inputs, dtype=float)"),),
        "Policy raised RuntimeError: Input type (double)",
    ),
    Wrong(
        "policy-flattens-the-observations-crashes",
        "Policy",
        ((POLICY, "self.model(observations)", "self.model(observations.flatten(1))"),),
        "Policy raised RuntimeError: Expected",
    ),
    Wrong(
        "policy-gives-the-network-an-array-crashes",
        "Policy",
        ((POLICY, "self.model(observations)", "self.model(np.asarray(inputs))"),),
        "a NumPy array meets a tensor; torch.as_tensor makes a tensor of the array",
    ),
    Wrong(
        "policy-without-the-network",
        "Policy",
        (
            (
                POLICY,
                "logits, values = self.model(observations)",
                "logits, values = torch.zeros(len(inputs), 6), torch.zeros(len(inputs), 1)",
            ),
        ),
        "act does not call the network: call self.model(observations) itself",
    ),
]

TARGET_MISTAKES = [
    Wrong(
        "targets-reward-at-a-reset-lost",
        "ComputeValueTargets",
        ((TARGETS, UPDATE, "target = (rewards + self.gamma * target) * goes_on"),),
        "the reward of the step that ends an episode is lost",
    ),
    Wrong(
        "targets-value-in-place-of-the-reward-at-a-reset",
        "ComputeValueTargets",
        (
            (
                TARGETS,
                ZIP_END,
                'trajectory["resets"], trajectory["values"], strict=True',
            ),
            (TARGETS, "for rewards, resets in", "for rewards, resets, values in"),
            (
                TARGETS,
                UPDATE,
                "target = rewards + self.gamma * target\n"
                "            target = torch.where(goes_on, target, values.detach())",
            ),
        ),
        "the reward of the step that ends an episode is lost",
    ),
    Wrong(
        "targets-resets-one-step-late",
        "ComputeValueTargets",
        (
            (
                TARGETS,
                ZIP_END,
                '[np.zeros(len(target), dtype=bool), *trajectory["resets"][:-1]], strict=True',
            ),
        ),
        "resets are read one step off",
    ),
    Wrong(
        "targets-resets-one-step-early",
        "ComputeValueTargets",
        (
            (
                TARGETS,
                ZIP_END,
                '[*trajectory["resets"][1:], np.zeros(len(target), dtype=bool)], strict=True',
            ),
        ),
        "resets are read one step off",
    ),
    Wrong(
        "targets-resets-one-step-early-but-the-last",
        "ComputeValueTargets",
        (
            (
                TARGETS,
                ZIP_END,
                '[*trajectory["resets"][1:], trajectory["resets"][-1]], strict=True',
            ),
        ),
        "resets are read one step off",
    ),
    Wrong(
        "targets-bootstrap-from-the-new-episode",
        "ComputeValueTargets",
        (
            *WITH_FOLLOWING_VALUES,
            (
                TARGETS,
                UPDATE,
                "following = torch.where(goes_on, target, following.detach())\n"
                "            target = rewards + self.gamma * following",
            ),
        ),
        "after a reset the target goes on with the value of the next episode",
    ),
    Wrong(
        "targets-bootstrap-from-the-last-values",
        "ComputeValueTargets",
        ((TARGETS, BOOTSTRAP, 'trajectory["values"][-1]'),),
        "value_targets[0] carries a graph: targets are constants, act under torch.no_grad or",
    ),
    Wrong(
        "targets-bootstrap-from-the-last-stored-observation",
        "ComputeValueTargets",
        ((TARGETS, '["state"]["latest_observation"]', '["observations"][-1]'),),
        "the bootstrap is values[-1], not V(latest observation)",
    ),
    Wrong(
        "targets-latest-value-stored-as-the-last-target",
        "ComputeValueTargets",
        (
            (TARGETS, "targets = []", "targets = [target]"),
            (TARGETS, "reversed(list(steps))", "reversed(list(steps)[:-1])"),
        ),
        "off by one",
    ),
    Wrong(
        "targets-shifted-by-one",
        "ComputeValueTargets",
        (
            (
                TARGETS,
                UPDATE_AND_STORE,
                "targets.append(target)\n            " + UPDATE,
            ),
        ),
        "off by one",
    ),
    Wrong(
        "targets-shifted-by-one-slice",
        "ComputeValueTargets",
        (
            (TARGETS, "targets = []", "targets = [target]"),
            (TARGETS, "targets[::-1]", "targets[::-1][1:]"),
        ),
        "off by one",
    ),
    Wrong(
        "targets-no-bootstrap",
        "ComputeValueTargets",
        ((TARGETS, BOOTSTRAP, 'torch.zeros(len(trajectory["rewards"][-1]))'),),
        "there is no bootstrap",
    ),
    Wrong(
        "targets-resets-ignored",
        "ComputeValueTargets",
        ((TARGETS, "self.gamma * goes_on", "self.gamma"),),
        "resets are ignored",
    ),
    Wrong(
        "targets-resets-cut-the-bootstrap-only",
        "ComputeValueTargets",
        (
            (TARGETS, "targets = []", 'targets, target = [], target * ~trajectory["resets"][-1]'),
            (TARGETS, "self.gamma * goes_on", "self.gamma"),
        ),
        "resets cut the bootstrap only",
    ),
    Wrong(
        "targets-mask-inverted",
        "ComputeValueTargets",
        ((TARGETS, "~resets", "resets"),),
        "the mask of resets is inverted",
    ),
    Wrong(
        "targets-any-reset-cuts-all",
        "ComputeValueTargets",
        ((TARGETS, "~resets", "not resets.any()"),),
        "resets of different environments are collapsed into one",
    ),
    Wrong(
        "targets-only-all-resets-cut",
        "ComputeValueTargets",
        ((TARGETS, "~resets", "not resets.all()"),),
        "resets are ignored",
    ),
    Wrong(
        "targets-resets-of-environment-0-for-all",
        "ComputeValueTargets",
        ((TARGETS, "~resets", "not resets[0]"),),
        "resets of different environments are collapsed into one",
    ),
    Wrong(
        "targets-value-of-environment-0-for-all",
        "ComputeValueTargets",
        ((TARGETS, BOOTSTRAP, BOOTSTRAP + "[0]"),),
        "one environment's V is used for all",
    ),
    Wrong(
        "targets-mean-value-for-all",
        "ComputeValueTargets",
        ((TARGETS, BOOTSTRAP, BOOTSTRAP + ".mean()"),),
        "one environment's V is used for all",
    ),
    Wrong(
        "targets-td-lambda",
        "ComputeValueTargets",
        (
            *WITH_FOLLOWING_VALUES,
            (
                TARGETS,
                UPDATE,
                "target = 0.95 * target + (1 - 0.95) * following.detach()\n            " + UPDATE,
            ),
        ),
        "the targets are TD(λ) returns, not n-step ones",
    ),
    Wrong(
        "targets-one-step",
        "ComputeValueTargets",
        (
            *WITH_FOLLOWING_VALUES,
            (
                TARGETS,
                UPDATE,
                "target = rewards + self.gamma * goes_on * following.detach()",
            ),
        ),
        "each target looks one step ahead, r + γ V(next observation): add all rewards up to",
    ),
    Wrong(
        "targets-gamma-missing",
        "ComputeValueTargets",
        ((TARGETS, "self.gamma * goes_on", "goes_on"),),
        "the targets are those of γ = 1, expected γ = 0.99: it is left out",
    ),
    Wrong(
        "targets-gamma-on-the-reward-too",
        "ComputeValueTargets",
        ((TARGETS, UPDATE, "target = self.gamma * (rewards + goes_on * target)"),),
        "the powers of γ are wrong",
    ),
    Wrong(
        "targets-gamma-power-grows",
        "ComputeValueTargets",
        (
            (
                TARGETS,
                "self.gamma * goes_on",
                "self.gamma ** (len(targets) + 1) * goes_on",
            ),
        ),
        "the powers of γ are wrong",
    ),
    Wrong(
        "targets-gamma-power-from-the-start-of-the-trajectory",
        "ComputeValueTargets",
        (
            (
                TARGETS,
                "targets = []",
                'targets, t = [], len(trajectory["rewards"])\n'
                "        target = self.gamma**t * target",
            ),
            (
                TARGETS,
                UPDATE,
                "t -= 1\n            target = self.gamma**t * rewards + goes_on * target",
            ),
        ),
        "the powers of γ are wrong",
    ),
    Wrong(
        "targets-bootstrap-discounted-once-more",
        "ComputeValueTargets",
        ((TARGETS, BOOTSTRAP, "self.gamma * " + BOOTSTRAP),),
        "the powers of γ are wrong",
    ),
    Wrong(
        "targets-bootstrap-discounted-twice-over",
        "ComputeValueTargets",
        ((TARGETS, BOOTSTRAP, 'self.gamma ** len(trajectory["rewards"]) * ' + BOOTSTRAP),),
        "the powers of γ are wrong",
    ),
    Wrong(
        "targets-bootstrap-not-discounted",
        "ComputeValueTargets",
        _bootstrap_apart(""),
        "the powers of γ are wrong",
    ),
    Wrong(
        "targets-bootstrap-discounted-by-one-gamma",
        "ComputeValueTargets",
        _bootstrap_apart("self.gamma * "),
        "the powers of γ are wrong",
    ),
    Wrong(
        "targets-bootstrap-discounted-by-the-whole-length",
        "ComputeValueTargets",
        _bootstrap_apart('self.gamma ** len(trajectory["rewards"]) * '),
        "the powers of γ are wrong",
    ),
    Wrong(
        "targets-rewards-reshaped",
        "ComputeValueTargets",
        (
            (
                TARGETS,
                'zip(trajectory["rewards"]',
                'zip(np.reshape(trajectory["rewards"], (len(target), -1)).T',
            ),
        ),
        "time and environment are mixed up",
    ),
    Wrong(
        "targets-reshaped",
        "ComputeValueTargets",
        (
            (
                TARGETS,
                "targets[::-1]",
                "list(torch.stack(targets[::-1], dim=1).reshape(len(targets), -1))",
            ),
        ),
        "time and environment are mixed up",
    ),
    Wrong(
        "targets-transposed",
        "ComputeValueTargets",
        ((TARGETS, "targets[::-1]", "list(torch.stack(targets[::-1], dim=1))"),),
        "value_targets are a list of 6, expected a list of 5 tensors [6], one per step",
    ),
    Wrong(
        "targets-left-in-reverse-order",
        "ComputeValueTargets",
        ((TARGETS, "targets[::-1]", "targets"),),
        "the targets are in reverse order",
    ),
    Wrong(
        "targets-one-tensor-for-all-steps",
        "ComputeValueTargets",
        ((TARGETS, UPDATE, "target.mul_(self.gamma * goes_on).add_(rewards)"),),
        "steps share one and the same tensor, an alias: make a new one for each step",
    ),
    Wrong(
        "targets-overwrite-the-rewards",
        "ComputeValueTargets",
        (
            (
                TARGETS,
                UPDATE,
                "rewards += self.gamma * goes_on * target\n            target = rewards",
            ),
        ),
        "the rewards of the trajectory are overwritten",
    ),
    Wrong(
        "targets-key-misspelt",
        "ComputeValueTargets",
        ((TARGETS, 'trajectory["value_targets"]', 'trajectory["value_target"]'),),
        'the trajectory has no "value_targets" afterwards: the keys that it adds are',
    ),
    Wrong(
        "targets-read-a-misspelt-key-crashes",
        "ComputeValueTargets",
        ((TARGETS, 'trajectory["resets"]', 'trajectory["reset"]'),),
        "raised KeyError",
    ),
]

BOOTSTRAP_MISTAKES = [  # the network takes other observations than those of the state
    Wrong(
        "targets-bootstrap-of-float64-crashes",
        "ComputeValueTargets",
        (
            (
                TARGETS,
                BOOTSTRAP,
                "self.policy.model(\n            "
                'torch.tensor(trajectory["state"]["latest_observation"]).double()\n        '
                ")[1].squeeze(-1)",
            ),
        ),
        "ComputeValueTargets raised RuntimeError: Input type (double)",
    ),
]

MERGE_MISTAKES = [
    Wrong(
        "merge-does-nothing",
        "MergeTimeBatch",
        ((MERGE, JOIN, "join(steps)"),),
        "it does nothing: the lists of the trajectory are as they were",
    ),
    Wrong(
        "merge-assigns-a-local-name",
        "MergeTimeBatch",
        ((MERGE, JOIN, "steps = join(steps)"),),
        "it does nothing: the lists of the trajectory are as they were",
    ),
    Wrong(
        "merge-returns-a-new-dict",
        "MergeTimeBatch",
        (
            (
                MERGE,
                "for key, steps",
                'merged = {"state": trajectory["state"]}\n        for key, steps',
            ),
            (MERGE, JOIN, "merged[key] = join(steps)"),
            (MERGE, "→ [T·B, ...]", "→ [T·B, ...]\n        return merged"),
        ),
        "it returns a new dict; change the one that is given, the runner keeps that",
    ),
    Wrong(
        "merge-changes-a-copy",
        "MergeTimeBatch",
        (
            (MERGE, "for key, steps", "trajectory = dict(trajectory)\n        for key, steps"),
            (MERGE, "→ [T·B, ...]", "→ [T·B, ...]\n        return trajectory"),
        ),
        "it returns a new dict; change the one that is given, the runner keeps that",
    ),
    Wrong(
        "merge-targets-in-another-order",
        "MergeTimeBatch",
        (
            (
                MERGE,
                JOIN,
                'if key == "value_targets":\n'
                "                    join = lambda steps: torch.stack(steps, dim=1).flatten()\n"
                "                " + JOIN,
            ),
        ),
        "observations are flattened in the order t·B + b, but value_targets in the order b·T",
    ),
    Wrong(
        "merge-log-probs-in-another-order",
        "MergeTimeBatch",
        (
            (
                MERGE,
                JOIN,
                'if key == "log_probs":\n'
                "                    join = lambda steps: torch.stack(steps, dim=1).reshape(-1)\n"
                "                " + JOIN,
            ),
        ),
        "observations are flattened in the order t·B + b, but log_probs in the order b·T + t",
    ),
    Wrong(
        "merge-key-misspelt",
        "MergeTimeBatch",
        (
            (
                MERGE,
                'if key != "state":',
                'if key in ("logits", "log_probs", "values", "value_target"):',
            ),
        ),
        "what becomes of observations is a list, expected a tensor or a NumPy array",
    ),
    Wrong(
        "merge-reads-a-misspelt-key-crashes",
        "MergeTimeBatch",
        (
            (
                MERGE,
                "for key, steps in trajectory.items():",
                'for key in ("logits", "log_prob", "values", "value_targets"):\n'
                "            steps = trajectory[key]",
            ),
        ),
        "raised KeyError",
    ),
]

GRADIENT_MISTAKES = [
    Wrong(
        "advantage-not-detached",
        "A2C",
        ((LEARNER, ADVANTAGES, ADVANTAGES.removesuffix(".detach()")),),
        "the advantage is not detached",
    ),
    Wrong(
        "advantage-not-detached-but-the-targets",
        "A2C",
        (
            (
                LEARNER,
                ADVANTAGES,
                'trajectory["value_targets"].detach() - trajectory["values"]',
            ),
        ),
        "the advantage is not detached",
    ),
    Wrong(
        "advantage-not-detached-but-the-log-probs",
        "A2C",
        (
            (LEARNER, ADVANTAGES, ADVANTAGES.removesuffix(".detach()")),
            (LEARNER, 'trajectory["log_probs"]', 'trajectory["log_probs"].detach()'),
        ),
        "policy_loss: log_probs are detached, and the advantage is not: the policy loss",
    ),
    Wrong(
        "gradient-through-the-targets-in-value-loss",
        "ComputeValueTargets",
        (
            (TARGETS, "with torch.no_grad():\n            target = self", "target = self"),
            (LEARNER, '["value_targets"].detach()', '["value_targets"]'),
        ),
        "value_targets[0] carries a graph: targets are constants, act under torch.no_grad or",
    ),
    Wrong(
        "gradient-through-the-targets-in-policy-loss",
        "ComputeValueTargets",
        (
            (TARGETS, "with torch.no_grad():\n            target = self", "target = self"),
            (LEARNER, ADVANTAGES, 'trajectory["value_targets"] - trajectory["values"].detach()'),
        ),
        "value_targets[0] carries a graph: targets are constants, act under torch.no_grad or",
    ),
    Wrong(
        "critic-values-detached-in-value-loss",
        "A2C",
        ((LEARNER, 'mse_loss(trajectory["values"]', 'mse_loss(trajectory["values"].detach()'),),
        "value_loss: its value is right, but no gradient comes back from it: part of it is",
    ),
    Wrong(
        "critic-values-detached-in-the-policy",
        "Policy",
        ((POLICY, "values.squeeze(-1)", "values.squeeze(-1).detach()"),),
        "values carry no graph",
    ),
    Wrong(
        "critic-loss-as-a-number",
        "A2C",
        ((LEARNER, "self.value_loss(trajectory)", "self.value_loss(trajectory).item()"),),
        "loss: no gradient comes back from value_loss: add it as a tensor, not as a number",
    ),
    Wrong(
        "critic-loss-of-the-detached-advantage",
        "A2C",
        (
            (
                LEARNER,
                'return F.mse_loss(trajectory["values"], trajectory["value_targets"].detach())',
                'advantages = (trajectory["value_targets"] - trajectory["values"]).detach()\n'
                "        return advantages.square().mean()",
            ),
        ),
        "value_loss: its value is right, but no gradient comes back from it: part of it is",
    ),
    Wrong(
        "log-probs-detached-in-the-policy",
        "Policy",
        ((POLICY, "log_prob(actions)", "log_prob(actions).detach()"),),
        "log_probs carry no graph",
    ),
    Wrong(
        "log-probs-from-a-detached-distribution",
        "Policy",
        ((POLICY, "Categorical(logits=logits)", "Categorical(logits=logits.detach())"),),
        "log_probs carry no graph",
    ),
    Wrong(
        "log-probs-detached-in-policy-loss",
        "A2C",
        ((LEARNER, 'trajectory["log_probs"]', 'trajectory["log_probs"].detach()'),),
        "policy_loss: its value is right, but no gradient comes back from it: part of it is",
    ),
    Wrong(
        "log-probs-merged-as-numbers",
        "MergeTimeBatch",
        (
            (
                MERGE,
                JOIN,
                'if key == "log_probs":\n'
                "                    steps = [torch.tensor(step.tolist()) for step in steps]\n"
                "                " + JOIN,
            ),
        ),
        "log_probs are cut from their graph: do not detach them, learning needs it",
    ),
    Wrong(
        "policy-acts-without-gradient-crashes",
        "Policy",
        (
            (
                POLICY,
                "logits, values = self.model(observations)",
                "with torch.no_grad():\n            logits, values = self.model(observations)",
            ),
        ),
        "logits carry no graph",
    ),
    Wrong(
        "merge-cuts-the-graph-crashes",
        "MergeTimeBatch",
        ((MERGE, "= join(steps)", "= torch.as_tensor(join(steps)).detach()"),),
        "logits are cut from their graph: do not detach them, learning needs it",
    ),
    Wrong(
        "merge-cuts-the-graph-and-starts-a-new-one",
        "MergeTimeBatch",
        (
            (
                MERGE,
                "= join(steps)",
                "= torch.as_tensor(join(steps)).detach().float().requires_grad_()",
            ),
        ),
        "the gradient that flows back through logits is not theirs",
    ),
]

ENTROPY_MISTAKES = [
    Wrong(
        "entropy-from-the-taken-actions",
        "A2C",
        ((LEARNER, ENTROPY, '-trajectory["log_probs"].mean()'),),
        "entropy: it is that of the actions taken only, −log π(a), which has no effect in",
    ),
    Wrong(
        "entropy-from-the-taken-actions-weighted",
        "A2C",
        (
            (
                LEARNER,
                ENTROPY,
                '-(trajectory["log_probs"].exp() * trajectory["log_probs"]).mean()',
            ),
        ),
        "entropy: it is −π(a) log π(a) of the actions taken only: sum over all actions",
    ),
    Wrong(
        "entropy-missing",
        "A2C",
        ((LEARNER, " - self.entropy_coef * self.entropy(trajectory)", ""),),
        "loss: entropy is left out",
    ),
    Wrong(
        "entropy-sign-wrong",
        "A2C",
        ((LEARNER, "- self.entropy_coef", "+ self.entropy_coef"),),
        "loss: entropy has the wrong sign: it is a bonus, subtracted from the loss",
    ),
    Wrong(
        "entropy-itself-negative",
        "A2C",
        (
            (
                LEARNER,
                "return " + ENTROPY,
                'log_p = F.log_softmax(trajectory["logits"], dim=-1)\n'
                "        return (log_p.exp() * log_p).sum(dim=-1).mean()",
            ),
        ),
        "entropy: it has the wrong sign: −Σ π log π is never negative",
    ),
    Wrong(
        "entropy-detached",
        "A2C",
        (
            (
                LEARNER,
                'Categorical(logits=trajectory["logits"])',
                'Categorical(logits=trajectory["logits"].detach())',
            ),
        ),
        "entropy: its value is right, but no gradient comes back from it: part of it is",
    ),
    Wrong(
        "entropy-as-a-number",
        "A2C",
        ((LEARNER, "self.entropy(trajectory)", "self.entropy(trajectory).item()"),),
        "loss: no gradient comes back from entropy: add it as a tensor, not as a number",
    ),
    Wrong(
        "entropy-summed-over-the-batch",
        "A2C",
        ((LEARNER, ".entropy().mean()", ".entropy().sum()"),),
        "entropy: it is summed over the batch: take the mean over the N = 12 rows",
    ),
]

POLICY_LOSS_MISTAKES = [
    Wrong(
        "policy-loss-writes-into-the-targets",
        "A2C",
        (
            (
                LEARNER,
                "advantages = " + ADVANTAGES,
                'advantages = trajectory["value_targets"]'
                + LINE
                + 'advantages -= trajectory["values"].detach()',
            ),
            (LEARNER, CRITIC_FIRST, ACTOR_FIRST),
        ),
        "policy_loss: the value_targets of the trajectory are overwritten or changed",
    ),
    Wrong(
        "policy-loss-writes-into-the-targets-last",
        "A2C",
        (
            (
                LEARNER,
                "advantages = " + ADVANTAGES,
                'advantages = trajectory["value_targets"]'
                + LINE
                + 'advantages -= trajectory["values"].detach()',
            ),
            (
                LEARNER,
                'F.mse_loss(trajectory["values"], trajectory["value_targets"].detach())',
                '(trajectory["value_targets"] - trajectory["values"]).square().mean()',
            ),
        ),
        "policy_loss: the value_targets of the trajectory are overwritten or changed",
    ),
    Wrong(
        "policy-loss-detaches-the-values-of-the-trajectory",
        "A2C",
        (
            (
                LEARNER,
                "advantages = " + ADVANTAGES,
                'trajectory["values"] = trajectory["values"].detach()'
                + LINE
                + 'advantages = trajectory["value_targets"] - trajectory["values"]',
            ),
            (LEARNER, CRITIC_FIRST, ACTOR_FIRST),
        ),
        "policy_loss: the values of the trajectory are overwritten or changed",
    ),
    Wrong(
        "policy-loss-sign-reversed",
        "A2C",
        ((LEARNER, "return -(advantages", "return (advantages"),),
        "policy_loss: it has the wrong sign: minus the mean of advantage · log_prob",
    ),
    Wrong(
        "policy-loss-advantage-reversed",
        "A2C",
        ((LEARNER, ADVANTAGES, '(trajectory["values"] - trajectory["value_targets"]).detach()'),),
        "policy_loss: it has the wrong sign: minus the mean of advantage · log_prob",
    ),
    Wrong(
        "policy-loss-broadcast-over-log-probs",
        "A2C",
        (
            (
                POLICY,
                "distribution.log_prob(actions)",
                "distribution.logits.gather(1, actions.unsqueeze(1))",
            ),
        ),
        "log-probabilities and advantages are broadcast to [N, N]",
    ),
    Wrong(
        "policy-loss-broadcast-over-values",
        "Policy",
        (
            (POLICY, "values.squeeze(-1)", "values"),
            (TARGETS, BOOTSTRAP, BOOTSTRAP + ".squeeze(-1)"),
            (LEARNER, 'mse_loss(trajectory["values"]', 'mse_loss(trajectory["values"].squeeze(-1)'),
        ),
        "for 6 observations values have the shape [6, 1], expected [6]",
    ),
    Wrong(
        "value-loss-broadcast",
        "Policy",
        (
            (POLICY, "values.squeeze(-1)", "values"),
            (TARGETS, BOOTSTRAP, BOOTSTRAP + ".squeeze(-1)"),
            (LEARNER, '- trajectory["values"])', '- trajectory["values"].squeeze(-1))'),
            (
                LEARNER,
                'F.mse_loss(trajectory["values"], trajectory["value_targets"].detach())',
                '(trajectory["values"] - trajectory["value_targets"].detach()).square().mean()',
            ),
        ),
        "for 6 observations values have the shape [6, 1], expected [6]",
    ),
    Wrong(
        "policy-loss-of-all-actions",
        "A2C",
        (
            (POLICY, "distribution.log_prob(actions)", "distribution.logits"),
            (LEARNER, "(advantages * ", "(advantages.unsqueeze(-1) * "),
        ),
        "policy_loss: the mean over all actions is taken, expected the actions taken",
    ),
    Wrong(
        "policy-loss-of-all-actions-summed",
        "A2C",
        (
            (
                LEARNER,
                'return -(advantages * trajectory["log_probs"]).mean()',
                'log_probs = F.log_softmax(trajectory["logits"], dim=-1).sum(dim=-1)\n'
                "        return -(advantages * log_probs).mean()",
            ),
        ),
        "policy_loss: the log-probabilities of all actions are summed, expected those of the",
    ),
    Wrong(
        "policy-loss-with-targets-for-advantages",
        "A2C",
        ((LEARNER, ADVANTAGES, 'trajectory["value_targets"].detach()'),),
        "policy_loss: there is no advantage: log_probs are weighted with the targets alone",
    ),
    Wrong(
        "policy-loss-with-values-for-advantages",
        "A2C",
        ((LEARNER, ADVANTAGES, 'trajectory["values"].detach()'),),
        "policy_loss: there is no advantage: log_probs are weighted with the values alone",
    ),
    Wrong(
        "policy-loss-with-rewards-for-advantages",
        "A2C",
        (
            (
                LEARNER,
                ADVANTAGES,
                'torch.as_tensor(trajectory["rewards"], device=trajectory["values"].device)',
            ),
        ),
        "policy_loss: there is no advantage: log_probs are weighted with the rewards",
    ),
]

STEP_MISTAKES = [
    Wrong(
        "step-no-clipping",
        "A2C",
        (
            (LEARNER, PARAMETERS + LINE + CLIP + LINE, ""),
            (LEARNER, "return norm", "return loss.detach()"),
        ),
        "the gradient is not clipped",
    ),
    Wrong(
        "step-clips-each-entry",
        "A2C",
        (
            (LEARNER, CLIP, "nn.utils.clip_grad_value_(parameters, self.max_grad_norm)"),
            (LEARNER, "return norm", "return loss.detach()"),
        ),
        "update 2 of three in a row: each number of the gradient is clipped to ±0.5: clip",
    ),
    Wrong(
        "step-clips-before-backward",
        "A2C",
        (
            (
                LEARNER,
                "loss.backward()" + LINE + PARAMETERS + LINE + CLIP,
                PARAMETERS + LINE + CLIP + LINE + "loss.backward()",
            ),
        ),
        "the gradient is not clipped",
    ),
    Wrong(
        "step-clips-after-the-optimizer",
        "A2C",
        (
            (
                LEARNER,
                CLIP + LINE + "self.optimizer.step()",
                "self.optimizer.step()" + LINE + CLIP,
            ),
        ),
        "the gradient is clipped after optimizer.step()",
    ),
    Wrong(
        "step-gradients-not-zeroed",
        "A2C",
        ((LEARNER, "self.optimizer.zero_grad()\n        ", ""),),
        "update 2 of three in a row: the gradient of the update before is still there: call",
    ),
    Wrong(
        "step-gradients-zeroed-after-backward",
        "A2C",
        (
            (
                LEARNER,
                "self.optimizer.zero_grad()\n        loss.backward()",
                "loss.backward()\n        self.optimizer.zero_grad()",
            ),
        ),
        "no gradient is there at optimizer.step(): zero_grad() stands between backward() and",
    ),
    Wrong(
        "step-optimizer-step-missing",
        "A2C",
        ((LEARNER, "self.optimizer.step()\n        ", ""),),
        "one call of step calls optimizer.step() 0 times, expected 1: the weights never move",
    ),
    Wrong(
        "step-value-loss-coef-ignored",
        "A2C",
        ((LEARNER, "self.value_loss_coef * self", "self"),),
        "value_loss_coef is ignored",
    ),
    Wrong(
        "step-value-loss-coef-fixed-to-a-half",
        "A2C",
        ((LEARNER, "self.value_loss_coef * self", "0.5 * self"),),
        "loss: value_loss counts 0.5 times, expected 0.25",
    ),
    Wrong(
        "step-value-loss-coef-squared",
        "A2C",
        ((LEARNER, "F.mse_loss(", "self.value_loss_coef * F.mse_loss("),),
        "value_loss: value_loss_coef is in it already: it belongs into loss alone",
    ),
    Wrong(
        "step-entropy-coef-ignored",
        "A2C",
        ((LEARNER, "self.entropy_coef * self", "self"),),
        "loss: entropy_coef is ignored: entropy counts as it is",
    ),
    Wrong(
        "step-value-loss-twice",
        "A2C",
        (
            (
                LEARNER,
                "loss.backward()",
                "(loss + self.value_loss_coef * self.value_loss(trajectory)).backward()",
            ),
        ),
        "the gradient at optimizer.step() is that of 1 · policy_loss + 0.5 · value_loss +",
    ),
    Wrong(
        "log-probs-key-misspelt-crashes",
        "Policy",
        ((POLICY, '"log_probs"', '"log_porbs"'),),
        "for an array act returns no log_probs",
    ),
]

CURVES_MISTAKES = [  # right for the learner, wrong for what is drawn and recorded
    Wrong(
        "curves-policy-loss-not-negated",
        "A2C",
        (
            (LEARNER, "return -(advantages", "return (advantages"),
            (LEARNER, "return self.policy_loss", "return -self.policy_loss"),
        ),
        "policy_loss: it has the wrong sign: minus the mean of advantage · log_prob",
    ),
    Wrong(
        "curves-value-loss-with-its-coefficient",
        "A2C",
        (
            (LEARNER, "return F.mse", "return self.value_loss_coef * F.mse"),
            (LEARNER, "self.value_loss_coef * self", "self"),
        ),
        "value_loss: value_loss_coef is in it already: it belongs into loss alone",
    ),
    Wrong(
        "curves-entropy-summed",
        "A2C",
        (
            (LEARNER, "entropy().mean()", "entropy().sum()"),
            (
                LEARNER,
                "self.entropy(trajectory)",
                "self.entropy(trajectory) / len(trajectory['values'])",
            ),
        ),
        "entropy: it is summed over the batch: take the mean over the N = 12 rows",
    ),
    Wrong(
        "curves-entropy-missing-crashes",
        "A2C",
        ((LEARNER, "def entropy(", "def bonus("), (LEARNER, "self.entropy(", "self.bonus(")),
        "A2C raised AttributeError: 'A2C' object has no attribute 'entropy'",
    ),
    Wrong(
        "curves-loss-in-parts",
        "A2C",
        (
            (LEARNER, " - self.entropy_coef * self.entropy(trajectory)", ", critic"),
            (LEARNER, "loss = self.loss(trajectory)", LOSS_OF_PARTS),
        ),
        "loss returns numbers of the shape [2]: return one number, a tensor with its graph",
    ),
    Wrong(
        "curves-loss-without-entropy",
        "A2C",
        (
            (LEARNER, " - self.entropy_coef * self.entropy(trajectory)", ""),
            (LEARNER, "loss = self.loss(trajectory)", LOSS_AND_BONUS),
        ),
        "loss: entropy is left out",
    ),
    Wrong(
        "curves-step-returns-nothing",
        "A2C",
        ((LEARNER, "        return norm\n", ""),),
        "step returns no number: return the gradient's norm, which is one of the curves",
    ),
    Wrong(
        "curves-step-returns-the-clipped-norm",
        "A2C",
        ((LEARNER, "return norm", "return norm.clamp(max=self.max_grad_norm)"),),
        "step returns 0.5, that from after clipping; expected the gradient's norm from",
    ),
]

# fmt: off
MORE_MISTAKES = [  # of Tasks 3 to 5, and of the cell that makes the objects
    Wrong("targets-by-layers-of-the-network", "ComputeValueTargets", ((MODEL, "    def forward(self, observations):", "    def get_value(self, observations):\n        return self.value(self.body(observations))[:, 0]\n\n    def forward(self, observations):"), (TARGETS, BOOTSTRAP, 'self.policy.model.get_value(torch.as_tensor(trajectory["state"]["latest_observation"]))')), "call self.policy.act(...) or the network itself, not its layers"),
    Wrong("policy-keeps-log-probs", "A2C", ((POLICY, "actions = distribution.sample()", 'actions = distribution.sample()\n        self.__dict__.setdefault("saved", []).append(distribution.log_prob(actions))'),), "memory grows until the kernel dies"),
    Wrong("learner-keeps-every-loss", "A2C", ((LEARNER, "loss.backward()", 'loss.backward()\n        self.__dict__.setdefault("losses", []).append(loss)'),), "memory grows until the kernel dies"),
    Wrong("learner-seeds-in-step", "A2C", ((LEARNER, "self.optimizer.zero_grad()", "torch.manual_seed(0)\n        self.optimizer.zero_grad()"),), "a transform or step seeds the generator of torch"),
    Wrong("targets-seed-numpy", "A2C", ((TARGETS, "targets = []", "targets, _seeded = [], np.random.seed(1)"),), "a transform or step seeds the generator of NumPy"),
    Wrong("policy-loss-in-place", "A2C", ((LEARNER, 'return -(advantages * trajectory["log_probs"]).mean()', 'weighted = trajectory["log_probs"]\n        weighted *= advantages\n        return -weighted.mean()'),), "the log_probs of the trajectory are overwritten or changed"),
    Wrong("entropy-leaves-probabilities", "A2C", ((LEARNER, f"return {ENTROPY}", 'trajectory["logits"] = F.softmax(trajectory["logits"], -1)\n        p = trajectory["logits"]\n        return -(p * (p + 1e-12).log()).sum(-1).mean()'),), "the logits of the trajectory are overwritten or changed"),
    Wrong("policy-loss-without-return", "A2C", ((LEARNER, "return -(advantages", "-(advantages"),), "policy_loss returns no number"),
    Wrong("loss-without-return", "A2C", ((LEARNER, "return self.policy_loss(trajectory) + critic", "self.policy_loss(trajectory) + critic"),), "loss returns no number"),
    Wrong("loss-without-gradients", "A2C", ((LEARNER, "    def loss(self", "    @torch.no_grad()\n    def loss(self"),), "loss: no gradient comes back from it"),
    Wrong("policy-keeps-every-act", "A2C", ((POLICY, "actions = distribution.sample()", 'actions = distribution.sample()\n        self.__dict__.setdefault("saved", []).append((inputs, logits))'),), "memory grows until the kernel dies"),
    Wrong("targets-numpy", "ComputeValueTargets", ((TARGETS, "trajectory[\"value_targets\"] = targets[::-1]", "trajectory[\"value_targets\"] = [x.numpy() for x in targets[::-1]]"),), "value_targets[0] is a NumPy array [6], expected a list of 5 tensors [6], one per step"),
    Wrong("targets-stacked", "ComputeValueTargets", ((TARGETS, "= targets[::-1]", "= torch.stack(targets[::-1])"),), "value_targets are a tensor [5, 6], expected a list of 5 tensors [6], one per step"),
    Wrong("targets-lists-of-numbers", "ComputeValueTargets", ((TARGETS, "= targets[::-1]", "= [x.tolist() for x in targets[::-1]]"),), "value_targets[0] is a list of 6, expected a list of 5 tensors [6], one per step"),
    Wrong("targets-in-a-column", "ComputeValueTargets", ((TARGETS, "= targets[::-1]", "= [x[:, None] for x in targets[::-1]]"),), "value_targets[0] is a tensor [6, 1], expected a list of 5 tensors [6], one per step"),
    Wrong("targets-with-a-graph", "ComputeValueTargets", ((TARGETS, "with torch.no_grad():", "with torch.enable_grad():"),), "value_targets[0] carries a graph: targets are constants, act under torch.no_grad or detach"),
    Wrong("targets-one-too-many", "ComputeValueTargets", ((TARGETS, "targets = []", "targets = [target]"),), "value_targets are a list of 6, expected a list of 5 tensors [6], one per step"),
    Wrong("targets-of-five-steps", "ComputeValueTargets", ((TARGETS, "reversed(list(steps))", "reversed(list(steps)[:5])"),), "called on 7 steps in 2 environments: value_targets are a list of 5, expected a list of 7"),
    Wrong("targets-gamma-fixed", "ComputeValueTargets", ((TARGETS, "self.gamma * goes_on", "0.99 * goes_on"),), "with gamma = 0.7 the targets are those of γ = 0.99: use the argument gamma, no fixed"),
    Wrong("targets-gamma-of-the-argument-ignored", "ComputeValueTargets", ((TARGETS, "self.policy, self.gamma = policy, gamma", "self.policy, self.gamma = policy, 0.99"),), "with gamma = 0.7 the targets are those of γ = 0.99: use the argument gamma, no fixed"),
    Wrong("targets-kept-between-calls", "ComputeValueTargets", ((TARGETS, "targets = []", "targets = self.__dict__.setdefault(\"kept\", [])"),), "called on a second trajectory of 5 steps in 6 environments: value_targets are a list of"),
    Wrong("targets-bootstrap-of-the-first-call", "ComputeValueTargets", ((TARGETS, "target = self.policy.act(trajectory[\"state\"][\"latest_observation\"])[\"values\"]", "target = self.__dict__.setdefault(\"last\", self.policy.act(trajectory[\"state\"][\"latest_observation\"])[\"values\"])"),), "ComputeValueTargets, called on 3 steps in 4 environments, raised RuntimeError: The size"),
    Wrong("targets-detach-the-values", "ComputeValueTargets", ((TARGETS, "targets = []", "targets, trajectory[\"values\"] = [], [x.detach() for x in trajectory[\"values\"]]"),), "the values of the trajectory are overwritten or changed: work on a copy"),
    Wrong("targets-clip-the-rewards-again", "ComputeValueTargets", ((TARGETS, "rewards = torch.as_tensor(rewards, device=target.device)", "rewards = torch.as_tensor(rewards, device=target.device).clamp(-1, 1)"),), "the last step is wrong too: look at it first, it has the fewest terms"),
    Wrong("targets-forward-in-time", "ComputeValueTargets", ((TARGETS, "reversed(list(steps))", "list(steps)"),), "the loop runs forward in time: begin with the last step"),
    Wrong("targets-are-advantages", "ComputeValueTargets", ((TARGETS, "= targets[::-1]", "= [x - v.detach() for x, v in zip(targets[::-1], trajectory[\"values\"])]"),), "value_targets are advantages: do not subtract the values"),
    Wrong("targets-in-a-new-dict", "ComputeValueTargets", ((TARGETS, "trajectory[\"value_targets\"] = targets[::-1]", "return {**trajectory, \"value_targets\": targets[::-1]}"),), "it returns a new dict with value_targets; add them to the dict that is given, the runner"),
    Wrong("targets-one-minus-bool-crashes", "ComputeValueTargets", ((TARGETS, "torch.as_tensor(~resets, device=target.device)", "1 - torch.as_tensor(resets, device=target.device)"),), "raised RuntimeError: Subtraction, the `-` operator, with a bool tensor is not supported."),
    Wrong("targets-add-a-tensor-to-an-array-crashes", "ComputeValueTargets", ((TARGETS, "target = rewards + self.gamma", "target = np.asarray(rewards) + self.gamma"),), "): a NumPy array meets a tensor; torch.as_tensor makes a tensor of the array"),
    Wrong("targets-squeeze-every-axis", "ComputeValueTargets", ((TARGETS, "targets.append(target)", "targets.append(target.squeeze())"),), "called on 5 steps in 1 environment: value_targets[0] is a tensor [], expected a list of 5"),
    Wrong("targets-take-the-state-away", "ComputeValueTargets", ((TARGETS, "trajectory[\"state\"][\"latest_observation\"]", "trajectory.pop(\"state\")[\"latest_observation\"]"),), "`state` is gone or changed: leave it as it is"),
    Wrong("targets-rounded", "ComputeValueTargets", ((TARGETS, "targets.append(target)", "targets.append(target.round())"),), "the last step is wrong too: look at it first, it has the fewest terms"),
    Wrong("targets-without-rewards", "ComputeValueTargets", ((TARGETS, "target = rewards + self.gamma", "target = 0 * rewards + self.gamma"),), "the rewards are left out"),
    Wrong("targets-rewards-alone", "ComputeValueTargets", ((TARGETS, "targets.append(target)", "targets.append(rewards)"),), "each target is the reward of its own step alone"),
    Wrong("merge-detaches", "MergeTimeBatch", ((MERGE, "trajectory[key] = join(steps)", "trajectory[key] = join([x.detach() if torch.is_tensor(x) else x for x in steps])"),), "logits are cut from their graph: do not detach them, learning needs it"),
    Wrong("merge-numpy", "MergeTimeBatch", ((MERGE, "trajectory[key] = join(steps)", "trajectory[key] = np.concatenate([np.asarray(x.detach() if torch.is_tensor(x) else x) for x in steps])"),), "what becomes of logits is a NumPy array, expected a tensor: torch.cat keeps tensors"),
    Wrong("merge-stacks", "MergeTimeBatch", ((MERGE, "join = torch.cat if torch.is_tensor(steps[0]) else np.concatenate", "join = torch.stack if torch.is_tensor(steps[0]) else np.stack"),), "observations have the shape [5, 6, 4, 84, 84], expected [30, 4, 84, 84]: T pieces [B, …]"),
    Wrong("merge-flattens-everything", "MergeTimeBatch", ((MERGE, "= join(steps)", "= join(steps).reshape(-1)"),), "observations have the shape [846720], expected [30, 4, 84, 84]: T pieces [B, …] become"),
    Wrong("merge-first-step-only", "MergeTimeBatch", ((MERGE, "= join(steps)", "= steps[0]"),), "observations have the shape [6, 4, 84, 84], expected [30, 4, 84, 84]: T pieces [B, …]"),
    Wrong("merge-without-the-last-step", "MergeTimeBatch", ((MERGE, "= join(steps)", "= join(steps[:-1])"),), "observations have the shape [24, 4, 84, 84], expected [30, 4, 84, 84]: T pieces [B, …]"),
    Wrong("merge-pops-the-state", "MergeTimeBatch", ((MERGE, "for key, steps in", "trajectory.pop(\"state\")\n        for key, steps in"),), "`state` is gone or changed: leave it as it is"),
    Wrong("merge-state-too-crashes", "MergeTimeBatch", ((MERGE, "if key != \"state\"", "if key"),), "it fails at `state`, which is no list: leave it as it is"),
    Wrong("merge-environment-first", "MergeTimeBatch", ((MERGE, "= join(steps)", "= (torch.stack if torch.is_tensor(steps[0]) else np.stack)(steps, 1).reshape(-1, *steps[0].shape[1:])"),), "all keys are flattened in the order b·T + t, expected t·B + b: step after step"),
    Wrong("merge-actions-as-floats", "MergeTimeBatch", ((MERGE, "= join(steps)", "= join(steps) * 1.0 if key == \"actions\" else join(steps)"),), "actions are no whole numbers any more: keep their type"),
    Wrong("merge-tensors-only", "MergeTimeBatch", ((MERGE, "if key != \"state\":", "if key != \"state\" and torch.is_tensor(steps[0]):"),), "what becomes of observations is a list, expected a tensor or a NumPy array"),
    Wrong("merge-backwards", "MergeTimeBatch", ((MERGE, "= join(steps)", "= join(steps[::-1])"),), "the rows of observations are not those that were collected, in any order"),
    Wrong("merge-drops-the-rewards", "MergeTimeBatch", ((MERGE, "for key, steps in", "del trajectory[\"rewards\"]\n        for key, steps in"),), "rewards are gone: merge every key but `state`"),
    Wrong("merge-known-keys-only", "MergeTimeBatch", ((MERGE, "if key != \"state\":", "if key in (\"observations\", \"actions\", \"rewards\", \"resets\", \"logits\", \"log_probs\", \"values\", \"value_targets\"):"),), "what becomes of a list of tensors that your policy adds is a list, expected a tensor"),
    Wrong("step-two-steps-of-the-optimizer", "A2C", ((LEARNER, "self.optimizer.step()", "self.optimizer.step()\n        self.optimizer.step()"),), "one call of step calls optimizer.step() 2 times, expected 1"),
    Wrong("step-returns-the-loss", "A2C", ((LEARNER, "return norm", "return loss.item()"),), ", the loss; expected the gradient's norm from before clipping"),
    Wrong("step-backward-twice", "A2C", ((LEARNER, "loss.backward()", "loss.backward(retain_graph=True)\n        loss.backward()"),), "max_grad_norm 0.5. One backward(), then clip once"),
    Wrong("step-clips-to-a-number", "A2C", ((LEARNER, "parameters, self.max_grad_norm", "parameters, 0.5"),), "the gradient at optimizer.step() has the norm 0.5, expected 0.25: that of loss is"),
    Wrong("step-clips-each-parameter", "A2C", ((LEARNER, "norm = nn.utils", "for one in self.policy.model.parameters():\n            nn.utils.clip_grad_norm_([one], self.max_grad_norm)\n        norm = nn.utils"),), "update 2 of three in a row: the gradient that reaches optimizer.step() is no multiple of"),
    Wrong("step-clips-the-sum-of-absolutes", "A2C", ((LEARNER, "self.max_grad_norm, error", "self.max_grad_norm, norm_type=1, error"),), "max_grad_norm 0.5. One backward(), then clip once"),
    Wrong("step-clips-to-twice-the-norm", "A2C", ((LEARNER, "parameters, self.max_grad_norm", "parameters, 2 * self.max_grad_norm"),), "update 2 of three in a row: the gradient at optimizer.step() has the norm 1, expected"),
    Wrong("step-scales-the-gradient", "A2C", ((LEARNER, "self.optimizer.step()", "[p.grad.mul_(0.5) for p in self.policy.model.parameters() if p.grad is not None]\n        self.optimizer.step()"),), "max_grad_norm 0.5. One backward(), then clip once"),
    Wrong("step-decays-the-weights", "A2C", ((LEARNER, "self.optimizer.step()", "[p.data.mul_(0.999) for p in self.policy.model.parameters()]\n        self.optimizer.step()"),), "RMSprop with the settings, one step a call, moves all weights"),
    Wrong("step-lowers-the-learning-rate", "A2C", ((LEARNER, "self.optimizer.step()", "self.optimizer.step()\n        self.optimizer.param_groups[0][\"lr\"] *= 0.9"),), "the learning rate is 0.00063 at update 2, expected 0.0007"),
    Wrong("step-climbs", "A2C", ((LEARNER, "loss.backward()", "(-loss).backward()"),), "the gradient at optimizer.step() has the wrong sign"),
    Wrong("value-loss-l1", "A2C", ((LEARNER, "F.mse_loss(", "F.l1_loss("),), "value_loss: the absolute difference is taken, expected its square"),
    Wrong("value-loss-smooth-l1", "A2C", ((LEARNER, "F.mse_loss(", "F.smooth_l1_loss("),), "value_loss: the smooth L1 (Huber) loss is taken, expected the square"),
    Wrong("value-loss-summed", "A2C", ((LEARNER, "trajectory[\"value_targets\"].detach())", "trajectory[\"value_targets\"].detach(), reduction=\"sum\")"),), "value_loss: it is summed over the batch: take the mean over the N = 12 rows"),
    Wrong("value-loss-mean-squared", "A2C", ((LEARNER, "F.mse_loss(trajectory[\"values\"], trajectory[\"value_targets\"].detach())", "(trajectory[\"values\"] - trajectory[\"value_targets\"]).mean() ** 2"),), "value_loss: the mean is squared, expected the mean of the squares"),
    Wrong("value-loss-root", "A2C", ((LEARNER, "F.mse_loss(trajectory[\"values\"], trajectory[\"value_targets\"].detach())", "F.mse_loss(trajectory[\"values\"], trajectory[\"value_targets\"]).sqrt()"),), "value_loss: the root of the mean square is taken, expected the mean square"),
    Wrong("value-loss-against-the-rewards", "A2C", ((LEARNER, "F.mse_loss(trajectory[\"values\"], trajectory[\"value_targets\"].detach())", "F.mse_loss(trajectory[\"values\"], torch.as_tensor(trajectory[\"rewards\"]))"),), "value_loss: values are compared with the rewards, expected the targets"),
    Wrong("value-loss-not-reduced", "A2C", ((LEARNER, "trajectory[\"value_targets\"].detach())", "trajectory[\"value_targets\"].detach(), reduction=\"none\")"),), "value_loss returns numbers of the shape [12]: return one number, a tensor with its graph"),
    Wrong("policy-loss-normalised", "A2C", ((LEARNER, "return -(advantages * trajectory[\"log_probs\"]).mean()", "advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)\n        return -(advantages * trajectory[\"log_probs\"]).mean()"),), "policy_loss: the advantages are normalised: take them as they are"),
    Wrong("policy-loss-clipped-advantages", "A2C", ((LEARNER, "return -(advantages * trajectory", "return -(advantages.clamp(-1, 1) * trajectory"),), "policy_loss: the advantages are clipped to ±1: take them as they are"),
    Wrong("policy-loss-absolute-advantages", "A2C", ((LEARNER, "return -(advantages * trajectory", "return -(advantages.abs() * trajectory"),), "policy_loss: the advantages have lost their sign: take them as they are"),
    Wrong("policy-loss-squared-advantages", "A2C", ((LEARNER, "return -(advantages * trajectory", "return -(advantages**2 * trajectory"),), "policy_loss: the advantages are squared: take them as they are"),
    Wrong("policy-loss-of-probabilities", "A2C", ((LEARNER, "trajectory[\"log_probs\"]).mean()", "trajectory[\"log_probs\"].exp()).mean()"),), "policy_loss: probabilities stand for log-probabilities: take their logarithm"),
    Wrong("policy-loss-of-logits", "A2C", ((LEARNER, "trajectory[\"log_probs\"]).mean()", "trajectory[\"logits\"].gather(1, torch.as_tensor(trajectory[\"actions\"])[:, None])[:, 0]).mean()"),), "policy_loss: the logit of the action stands for its log-probability"),
    Wrong("policy-loss-of-a-ratio", "A2C", ((LEARNER, "trajectory[\"log_probs\"]).mean()", "(trajectory[\"log_probs\"] - trajectory[\"log_probs\"].detach()).exp()).mean()"),), "policy_loss: the ratio π / π stands for log-probabilities: right as a gradient, not as a"),
    Wrong("policy-loss-summed", "A2C", ((LEARNER, "trajectory[\"log_probs\"]).mean()", "trajectory[\"log_probs\"]).sum()"),), "policy_loss: it is summed over the batch: take the mean over the N = 12 rows"),
    Wrong("policy-loss-with-entropy", "A2C", ((LEARNER, "return -(advantages * trajectory[\"log_probs\"]).mean()", "return -(advantages * trajectory[\"log_probs\"]).mean() - self.entropy_coef * self.entropy(trajectory)"),), "policy_loss: it is 1 · policy_loss + -0.01 · entropy, expected policy_loss alone: loss"),
    Wrong("entropy-of-logits", "A2C", ((LEARNER, "torch.distributions.Categorical(logits=trajectory[\"logits\"]).entropy().mean()", "-(trajectory[\"logits\"].softmax(-1) * trajectory[\"logits\"]).sum(-1).mean()"),), "entropy: logits stand for log π in −Σ π log π"),
    Wrong("entropy-mean-over-actions-too", "A2C", ((LEARNER, "torch.distributions.Categorical(logits=trajectory[\"logits\"]).entropy().mean()", "-(trajectory[\"logits\"].softmax(-1) * trajectory[\"logits\"].log_softmax(-1)).mean()"),), "entropy: the mean is taken over the actions too: sum over them, mean over the rows"),
    Wrong("entropy-over-the-batch", "A2C", ((LEARNER, "torch.distributions.Categorical(logits=trajectory[\"logits\"]).entropy().mean()", "-(trajectory[\"logits\"].softmax(0) * trajectory[\"logits\"].log_softmax(0)).sum(-1).mean()"),), "entropy: the softmax runs over the wrong axis: over actions, the last one"),
    Wrong("entropy-in-bits", "A2C", ((LEARNER, "(logits=trajectory[\"logits\"]).entropy().mean()", "(logits=trajectory[\"logits\"]).entropy().mean() / np.log(2)"),), "entropy: the logarithm has the base 2, expected the natural one"),
    Wrong("entropy-not-weighted", "A2C", ((LEARNER, "torch.distributions.Categorical(logits=trajectory[\"logits\"]).entropy().mean()", "-trajectory[\"logits\"].log_softmax(-1).sum(-1).mean()"),), "entropy: log π is not weighted with π"),
    Wrong("entropy-not-reduced", "A2C", ((LEARNER, ".entropy().mean()", ".entropy()"),), "entropy returns numbers of the shape [12]: return one number, a tensor with its graph"),
    Wrong("loss-coefficients-exchanged", "A2C", ((LEARNER, "self.value_loss_coef, self.entropy_coef = value_loss_coef, entropy_coef", "self.value_loss_coef, self.entropy_coef = entropy_coef, value_loss_coef"),), "loss: value_loss_coef and entropy_coef are exchanged"),
    Wrong("loss-value-loss-subtracted", "A2C", ((LEARNER, "self.policy_loss(trajectory) + critic", "self.policy_loss(trajectory) - critic"),), "loss: value_loss has the wrong sign"),
    Wrong("loss-policy-loss-left-out", "A2C", ((LEARNER, "self.policy_loss(trajectory) + critic", "critic"),), "loss: policy_loss is left out"),
    Wrong("loss-policy-loss-twice", "A2C", ((LEARNER, "self.policy_loss(trajectory) + critic", "2 * self.policy_loss(trajectory) + critic"),), "loss: policy_loss counts 2 times, expected 1"),
    Wrong("loss-entropy-as-a-fixed-number", "A2C", ((LEARNER, "- self.entropy_coef * self.entropy", "- 0.01 * self.entropy"),), "loss: entropy counts -0.01 times, expected -0.21. All is right with your settings, and"),
    Wrong("loss-value-loss-as-a-fixed-number", "A2C", ((LEARNER, "self.value_loss_coef * self.value_loss", "0.25 * self.value_loss"),), "loss: value_loss counts 0.25 times, expected 0.55. All is right with your settings, and"),
    Wrong("loss-mean-of-three", "A2C", ((LEARNER, "return self.policy_loss(trajectory) + critic - self.entropy_coef * self.entropy(trajectory)", "return (self.policy_loss(trajectory) + critic - self.entropy_coef * self.entropy(trajectory)) / 3"),), "loss: policy_loss counts 0.3333 times, expected 1"),
    Wrong("cell-optimizer-of-the-heads-only", "A2C", ((GLUE, "torch.optim.RMSprop(model.parameters()", "torch.optim.RMSprop(list(model.parameters())[-4:]"),), "the optimizer lacks 8 of the model's tensors and holds 0 of others: give it"),
    Wrong("cell-optimizer-adam", "A2C", ((GLUE, "torch.optim.RMSprop(model.parameters(), lr=7e-4, alpha=0.99, eps=1e-5)", "torch.optim.Adam(model.parameters(), lr=7e-4, eps=1e-5)"),), "the optimizer is Adam, expected torch.optim.RMSprop"),
    Wrong("cell-optimizer-eps-left-out", "A2C", ((GLUE, ", eps=1e-5)", ")"),), "eps of the optimizer is 1e-08, expected 1e-05, as the settings say"),
    Wrong("cell-optimizer-learning-rate-times-ten", "A2C", ((GLUE, "lr=7e-4", "lr=7e-3"),), "lr of the optimizer is 0.007, expected 0.0007, as the settings say"),
    Wrong("cell-optimizer-momentum", "A2C", ((GLUE, "eps=1e-5", "eps=1e-5, momentum=0.9"),), "momentum of the optimizer is 0.9, expected 0, as the settings say"),
    Wrong("cell-optimizer-weight-decay", "A2C", ((GLUE, "eps=1e-5", "eps=1e-5, weight_decay=1e-4"),), "weight_decay of the optimizer is 0.0001, expected 0, as the settings say"),
    Wrong("cell-coefficients-exchanged", "A2C", ((GLUE, "0.25, 0.01, 0.5", "0.01, 0.25, 0.5"),), "loss: value_loss_coef and entropy_coef are exchanged"),
    Wrong("cell-clipping-left-to-the-default-of-another", "A2C", ((GLUE, "0.25, 0.01, 0.5", "0.25, 0.01, 5"),), "update 2 of three in a row: the gradient at optimizer.step() has the norm 5, expected"),
    Wrong("cell-transforms-in-the-wrong-order", "A2C", ((GLUE, "[ComputeValueTargets(policy, GAMMA), MergeTimeBatch()]", "[MergeTimeBatch(), ComputeValueTargets(policy, GAMMA)]"),), "the runner's transforms are ['MergeTimeBatch', 'ComputeValueTargets'], expected"),
    Wrong("cell-merge-left-out", "A2C", ((GLUE, "[ComputeValueTargets(policy, GAMMA), MergeTimeBatch()]", "[ComputeValueTargets(policy, GAMMA)]"),), "the runner's transforms are ['ComputeValueTargets'], expected ['ComputeValueTargets',"),
    Wrong("cell-a2c-of-another-model", "A2C", ((GLUE, "a2c = A2C(policy,", "a2c = A2C(Policy(NatureModel(N_ACTIONS)),"),), "the A2C has another network than `model`: run the cells from `Policy(model)` on again"),
    Wrong("cell-optimizer-of-another-model", "A2C", ((GLUE, "RMSprop(model.parameters()", "RMSprop(NatureModel(N_ACTIONS).parameters()"),), "the optimizer has no weight of `model`: run the cells from `optimizer = ...` on again"),
    Wrong("targets-switch-gradients-off", "ComputeValueTargets", ((TARGETS, "with torch.no_grad():", "torch.set_grad_enabled(False)\n        if True:"),), "gradients are switched off for all that follows: use `with torch.no_grad():`"),
    Wrong("policy-one-buffer-for-all-observations", "Policy", ((POLICY, "logits, values = self.model(observations)", "self.buffers = vars(self).setdefault('buffers', {})\n        observations = self.buffers.setdefault(len(observations), observations.clone()).copy_(observations)\n        logits, values = self.model(observations)"),), "the tensor that the network was given changes when act is called again"),
    Wrong("policy-softmax-twice", "Policy", ((POLICY, "Categorical(logits=logits)", "Categorical(logits=logits.softmax(-1))"),), "the softmax is taken twice"),
    Wrong("model-channels-last-flattened", "NatureModel", ((MODEL, "nn.Flatten(),", "Turned(),"), (MODEL, "class NatureModel", "class Turned(nn.Module):\n    def forward(self, x):\n        return x.movedim(1, -1).flatten(1)\n\n\nclass NatureModel")), "the hidden layer reads its input in another order: flatten [B, 64, 7, 7]"),
    Wrong("model-squeezes-every-axis", "NatureModel", ((MODEL, "self.value(hidden)", "self.value(hidden).squeeze()"),), "for 1 observation forward returns the shapes [1, 6] and [], expected"),
    Wrong("model-two-bodies", "NatureModel", ((MODEL, "self.body = ", "self.other = nn.Linear(3136, 512)\n        self.body = "),), "parameters, expected 1,687,719"),
]
# fmt: on

WRONG = [
    *MODEL_MISTAKES,
    *POLICY_MISTAKES,
    *TARGET_MISTAKES,
    *BOOTSTRAP_MISTAKES,
    *MERGE_MISTAKES,
    *GRADIENT_MISTAKES,
    *ENTROPY_MISTAKES,
    *POLICY_LOSS_MISTAKES,
    *STEP_MISTAKES,
    *CURVES_MISTAKES,
    *MORE_MISTAKES,
]
