"""Weights replayed: right answers play without a word, and each way to play otherwise is told."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from grading.marking import replay as replaying
from grading.marking.audit import Answers, Audit, log_softmax
from grading.marking.network import Network, read_network
from grading.marking.player import Player
from grading.marking.read.weights import read as read_weights
from grading.marking.replay import nothing, replay
from grading.sandbox import NO_WALL, NoWall, find_wall
from grading.watched import LIMITS
from tests import notebook
from tests.checking import make
from tests.right_answers import MODELS, RIGHT
from tests.test_grading import small, write

ROOT = Path(__file__).parent.parent
GAME = "SpaceInvadersNoFrameskip-v4"
OWN, REFERENCE = "the notebook's own policy", "the reference network"
SMALL = LIMITS._replace(cell=20.0, memory=2.5)


@pytest.fixture(scope="module")
def wall():
    try:
        return find_wall()
    except NoWall:
        return NO_WALL


@pytest.fixture(scope="module")
def sources():
    return {**notebook.cells(notebook.read()), "glue": notebook.GLUE}


@pytest.fixture(scope="module")
def state():
    return torch.load(ROOT / "logs" / "reference" / "weights.pt", weights_only=True)


@pytest.fixture(scope="module")
def weights(state, tmp_path_factory):
    return save(tmp_path_factory.mktemp("weights") / "weights.npz", state)


def save(path, state):
    np.savez(path, **{name: one.numpy() for name, one in state.items()})
    return path


# the network


def pictures(n=3):
    return np.random.default_rng(1).integers(0, 256, (n, 4, 84, 84), np.uint8)


@pytest.mark.parametrize("name", MODELS)
def test_the_network_of_every_right_model_is_found_by_its_shapes(name):
    model = make(cells=RIGHT[f"model: {name}"])["model"]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))  # biases that differ
        logits, values = model(torch.from_numpy(pictures()).float() / 255)
    network = Network([one.numpy() for one in model.state_dict().values()])
    network.value_first = name == "one head, the value first"
    log_probs, again = network(pictures())
    np.testing.assert_allclose(log_probs, logits.double().log_softmax(-1), atol=1e-4)
    np.testing.assert_allclose(again, values.double().reshape(-1), atol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: [*arrays, np.zeros((64, 64, 3, 3)), np.zeros(64)],  # one layer more
        lambda arrays: [*arrays[:6], np.zeros((1024, 3136)), np.zeros(1024), *arrays[8:]],
        lambda arrays: [*arrays[:8], np.zeros((30, 512)), np.zeros(30), *arrays[10:]],
        lambda arrays: [*arrays, np.zeros(512)],
        lambda arrays: [*arrays[:1], *arrays[2:]],  # no first biases
        lambda arrays: [],
        lambda arrays: [np.zeros(())],
    ],
)
def test_another_network_is_refused_with_its_shapes(change, state):
    with pytest.raises(ValueError, match="of another network than the assignment's"):
        Network(change([one.numpy() for one in state.values()]))


def test_weights_that_cannot_be_read_or_are_not_finite_are_refused(state, tmp_path):
    (tmp_path / "text.npz").write_text("no arrays")
    with pytest.raises(ValueError, match="the weights cannot be read"):
        read_network(tmp_path / "text.npz")
    broken = {**state, "value.bias": torch.tensor([float("nan")])}
    with pytest.raises(ValueError, match="not finite"):
        read_network(save(tmp_path / "nan.npz", broken))


# the audit


def draw(n, rng, sharpness=1.0):
    """Answers of a policy that samples."""
    log_probs = log_softmax(sharpness * rng.normal(size=(n, 6)))
    actions = (log_probs + rng.gumbel(size=log_probs.shape)).argmax(1)
    return Answers(actions, log_probs, rng.normal(size=n))


@pytest.mark.parametrize("sharpness", [0.0, 1.0, 8.0])
def test_the_audit_says_nothing_of_actions_that_are_drawn(sharpness):
    audit, rng = Audit(None), np.random.default_rng(0)
    for _ in range(200):
        answers = draw(64, rng, sharpness)
        audit.count(answers)
        drawn = (answers.log_probs + rng.gumbel(size=(64, 6))).argmax(1)
        audit.repeat(answers, answers._replace(actions=drawn))
    assert audit.oddities() == []


DRAWN = "the actions are not drawn from the policy's probabilities"
LIKELIEST = "the likeliest action is taken more often than the policy gives it"


def test_the_audit_names_actions_that_are_not_drawn():
    rng = np.random.default_rng(0)
    for actions, told in (
        (lambda answers: answers.log_probs.argmax(1), LIKELIEST),
        (lambda answers: answers.log_probs.argmin(1), DRAWN),
        (lambda answers: rng.integers(0, 6, len(answers.actions)), DRAWN),
        (lambda answers: 0 * answers.actions, DRAWN),
    ):
        audit = Audit(None)
        for _ in range(20):
            answers = draw(64, rng)
            audit.count(answers._replace(actions=actions(answers)))
        assert audit.oddities() == [told]


def test_the_audit_says_nothing_of_a_few_actions():
    audit = Audit(None)
    audit.count(Answers(np.zeros(63, int), log_softmax(np.zeros((63, 6))), np.zeros(63)))
    assert audit.oddities() == []


def test_the_audit_names_logits_that_change_where_the_same_is_asked_again():
    audit, rng = Audit(None), np.random.default_rng(0)
    audit.repeat(draw(64, rng), draw(64, rng))
    assert audit.oddities() == ["act gives other logits where the same is asked again"]


def test_games_that_take_too_long_are_told_with_their_seconds():
    playing = replaying.Play(GAME, 4, 5, 20.0, print)
    with pytest.raises(replaying.NoAnswer, match="1 of 4 games were not over after 20 s"):
        playing._look_at_clock(21.0, np.array([False, True, False, False]), 9)


def test_an_interval_is_students():
    told = replaying.mode(np.arange(32.0), np.full(32, 7), np.array([True] * 2 + [False] * 30))
    assert told["mean"] == 15.5 and told["cut"] == 2 and told["lengths"] == [7] * 32
    assert told["high"] - 15.5 == pytest.approx(2.0395 * 9.3808 / 32**0.5, abs=1e-3)
    assert replaying.mode(np.array([3.0]), np.array([1]), np.array([False]))["low"] == 3.0


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ([[0, 1, 2, 3, 4, 5, 6]], "7 numbers for an observation"),
        ([[0, 1, 2, 3, 4, 5, np.nan, 0]], "not finite"),
        ([[6, 1, 2, 3, 4, 5, 6, 0]], "actions outside 0 to 5"),
        ([[-1, 1, 2, 3, 4, 5, 6, 0]], "actions outside 0 to 5"),
        ([[0.5, 1, 2, 3, 4, 5, 6, 0]], "actions outside 0 to 5"),
        ([[1e30, 1, 2, 3, 4, 5, 6, 0]], "actions outside 0 to 5"),
    ],
)
def test_an_answer_that_cannot_be_played_is_refused(numbers, told):
    text = base64.b64encode(np.array(numbers, "<f4").tobytes()).decode()
    with pytest.raises(replaying.NoAnswer, match=told):
        replaying._read_answer(text, 1, 6)


@pytest.mark.parametrize("text", ["", "?", "AAAA", None, 3, ["AAAA"], "é"])
def test_an_answer_that_is_none_is_refused(text):
    with pytest.raises(replaying.NoAnswer, match="an answer that cannot be read"):
        replaying._read_answer(text, 2, 6)


# whole replays


def play(tmp_path, cells, weights, wall=NO_WALL, games=2, limits=SMALL):
    """Replays a small notebook; its games are cut early."""
    told = replay(write(tmp_path, cells), weights, GAME, games, wall, limits, seed=5)
    assert set(told) == set(nothing("")) and json.dumps(told, allow_nan=False)
    return told


def test_a_notebook_plays_its_weights_behind_the_wall(
    sources, weights, wall, tmp_path, monkeypatch, capfd
):
    monkeypatch.setattr(replaying, "LONGEST", 40)
    (tmp_path / "mine.py").write_text("from torch.distributions import Categorical as Mine")
    policy = "from mine import Mine\n" + sources["policy-class"]
    policy = policy.replace("torch.distributions.Categorical", "Mine")
    cells = small(sources, **{"policy-class": policy})
    told = play(tmp_path, cells, weights, wall)
    assert (told["problem"], told["player"], told["oddities"]) == ("", OWN, [])
    assert told["sampled"]["lengths"] == told["greedy"]["lengths"] == [40, 40]
    assert told["sampled"]["cut"] == 2 and told["compared"] >= 4
    assert told["logits"] < 1e-3 and told["values"] < 1e-3 and told["seed"] == 5
    assert "A.L.E" not in "".join(capfd.readouterr())


def test_weights_of_another_game_play_nothing(state, tmp_path):
    told = play(tmp_path, {}, save(tmp_path / "weights.npz", state | few_actions(state)))
    assert told["problem"] == f"the weights make 4 logits and a value, {GAME} has 6 actions"
    assert told["sampled"]["scores"] == [] and told["player"] == ""


def few_actions(state):
    return {name: state[name][:4] for name in ("logits.weight", "logits.bias")}


BEGIN = "    def act(self, inputs):\n"
ENDS = {  # in act: what is told
    "import os; os._exit(0)": "act ended the process (exit status 0)",
    "while True: pass": "act ran longer than 20 s",
    "raise SystemExit": "the notebook's policy does not play: SystemExit",
    "1 / 0": "the notebook's policy does not play: ZeroDivisionError: division by zero (line",
    "return None": "the notebook's policy does not play: TypeError",
    "return {'actions': [0] * len(inputs)}": "KeyError: 'logits'",
    "return dict(actions=[0], logits=[0] * 6, values=[0])": "does not play: ValueError",
    "return dict.fromkeys(['actions', 'logits', 'values'], np.ones((len(inputs), 1)))": (
        "3 numbers for an observation"
    ),
    "x = bytearray(10 * 2**30)\n        while x: x[::4096]": "act",
    "input()": "EOFError",
    "import sys; sys.stdin.close()\n        open(0).read()": "does not play",
}


@pytest.mark.slow
@pytest.mark.parametrize("line", ENDS)
def test_the_network_plays_where_act_gives_nothing(
    line, sources, weights, wall, tmp_path, monkeypatch
):
    monkeypatch.setattr(replaying, "LONGEST", 10)
    policy = sources["policy-class"].replace(BEGIN, f"{BEGIN}        {line}\n")
    cells = small(sources, **{"policy-class": policy})
    told = play(tmp_path, cells, weights, wall, 1)
    assert ENDS[line] in told["problem"] and told["player"] == REFERENCE
    assert told["sampled"]["lengths"] == [10] and told["compared"] == 0


FORGED = """
import os
for channel in range(3, 30):
    try:
        os.write(channel, b'\\n{"ready": true}\\n' + 20 * b'{"answer": "AAAA"}\\n')
    except OSError:
        pass
