"""Right answers, written differently from the notebook's solution and from each other.

`RIGHT` maps the name of an answer to its sources by cell id; what an answer leaves out stays the
notebook's. `"glue"` stands for the given lines that make the objects `model`, `policy`,
`transforms`, `optimizer` and `a2c`, with `N_ACTIONS` and `GAMMA` defined before.

| variation | answers |
|---|---|
| targets without a policy argument | globals, second-look |
| targets with an argument of its own making | plain-lists (a network), one-tensor (gamma first) |
| targets call `policy.act` | numpy, columns, scheduler |
| targets call `policy.model` | cached, environment-first, one-tensor |
| targets call a method of the policy | dictionary, hand-made-step, second-look |
| model returns values [B] | hand-made-step, second-look, scheduler, one-tensor |
| model returns a list | dictionary |
| a joint head | one-tensor |
| log_probs [B, A], gathered by the learner | one-tensor, environment-first |
| log_probs [B, 1] | columns, plain-lists |
| key `log_prob` | dictionary, environment-first |
| key `log_probs_for_actions` | cached |
| extra keys `entropy` | columns, environment-first |
| extra keys `probs`, `distributions` | one-tensor, dictionary |
| targets as lists | plain-lists |
| targets as ndarrays, float64 | numpy, second-look |
| targets as tensors, float64 | hand-made-step |
| targets [B, 1] | columns |
| targets as one tensor [T, B] | environment-first |
| targets with a graph, detached in the losses | cached |
| merging only some keys | dictionary, globals |
| merging that keeps ndarrays | numpy, second-look, one-tensor |
| rows ordered by environment, in all keys | environment-first |
| entropy inside `policy_loss` | dictionary, one-tensor |
| entropy inside `loss` | numpy, cached, scheduler, plain-lists |
| `policy_loss` un-negated | columns, globals |
| `policy_loss` and `loss` tuples | one-tensor, hand-made-step |
| `loss` missing, all in `step` | second-look |
| `loss` must run before `policy_loss` | cached |
| value loss with a half | numpy, dictionary, scheduler |
| learner runs the model or the policy again | second-look, scheduler |
| `zero_grad` last | columns, globals |
| gradients set by hand, clipped by hand | hand-made-step |
| extra constructor arguments | columns (device), scheduler (scheduler) |
| classes that read globals | globals, second-look |
| lazy layers | scheduler |
"""

_NUMPY = {
    "value-targets-class": """
class ComputeValueTargets:
    def __init__(self, policy, gamma=0.99):
        self.policy = policy
        self.gamma = gamma

    def __call__(self, trajectory):
        rewards = np.array(trajectory["rewards"], dtype=np.float64)
        alive = 1.0 - np.array(trajectory["resets"], dtype=np.float64)
        latest = trajectory["state"]["latest_observation"]
        following = self.policy.act(latest)["values"].detach().cpu().numpy().astype(np.float64)
        targets = np.zeros_like(rewards)
        for t in range(len(rewards) - 1, -1, -1):
            targets[t] = rewards[t] + self.gamma * alive[t] * following
            following = targets[t]
        trajectory["value_targets"] = list(targets)
""",
    "a2c-class": """
class A2C:
    def __init__(
        self, policy, optimizer, value_loss_coef=0.25, entropy_coef=0.01, max_grad_norm=0.5
    ):
        self.policy = policy
        self.optimizer = optimizer
        self.value_loss_coef = value_loss_coef
        self.entropy_coef = entropy_coef
        self.max_grad_norm = max_grad_norm

    def advantages(self, trajectory):
        targets = torch.as_tensor(trajectory["value_targets"]).to(trajectory["values"])
        return targets - trajectory["values"]

    def policy_loss(self, trajectory):
        return -(self.advantages(trajectory).detach() * trajectory["log_probs"]).mean()

    def value_loss(self, trajectory):
        return 0.5 * self.advantages(trajectory).pow(2).mean()

    def loss(self, trajectory):
        log_p = F.log_softmax(trajectory["logits"], dim=-1)
        entropy = -(log_p.exp() * log_p).sum(dim=-1).mean()
        loss = self.policy_loss(trajectory) + self.value_loss_coef * self.value_loss(trajectory)
        return loss - self.entropy_coef * entropy

    def step(self, trajectory):
        loss = self.loss(trajectory)
        self.optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.policy.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        return norm.item()
""",
}

