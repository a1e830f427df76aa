"""Section 15: its checks pass right answers, name mistakes, and let alone what is not written."""

import contextlib
import io
import json
import math
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from benchmarks import further as measured
from lesson import further as pictures
from release.students import stubbed
from tests import checks, notebook

CLASSES = {  # cell: the name that it makes, and its check
    "further-seeds-class": ("mean_and_spread", checks.check_mean_and_spread),
    "further-lambda-class": ("LambdaTargets", checks.check_lambda_targets),
    "further-adam-class": ("Adam", checks.check_adam),
    "further-ppo-class": ("PPO", checks.check_ppo),
}


@pytest.fixture(scope="module")
def imports():
    """What the cells of section 15 find."""
    return {**notebook.definitions(), "SEED": 7}


def make(imports, cell, source=None):
    """Returns what a cell of section 15 makes, from its own source or another."""
    source = source or notebook.cells(notebook.read())[cell]
    name, _check = CLASSES[cell]
    return notebook.run([cell], {cell: source}, dict(imports))[name]


def told(cell, thing):
    """Returns what a check returned and printed, or the message that it raised."""
    _name, check = CLASSES[cell]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            return check(thing), out.getvalue()
        except checks.CheckError as e:
            return None, str(e)


@pytest.mark.parametrize("cell", CLASSES)
def test_the_solution_passes(cell, imports):
    name, _check = CLASSES[cell]
    assert told(cell, make(imports, cell)) == (True, f"{name}: passed.\n")


@pytest.mark.parametrize("cell", CLASSES)
def test_what_is_not_written_is_no_mistake(cell, imports):
    name, _check = CLASSES[cell]
    stub = stubbed(notebook.cells(notebook.read())[cell], "code", cell)
    assert told(cell, make(imports, cell, stub)) == (False, f"{name}: not written yet.\n")