"""
LACKS = "the notebook makes no policy to play with: "


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"policy-class": "class Policy: 1 / 0"},
            f"{LACKS}cell policy-class raised ZeroDivisionError",
        ),
        ({"model-class": "", "glue": ""}, "; the notebook makes no object `model`"),
        ({"policy-class": FORGED}, "an answer that cannot be read"),
        ({"policy-class": "import os; os._exit(3)"}, "cell policy-class ended the process"),
        ({"policy-class": "while True: pass"}, "cell policy-class ran longer than 20 s"),
        ({"glue": "model, policy = 1, 2"}, "does not play: AttributeError"),
    ],
    ids=str,
)
def test_the_network_plays_where_the_notebook_has_no_policy(
    changes, told, sources, weights, wall, tmp_path, monkeypatch
):
    monkeypatch.setattr(replaying, "LONGEST", 10)
    cells = small(sources, **changes)
    found = play(tmp_path, cells, weights, wall, 1)
    assert told in found["problem"] and found["player"] == REFERENCE


@pytest.mark.slow
def test_a_cell_that_catches_everything_does_not_train_before_its_policy_plays(
    sources, weights, tmp_path, monkeypatch
):
    monkeypatch.setattr(replaying, "LONGEST", 10)
    run = "runner = EnvRunner(env, policy, 5, transforms)\nwhile True:\n    try: runner.get_next()"
    broken = {"broken": "import nothing_of_that_name", "also": "del optimizer"}
    cells = small(sources, run=f"{run}\n    except BaseException: pass", **broken)
    told = play(tmp_path, cells, weights)
    assert (told["problem"], told["player"]) == ("", OWN)


# policies that are none of the weights', without a process


class InProcess:
    """A policy that is asked as in `replay`, here."""

    def __init__(self, given, weights):
        self.player = Player(given, {"weights": str(weights)}, None, None)
        self.player.load()

    def __call__(self, pixels):
        self.player._questions = io.BytesIO(pixels.tobytes())
        return replaying._read_answer(self.player.answer(len(pixels)), len(pixels), 6)


def oddities(given, weights, monkeypatch, games=4, longest=150):
    monkeypatch.setattr(replaying, "LONGEST", longest)
    monkeypatch.setattr(replaying, "AGAIN", 1 / 4)
    audit = Audit(read_network(weights))
    playing = replaying.Play(GAME, games, 5, 600.0, print)
    playing.run(InProcess(given, weights), audit)
    return audit.oddities()


class BodyInBothHeads(torch.nn.Module):
    """The task's network; its body has three names."""

    def __init__(self):
        super().__init__()
        convolutions = [(4, 32, 8, 4), (32, 64, 4, 2), (64, 64, 3, 1)]
        layers = [torch.nn.Conv2d(*sizes) for sizes in convolutions]
        layers += [torch.nn.Flatten(), torch.nn.Linear(3136, 512)]
        self.body = torch.nn.Sequential(*layers)
        self.policy = torch.nn.Sequential(self.body, torch.nn.Linear(512, 6))
        self.value = torch.nn.Sequential(self.body, torch.nn.Linear(512, 1))

    def forward(self, x):
        return self.policy(x), self.value(x)