_COLUMNS = {
    "model-class": """
class NatureModel(nn.Module):
    def __init__(self, n_actions, device="cpu"):
        super().__init__()
        self.conv1 = nn.Conv2d(4, 32, 8, stride=4)
        self.conv2 = nn.Conv2d(32, 64, 4, stride=2)
        self.conv3 = nn.Conv2d(64, 64, 3)
        self.fc = nn.Linear(3136, 512)
        self.value_head = nn.Linear(512, 1)
        self.policy_head = nn.Linear(512, n_actions)
        self.apply(self.init_weights)
        self.to(device)

    @staticmethod
    def init_weights(module):
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.orthogonal_(module.weight, gain=nn.init.calculate_gain("relu"))
            nn.init.constant_(module.bias, 0)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = F.relu(self.conv3(x))
        x = F.relu(self.fc(x.reshape(x.size(0), -1)))
        return self.policy_head(x), self.value_head(x)
""",
    "policy-class": """
class Policy:
    def __init__(self, model, device="cpu"):
        self.model = model
        self.device = device

    def act(self, inputs):
        x = torch.from_numpy(np.array(inputs, dtype=np.float32)).to(self.device)
        logits, values = self.model(x)
        probs = F.softmax(logits, dim=1)
        actions = torch.multinomial(probs.detach(), 1)
        log_all = F.log_softmax(logits, dim=1)
        return {
            "actions": actions[:, 0].cpu().numpy(),
            "logits": logits,
            "log_probs": log_all.gather(1, actions),
            "values": values.reshape(-1),
            "entropy": -(probs * log_all).sum(1, keepdim=True),
        }

    def reset(self):
        pass
""",
    "value-targets-class": """
class ComputeValueTargets:
    def __init__(self, policy, gamma=0.99):
        self.policy = policy
        self.gamma = gamma

    def __call__(self, trajectory):
        R = self.policy.act(trajectory["state"]["latest_observation"])["values"].detach()
        R = R.unsqueeze(1)
        trajectory["value_targets"] = []
        for t in reversed(range(len(trajectory["rewards"]))):
            reward = torch.tensor(trajectory["rewards"][t]).unsqueeze(1).to(R.device)
            done = torch.tensor(trajectory["resets"][t]).unsqueeze(1).to(R.device)
            R = reward + self.gamma * R.masked_fill(done, 0.0)
            trajectory["value_targets"].insert(0, R)
""",
    "a2c-class": """
class A2C:
    def __init__(
        self, policy, optimizer, device, value_loss_coef=0.25, entropy_coef=0.01, max_grad_norm=0.5
    ):
        self.policy = policy
        self.optimizer = optimizer
        self.device = device
        self.c = value_loss_coef
        self.beta = entropy_coef
        self.clip = max_grad_norm

    def policy_loss(self, trajectory):
        values = trajectory["values"].detach().unsqueeze(1)
        advantage = (trajectory["value_targets"] - values).to(self.device)
        return torch.mean(trajectory["log_probs"] * advantage)

    def value_loss(self, trajectory):
        return F.mse_loss(trajectory["values"], trajectory["value_targets"][:, 0])

    def loss(self, trajectory):
        gain = self.policy_loss(trajectory) + self.beta * trajectory["entropy"].mean()
        return self.c * self.value_loss(trajectory) - gain

    def step(self, trajectory):
        self.loss(trajectory).backward()
        nn.utils.clip_grad_norm_(self.policy.model.parameters(), self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
""",
    "glue": """
device = torch.device("cpu")
model = NatureModel(N_ACTIONS, device)
policy = Policy(model, device)
transforms = [ComputeValueTargets(policy, GAMMA), MergeTimeBatch()]
optimizer = torch.optim.RMSprop(model.parameters(), lr=7e-4, alpha=0.99, eps=1e-5)
a2c = A2C(policy, optimizer, device, 0.25, 0.01, 0.5)
""",
}