NEXTS = 'nexts = [values.detach() for values in trajectory["values"][1:]] + [latest]'
WRONG = [  # cell, old, new, what the message says
    ("further-seeds-class", "ddof=1", "ddof=0", "divide by S − 1, not by S"),
    ("further-seeds-class", "scores.std(axis=0, ddof=1)", "scores.var(axis=0, ddof=1)", "its root"),
    ("further-seeds-class", "len(runs) ** 0.5", "len(runs)", "by the root of S, not by S"),
    ("further-seeds-class", "scores.mean(axis=0), ", "", "it returns 2 things, expected three"),
    ("further-seeds-class", "return scores.mean", "scores.mean", "it returns nothing"),
    ("further-seeds-class", "scores.mean(axis=0)", "scores.mean(axis=1)", "is 2.667, 1, 2.333"),
    ("further-seeds-class", "min(map(len, runs))", "len(runs[0])", "raised ValueError"),
    ("further-seeds-class", "min(map(len, runs))", "len(runs[-1])", "raised ValueError"),
    ("further-seeds-class", "len(runs) ** 0.5", "3 ** 0.5",
     "`error` is 0.8165, 0, expected 1, 0: S is the number of runs"),
    ("further-seeds-class", "scores.mean(axis=0)", "scores.mean()", "has the shape []"),
    ("further-lambda-class", "(1 - self.lam) * nexts[t] + self.lam * targets[0]",
     "self.lam * nexts[t] + (1 - self.lam) * targets[0]", "λ and 1 − λ are exchanged"),
    ("further-lambda-class", "goes_on * mixed", "mixed", "nothing may cross a reset"),
    ("further-lambda-class", 'trajectory["values"][1:]] + [latest]', 'trajectory["values"]]',
     "of the next state, s(t+1)"),
    ("further-lambda-class", "self.gamma * goes_on", "goes_on", "γ is missing"),
    ("further-lambda-class", "targets[:-1]", "targets[-2::-1]", "in reverse order"),
    ("further-lambda-class", "(1 - self.lam) * nexts[t] + self.lam * targets[0]", "targets[0]",
     "λ is not used: these are the targets for λ = 1"),
    ("further-lambda-class", "(1 - self.lam) * nexts[t] + self.lam * targets[0]", "nexts[t]",
     "λ is not used: these are the targets for λ = 0"),
    ("further-lambda-class", "values.detach()", "values",
     "value_targets[0] carries a graph"),
    ("further-lambda-class", "targets[:-1]", "targets", "are a list of 5, expected a list of 4"),
    ("further-lambda-class", 'trajectory["value_targets"] =', "unused =",
     'no "value_targets" afterwards'),
    ("further-lambda-class", NEXTS, """values = trajectory["values"]
        values.append(latest)
        nexts = [one.detach() for one in values[1:]]""", "the values of the trajectory are over"),
    ("further-lambda-class", NEXTS,
     """values = trajectory["values"] = [one.detach() for one in trajectory["values"]]
        nexts = values[1:] + [latest]""", "the values of the trajectory are overwritten"),
    ("further-lambda-class", "targets[:-1]", "torch.stack(targets[:-1])",
     "are a tensor [4, 3], expected a list of 4 tensors [3]"),
    ("further-lambda-class", "targets[:-1]", "[one.numpy() for one in targets[:-1]]",
     "[0] is a NumPy array [3], expected a list"),
    ("further-lambda-class", 'act(trajectory["state"]["latest_observation"])',
     'act(255 * trajectory["state"]["latest_observation"])', "other numbers than the observations"),
    ("further-lambda-class", "targets = [latest]",
     """targets = [latest if not hasattr(self, "kept") else self.kept]
        self.kept = 0 * latest""", "Keep nothing from one call to the next"),
    ("further-lambda-class", "self.lam * targets[0]", "0.5 * targets[0]", "compare with"),
    ("further-adam-class", "m / (1 - beta1**t)", "m", "compare with the formula"),
    ("further-adam-class", "t = memory", "memory", "NameError"),
    ("further-adam-class", "(size + eps)", "(size.square() + eps).sqrt()", "outside the root"),
    ("further-adam-class", ".sqrt()", "", "take the root of v̂"),
    ("further-adam-class", "weight -=", "weight +=", "the sign is wrong"),
    ("further-adam-class", "weight -=", "weight = weight -", "the weights did not move"),
    ("further-adam-class", 'memory.get("t", 0)', 'memory.get("t", 1)', "t counts from 1"),
    ("further-adam-class", 't = memory["t"] = memory.get("t", 0) + 1',
     't = memory.get("t", 0); memory["t"] = t + 1',
     "after step 1 some weights are nan, nan, nan, expected"),
    ("further-adam-class", 't = memory["t"] = memory.get("t", 0) + 1',
     't = memory.get("t", 0); memory["t"] = t + 1', "t counts from 1"),
    ("further-adam-class", 't = memory["t"] = memory.get("t", 0) + 1',
     'self.t = t = getattr(self, "t", 0) + 1',
     "the first tensor is right, the second is not: keep t, m and v in `memory`"),
    ("further-ppo-class", "return -torch.minimum", "return torch.minimum", "a loss needs a minus"),
    ("further-ppo-class", "torch.minimum", "torch.maximum", "the smaller of the two"),
    ("further-ppo-class", "advantages).mean()", "advantages).sum()", "the mean over the rows"),
    ("further-ppo-class", "advantages).mean()", "advantages)", "has the shape [4], expected one"),
    ("further-ppo-class", ".clamp(1 - self.clip, 1 + self.clip)", "", "nothing is clipped"),
    ("further-ppo-class", "torch.minimum(ratios * advantages, clipped * advantages)",
     "(clipped * advantages)", "the smaller of clipped and unclipped"),
    ("further-ppo-class", 'trajectory["log_probs"] - trajectory["old_log_probs"]',
     'trajectory["old_log_probs"] - trajectory["log_probs"]', "the ratio is upside down"),
    ("further-ppo-class", "torch.exp(", "(", "the ratio is exp of the difference"),
    ("further-ppo-class", "torch.exp(", "torch.exp(0 * ", "compare with the example"),
    ("further-ppo-class", 'trajectory["log_probs"] -', 'trajectory["log_probs"].detach() -',
     "is something detached?"),
    ("further-ppo-class", "1 - self.clip, 1 + self.clip", "0.8, 1.2",
     "with clip = 0.4 `policy_loss` is 0.425, expected 0.225: use self.clip"),
    ("further-ppo-class", "return -torch.minimum", "-torch.minimum",
     "PPO: `policy_loss` returns nothing: is its return missing?"),
    ("further-ppo-class", 'return {"logits"', 'again = {"logits"',
     "PPO: `look_again` returns nothing: is its return missing?"),
    ("further-ppo-class", "self.policy.model(", "self.policy.modle(", "no attribute 'modle'"),
    ("further-ppo-class", "values.reshape(-1)", "values", "of the shape [5, 1], expected [5]"),
    ("further-ppo-class", "values.reshape(-1)", "values.reshape(-1).detach()", "without a graph"),
    ("further-ppo-class", '"values": values.reshape(-1), "log_probs": log_probs',
     '"values": values.reshape(-1), "log_probs": log_probs.detach() + 0 * logits.sum()',
     "log_probs with another gradient"),
    ("further-ppo-class", "log_prob(actions)", "log_prob(0 * actions)", "wrong log_probs"),
    ("further-ppo-class", '"values": values.reshape(-1), ', "", "lacks the keys ['values']"),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "old", "new", "says"), WRONG)
