"""The strongest peer that is known: a plain A2C loop on EnvPool, as a good engineer would write it.

What acting computed is not what it learns from: each agent step costs one forward without
gradients, each update one forward and backward of all T·B samples.
"""

import os

import numpy as np
import torch
from torch.distributions import Categorical
from torch.nn import functional as F


def batch(nenvs):
    """Returns EnvPool's batch of nenvs games: observations stay bytes, rewards are clipped."""
    import envpool

    return envpool.make(
        "SpaceInvaders-v5",
        env_type="gymnasium",
        num_envs=nenvs,
        num_threads=min(nenvs, os.cpu_count()),
        episodic_life=True,
        reward_clip=True,
    )


class Loop:
    """A2C with the notebook's network, optimizer and coefficients."""

    def __init__(self, given, nenvs, nsteps):
        """Takes the notebook's names, and how many games (B) and agent steps (T) an update has."""
        self.given, self.nsteps, self.device = given, nsteps, given["DEVICE"]
        self.env = batch(nenvs)
        self.frames = self._frames(self.env.reset()[0])  # [B, 4, 84, 84]

    def update(self):
        """Plays T agent steps in every game, then learns from them."""
        steps = [self._step() for _ in range(self.nsteps)]
        frames, actions, rewards, ended = zip(*steps, strict=True)
        with torch.no_grad():
            value = self.given["model"](self.frames)[1][:, 0]
        targets = self._targets(np.stack(rewards), np.stack(ended), value)
        self._learn(torch.cat(frames), torch.cat(actions), targets.flatten())

    def _step(self):
        with torch.no_grad():
            logits, _ = self.given["model"](self.frames)
            actions = Categorical(logits=logits, validate_args=False).sample()
        frames = self.frames
        played = self.env.step(actions.cpu().numpy().astype(np.int32))
        observations, rewards, terminated, truncated, _ = played
        self.frames = self._frames(observations)
        return frames, actions, rewards, terminated | truncated

    def _frames(self, observations):
        bytes_ = torch.from_numpy(observations).to(self.device)
        return bytes_.to(torch.float32, memory_format=torch.channels_last) / 255

    def _targets(self, rewards, ended, value):
        """Returns [T, B] discounted rewards up to the end of a life, or to the last value [B]."""
        rewards = torch.from_numpy(rewards).to(self.device, torch.float32)
        goes_on = torch.from_numpy(~ended).to(self.device, torch.float32)
        targets = torch.empty_like(rewards)
        for t in reversed(range(self.nsteps)):
            value = targets[t] = rewards[t] + self.given["GAMMA"] * goes_on[t] * value
        return targets

    def _learn(self, frames, actions, targets):
        given = self.given
        logits, values = given["model"](frames)
        values, policy = values[:, 0], Categorical(logits=logits, validate_args=False)
        policy_loss = -(policy.log_prob(actions) * (targets - values).detach()).mean()
        value_loss = given["VALUE_LOSS_COEF"] * F.mse_loss(values, targets)
        loss = policy_loss + value_loss - given["ENTROPY_COEF"] * policy.entropy().mean()
        given["optimizer"].zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(given["model"].parameters(), given["MAX_GRAD_NORM"])
        given["optimizer"].step()