_DICTIONARY = {
    "model-class": """
def conv(n_in, n_out, size, stride):
    layer = nn.Conv2d(n_in, n_out, size, stride)
    torch.nn.init.orthogonal_(layer.weight, np.sqrt(2))
    layer.bias.data.fill_(0.0)
    return layer


class NatureModel(nn.Module):
    def __init__(self, n_actions):
        super().__init__()
        layers = [conv(4, 32, 8, 4), conv(32, 64, 4, 2), conv(64, 64, 3, 1)]
        self.convs = nn.ModuleList(layers)
        self.heads = nn.ModuleDict(
            {"logits": nn.Linear(512, n_actions), "value": nn.Linear(512, 1)}
        )
        self.hidden = nn.Linear(64 * 7 * 7, 512)
        for layer in [self.hidden, *self.heads.values()]:
            torch.nn.init.orthogonal_(layer.weight, np.sqrt(2))
            layer.bias.data.fill_(0.0)

    def forward(self, frames):
        for layer in self.convs:
            frames = layer(frames).relu()
        hidden = self.hidden(frames.flatten(1)).relu()
        return [self.heads["logits"](hidden), self.heads["value"](hidden)]
""",
    "policy-class": """
from torch.distributions import Categorical


class Policy:
    def __init__(self, model):
        self.model = model

    def run(self, inputs):
        return self.model(torch.as_tensor(np.stack(inputs)))

    def value(self, inputs):
        with torch.no_grad():
            return self.run(inputs)[1].squeeze(1)

    def act(self, inputs):
        logits, values = self.run(inputs)
        distributions = Categorical(logits=logits)
        actions = distributions.sample()
        return dict(
            actions=actions.numpy(),
            logits=logits,
            log_prob=distributions.log_prob(actions),
            values=values.squeeze(1),
            distributions=distributions,
        )

    def reset(self):
        pass
""",
    "value-targets-class": """
class ComputeValueTargets:
    def __init__(self, policy, gamma=0.99):
        self.policy, self.gamma = policy, gamma

    def __call__(self, trajectory):
        future = self.policy.value(trajectory["state"]["latest_observation"])
        targets = []
        for r, done in zip(trajectory["rewards"][::-1], trajectory["resets"][::-1]):
            future = torch.where(torch.tensor(done), 0.0, future)
            future = torch.tensor(r) + self.gamma * future
            targets = [future] + targets
        trajectory["value_targets"] = targets
""",
    "merge-class": """
class MergeTimeBatch:
    def __call__(self, trajectory):
        for key in ["log_prob", "values", "value_targets"]:
            trajectory[key] = torch.cat(trajectory[key])
""",
    "a2c-class": """
class A2C:
    def __init__(self, policy, optimizer, value_loss_coef=0.25, entropy_coef=0.01, max_norm=0.5):
        self.policy = policy
        self.optimizer = optimizer
        self.value_loss_coef = value_loss_coef
        self.entropy_coef = entropy_coef
        self.max_norm = max_norm

    def policy_loss(self, trajectory):
        advantage = trajectory["value_targets"] - trajectory["values"]
        entropy = torch.cat([d.entropy() for d in trajectory["distributions"]])
        actor = trajectory["log_prob"] * advantage.detach()
        return -(actor + self.entropy_coef * entropy).mean()

    def value_loss(self, trajectory):
        return ((trajectory["values"] - trajectory["value_targets"]) ** 2).mean() / 2

    def loss(self, trajectory):
        return self.policy_loss(trajectory) + self.value_loss_coef * self.value_loss(trajectory)

    def step(self, trajectory):
        self.optimizer.zero_grad(set_to_none=False)
        self.loss(trajectory).backward()
        nn.utils.clip_grad_norm_(self.policy.model.parameters(), self.max_norm)
        self.optimizer.step()
""",
}

_ONE_TENSOR = {
    "model-class": """
class NatureModel(nn.Sequential):
    def __init__(self, n_outputs):
        super().__init__(
            nn.Conv2d(4, 32, 8, 4), nn.ReLU(),
            nn.Conv2d(32, 64, 4, 2), nn.ReLU(),
            nn.Conv2d(64, 64, 3, 1), nn.ReLU(),
            nn.Flatten(),
            nn.Linear(3136, 512), nn.ReLU(),
            nn.Linear(512, n_outputs),
        )
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.orthogonal_(parameter, 2 ** 0.5)
            else:
                nn.init.zeros_(parameter)

    def forward(self, observations):
        outputs = super().forward(observations)
        return outputs[:, :-1], outputs[:, -1]
""",
    "policy-class": """
class Policy:
    def __init__(self, model):
        self.model = model

    def act(self, inputs):
        logits, values = self.model(torch.as_tensor(np.asarray(inputs)))
        probs = logits.softmax(-1)
        p = probs.detach().double().numpy()
        p /= p.sum(1, keepdims=True)
        seed = int(torch.randint(2**31, ()))
        rng = np.random.default_rng(seed)
        actions = np.array([rng.choice(len(row), p=row) for row in p])
        return {
            "actions": actions,
            "logits": logits,
            "log_probs": logits.log_softmax(-1),
            "probs": probs,
            "values": values,
        }

    def reset(self):
        pass
""",
    "value-targets-class": """
class ComputeValueTargets:
    def __init__(self, gamma, policy):
        self.gamma = gamma
        self.policy = policy

    @torch.no_grad()
    def __call__(self, trajectory):
        last = torch.as_tensor(trajectory["state"]["latest_observation"])
        value = self.policy.model(last)[1]
        n = len(trajectory["rewards"])
        targets = [None] * n
        for t in range(n - 1, -1, -1):
            mask = 1 - trajectory["resets"][t].astype("float32")
            value = torch.as_tensor(trajectory["rewards"][t]) + self.gamma * value * mask
            targets[t] = value
        trajectory["value_targets"] = targets
""",
    "a2c-class": """
class A2C:
    def __init__(
        self, policy, optimizer, value_loss_coef=0.25, entropy_coef=0.01, max_grad_norm=0.5
    ):
        self.policy, self.optimizer = policy, optimizer
        self.coefs = value_loss_coef, entropy_coef
        self.max_grad_norm = max_grad_norm

    def policy_loss(self, trajectory):
        actions = torch.as_tensor(trajectory["actions"])
        chosen = trajectory["log_probs"][torch.arange(len(actions)), actions]
        advantages = trajectory["value_targets"] - trajectory["values"].detach()
        entropy = -(trajectory["probs"] * trajectory["log_probs"]).sum(-1).mean()
        actor = -(chosen * advantages).mean()
        return actor - self.coefs[1] * entropy, entropy

    def value_loss(self, trajectory):
        return nn.MSELoss()(trajectory["values"], trajectory["value_targets"])

    def loss(self, trajectory):
        actor, entropy = self.policy_loss(trajectory)
        critic = self.value_loss(trajectory)
        return actor + self.coefs[0] * critic, actor, critic, entropy

    def step(self, trajectory):
        total, *parts = self.loss(trajectory)
        self.policy.model.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.policy.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        return [part.item() for part in parts]
""",
    "glue": """
model = NatureModel(N_ACTIONS + 1)
policy = Policy(model)
transforms = [ComputeValueTargets(GAMMA, policy), MergeTimeBatch()]
optimizer = torch.optim.RMSprop(model.parameters(), lr=7e-4, alpha=0.99, eps=1e-5)
a2c = A2C(policy, optimizer, 0.25, 0.01, 0.5)
""",
}