def test_a_mistake_is_named(cell, old, new, says, imports):
    source = notebook.cells(notebook.read())[cell]
    assert source.count(old) == 1
    result, message = told(cell, make(imports, cell, source.replace(old, new)))
    assert result is None and says in message, message
    assert message.startswith(CLASSES[cell][0])


RIGHT = [  # cell, old, new: another way to the same
    ("further-lambda-class", 'act(trajectory["state"]["latest_observation"])["values"]',
     'model(torch.as_tensor(trajectory["state"]["latest_observation"]))[1].squeeze(-1)'),
    ("further-lambda-class", "len(nexts)", 'len(trajectory["observations"])'),
    ("further-lambda-class", "len(nexts)", 'trajectory["state"]["env_steps"]'),
    ("further-ppo-class", 'torch.as_tensor(trajectory["observations"], device=device)',
     'trajectory["observations"]'),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "old", "new"), RIGHT)
def test_another_way_to_the_same_passes(cell, old, new, imports):
    source = notebook.cells(notebook.read())[cell]
    assert source.count(old) == 1
    assert told(cell, make(imports, cell, source.replace(old, new)))[0] is True


def test_an_adam_with_two_mistakes_of_a_kind_is_named(imports):
    cell = "further-adam-class"
    source = notebook.cells(notebook.read())[cell]
    bare = source.replace("(1 - beta1**t)", "1").replace("(1 - beta2**t)", "1")
    assert "the corrections by 1 − β^t are missing" in told(cell, make(imports, cell, bare))[1]
    exchanged = source.replace("beta1, beta2, eps)", "beta2, beta1, eps)")
    assert "m and v are exchanged, or their β" in told(cell, make(imports, cell, exchanged))[1]


def test_the_weights_that_an_adam_moves_wrongly_are_shown(imports):
    cell = "further-adam-class"
    source = notebook.cells(notebook.read())[cell]
    mine = 't = memory["t"] = memory.get("t", 0) + 1'
    shared = source.replace(mine, 'self.t = t = getattr(self, "t", 0) + 1')
    _result, message = told(cell, make(imports, cell, shared))
    given, wanted = re.search("weights are (.+), expected (.+?):", message).groups()
    assert not set(given.split(", ")) & set(wanted.split(", ")), message


def test_a_notebook_in_which_nothing_is_written_runs_to_its_end(imports, capsys):
    sources = {
        cell.id: stubbed(cell.source, "code", cell.id)
        for cell in notebook.read().cells
        if cell.id.startswith("further-") and cell.cell_type == "code"
    }
    given = notebook.run(sources, sources, {**imports, "CATCH_STEPS": 0, "learn_catch": None})
    assert len(sources) == 12 and given["learn_seeds"].cache_info().misses == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [f"{name}: not written yet." for name, _check in CLASSES.values()]


# the known ends of λ, by the notebook's own Task 3


def trajectory():
    """Three steps in two environments; environment 0 resets at t = 1."""
    return {
        "rewards": [np.float32([0, 1]), np.float32([1, 0]), np.float32([0, 0])],
        "resets": [np.array([False, False]), np.array([True, False]), np.array([False, False])],
        "values": [torch.tensor([5.0, 6.0]), torch.tensor([7.0, 8.0]), torch.tensor([9.0, 3.0])],
        "state": {"latest_observation": np.float32([[2, 2], [2, 2]])},
    }