def test_a_network_whose_body_has_several_names_takes_its_weights(tmp_path):
    trained, model = BodyInBothHeads(), BodyInBothHeads()
    torch.save(trained.state_dict(), tmp_path / "weights.pt")
    found = read_weights({"actions": 6}, tmp_path, tmp_path)
    assert found["problem"] == "" and found["network"]["parameters"] == 1_687_719
    given = {"model": model, "policy": None}
    Player(given, {"weights": str(tmp_path / "weights.npz")}, None, None).load()
    x = torch.rand(2, 4, 84, 84)
    for one, other in zip(model(x), trained(x), strict=True):
        torch.testing.assert_close(one, other)


class WithConstant(BodyInBothHeads):
    """The same network; it multiplies by a constant that is no weight."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.tensor(2.0))

    def forward(self, x):
        return tuple(self.scale * one for one in super().forward(x))


def test_a_models_own_constant_is_no_weight_and_stays_as_the_notebook_made_it(tmp_path):
    trained, model = WithConstant(), WithConstant()
    state = trained.state_dict() | {"scale": torch.tensor(9.0)}
    torch.save({"scale": state.pop("scale")} | state, tmp_path / "weights.pt")
    found = read_weights({"actions": 6}, tmp_path, tmp_path)
    assert found["problem"] == "" and found["network"]["parameters"] == 1_687_719
    read_network(tmp_path / "weights.npz")
    given = {"model": model, "policy": None}
    Player(given, {"weights": str(tmp_path / "weights.npz")}, None, None).load()
    x = torch.rand(2, 4, 84, 84)
    for one, other in zip(model(x), trained(x), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("beside", [torch.zeros(9), torch.zeros(6), torch.zeros(1)], ids=len)
def test_what_is_large_or_could_be_a_layers_is_no_constant(beside, tmp_path):
    torch.save(BodyInBothHeads().state_dict() | {"more": beside}, tmp_path / "weights.pt")
    problem = read_weights({"actions": 6}, tmp_path, tmp_path)["problem"]
    assert f"it has [[{len(beside)}]] beside" in problem


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name in RIGHT if name.startswith(("policy", "all", "model"))]
)
def test_right_answers_play_without_a_word(name, tmp_path, monkeypatch):
    given = make(cells=RIGHT[name])
    with torch.no_grad():
        for parameter in given["model"].parameters():
            parameter.mul_(1.3)  # as trained: probabilities that differ
    weights = save(tmp_path / "weights.npz", given["model"].state_dict())
    assert oddities(given, weights, monkeypatch, longest=100) == []


def test_the_notebooks_policy_plays_without_a_word(weights, monkeypatch):
    assert oddities(make(), weights, monkeypatch, longest=40) == []


SAMPLE = "actions = distribution.sample()"
NETWORK = "logits, values = self.model(observations)"
LOGITS = "act does not give the logits"
VALUES = "act does not give the values"
AGAIN = "act takes the same actions, or never, where the same is asked again"
COUNT = "self.calls = getattr(self, 'calls', 0) + 1\n        "
ODD = {  # name: (old, new, what is told)
    "the likeliest action": (SAMPLE, "actions = logits.argmax(-1)", LIKELIEST),
    "one in twenty at random": (
        SAMPLE,
        "at_random = torch.rand(len(logits)) < 0.05\n        "
        "actions = torch.where(at_random, torch.randint(6, (len(logits),)), logits.argmax(-1))",
        LIKELIEST,
    ),
    "always at random": (SAMPLE, "actions = torch.randint(6, (len(logits),))", DRAWN),
    "colder": (
        SAMPLE,
        "actions = torch.distributions.Categorical(logits=2 * logits).sample()",
        LIKELIEST,
    ),
    "warmer": (
        SAMPLE,
        "actions = torch.distributions.Categorical(logits=logits / 2).sample()",
        DRAWN,
    ),
    "softmax twice": (
        SAMPLE,
        "actions = torch.distributions.Categorical(logits=logits.softmax(-1)).sample()",
        DRAWN,
    ),
    "the least likely action": (SAMPLE, "actions = logits.argmin(-1)", DRAWN),
    "to and fro": (
        SAMPLE,
        COUNT + "actions = torch.full((len(logits),), 4 + self.calls // 20 % 2)",
        DRAWN,
    ),
    "never fires": (
        SAMPLE,
        "actions = torch.distributions.Categorical(logits=logits[:, [0, 2, 3]]).sample()\n"
        "        actions = torch.tensor([0, 2, 3])[actions]",
        DRAWN,
    ),
    "the two likeliest": (
        SAMPLE,
        "two, which = logits.topk(2)\n        pick = torch.distributions.Categorical(logits=two)"
        ".sample()\n        actions = which.gather(1, pick[:, None])[:, 0]",
        LIKELIEST,
    ),
    "as the screen says": (
        SAMPLE,
        "x = observations[:, -1, 76:80].mean((1, 2))\n        "
        "actions = torch.tensor([4, 5])[(x < 0.5).long()]",
        DRAWN,
    ),
    "one seed at each call": (SAMPLE, f"torch.manual_seed(3)\n        {SAMPLE}", AGAIN),
    "sharper logits": (NETWORK, f"{NETWORK}\n        logits = 3 * logits", LOGITS),
    "right for left": (
        NETWORK,
        f"{NETWORK}\n        logits = logits[:, [0, 1, 3, 2, 5, 4]]",
        LOGITS,
    ),
    "logits by hand": (
        NETWORK,
        f"{NETWORK}\n        {COUNT}logits = 9 * F.one_hot(torch.full((len(logits),), "
        "4 + self.calls // 20 % 2), 6).float()",
        LOGITS,
    ),
    "noise": (NETWORK, f"{NETWORK}\n        logits = logits + torch.randn_like(logits)", LOGITS),
    "other weights": (
        NETWORK,
        "self.other = getattr(self, 'other', None) or NatureModel(6)\n        "
        "logits, values = self.other(observations)",
        LOGITS,
    ),
    "other weights from the tenth call on": (
        NETWORK,
        f"{COUNT}{NETWORK}\n        if self.calls > 10: logits = logits.flip(1)",
        LOGITS,
    ),
    "other weights at every tenth call": (
        NETWORK,
        f"{COUNT}{NETWORK}\n        if self.calls % 10 == 5: logits = logits.flip(1)",
        LOGITS,
    ),
    "the first row for all": (
        NETWORK,
        f"{NETWORK}\n        logits = 0 * logits + logits[:1]",
        LOGITS,
    ),
    "a network that learns": (
        NETWORK,
        f"{NETWORK}\n        self.model.logits.bias.data[1] += 0.05",
        LOGITS,
    ),
    "dropout": (NETWORK, "logits, values = self.model(F.dropout(observations, 0.1))", LOGITS),
    "no values": (NETWORK, f"{NETWORK}\n        values = 0 * values", VALUES),
    "larger values": (NETWORK, f"{NETWORK}\n        values = 1.1 * values", VALUES),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ODD)
def test_a_policy_that_is_not_the_weights_is_told(name, weights, monkeypatch):
    old, new, told = ODD[name]
    given = make(changes=[("policy-class", old, new)])
    found = oddities(given, weights, monkeypatch)
    assert any(one.startswith(told) for one in found), found


def test_a_policy_that_takes_the_likeliest_action_is_told(weights, monkeypatch):
    given = make(changes=[("policy-class", SAMPLE, "actions = logits.argmax(-1)")])
    assert oddities(given, weights, monkeypatch, longest=40) == [AGAIN, LIKELIEST]