_SECOND_LOOK = {
    "model-class": """
class NatureModel(nn.Module):
    def __init__(self, n_actions):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(4, 32, 8, 4),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, 2),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(3136, 512),
            nn.ReLU(),
        )
        self.actor = nn.Linear(512, n_actions)
        self.critic = nn.Linear(512, 1)
        for name, p in self.named_parameters():
            if name.endswith("weight"):
                nn.init.orthogonal_(p, 2**0.5)
            else:
                nn.init.zeros_(p)

    def forward(self, x):
        h = self.net(x)
        return self.actor(h), self.critic(h)[:, 0]
""",
    "policy-class": """
class Policy:
    def __init__(self, model):
        self.model = model

    def act(self, inputs):
        logits, values = self.model(torch.tensor(np.array(inputs)))
        dist = torch.distributions.Categorical(logits=logits)
        actions = dist.sample()
        return {
            "actions": actions.numpy(),
            "logits": logits,
            "log_probs": dist.log_prob(actions),
            "values": values,
        }

    @torch.no_grad()
    def get_values(self, observations):
        return self.model(torch.tensor(observations))[1].numpy()

    def reset(self):
        pass
""",
    "value-targets-class": """
class ComputeValueTargets:
    def __init__(self, gamma=0.99):
        self.gamma = gamma

    def __call__(self, trajectory):
        returns = policy.get_values(trajectory["state"]["latest_observation"]).astype(float)
        out = []
        for reward, reset in list(zip(trajectory["rewards"], trajectory["resets"]))[::-1]:
            returns = np.where(reset, reward, reward + self.gamma * returns)
            out.append(returns)
        out.reverse()
        trajectory["value_targets"] = out
""",
    "merge-class": """
class MergeTimeBatch:
    def __call__(self, trajectory):
        for key in trajectory:
            if key == "state":
                continue
            trajectory[key] = np.concatenate(
                [step.detach() if torch.is_tensor(step) else step for step in trajectory[key]]
            )
""",
    "a2c-class": """
class A2C:
    def __init__(
        self, model, optimizer, value_loss_coef=0.25, entropy_coef=0.01, max_grad_norm=0.5
    ):
        self.model = model
        self.optimizer = optimizer
        self.value_loss_coef = value_loss_coef
        self.entropy_coef = entropy_coef
        self.max_grad_norm = max_grad_norm

    def step(self, trajectory):
        logits, values = self.model(torch.from_numpy(trajectory["observations"]))
        dist = torch.distributions.Categorical(logits=logits)
        targets = torch.from_numpy(trajectory["value_targets"]).float()
        advantages = targets - values
        log_probs = dist.log_prob(torch.from_numpy(trajectory["actions"]))

        policy_loss = -(log_probs * advantages.detach()).mean()
        value_loss = (advantages**2).mean()
        entropy = dist.entropy().mean()
        total = policy_loss + self.value_loss_coef * value_loss - self.entropy_coef * entropy

        self.optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        return {"policy loss": policy_loss.item(), "value loss": value_loss.item()}
""",
    "glue": """
model = NatureModel(N_ACTIONS)
policy = Policy(model)
transforms = [ComputeValueTargets(GAMMA), MergeTimeBatch()]
optimizer = torch.optim.RMSprop(model.parameters(), lr=7e-4, alpha=0.99, eps=1e-5)
a2c = A2C(model, optimizer, 0.25, 0.01, 0.5)
""",
}