class Two:
    """A policy whose V(s) is 2."""

    def act(self, inputs):
        return {"values": torch.tensor([2.0, 2.0])}


def targets(transform):
    given = trajectory()
    transform(given)
    return torch.stack(given["value_targets"]).tolist()


def test_lambda_1_gives_the_targets_of_task_3(imports):
    made = make(imports, "further-lambda-class")
    task_3 = targets(imports["ComputeValueTargets"](Two(), 0.9))
    assert targets(made(Two(), 0.9, lam=1.0)) == pytest.approx(np.array(task_3))


def test_lambda_0_gives_one_reward_and_a_guess(imports):
    made = make(imports, "further-lambda-class")
    by_hand = [[0.9 * 7, 1 + 0.9 * 8], [1, 0.9 * 3], [0.9 * 2, 0.9 * 2]]
    assert targets(made(Two(), 0.9, lam=0.0)) == pytest.approx(np.array(by_hand))


# the figures in the text


def test_the_example_of_lambda_targets(imports):
    text = notebook.cells(notebook.read())["further-lambda"]
    for lam, number in ((0.5, "2.61"), (0.0, "2.7"), (1.0, "2.52")):
        given = {
            "rewards": [np.float32([0]), np.float32([1])],
            "resets": [np.array([False])] * 2,
            "values": [torch.tensor([0.0]), torch.tensor([3.0])],
            "state": {"latest_observation": None},
        }
        policy = type("V", (), {"act": lambda self, inputs: {"values": torch.tensor([2.0])}})()
        make(imports, "further-lambda-class")(policy, 0.9, lam)(given)
        assert given["value_targets"][0].item() == pytest.approx(float(number)) and number in text
        assert given["value_targets"][1].item() == pytest.approx(2.8)


def test_the_first_steps_of_adam_and_rmsprop(imports):
    moved = {}
    for name, optimizer in (("Adam", torch.optim.Adam), ("RMSprop", torch.optim.RMSprop)):
        weight = torch.zeros(1, requires_grad=True)
        weight.grad = torch.tensor([0.3])
        optimizer([weight], lr=7e-4, eps=1e-5).step()
        moved[name] = -weight.item()
    assert moved["Adam"] == pytest.approx(7e-4, rel=1e-3)
    assert moved["RMSprop"] == pytest.approx(10 * 7e-4, rel=1e-2)


def test_the_example_of_the_clipped_loss():
    text = notebook.cells(notebook.read())["further-ppo"]
    ratios, advantages = np.array([1.5, 0.5, 1.5, 0.5]), np.array([1, 2, -1, -3])
    terms = np.minimum(ratios * advantages, ratios.clip(0.8, 1.2) * advantages)
    assert "(1.2, 1, −1.5, −2.4)" in text and terms.tolist() == pytest.approx([1.2, 1, -1.5, -2.4])
    assert "the loss is 0.425" in text and -terms.mean() == pytest.approx(0.425)


def test_the_example_of_mean_and_spread(imports):
    text = notebook.cells(notebook.read())["further-seeds"]
    made = make(imports, "further-seeds-class")
    mean, spread, error = made([np.array([score]) for score in (0, 2, 4)])
    assert (mean[0], spread[0], round(error[0], 3)) == (2, 2, 1.155)
    assert "the mean 2, the spread 2" in text and "= 1.155$" in text


# PPO's own step


class Half(torch.nn.Module):
    """Logits [N, 2] and values [N, 1] from a single weight each."""

    def __init__(self):
        super().__init__()
        self.weights = torch.nn.Parameter(torch.zeros(3))

    def forward(self, observations):
        both = self.weights.expand(len(observations), 3) + 0 * observations.sum()
        return both[:, :2], both[:, 2:]


