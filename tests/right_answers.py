"""Right answers, written differently from the notebook's solution and from each other.

`RIGHT` maps the name of an answer to its sources by cell id; what an answer leaves out stays the
notebook's. `"glue"` stands for the given lines that make the objects `model`, `policy`,
`transforms`, `optimizer` and `a2c`, with `N_ACTIONS` and `GAMMA` defined before. Each way to write
a class has an answer of its own, beside what goes together with it: a policy that keeps the
log-probabilities of all actions and a learner that picks among them, say.
"""

VARIED = {  # written after another one, to differ in one trait: by no author of their own
    *("a named tuple", "fields by name", "a number of each step"),
    *("an argument and a key of its own", "acts greedily on a tensor, reads another key"),
    *("numbers of steps are stacked", "entropy of the steps"),
}

MODELS = {
    "functional": """
class NatureModel(nn.Module):
    def __init__(self, n_actions):
        super().__init__()
        self.conv1 = nn.Conv2d(4, 32, 8, stride=4)
        self.conv2 = nn.Conv2d(32, 64, 4, stride=2)
        self.conv3 = nn.Conv2d(64, 64, 3)
        self.fc = nn.Linear(3136, 512)
        self.value_head = nn.Linear(512, 1)
        self.policy_head = nn.Linear(512, n_actions)
        self.apply(self.init_weights)

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
    "dictionary of heads, a list returned": """
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
    "one head, the value last": """
class NatureModel(nn.Sequential):
    def __init__(self, n_actions):
        super().__init__(
            nn.Conv2d(4, 32, 8, 4), nn.ReLU(),
            nn.Conv2d(32, 64, 4, 2), nn.ReLU(),
            nn.Conv2d(64, 64, 3, 1), nn.ReLU(),
            nn.Flatten(),
            nn.Linear(3136, 512), nn.ReLU(),
            nn.Linear(512, n_actions + 1),
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
    "weights by name, values [B]": """
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
    "lazy layers": """
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
    "a named tuple": """
from typing import NamedTuple


class Output(NamedTuple):
    logits: torch.Tensor
    values: torch.Tensor


class NatureModel(nn.Module):
    def __init__(self, n_actions):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(4, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(),
            nn.Conv2d(64, 64, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(),
        )
        self.pi, self.v = nn.Linear(512, n_actions), nn.Linear(512, 1)
        for layer in [*self.body, self.pi, self.v]:
            if hasattr(layer, "weight"):
                nn.init.orthogonal_(layer.weight, 2**0.5)
                nn.init.zeros_(layer.bias)

    def forward(self, x):
        x = self.body(x)
        return Output(self.pi(x), self.v(x)[:, 0])
""",
    "weights of the children": """
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
    "weights copied": """
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
    "a torso of its own": """
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
    "plain parameters": """
class NatureModel(nn.Module):
    SHAPES = [(32, 4, 8, 8), (64, 32, 4, 4), (64, 64, 3, 3), (512, 3136)]

    def __init__(self, n_actions):
        super().__init__()
        shapes = [*self.SHAPES, (n_actions, 512), (1, 512)]
        self.weights = nn.ParameterList([nn.Parameter(torch.empty(shape)) for shape in shapes])
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(len(w))) for w in self.weights])
        for weight, gain in zip(self.weights, [2**0.5] * 4 + [0.1, 3.0]):
            nn.init.orthogonal_(weight, gain)

    def forward(self, x):
        for weight, bias, stride in zip(self.weights, self.biases, (4, 2, 1)):
            x = F.conv2d(x, weight, bias, stride).relu()
        x = F.linear(x.flatten(1), self.weights[3], self.biases[3]).relu()
        return tuple(F.linear(x, self.weights[k], self.biases[k]) for k in (4, 5))
""",
    "one head, the value first": """
class NatureModel(nn.Module):
    def __init__(self, n_actions):
        super().__init__()
        layers = [nn.Conv2d(4, 32, 8, 4), nn.Conv2d(32, 64, 4, 2), nn.Conv2d(64, 64, 3)]
        layers += [nn.Linear(3136, 512), nn.Linear(512, 1 + n_actions)]
        for layer in layers:
            nn.init.orthogonal_(layer.weight, nn.init.calculate_gain("relu"))
            nn.init.zeros_(layer.bias)
        *self.convolutions, self.hidden, self.head = layers
        self.convolutions = nn.ModuleList(self.convolutions)

    def forward(self, x):
        for convolution in self.convolutions:
            x = F.relu(convolution(x), inplace=True)
        value, logits = self.head(F.relu(self.hidden(x.flatten(1)))).split([1, self.n_logits], 1)
        return logits, value

    @property
    def n_logits(self):
        return self.head.out_features - 1
""",
    "arrays and tensors of any type": """
class NatureModel(nn.Module):
    def __init__(self, n_actions):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(4, 32, 8, 4), nn.Conv2d(32, 64, 4, 2)
        self.conv3, self.hidden = nn.Conv2d(64, 64, 3), nn.Linear(3136, 512)
        self.logits, self.value = nn.Linear(512, n_actions), nn.Linear(512, 1)
        for layer in self.children():
            nn.init.orthogonal_(layer.weight, 2**0.5)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        x = torch.as_tensor(np.asarray(x), dtype=torch.float32)
        for layer in (self.conv1, self.conv2, self.conv3):
            x = layer(x).relu()
        x = self.hidden(x.flatten(1)).relu()
        return self.logits(x), self.value(x)
""",
    "orthogonal by QR": """
def orthogonal(layer, gain):
    rows = layer.weight.shape[0]
    q, r = np.linalg.qr(np.random.randn(layer.weight[0].numel(), rows))
    weights = gain * (q * np.sign(np.diag(r))).T
    layer.weight.data = torch.tensor(weights.reshape(layer.weight.shape), dtype=torch.float32)
    layer.bias.data.zero_()
    return layer


class NatureModel(nn.Module):
    def __init__(self, n_actions):
        super().__init__()
        root2 = np.sqrt(2)
        self.conv1 = orthogonal(nn.Conv2d(4, 32, 8, 4), root2)
        self.conv2 = orthogonal(nn.Conv2d(32, 64, 4, 2), root2)
        self.conv3 = orthogonal(nn.Conv2d(64, 64, 3, 1), root2)
        self.fc = orthogonal(nn.Linear(64 * 7 * 7, 512), root2)
        self.actor = orthogonal(nn.Linear(512, n_actions), 0.01)
        self.critic = orthogonal(nn.Linear(512, 1), 1)

    def forward(self, obs):
        h = self.conv3(self.conv2(self.conv1(obs).relu()).relu()).relu()
        h = self.fc(torch.flatten(h, 1)).relu()
        return self.actor(h), self.critic(h)
""",
}

POLICIES = {
    "multinomial, log_probs [B, 1], entropy kept": """
class Policy:
    def __init__(self, model):
        self.model = model

    def act(self, inputs):
        x = torch.from_numpy(np.array(inputs, dtype=np.float32))
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
    "log_prob, distributions kept": """
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
    "NumPy's choice, log_probs [B, A]": """
class Policy:
    def __init__(self, model):
        self.model = model

    def act(self, inputs):
        logits, values = self.model(torch.as_tensor(np.asarray(inputs)))
        probs = logits.softmax(-1)
        p = probs.detach().double().numpy()
        p /= p.sum(1, keepdims=True)
        actions = np.array([np.random.choice(len(row), p=row) for row in p])
        return {
            "actions": actions,
            "logits": logits,
            "log_probs": logits.log_softmax(-1),
            "probs": probs,
            "values": values.reshape(-1),
        }

    def reset(self):
        pass
""",
    "Gumbel noise": """
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
            "values": values.reshape(-1),
        }

    def reset(self):
        pass
""",
    "rows and actions": """
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
            "log_probs": log_all[rows, actions],
            "values": values.flatten(),
        }

    def reset(self):
        pass
""",
    "globals": """
class Policy:
    def act(self, inputs):
        logits, values = model(torch.as_tensor(np.asarray(inputs)))
        d = torch.distributions.Categorical(logits=logits)
        a = d.sample()
        return {
            "actions": a.numpy(),
            "logits": logits,
            "log_probs": d.log_prob(a),
            "values": values.view(len(a)),
        }

    def reset(self):
        pass
""",
    "an argument by name": """
class Policy:
    def __init__(self, model):
        self.model = model

    def act(self, inputs):
        logits, values = self.model(x=torch.from_numpy(np.stack(inputs)))
        pi = torch.distributions.Categorical(logits=logits)
        drawn = pi.sample()
        kept = dict(logits=logits, log_probs=pi.log_prob(drawn), values=values[:, 0])
        return kept | {"actions": drawn.numpy()}

    def reset(self):
        pass
""",
    "one-hot": """
class Policy:
    def __init__(self, model):
        self.model = model

    def act(self, inputs):
        logits, values = self.model(torch.as_tensor(np.asarray(inputs)))
        distribution = torch.distributions.OneHotCategorical(logits=logits)
        one_hot = distribution.sample()
        return {
            "actions": one_hot.argmax(dim=1).numpy(),
            "logits": logits,
            "log_probs": distribution.log_prob(one_hot).unsqueeze(1),
            "values": values.ravel(),
        }

    def reset(self):
        pass
""",
    "log_prob of all actions": """
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
            "values": values.squeeze(-1),
            "entropy": distribution.entropy(),
        }

    def reset(self):
        pass
""",
    "logarithms with a guard, of all actions": """
class Policy:
    def __init__(self, model):
        self.model = model

    def act(self, inputs):
        logits, values = self.model(torch.as_tensor(np.asarray(inputs)))
        pi = torch.softmax(logits, dim=1)
        return {
            "actions": torch.distributions.Categorical(probs=pi).sample().numpy(),
            "logits": logits,
            "log_probs": torch.log(pi + 1e-8),
            "probs": pi,
            "values": values.flatten(),
        }

    def reset(self):
        pass
""",
    "cross-entropy, int32": """
class Policy:
    def __init__(self, model):
        self.model = model

    def get_value(self, inputs):
        _, value = self.model(torch.as_tensor(np.asarray(inputs)))
        return value.detach().reshape(-1)

    def act(self, inputs):
        logits, value = self.model(torch.as_tensor(np.asarray(inputs)))
        actions = torch.distributions.Categorical(logits=logits).sample()
        log_probs = -F.cross_entropy(logits, actions, reduction="none")
        return {
            "actions": actions.numpy().astype(np.int32),
            "logits": logits,
            "log_probs": log_probs,
            "values": value.reshape(-1),
        }

    def reset(self):
        pass
""",
    "a list comprehension of steps": """
class Policy:
    def __init__(self, model):
        self.model = model

    def act(self, inputs):
        observations = torch.stack([torch.as_tensor(one) for one in inputs])
        logits, values = self.model(observations)
        logits = logits - logits.logsumexp(dim=-1, keepdim=True)
        cumulated = logits.detach().exp().cumsum(-1)
        draw = torch.rand(len(logits), 1) * cumulated[:, -1:]
        actions = (cumulated < draw).sum(-1).clamp(max=logits.shape[-1] - 1)
        return {
            "actions": actions.numpy(),
            "logits": logits,
            "log_probs": torch.stack([row[a] for row, a in zip(logits, actions)]),
            "values": torch.cat([value.reshape(1) for value in values]),
        }

    def reset(self):
        pass
""",
    "a frozen dataclass": """
from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    model: nn.Module

    def act(self, inputs):
        device = next(self.model.parameters()).device
        x = torch.as_tensor(np.asarray(inputs)).to(device)
        logits, values = self.model(x)
        dist = torch.distributions.Categorical(probs=F.softmax(logits, dim=-1))
        a = dist.sample()
        log_probs, values = dist.log_prob(a), values[..., 0]
        return dict(actions=a.cpu().numpy(), logits=logits, log_probs=log_probs, values=values)

    def reset(self):
        pass
""",
    "no tensor of its own": """
class Policy:
    def __init__(self, model):
        self.model = model

    def act(self, inputs):
        logits, values = self.model(np.asarray(inputs, dtype=float))
        distribution = torch.distributions.Categorical(logits=logits)
        actions = distribution.sample()
        return {
            "actions": actions.numpy(),
            "logits": logits,
            "log_probs": distribution.log_prob(actions),
            "values": values.reshape(-1),
        }

    def reset(self):
        pass
""",
    "slots, keys of its own": """
class Policy:
    __slots__ = ("model",)

    def __init__(self, model):
        self.model = model

    def act(self, inputs):
        logits, values = self.model(torch.tensor(np.asarray(inputs)))
        dist = torch.distributions.Categorical(logits=logits)
        sampled = dist.sample()
        return {
            "actions": sampled.numpy(),
            "actions_tensor": sampled,
            "logits": logits,
            "log_probs": dist.log_prob(sampled),
            "values": values.squeeze(1),
            "probabilities": dist.probs,
        }

    def reset(self):
        pass
""",
    "fields by name": """
class Policy:
    def __init__(self, model):
        self.model = model

    def act(self, inputs):
        out = self.model(torch.as_tensor(np.asarray(inputs)))
        distribution = torch.distributions.Categorical(logits=out.logits)
        actions = distribution.sample()
        return {
            "actions": actions.numpy(),
            "logits": out.logits,
            "log_probs": distribution.log_prob(actions),
            "values": out.values,
        }

    def reset(self):
        pass
""",
    "a number of each step": """
class Policy:
    def __init__(self, model):
        self.model = model

    def act(self, inputs):
        logits, values = self.model(torch.as_tensor(np.asarray(inputs)))
        distribution = torch.distributions.Categorical(logits=logits)
        actions = distribution.sample()
        return {
            "actions": actions.numpy(),
            "logits": logits,
            "log_probs": distribution.log_prob(actions),
            "values": values.squeeze(1),
            "entropy": distribution.entropy().mean(),
        }

    def reset(self):
        pass
""",
    "an argument and a key of its own": """
class Policy:
    def __init__(self, model):
        self.model = model

    def act(self, observations, greedy=False):
        x = torch.as_tensor(np.asarray(observations))
        logits, values = self.model(x)
        distribution = torch.distributions.Categorical(logits=logits)
        actions = logits.argmax(-1) if greedy else distribution.sample()
        return {
            "actions": actions.numpy(),
            "logits": logits,
            "log_probs": distribution.log_prob(actions),
            "values": values[:, 0],
            "critic": values,
        }

    def reset(self):
        pass
""",
}

TARGETS = {
    "acts greedily on a tensor, reads another key": """
class ComputeValueTargets:
    def __init__(self, policy, gamma=0.99):
        self.policy, self.gamma = policy, gamma

    @torch.no_grad()
    def __call__(self, trajectory):
        latest = torch.as_tensor(trajectory["state"]["latest_observation"])
        target = self.policy.act(greedy=True, observations=latest)["critic"][:, 0]
        targets = []
        for rewards, resets in zip(trajectory["rewards"][::-1], trajectory["resets"][::-1]):
            target = torch.tensor(rewards) + self.gamma * torch.tensor(~resets) * target
            targets = [target, *targets]
        trajectory["value_targets"] = targets
""",
    "NumPy, then tensors": """
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
        trajectory["value_targets"] = [torch.as_tensor(row, dtype=torch.float32) for row in targets]
""",
    "masked_fill, insert": """
class ComputeValueTargets:
    def __init__(self, policy, gamma=0.99):
        self.policy = policy
        self.gamma = gamma

    def __call__(self, trajectory):
        R = self.policy.act(trajectory["state"]["latest_observation"])["values"].detach()
        trajectory["value_targets"] = []
        for t in reversed(range(len(trajectory["rewards"]))):
            reward = torch.tensor(trajectory["rewards"][t]).to(R.device)
            done = torch.tensor(trajectory["resets"][t]).to(R.device)
            R = reward + self.gamma * R.masked_fill(done, 0.0)
            trajectory["value_targets"].insert(0, R)
""",
    "torch.where, another argument": """
class ComputeValueTargets:
    def __init__(self, network, gamma):
        self.network, self.gamma = network, gamma

    def __call__(self, trajectory):
        with torch.no_grad():
            _, future = self.network(torch.as_tensor(trajectory["state"]["latest_observation"]))
        future = future.reshape(-1)
        targets = []
        for r, done in zip(trajectory["rewards"][::-1], trajectory["resets"][::-1]):
            future = torch.where(torch.tensor(done), 0.0, future)
            future = torch.tensor(r) + self.gamma * future
            targets = [future] + targets
        trajectory["value_targets"] = targets
""",
    "policy.model, a tuple": """
class ComputeValueTargets:
    def __init__(self, gamma, policy):
        self.gamma = gamma
        self.policy = policy

    @torch.no_grad()
    def __call__(self, trajectory):
        last = torch.as_tensor(trajectory["state"]["latest_observation"])
        value = self.policy.model(last)[1].view(-1)
        n = len(trajectory["rewards"])
        targets = [None] * n
        for t in range(n - 1, -1, -1):
            mask = 1 - trajectory["resets"][t].astype("float32")
            value = torch.as_tensor(trajectory["rewards"][t]) + self.gamma * value * mask
            targets[t] = value
        trajectory["value_targets"] = tuple(targets)
""",
    "globals": """
class ComputeValueTargets:
    def __call__(self, trajectory):
        R = policy.act(trajectory["state"]["latest_observation"])["values"].detach().numpy()
        targets = []
        for r, z in zip(reversed(trajectory["rewards"]), reversed(trajectory["resets"])):
            R = r + GAMMA * R * (1 - z)
            targets.append(torch.tensor(R, dtype=torch.float32))
        trajectory["value_targets"] = targets[::-1]
""",
    "float64, clone": """
class ComputeValueTargets:
    def __init__(self, policy, gamma=0.99):
        self.policy = policy
        self.gamma = gamma

    def __call__(self, trajectory):
        latest = trajectory["state"]["latest_observation"]
        bootstrap = self.policy.act(latest)["values"].detach().double()
        rewards = [torch.as_tensor(r, dtype=torch.float64) for r in trajectory["rewards"]]
        targets = [bootstrap]
        for reward, resets in zip(rewards[::-1], trajectory["resets"][::-1]):
            later = targets[0].clone()
            later[torch.as_tensor(resets)] = 0
            targets.insert(0, reward + self.gamma * later)
        targets.pop()
        trajectory["value_targets"] = targets
""",
    "each environment alone": """
class ComputeValueTargets:
    def __init__(self, policy, gamma=0.99):
        self.policy = policy
        self.gamma = gamma

    def bootstrap(self, observation):
        with torch.no_grad():
            return self.policy.act(observation)["values"].tolist()

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
            targets.append(torch.tensor(row))
        trajectory["value_targets"] = targets
""",
    "rows of one tensor": """
class ComputeValueTargets:
    def __init__(self, policy, gamma=0.99):
        self.policy = policy
        self.gamma = gamma

    @torch.no_grad()
    def __call__(self, trajectory):
        rewards = torch.from_numpy(np.stack(trajectory["rewards"]))
        alive = torch.from_numpy(~np.stack(trajectory["resets"])).float()
        targets = torch.empty(len(rewards) + 1, rewards.shape[1])
        targets[-1] = self.policy.act(trajectory["state"]["latest_observation"])["values"]
        for t in reversed(range(len(rewards))):
            targets[t] = rewards[t] + self.gamma * alive[t] * targets[t + 1]
        trajectory["value_targets"] = list(targets[:-1])
""",
    "a matrix of discounts": """
class ComputeValueTargets:
    def __init__(self, policy, gamma=0.99):
        self.policy = policy
        self.gamma = gamma

    def __call__(self, trajectory):
        rewards = torch.as_tensor(np.array(trajectory["rewards"])).double()
        alive = 1 - torch.as_tensor(np.array(trajectory["resets"])).double()
        steps = len(rewards)
        with torch.no_grad():
            latest = self.policy.act(trajectory["state"]["latest_observation"])["values"]
        terms = torch.cat([rewards, latest[None].double()])
        weights = torch.zeros(steps, steps + 1, rewards.shape[1], dtype=torch.float64)
        for t in range(steps):
            kept = torch.cat([torch.ones_like(alive[:1]), alive[t:].cumprod(0)])
            powers = self.gamma ** torch.arange(steps - t + 1)
            weights[t, t:] = kept * powers[:, None]
        targets = torch.einsum("tkb,kb->tb", weights, terms).float()
        trajectory["value_targets"] = [row.clone() for row in targets]
""",
    "accumulate": """
import itertools


class ComputeValueTargets:
    def __init__(self, policy, gamma=0.99):
        self.policy, self.gamma = policy, gamma

    def __call__(self, trajectory):
        def back(following, step):
            rewards, resets = step
            return torch.as_tensor(rewards) + self.gamma * following * torch.as_tensor(1.0 - resets)

        with torch.inference_mode():
            last = self.policy.act(trajectory["state"]["latest_observation"])["values"]
        last = last.clone()
        steps = list(zip(trajectory["rewards"], trajectory["resets"]))[::-1]
        targets = list(itertools.accumulate(steps, back, initial=last))[1:]
        trajectory["value_targets"] = [target.float() for target in targets[::-1]]
""",
}

MERGES = {
    "stack and flatten": """
class MergeTimeBatch:
    def __call__(self, trajectory):
        for key, steps in list(trajectory.items()):
            if key != "state":
                tensors = [torch.as_tensor(step) for step in steps]
                trajectory[key] = torch.stack(tensors, dim=0).flatten(0, 1)
""",
    "update, and the dict returned": """
class MergeTimeBatch:
    def merge(self, steps):
        if isinstance(steps[0], np.ndarray):
            return torch.from_numpy(np.concatenate(steps, axis=0))
        return torch.cat(steps, dim=0)

    def __call__(self, trajectory):
        merged = {key: self.merge(steps) for key, steps in trajectory.items() if key != "state"}
        trajectory.update(merged)
        return trajectory
""",
    "numbers of steps are stacked": """
class MergeTimeBatch:
    def __call__(self, trajectory):
        for key in trajectory.keys() - {"state"}:
            steps = [torch.as_tensor(step) for step in trajectory[key]]
            trajectory[key] = torch.cat(steps) if steps[0].ndim else torch.stack(steps)
""",
    "other kinds are left as they are": """
class MergeTimeBatch:
    def __call__(self, trajectory):
        for k, v in trajectory.items():
            if k == "state":
                continue
            if torch.is_tensor(v[0]):
                trajectory[k] = torch.stack(tuple(v)).reshape(-1, *v[0].shape[1:])
            elif isinstance(v[0], np.ndarray):
                trajectory[k] = np.stack(v).reshape(-1, *v[0].shape[1:])
""",
    "row by row": """
class MergeTimeBatch:
    def __call__(self, trajectory):
        for key in trajectory:
            if key == "state":
                continue
            rows = []
            for step in trajectory[key]:
                for b in range(len(step)):
                    rows.append(step[b])
            if torch.is_tensor(rows[0]):
                trajectory[key] = torch.stack(rows)
            else:
                trajectory[key] = np.array(rows)
""",
    "a state that is popped and put back": """
class MergeTimeBatch:
    def __call__(self, trajectory):
        state = trajectory.pop("state")
        for key in tuple(trajectory):
            first = trajectory[key][0]
            join = np.concatenate if isinstance(first, np.ndarray) else torch.cat
            trajectory[key] = join(list(trajectory[key]))
        trajectory["state"] = state
""",
}

LEARNERS = {
    "a method for the advantages, half the square": """
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
        return trajectory["value_targets"] - trajectory["values"]

    def policy_loss(self, trajectory):
        return -(self.advantages(trajectory).detach() * trajectory["log_probs"]).mean()

    def value_loss(self, trajectory):
        return 0.5 * self.advantages(trajectory).pow(2).mean()

    def entropy(self, trajectory):
        log_p = F.log_softmax(trajectory["logits"], dim=-1)
        return -(log_p.exp() * log_p).sum(dim=-1).mean()

    def loss(self, trajectory):
        loss = self.policy_loss(trajectory) + self.value_loss_coef * self.value_loss(trajectory)
        return loss - self.entropy_coef * self.entropy(trajectory)

    def step(self, trajectory):
        loss = self.loss(trajectory)
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.policy.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        return norm.item()
""",
    "columns": """
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
        advantage = (trajectory["value_targets"] - trajectory["values"].detach()).unsqueeze(1)
        assert advantage.shape == trajectory["log_probs"].shape
        return -torch.mean(trajectory["log_probs"] * advantage)

    def value_loss(self, trajectory):
        return torch.square(trajectory["value_targets"] - trajectory["values"]).mean()

    def entropy(self, trajectory):
        return trajectory["entropy"].mean()

    def loss(self, trajectory):
        loss = self.policy_loss(trajectory) + self.value_loss_coef * self.value_loss(trajectory)
        return loss - self.entropy_coef * self.entropy(trajectory)

    def step(self, trajectory):
        self.loss(trajectory).backward()
        norm = nn.utils.clip_grad_norm_(self.policy.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(norm)
""",
    "columns of its own": """
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
        advantage = (trajectory["value_targets"] - trajectory["values"].detach()).unsqueeze(1)
        assert advantage.shape == trajectory["log_probs"].shape
        return -torch.mean(trajectory["log_probs"] * advantage)

    def value_loss(self, trajectory):
        return torch.square(trajectory["value_targets"] - trajectory["values"]).mean()

    def entropy(self, trajectory):
        log_p = trajectory["logits"].log_softmax(-1)
        return torch.einsum("na,na->n", log_p.exp(), -log_p).mean()

    def loss(self, trajectory):
        loss = self.policy_loss(trajectory) + self.value_loss_coef * self.value_loss(trajectory)
        return loss - self.entropy_coef * self.entropy(trajectory)

    def step(self, trajectory):
        self.loss(trajectory).backward()
        norm = nn.utils.clip_grad_norm_(self.policy.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(norm)
""",
    "entropy of the steps": """
class A2C:
    def __init__(
        self, policy, optimizer, value_loss_coef=0.25, entropy_coef=0.01, max_grad_norm=0.5
    ):
        self.policy, self.optimizer, self.max_grad_norm = policy, optimizer, max_grad_norm
        self.value_loss_coef, self.entropy_coef = value_loss_coef, entropy_coef

    def policy_loss(self, trajectory):
        advantages = trajectory["value_targets"] - trajectory["values"].detach()
        return -torch.mean(trajectory["log_probs"] * advantages)

    def value_loss(self, trajectory):
        return torch.square(trajectory["value_targets"] - trajectory["values"]).mean()

    def entropy(self, trajectory):
        return trajectory["entropy"].mean()

    def loss(self, trajectory):
        loss = self.policy_loss(trajectory) + self.value_loss_coef * self.value_loss(trajectory)
        return loss - self.entropy_coef * self.entropy(trajectory)

    def step(self, trajectory):
        self.optimizer.zero_grad()
        self.loss(trajectory).backward()
        norm = nn.utils.clip_grad_norm_(self.policy.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        return float(norm)
""",
    "distributions of the policy": """
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
        advantage = trajectory["value_targets"] - trajectory["values"]
        return -torch.dot(trajectory["log_prob"], advantage.detach()) / len(advantage)

    def value_loss(self, trajectory):
        return ((trajectory["values"] - trajectory["value_targets"]) ** 2).mean() / 2

    def entropy(self, trajectory):
        return torch.cat([d.entropy() for d in trajectory["distributions"]]).mean()

    def loss(self, trajectory):
        loss = self.policy_loss(trajectory) + self.value_loss_coef * self.value_loss(trajectory)
        return loss - self.entropy_coef * self.entropy(trajectory)

    def step(self, trajectory):
        self.optimizer.zero_grad(set_to_none=False)
        self.loss(trajectory).backward()
        norm = nn.utils.clip_grad_norm_(self.policy.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        return norm
""",
    "all actions, picked by index": """
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
        actions = torch.as_tensor(trajectory["actions"])
        chosen = trajectory["log_probs"][torch.arange(len(actions)), actions]
        advantages = trajectory["value_targets"] - trajectory["values"].detach()
        return -(chosen * advantages).mean()

    def value_loss(self, trajectory):
        return nn.MSELoss()(trajectory["values"], trajectory["value_targets"])

    def entropy(self, trajectory):
        return -(trajectory["probs"] * trajectory["log_probs"]).sum(-1).mean()

    def loss(self, trajectory):
        loss = self.policy_loss(trajectory) + self.value_loss_coef * self.value_loss(trajectory)
        return loss - self.entropy_coef * self.entropy(trajectory)

    def step(self, trajectory):
        total = self.loss(trajectory)
        self.policy.model.zero_grad()
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.policy.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        return norm.item()
""",
    "all actions, one-hot": """
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
        actions = torch.as_tensor(trajectory["actions"]).long()
        one_hot = F.one_hot(actions, trajectory["logits"].shape[-1])
        log_probs = (one_hot * trajectory["log_prob"]).sum(dim=-1)
        return -(log_probs * advantages.detach()).mean()

    def value_loss(self, trajectory):
        return F.mse_loss(trajectory["values"], trajectory["value_targets"])

    def entropy(self, trajectory):
        return trajectory["entropy"].mean()

    def loss(self, trajectory):
        terms = {self.policy_loss: 1.0, self.value_loss: self.value_loss_coef}
        terms[self.entropy] = -self.entropy_coef
        return sum(weight * term(trajectory) for term, weight in terms.items())

    def step(self, trajectory):
        self.optimizer.zero_grad()
        self.loss(trajectory).backward()
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = nn.utils.clip_grad_norm_(parameters, self.max_grad_norm, foreach=False)
        self.optimizer.step()
        return norm.item()
""",
    "the network again": """
class A2C:
    def __init__(
        self, model, optimizer, value_loss_coef=0.25, entropy_coef=0.01, max_grad_norm=0.5
    ):
        self.model = model
        self.optimizer = optimizer
        self.value_loss_coef = value_loss_coef
        self.entropy_coef = entropy_coef
        self.max_grad_norm = max_grad_norm

    def again(self, trajectory):
        logits, values = self.model(torch.as_tensor(trajectory["observations"]))
        return torch.distributions.Categorical(logits=logits), values.reshape(-1)

    def policy_loss(self, trajectory):
        dist, values = self.again(trajectory)
        log_probs = dist.log_prob(torch.as_tensor(trajectory["actions"]))
        return -(log_probs * (trajectory["value_targets"] - values).detach()).mean()

    def value_loss(self, trajectory):
        return (trajectory["value_targets"] - self.again(trajectory)[1]).square().mean()

    def entropy(self, trajectory):
        return self.again(trajectory)[0].entropy().mean()

    def loss(self, trajectory):
        loss = self.policy_loss(trajectory) + self.value_loss_coef * self.value_loss(trajectory)
        return loss - self.entropy_coef * self.entropy(trajectory)

    def step(self, trajectory):
        loss = self.loss(trajectory)
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        return norm.item()
""",
    "a scheduler inside": """
class A2C:
    def __init__(self, policy, optimizer, scheduler, value_loss_coef, entropy_coef, max_grad_norm):
        self.policy = policy
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.value_loss_coef = value_loss_coef
        self.entropy_coef = entropy_coef
        self.max_grad_norm = max_grad_norm

    def policy_loss(self, trajectory):
        advantages = (trajectory["value_targets"] - trajectory["values"]).detach()
        return -(advantages * trajectory["log_probs"]).mean()

    def value_loss(self, trajectory):
        return 0.5 * F.mse_loss(trajectory["values"], trajectory["value_targets"])

    def entropy(self, trajectory):
        log_p = F.log_softmax(trajectory["logits"], dim=-1)
        return -(log_p.exp() * log_p).sum(dim=-1).mean()

    def loss(self, trajectory):
        loss = self.policy_loss(trajectory) + self.value_loss_coef * self.value_loss(trajectory)
        return loss - self.entropy_coef * self.entropy(trajectory)

    def step(self, trajectory):
        loss = self.loss(trajectory)
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.policy.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        self.scheduler.step()
        return norm.item()
""",
    "a closure": """
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
        advantages = (trajectory["value_targets"] - trajectory["values"]).detach()
        return -(advantages * trajectory["log_probs"]).mean()

    def value_loss(self, trajectory):
        return F.mse_loss(trajectory["values"], trajectory["value_targets"])

    def entropy(self, trajectory):
        log_p = F.log_softmax(trajectory["logits"], dim=-1)
        return -(log_p.exp() * log_p).sum(dim=-1).mean()

    def loss(self, trajectory):
        loss = self.policy_loss(trajectory) + self.value_loss_coef * self.value_loss(trajectory)
        return loss - self.entropy_coef * self.entropy(trajectory)

    def step(self, trajectory):
        norms = []

        def closure():
            self.optimizer.zero_grad()
            loss = self.loss(trajectory)
            loss.backward()
            parameters = self.policy.model.parameters()
            norms.append(nn.utils.clip_grad_norm_(parameters, self.max_grad_norm).item())
            return loss

        self.optimizer.step(closure)
        return norms[0]
""",
    "a frozen dataclass": """
from dataclasses import dataclass


@dataclass(frozen=True)
class A2C:
    policy: object
    optimizer: torch.optim.Optimizer
    value_loss_coef: float = 0.25
    entropy_coef: float = 0.01
    max_grad_norm: float = 0.5

    def policy_loss(self, trajectory):
        advantages = (trajectory["value_targets"] - trajectory["values"]).detach()
        return -(advantages * trajectory["log_probs"]).mean()

    def value_loss(self, trajectory):
        return F.mse_loss(trajectory["values"], trajectory["value_targets"])

    def entropy(self, trajectory):
        logits = trajectory["logits"]
        expected = (logits.softmax(-1) * logits).sum(-1)
        return (logits.logsumexp(-1) - expected).mean()

    def loss(self, trajectory):
        loss = self.policy_loss(trajectory) + self.value_loss_coef * self.value_loss(trajectory)
        return loss - self.entropy_coef * self.entropy(trajectory)

    def step(self, trajectory):
        loss = self.loss(trajectory)
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.policy.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        return norm.item()
""",
    "slots": """
class A2C:
    __slots__ = ("policy", "optimizer", "value_loss_coef", "entropy_coef", "max_grad_norm")

    def __init__(
        self, policy, optimizer, value_loss_coef=0.25, entropy_coef=0.01, max_grad_norm=0.5
    ):
        self.policy = policy
        self.optimizer = optimizer
        self.value_loss_coef = value_loss_coef
        self.entropy_coef = entropy_coef
        self.max_grad_norm = max_grad_norm

    def policy_loss(self, trajectory):
        advantages = (trajectory["value_targets"] - trajectory["values"]).detach()
        return -(advantages * trajectory["log_probs"]).mean()

    def value_loss(self, trajectory):
        return F.mse_loss(trajectory["values"], trajectory["value_targets"])

    def entropy(self, trajectory):
        log_p = F.log_softmax(trajectory["logits"], dim=-1)
        return -(log_p.exp() * log_p).sum(dim=-1).mean()

    def loss(self, trajectory):
        loss = self.policy_loss(trajectory) + self.value_loss_coef * self.value_loss(trajectory)
        return loss - self.entropy_coef * self.entropy(trajectory)

    def step(self, trajectory):
        loss = self.loss(trajectory)
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.policy.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        return norm.item()
""",
    "a named tuple, partial": """
from functools import partial
from typing import NamedTuple


class Numbers(NamedTuple):
    value: float
    entropy: float
    norm: float


class A2C:
    def __init__(self, policy, optimizer, *numbers):
        self.policy, self.optimizer, self.numbers = policy, optimizer, Numbers(*numbers)
        parameters = list(policy.model.parameters())
        self.clip = partial(nn.utils.clip_grad_norm_, parameters, self.numbers.norm)

    def policy_loss(self, trajectory):
        advantages = (trajectory["value_targets"] - trajectory["values"]).detach()
        return -(advantages * trajectory["log_probs"]).mean()

    def value_loss(self, trajectory):
        return F.mse_loss(trajectory["values"], trajectory["value_targets"])

    def entropy(self, trajectory):
        log_p = F.log_softmax(trajectory["logits"], dim=-1)
        return -(log_p.exp() * log_p).sum(dim=-1).mean()

    def loss(self, trajectory):
        critic = self.numbers.value * self.value_loss(trajectory)
        bonus = self.numbers.entropy * self.entropy(trajectory)
        return self.policy_loss(trajectory) + critic - bonus

    def step(self, trajectory):
        self.optimizer.zero_grad()
        self.loss(trajectory).backward()
        norm = self.clip()
        self.optimizer.step()
        return norm.item()
""",
    "gradients by hand": """
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
        advantages = (trajectory["value_targets"] - trajectory["values"]).detach()
        return -(advantages * trajectory["log_probs"]).mean()

    def value_loss(self, trajectory):
        return F.mse_loss(trajectory["values"], trajectory["value_targets"])

    def entropy(self, trajectory):
        log_p = F.log_softmax(trajectory["logits"], dim=-1)
        return -(log_p.exp() * log_p).sum(dim=-1).mean()

    def loss(self, trajectory):
        loss = self.policy_loss(trajectory) + self.value_loss_coef * self.value_loss(trajectory)
        return loss - self.entropy_coef * self.entropy(trajectory)

    def step(self, trajectory):
        total = self.loss(trajectory)
        parameters = list(self.policy.model.parameters())
        gradients = torch.autograd.grad(total, parameters)
        norm = torch.sqrt(sum(gradient.square().sum() for gradient in gradients))
        shrink = torch.clamp(self.max_grad_norm / (norm + 1e-6), max=1.0)
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = gradient * shrink
        self.optimizer.step()
        return norm
""",
    "clipped by hand, grad = None": """
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
        advantages = (trajectory["value_targets"] - trajectory["values"]).detach()
        return -(advantages * trajectory["log_probs"]).mean()

    def value_loss(self, trajectory):
        return F.mse_loss(trajectory["values"], trajectory["value_targets"])

    def entropy(self, trajectory):
        log_p = F.log_softmax(trajectory["logits"], dim=-1)
        return -(log_p.exp() * log_p).sum(dim=-1).mean()

    def loss(self, trajectory):
        loss = self.policy_loss(trajectory) + self.value_loss_coef * self.value_loss(trajectory)
        return loss - self.entropy_coef * self.entropy(trajectory)

    def step(self, trajectory):
        loss = self.loss(trajectory)
        for parameter in self.policy.model.parameters():
            parameter.grad = None
        loss.backward()
        gradients = [p.grad for p in self.policy.model.parameters() if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack([g.norm() for g in gradients]))
        if norm > self.max_grad_norm:
            for gradient in gradients:
                gradient.mul_(self.max_grad_norm / norm)
        self.optimizer.step()
        return float(norm)
""",
    "globals": """
VALUE_COEF, ENTROPY_BETA, CLIP = 0.25, 0.01, 0.5


class A2C:
    def policy_loss(self, trajectory):
        A = (trajectory["value_targets"] - trajectory["values"]).data
        return -(A * trajectory["log_probs"]).mean()

    def value_loss(self, trajectory):
        return F.mse_loss(trajectory["value_targets"], trajectory["values"])

    def entropy(self, trajectory):
        p, lp = F.softmax(trajectory["logits"], -1), F.log_softmax(trajectory["logits"], -1)
        return -(p * lp).sum(-1).mean()

    def loss(self, trajectory):
        return (
            self.policy_loss(trajectory)
            + VALUE_COEF * self.value_loss(trajectory)
            - ENTROPY_BETA * self.entropy(trajectory)
        )

    def step(self, trajectory):
        self.loss(trajectory).backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad()
        return norm.item()
""",
    "row by row": """
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
        total = 0.0
        n = len(trajectory["values"])
        for i in range(n):
            target = trajectory["value_targets"][i].item()
            advantage = target - trajectory["values"][i].item()
            total = total - advantage * trajectory["log_probs"][i]
        return total / n

    def value_loss(self, trajectory):
        total = 0.0
        for value, target in zip(trajectory["values"], trajectory["value_targets"]):
            total = total + (target - value) * (target - value)
        return total / len(trajectory["values"])

    def entropy(self, trajectory):
        entropies = []
        for logits in trajectory["logits"]:
            entropies.append(torch.distributions.Categorical(logits=logits).entropy())
        return sum(entropies) / len(entropies)

    def loss(self, trajectory):
        loss = self.policy_loss(trajectory) + self.value_loss_coef * self.value_loss(trajectory)
        return loss - self.entropy_coef * self.entropy(trajectory)

    def step(self, trajectory):
        loss = self.loss(trajectory)
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.policy.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        return norm.item()
""",
    "float64": """
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
        advantages = trajectory["value_targets"].double() - trajectory["values"].detach().double()
        return -(advantages * trajectory["log_probs"].double()).mean()

    def value_loss(self, trajectory):
        return (trajectory["values"].double() - trajectory["value_targets"].double()).pow(2).mean()

    def entropy(self, trajectory):
        return torch.special.entr(trajectory["logits"].double().softmax(-1)).sum(-1).mean()

    def loss(self, trajectory):
        loss = self.policy_loss(trajectory) + self.value_loss_coef * self.value_loss(trajectory)
        return loss - self.entropy_coef * self.entropy(trajectory)

    def step(self, trajectory):
        loss = self.loss(trajectory)
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.policy.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        return norm.item()
""",
    "compact": """
class A2C:
    def __init__(self, policy, optimizer, value_loss_coef, entropy_coef, max_grad_norm):
        vars(self).update(locals())

    def policy_loss(self, t):
        return (t["log_probs"] * (t["values"] - t["value_targets"]).detach()).mean()

    def value_loss(self, t):
        return (t["values"] - t["value_targets"]).square().mean()

    def entropy(self, t):
        return torch.distributions.Categorical(logits=t["logits"]).entropy().mean()

    def loss(self, t):
        loss = torch.stack([self.policy_loss(t), self.value_loss(t), self.entropy(t)])
        return loss @ torch.tensor([1.0, self.value_loss_coef, -self.entropy_coef])

    def step(self, t):
        self.optimizer.zero_grad(), self.loss(t).backward()
        norm = nn.utils.clip_grad_norm_(self.policy.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        return norm
""",
    "tensors of the policy's own": """
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
        p = trajectory["probabilities"].gather(1, trajectory["actions_tensor"][:, None])[:, 0]
        advantages = trajectory["value_targets"] - trajectory["values"].detach()
        return -(advantages * p.log()).mean()

    def value_loss(self, trajectory):
        return F.mse_loss(trajectory["values"], trajectory["value_targets"])

    def entropy(self, trajectory):
        log_p = F.log_softmax(trajectory["logits"], dim=-1)
        return -(log_p.exp() * log_p).sum(dim=-1).mean()

    def loss(self, trajectory):
        loss = self.policy_loss(trajectory) + self.value_loss_coef * self.value_loss(trajectory)
        return loss - self.entropy_coef * self.entropy(trajectory)

    def step(self, trajectory):
        loss = self.loss(trajectory)
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.policy.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        return norm.item()
""",
}

GLUE = """
model = {model}
policy = {policy_made}
transforms = [{targets_made}, MergeTimeBatch()]
optimizer = torch.optim.RMSprop(model.parameters(), lr=7e-4, alpha=0.99, eps=1e-5)
{before}a2c = {learner_made}
"""
MADE = {  # how the objects are made
    "model": "NatureModel(N_ACTIONS)",
    "policy_made": "Policy(model)",
    "targets_made": "ComputeValueTargets(policy, GAMMA)",
    "before": "",
    "learner_made": "A2C(policy, optimizer, 0.25, 0.01, 0.5)",
}
SCHEDULER = "torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=125_000)"


def glue(**made):
    """Returns the lines that make the objects, some of them written otherwise."""
    return {"glue": GLUE.format(**MADE | made)}


def answer(model=None, policy=None, targets=None, merge=None, learner=None, **made):
    """Returns the sources of an answer, by the names of its parts and how they are made."""
    named = (
        ("model-class", MODELS, model),
        ("policy-class", POLICIES, policy),
        ("value-targets-class", TARGETS, targets),
        ("merge-class", MERGES, merge),
        ("a2c-class", LEARNERS, learner),
    )
    sources = {cell: ways[name] for cell, ways, name in named if name}
    return {**sources, **(glue(**made) if made else {})}


def _right_models():
    """Returns an answer for each model; some return values [B], which not every policy takes."""
    flat = {
        "one head, the value last": "rows and actions",
        "weights by name, values [B]": "Gumbel noise",
        "a torso of its own": "one-hot",
        "a named tuple": "fields by name",
    }
    answers = {name: answer(model=name, policy=flat.get(name)) for name in MODELS}
    answers["lazy layers"] = answer(model="lazy layers", policy="rows and actions")
    answers["a torso of its own"] |= answer(learner="columns of its own")
    answers["weights of the children"] |= glue(model="NatureModel()")
    return answers


def _right_policies():
    pairs = {
        "multinomial, log_probs [B, 1], entropy kept": dict(learner="columns"),
        "log_prob, distributions kept": dict(
            merge="other kinds are left as they are", learner="distributions of the policy"
        ),
        "NumPy's choice, log_probs [B, A]": dict(learner="all actions, picked by index"),
        "logarithms with a guard, of all actions": dict(learner="all actions, picked by index"),
        "log_prob of all actions": dict(merge="stack and flatten", learner="all actions, one-hot"),
        "slots, keys of its own": dict(learner="tensors of the policy's own"),
        "one-hot": dict(learner="columns of its own"),
        "globals": dict(policy_made="Policy()", learner="globals", learner_made="A2C()"),
        "fields by name": dict(model="a named tuple"),
        "an argument by name": dict(model="functional"),
        "a number of each step": dict(
            merge="numbers of steps are stacked", learner="entropy of the steps"
        ),
        "an argument and a key of its own": dict(
            targets="acts greedily on a tensor, reads another key"
        ),
        "no tensor of its own": dict(model="arrays and tensors of any type"),
    }
    return {name: answer(policy=name, **pairs.get(name, {})) for name in POLICIES}


def _right_targets():
    made = {
        "torch.where, another argument": "ComputeValueTargets(model, GAMMA)",
        "policy.model, a tuple": "ComputeValueTargets(GAMMA, policy)",
        "globals": "ComputeValueTargets()",
    }
    answers = {
        name: answer(targets=name, **({"targets_made": made[name]} if name in made else {}))
        for name in TARGETS
        if not name.startswith("acts greedily")  # as only one policy does
    }
    # up to torch 2.12, F.mse_loss of two types has no gradient
    by_hand = answer(learner="a method for the advantages, half the square")
    answers["float64, clone"] |= by_hand
    return answers


def _right_learners():
    made = {
        "the network again": dict(learner_made="A2C(model, optimizer, 0.25, 0.01, 0.5)"),
        "a scheduler inside": dict(
            before=f"scheduler = {SCHEDULER}\n",
            learner_made="A2C(policy, optimizer, scheduler, 0.25, 0.01, 0.5)",
        ),
        "globals": dict(learner_made="A2C()"),
    }
    paired = "columns", "distributions", "all actions", "tensors of the policy's own", "entropy of"
    alone = [name for name in LEARNERS if not name.startswith(paired)]
    return {name: answer(learner=name, **made.get(name, {})) for name in alone}


RIGHT = {
    **{f"model: {name}": sources for name, sources in _right_models().items()},
    **{f"policy: {name}": sources for name, sources in _right_policies().items()},
    **{f"targets: {name}": sources for name, sources in _right_targets().items()},
    **{f"merge: {name}": answer(merge=name) for name in MERGES},
    **{f"learner: {name}": sources for name, sources in _right_learners().items()},
    "all of it with globals": answer(
        policy="globals",
        targets="globals",
        learner="globals",
        policy_made="Policy()",
        targets_made="ComputeValueTargets()",
        learner_made="A2C()",
    ),
    "all of it step by step": answer(
        model="weights copied",
        policy="a list comprehension of steps",
        targets="each environment alone",
        merge="row by row",
        learner="row by row",
    ),
    "all of it in few lines": answer(
        model="one head, the value first",
        policy="a frozen dataclass",
        targets="accumulate",
        merge="stack and flatten",
        learner="compact",
    ),
}