_SCHEDULER = {
    "model-class": """
class NatureModel(nn.Module):
    def __init__(self, n_actions):
        super().__init__()
        self.features = nn.Sequential(
            nn.LazyConv2d(32, 8, 4),
            nn.ReLU(),
            nn.LazyConv2d(64, 4, 2),
            nn.ReLU(),
            nn.LazyConv2d(64, 3, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.LazyLinear(512),
            nn.ReLU(),
        )
        self.pi, self.v = nn.LazyLinear(n_actions), nn.LazyLinear(1)
        self(torch.zeros(1, 4, 84, 84))
        for layer in [*self.features, self.pi, self.v]:
            if hasattr(layer, "weight"):
                nn.init.orthogonal_(layer.weight, 0.01 if layer is self.pi else 2**0.5)
                nn.init.zeros_(layer.bias)

    def forward(self, x):
        x = self.features(x)
        return self.pi(x), self.v(x).squeeze(-1)
""",
    "policy-class": """
class Policy:
    def __init__(self, model):
        self.model = model

    def act(self, inputs):
        logits, values = self.model(torch.as_tensor(np.asarray(inputs)))
        noise = -torch.empty_like(logits).exponential_().log()
        actions = (logits.detach() + noise).argmax(-1)
        log_probs = logits.gather(-1, actions[:, None])[:, 0] - logits.logsumexp(-1)
        return {
            "actions": actions.cpu().numpy(),
            "logits": logits,
            "log_probs": log_probs,
            "values": values,
        }

    def reset(self):
        pass
""",
    "a2c-class": """
class A2C:
    def __init__(self, policy, optimizer, scheduler, value_loss_coef, entropy_coef, max_grad_norm):
        self.policy = policy
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.value_loss_coef = value_loss_coef
        self.entropy_coef = entropy_coef
        self.max_grad_norm = max_grad_norm

    def policy_loss(self, log_probs, advantages):
        return (-log_probs * advantages).mean()

    def value_loss(self, values, targets):
        return 0.5 * F.mse_loss(values, targets)

    def loss(self, trajectory):
        again = self.policy.act(trajectory["observations"])
        dist = torch.distributions.Categorical(logits=again["logits"])
        log_probs = dist.log_prob(torch.as_tensor(trajectory["actions"]))
        targets = trajectory["value_targets"]
        actor = self.policy_loss(log_probs, targets - again["values"].detach())
        critic = self.value_loss(again["values"], targets)
        bonus = self.entropy_coef * dist.entropy().mean()
        return actor + self.value_loss_coef * critic - bonus

    def step(self, trajectory):
        loss = self.loss(trajectory)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.policy.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        self.scheduler.step()
        return loss.item()
""",
    "glue": """
model = NatureModel(N_ACTIONS)
policy = Policy(model)
transforms = [ComputeValueTargets(policy, GAMMA), MergeTimeBatch()]
optimizer = torch.optim.RMSprop(model.parameters(), lr=7e-4, alpha=0.99, eps=1e-5)
scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=100_000)
a2c = A2C(policy, optimizer, scheduler, 0.25, 0.01, 0.5)
""",
}

_CACHED = {
    "policy-class": """
class Policy:
    def __init__(self, model):
        self.model = model

    def act(self, inputs):
        logits, values = self.model(torch.as_tensor(np.asarray(inputs)))
        log_all = torch.log_softmax(logits, dim=-1)
        actions = torch.distributions.Categorical(probs=log_all.detach().exp()).sample()
        rows = torch.arange(len(actions))
        return {
            "actions": actions.numpy(),
            "logits": logits,
            "log_probs_for_actions": log_all[rows, actions],
            "values": values.flatten(),
        }

    def reset(self):
        pass
""",
    "value-targets-class": """
class ComputeValueTargets:
    def __init__(self, policy, gamma=0.99):
        self.policy = policy
        self.gamma = gamma

    def __call__(self, trajectory):
        latest = torch.as_tensor(trajectory["state"]["latest_observation"])
        _, target = self.policy.model(latest)
        target = target.flatten()
        targets = []
        for t in range(len(trajectory["rewards"]))[::-1]:
            keep = torch.as_tensor(np.logical_not(trajectory["resets"][t])).float()
            target = torch.as_tensor(trajectory["rewards"][t]) + keep * self.gamma * target
            targets.append(target)
        trajectory["value_targets"] = list(reversed(targets))
""",
    "a2c-class": """
class A2C:
    def __init__(
        self, policy, optimizer, value_loss_coef=0.25, entropy_coef=0.01, max_grad_norm=0.5
    ):
        self.policy = policy
        self.optimizer = optimizer
        self.value_loss_coef = value_loss_coef
        self.entropy_coef = entropy_coef
        self.max_grad_norm = max_grad_norm

    def loss(self, trajectory):
        self.advantages = trajectory["value_targets"].detach() - trajectory["values"]
        log_p = trajectory["logits"].log_softmax(dim=-1)
        self.entropy = torch.einsum("na,na->n", log_p.exp(), -log_p).mean()
        critic = self.value_loss_coef * self.value_loss(trajectory)
        return self.policy_loss(trajectory) + critic - self.entropy_coef * self.entropy

    def policy_loss(self, trajectory):
        return -torch.mean(self.advantages.detach() * trajectory["log_probs_for_actions"])

    def value_loss(self, trajectory):
        return torch.mean(self.advantages**2)

    def step(self, trajectory):
        self.last_loss = self.loss(trajectory)
        self.optimizer.zero_grad()
        self.last_loss.backward()
        self.gradient_norm = nn.utils.clip_grad_norm_(
            self.policy.model.parameters(), max_norm=self.max_grad_norm
        )
        self.optimizer.step()
""",
}