def test_ppo_stops_where_a_ratio_has_left_its_bounds(imports):
    cls = make(imports, "further-ppo-class")
    chances = {}
    for clip in (0.2, np.inf):
        model = Half()
        policy = type("P", (), {"model": model, "device": torch.device("cpu")})()
        ppo = cls(policy, torch.optim.SGD(model.parameters(), lr=1.0), max_grad_norm=1e9)
        ppo.clip, ppo.updates = clip, 30
        batch = {
            "observations": np.zeros((2, 4), np.float32),
            "actions": np.array([0, 0]),
            "value_targets": torch.tensor([1.0, 1.0]),
        }
        norm = ppo.step(batch)
        assert float(norm) >= 0 and "advantages" not in batch
        chances[clip] = torch.softmax(model.weights[:2].detach(), 0)[0].item()
    assert 0.6 < chances[0.2] < 0.8 < 0.9 < chances[np.inf]


# pictures


def test_a_picture_shows_every_seed_and_prints_how_it_ended(monkeypatch, capsys):
    monkeypatch.setattr(plt, "show", lambda: None)
    runs = [np.linspace(-1, end, 80) for end in (0.0, 1.0)]
    pictures.plot_seeds({"one": runs, "two": [runs[1][:70], runs[1]]}, nenvs=16)
    axis = plt.gcf().axes[0]
    assert len(axis.lines) == 1 + 2 * 3
    out = capsys.readouterr().out.splitlines()
    ends = [np.mean(run[-50:]) for run in runs]
    assert re.fullmatch(rf" *one: +{ends[0]:.2f} +{ends[1]:.2f} +mean +{np.mean(ends):.2f}", out[0])
    plt.close("all")


def test_a_picture_of_the_spread_is_made_by_the_students_own_function(monkeypatch, capsys):
    monkeypatch.setattr(plt, "show", lambda: None)
    seen = []

    def mean_and_spread(runs):
        seen.append([len(run) for run in runs])
        return np.full(len(runs[0]), 0.25), np.full(len(runs[0]), 0.5), np.full(len(runs[0]), 0.125)

    pictures.plot_spread([np.zeros(60), np.zeros(60)], mean_and_spread, nenvs=16)
    assert seen == [[51, 51], [1, 1]]
    told = "at the end: mean 0.25, spread 0.50, standard error 0.12\n"
    assert capsys.readouterr().out == told
    plt.close("all")


# the tables


@pytest.fixture(scope="module")
def results():
    """The recorded runs."""
    return json.loads(measured.FIGURES.read_text(encoding="utf-8"))


@pytest.mark.parametrize("task", measured.TASKS)
def test_the_notebook_shows_the_table_of_the_recorded_runs(task, results):
    cells = notebook.cells(notebook.read())
    assert measured.render(results[task]) in cells[f"further-{task}-see"]
    named = set(
        re.findall(r'^ +"(.+)": learn_seeds\(', cells[f"further-{task}-look"], re.MULTILINE)
    )
    assert set(results[task]) - {measured.UNCLIPPED} == (named or {"A2C"})


def test_a_row_of_a_table_holds_each_seed_and_what_they_have_in_common():
    *_, row = measured.render({"PPO": [0.0, 2.0, 4.0]}).splitlines()
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == ["PPO", "0.00", "2.00", "4.00", "2.00", "2.00", "1.15"]


def test_what_is_said_of_the_tables_is_so(results):
    cells = notebook.cells(notebook.read())
    long, mixed = results["lambda"].values()
    assert f"differ by {abs(np.mean(long) - np.mean(mixed)):.2f}" in cells["further-lambda-see"]
    assert min(np.ptp(long), np.ptp(mixed)) > 3 * abs(np.mean(long) - np.mean(mixed))
    rmsprop, *adams = results["adam"].values()
    assert all((np.array(adam) < rmsprop).all() for adam in adams) and len(adams) == 2
    assert math.ceil(15_000 / (16 * 5)) == 188 and "188 updates" in cells["further-adam-see"]
    a2c, ppo, unclipped = results["ppo"].values()
    assert all(np.array(ppo) > a2c) and np.mean(unclipped) > np.mean(ppo)
    (runs,) = results["seeds"].values()
    assert 4.3 * np.std(runs, ddof=1) / 3**0.5 == pytest.approx(0.4, abs=0.05)
    laboratory = json.loads((measured.KIT / "benchmarks" / "laboratory.json").read_text())
    means = [
        np.mean([run[name] for run in laboratory.values()])
        for name in ("no entropy bonus", "as it is")
    ]
    assert "{:.2f} beside {:.2f}".format(*means) in cells["further-seeds-see"]