_GLOBALS = {
    "model-class": """
class NatureModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(4, 32, 8, 4), nn.Conv2d(32, 64, 4, 2)
        self.c3, self.fc = nn.Conv2d(64, 64, 3, 1), nn.Linear(3136, 512)
        self.pi, self.v = nn.Linear(512, N_ACTIONS), nn.Linear(512, 1)
        for m in self.children():
            nn.init.orthogonal_(m.weight, 2**0.5)
            m.bias.data.zero_()

    def forward(self, x):
        for layer in (self.c1, self.c2, self.c3):
            x = torch.relu(layer(x))
        x = torch.relu(self.fc(x.reshape(-1, 3136)))
        return self.pi(x), self.v(x)
""",
    "policy-class": """
class Policy:
    def act(self, inputs):
        logits, values = model(torch.as_tensor(np.asarray(inputs)))
        d = torch.distributions.Categorical(logits=logits)
        a = d.sample()
        return {
            "actions": a.numpy(),
            "logits": logits,
            "log_probs": d.log_prob(a),
            "values": values[:, 0],
        }

    def reset(self):
        pass
""",
    "value-targets-class": """
class ComputeValueTargets:
    def __call__(self, trajectory):
        R = policy.act(trajectory["state"]["latest_observation"])["values"].detach().numpy()
        targets = []
        for r, z in zip(reversed(trajectory["rewards"]), reversed(trajectory["resets"])):
            R = r + GAMMA * R * (1 - z)
            targets.append(torch.tensor(R, dtype=torch.float32))
        trajectory["value_targets"] = targets[::-1]
""",
    "merge-class": """
class MergeTimeBatch:
    def __call__(self, trajectory):
        for k, v in trajectory.items():
            if k != "state" and torch.is_tensor(v[0]):
                trajectory[k] = torch.stack(v).flatten(0, 1)
""",
    "a2c-class": """
VALUE_COEF, ENTROPY_BETA, CLIP = 0.25, 0.01, 0.5


class A2C:
    def policy_loss(self, trajectory):
        A = (trajectory["value_targets"] - trajectory["values"]).data
        return (A * trajectory["log_probs"]).mean()

    def value_loss(self, trajectory):
        return F.mse_loss(trajectory["value_targets"], trajectory["values"])

    def entropy_loss(self, trajectory):
        p, lp = F.softmax(trajectory["logits"], -1), F.log_softmax(trajectory["logits"], -1)
        return (p * lp).sum(-1).mean()

    def loss(self, trajectory):
        return (
            -self.policy_loss(trajectory)
            + VALUE_COEF * self.value_loss(trajectory)
            + ENTROPY_BETA * self.entropy_loss(trajectory)
        )

    def step(self, trajectory):
        self.loss(trajectory).backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad()
""",
    "glue": """
model = NatureModel()
policy = Policy()
transforms = [ComputeValueTargets(), MergeTimeBatch()]
optimizer = torch.optim.RMSprop(model.parameters(), lr=7e-4, alpha=0.99, eps=1e-5)
a2c = A2C()
""",
}

_PLAIN_LISTS = {
    "model-class": """
class NatureModel(nn.Module):
    def __init__(self, n_actions):
        super().__init__()
        sizes = [(4, 32, 8, 4), (32, 64, 4, 2), (64, 64, 3, 1)]
        self.convolutions = nn.ModuleList([nn.Conv2d(*size) for size in sizes])
        self.hidden = nn.Linear(64 * 7 * 7, 512)
        self.logits = nn.Linear(512, n_actions)
        self.value = nn.Linear(512, 1)
        with torch.no_grad():
            for layer in self.modules():
                if isinstance(layer, (nn.Conv2d, nn.Linear)):
                    layer.weight.copy_(2**0.5 * nn.init.orthogonal_(layer.weight))
                    layer.bias.zero_()

    def forward(self, x):
        for layer in self.convolutions:
            x = F.relu(layer(x))
        x = F.relu(self.hidden(torch.flatten(x, start_dim=1)))
        return self.logits(x), self.value(x)
""",
    "policy-class": """
class Policy:
    def __init__(self, model, n_actions):
        self.model = model
        self.n_actions = n_actions

    def act(self, inputs):
        logits, values = self.model(torch.as_tensor(np.asarray(inputs)))
        distribution = torch.distributions.OneHotCategorical(logits=logits)
        one_hot = distribution.sample()
        return {
            "actions": one_hot.argmax(dim=1).numpy(),
            "logits": logits,
            "log_probs": distribution.log_prob(one_hot).unsqueeze(1),
            "values": values[:, 0],
        }

    def reset(self):
        pass
""",
    "value-targets-class": """
class ComputeValueTargets:
    def __init__(self, network, gamma):
        self.network = network
        self.gamma = gamma

    def bootstrap(self, observation):
        with torch.no_grad():
            return self.network(torch.as_tensor(observation))[1][:, 0].tolist()

    def __call__(self, trajectory):
        rewards, resets = trajectory["rewards"], trajectory["resets"]
        T = len(rewards)
        latest = self.bootstrap(trajectory["state"]["latest_observation"])
        targets = []
        for t in range(T):
            row = []
            for b in range(len(latest)):
                total, discount = 0.0, 1.0
                for k in range(t, T):
                    total += discount * float(rewards[k][b])
                    discount *= self.gamma
                    if resets[k][b]:
                        break
                else:
                    total += discount * latest[b]
                row.append(total)
            targets.append(row)
        trajectory["value_targets"] = targets
""",
    "merge-class": """
class MergeTimeBatch:
    def merge(self, steps):
        if isinstance(steps[0], list):
            return torch.tensor([number for step in steps for number in step])
        if isinstance(steps[0], np.ndarray):
            return torch.from_numpy(np.concatenate(steps, axis=0))
        return torch.cat(steps, dim=0)

    def __call__(self, trajectory):
        merged = {key: self.merge(steps) for key, steps in trajectory.items() if key != "state"}
        trajectory.update(merged)
        return trajectory
""",
    "a2c-class": """
class A2C:
    def __init__(
        self, policy, optimizer, value_loss_coef=0.25, entropy_coef=0.01, max_grad_norm=0.5
    ):
        self.policy = policy
        self.optimizer = optimizer
        self.value_loss_coef = value_loss_coef
        self.entropy_coef = entropy_coef
        self.max_grad_norm = max_grad_norm

    def policy_loss(self, trajectory):
        targets = trajectory["value_targets"].unsqueeze(1)
        advantages = targets - trajectory["values"].detach().unsqueeze(1)
        assert advantages.shape == trajectory["log_probs"].shape
        return -(trajectory["log_probs"] * advantages).mean()

    def value_loss(self, trajectory):
        return F.mse_loss(trajectory["values"], trajectory["value_targets"])

    def loss(self, trajectory):
        distribution = torch.distributions.Categorical(logits=trajectory["logits"])
        return (
            self.policy_loss(trajectory)
            + self.value_loss_coef * self.value_loss(trajectory)
            - self.entropy_coef * distribution.entropy().mean()
        )

    def step(self, trajectory):
        loss = self.loss(trajectory)
        for parameter in self.policy.model.parameters():
            parameter.grad = None
        loss.backward()
        nn.utils.clip_grad_norm_(list(self.policy.model.parameters()), self.max_grad_norm)
        self.optimizer.step()
""",
    "glue": """
model = NatureModel(N_ACTIONS)
policy = Policy(model, N_ACTIONS)
transforms = [ComputeValueTargets(model, GAMMA), MergeTimeBatch()]
optimizer = torch.optim.RMSprop(model.parameters(), lr=7e-4, alpha=0.99, eps=1e-5)
a2c = A2C(policy, optimizer, 0.25, 0.01, 0.5)
""",
}

_ENVIRONMENT_FIRST = {
    "policy-class": """
class Policy:
    def __init__(self, model):
        self.model = model

    def act(self, inputs):
        logits, values = self.model(torch.as_tensor(np.asarray(inputs)))
        distribution = torch.distributions.Categorical(logits=logits)
        return {
            "actions": distribution.sample().numpy(),
            "logits": logits,
            "log_prob": distribution.logits,
            "values": values[:, 0],
            "entropy": distribution.entropy(),
        }

    def reset(self):
        pass
""",
    "value-targets-class": """
class ComputeValueTargets:
    def __init__(self, policy, gamma=0.99):
        self.policy = policy
        self.gamma = gamma

    @torch.no_grad()
    def __call__(self, trajectory):
        latest = torch.from_numpy(trajectory["state"]["latest_observation"])
        rewards = torch.from_numpy(np.stack(trajectory["rewards"]))
        alive = torch.from_numpy(~np.stack(trajectory["resets"])).float()
        targets = torch.empty(len(rewards) + 1, rewards.shape[1])
        targets[-1] = self.policy.model(latest)[1].squeeze(-1)
        for t in reversed(range(len(rewards))):
            targets[t] = rewards[t] + self.gamma * alive[t] * targets[t + 1]
        trajectory["value_targets"] = targets[:-1]
""",
    "merge-class": """
class MergeTimeBatch:
    def __call__(self, trajectory):
        for key, steps in list(trajectory.items()):
            if key != "state":
                tensors = [torch.as_tensor(step) for step in steps]
                trajectory[key] = torch.stack(tensors, dim=1).flatten(0, 1)
""",
    "a2c-class": """
class A2C:
    def __init__(
        self, policy, optimizer, value_loss_coef=0.25, entropy_coef=0.01, max_grad_norm=0.5
    ):
        self.policy = policy
        self.optimizer = optimizer
        self.value_loss_coef = value_loss_coef
        self.entropy_coef = entropy_coef
        self.max_grad_norm = max_grad_norm

    def policy_loss(self, trajectory):
        advantages = trajectory["value_targets"] - trajectory["values"]
        one_hot = F.one_hot(trajectory["actions"], trajectory["logits"].shape[-1])
        log_probs = (one_hot * trajectory["log_prob"]).sum(dim=-1)
        return -(log_probs * advantages.detach()).mean()

    def value_loss(self, trajectory):
        return (trajectory["value_targets"] - trajectory["values"]).square().mean()

    def entropy_loss(self, trajectory):
        return -trajectory["entropy"].mean()

    def total_loss(self, trajectory):
        terms = {self.policy_loss: 1.0, self.value_loss: self.value_loss_coef}
        terms[self.entropy_loss] = self.entropy_coef
        return sum(weight * term(trajectory) for term, weight in terms.items())

    def step(self, trajectory):
        self.optimizer.zero_grad()
        self.total_loss(trajectory).backward()
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
        self.optimizer.step()
""",
}

_HAND_MADE_STEP = {
    "model-class": """
class Torso(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(4, 32, (8, 8), (4, 4)),
                nn.Conv2d(32, 64, (4, 4), (2, 2)),
                nn.Conv2d(64, 64, (3, 3)),
                nn.Linear(3136, 512),
            ]
        )

    def forward(self, x):
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                x = x.flatten(1)
            x = layer(x).clamp(min=0)
        return x


class NatureModel(nn.Module):
    def __init__(self, n_actions):
        super().__init__()
        self.torso = Torso()
        self.critic = nn.Linear(512, 1)
        self.actor = nn.Linear(512, n_actions)
        for layer in [*self.torso.layers, self.critic, self.actor]:
            nn.init.orthogonal_(layer.weight, 2**0.5 if layer in self.torso.layers else 1.0)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        x = self.torso(x)
        return self.actor(x), self.critic(x).squeeze(-1)
""",
    "policy-class": """
class Policy:
    def __init__(self, model):
        self.model = model

    def get_value(self, inputs):
        _, value = self.model(torch.as_tensor(np.asarray(inputs)))
        return value.detach()

    def act(self, inputs):
        logits, value = self.model(torch.as_tensor(np.asarray(inputs)))
        actions = torch.distributions.Categorical(logits=logits).sample()
        log_probs = -F.cross_entropy(logits, actions, reduction="none")
        return {
            "actions": actions.numpy().astype(np.int32),
            "logits": logits,
            "log_probs": log_probs,
            "values": value,
        }

    def reset(self):
        pass
""",
    "value-targets-class": """
class ComputeValueTargets:
    def __init__(self, policy, gamma=0.99):
        self.policy = policy
        self.gamma = gamma

    def __call__(self, trajectory):
        bootstrap = self.policy.get_value(trajectory["state"]["latest_observation"]).double()
        rewards = [torch.as_tensor(r, dtype=torch.float64) for r in trajectory["rewards"]]
        targets = [bootstrap]
        for reward, resets in zip(rewards[::-1], trajectory["resets"][::-1]):
            later = targets[0].clone()
            later[torch.as_tensor(resets)] = 0
            targets.insert(0, reward + self.gamma * later)
        targets.pop()
        trajectory["value_targets"] = targets
""",
    "a2c-class": """
class A2C:
    def __init__(
        self, policy, optimizer, value_loss_coef=0.25, entropy_coef=0.01, max_grad_norm=0.5
    ):
        self.policy = policy
        self.optimizer = optimizer
        self.value_loss_coef = value_loss_coef
        self.entropy_coef = entropy_coef
        self.max_grad_norm = max_grad_norm

    def policy_loss(self, trajectory):
        advantages = trajectory["value_targets"] - trajectory["values"].detach()
        return -(advantages * trajectory["log_probs"]).mean(), advantages

    def value_loss(self, trajectory):
        return (trajectory["values"] - trajectory["value_targets"]).pow(2).mean()

    def entropy(self, trajectory):
        logits = trajectory["logits"]
        expected = (logits.softmax(-1) * logits).sum(-1)
        return (logits.logsumexp(-1) - expected).mean()

    def loss(self, trajectory):
        policy_loss, _ = self.policy_loss(trajectory)
        value_loss, entropy = self.value_loss(trajectory), self.entropy(trajectory)
        total = policy_loss + self.value_loss_coef * value_loss - self.entropy_coef * entropy
        return total, {"policy": policy_loss, "value": value_loss, "entropy": entropy}

    def step(self, trajectory):
        total, _ = self.loss(trajectory)
        parameters = list(self.policy.model.parameters())
        gradients = torch.autograd.grad(total, parameters)
        norm = torch.sqrt(sum(gradient.square().sum() for gradient in gradients))
        shrink = torch.clamp(self.max_grad_norm / (norm + 1e-6), max=1.0)
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = gradient * shrink
        self.optimizer.step()
        return norm
""",
}

RIGHT = {
    "numpy": _NUMPY,
    "columns": _COLUMNS,
    "dictionary": _DICTIONARY,
    "one-tensor": _ONE_TENSOR,
    "second-look": _SECOND_LOOK,
    "scheduler": _SCHEDULER,
    "cached": _CACHED,
    "globals": _GLOBALS,
    "plain-lists": _PLAIN_LISTS,
    "environment-first": _ENVIRONMENT_FIRST,
    "hand-made-step": _HAND_MADE_STEP,
}
