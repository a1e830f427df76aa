import threading
import time

import numpy as np
import psutil
import pytest
import torch

from atari_wrappers import NumpySummaries
from env_batch import EnvBatch
from grading.check import TASKS, judge_task, observe_task
from grading.verdicts import LARGEST
from runners import EnvRunner
from tests import checks
from tests.checking import CHECKS, LEARNER, SETTINGS, Runner, check, make
from tests.checks.expected import RELEASED_SEEDS, read_expected
from tests.checks.stand_ins import RecordedModel, as_leaf
from tests.checks.value_targets import judge_value_targets, observe_value_targets
from tests.right_answers import MODELS, RIGHT
from tests.toys import Counting
from tests.wrong_answers import WRONG

GAMMA = SETTINGS["gamma"]
SOME_WRONG = WRONG[::3]
MORE_WRONG = [one for one in WRONG if one not in SOME_WRONG]


@pytest.mark.parametrize(
    "wrong",
    [*SOME_WRONG, *(pytest.param(one, marks=pytest.mark.slow) for one in MORE_WRONG)],
    ids=lambda wrong: wrong.name,
)
def test_every_wrong_answer_is_caught(wrong):
    assert wrong.says in check(wrong.task, make(wrong.changes))


SOME = ["the notebook's own", *[*RIGHT][::7]]
MORE = [(name, 0) for name in RIGHT if name not in SOME]
MORE += [("the notebook's own", seed) for seed in range(1, 6)]


@pytest.mark.parametrize(
    ("name", "seed"),
    [*((name, 0) for name in SOME), *(pytest.param(*one, marks=pytest.mark.slow) for one in MORE)],
)
def test_right_answers_pass(name, seed):
    given = make(cells=RIGHT.get(name, {}), seed=seed)
    before = {key: value.clone() for key, value in given["model"].state_dict().items()}
    messages = {task: check(task, given) for task in TASKS}
    assert messages == dict.fromkeys(TASKS, "")
    after = given["model"].state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_two_hundred_and_twenty_mistakes_and_forty_right_answers_are_known():
    assert len(WRONG) >= 220 and len({wrong.name for wrong in WRONG}) == len(WRONG)
    assert {wrong.task for wrong in WRONG} == {*TASKS} and len(RIGHT) >= 40


@pytest.mark.parametrize("task", TASKS)
def test_a_check_cell_prints_one_line(task, capsys):
    given = make()
    state = torch.get_rng_state()
    function, parts = CHECKS[task]
    function(*(given[part] for part in parts))
    assert capsys.readouterr().out.endswith(": passed.\n")
    assert torch.equal(state, torch.get_rng_state())


def test_all_checks_together_take_at_most_four_seconds_of_one_core():
    """In the best of three runs: other programs slow a core down."""
    given, times = make(), []
    for _run in range(3):
        started = time.process_time()
        assert [check(task, given) for task in TASKS] == [""] * len(TASKS)
        times.append(time.process_time() - started)
    assert min(times) < 4 * torch.get_num_threads()


def test_the_check_of_acting_takes_little_memory():
    copied = [("policy-class", "torch.as_tensor(np.asarray", "torch.tensor(np.asarray")]
    given, over = make(copied), threading.Event()
    sizes = [psutil.Process().memory_info().rss]

    def look():
        while not over.wait(0.002):
            sizes.append(psutil.Process().memory_info().rss)

    looking = threading.Thread(target=look)
    looking.start()
    assert check("Policy", given) == ""
    over.set()
    looking.join()
    assert len(sizes) > 20 and max(sizes) - sizes[0] < 250e6  # its calls would hold 700 MB together


def test_targets_that_act_for_each_step_and_environment_take_little_room():
    target = 'self.policy.act(trajectory["state"]["latest_observation"])["values"]'
    often = f"[{target} for _step_of_an_environment in range(100)][-1]"
    given = make([("value-targets-class", target, often)])
    transforms, seed = given["transforms"], RELEASED_SEEDS[0]
    seen = observe_value_targets(given["model"], given["policy"], transforms, seed, GAMMA)
    assert judge_value_targets(seen, read_expected(seed), GAMMA, seed) is None
    assert sum(x.nbytes for x in seen.values()) < LARGEST


def test_a_norm_without_limit_is_judged_and_one_that_is_no_number_is_not():
    given, seed = make([("glue", "0.01, 0.5)", "0.01, np.inf)")]), RELEASED_SEEDS[0]
    given["settings"], expected = SETTINGS | dict(max_grad_norm=np.inf), read_expected(seed)
    seen = observe_task("A2C", given, seed, expected)
    assert judge_task("A2C", seen, seed, expected) is None
    seen["claims"][np.isinf(seen["claims"])] = np.nan
    assert "cannot be read" in judge_task("A2C", seen, seed, expected)


def test_a_check_leaves_the_learner_as_it_was():
    given = make()
    a2c, optimizer = given["a2c"], given["optimizer"]
    checks.check_a2c(*(given[part] for part in LEARNER))
    assert (a2c.value_loss_coef, a2c.entropy_coef, a2c.max_grad_norm) == (0.25, 0.01, 0.5)
    assert "step" not in vars(optimizer) and not optimizer.state
    assert all(p.grad is None for p in given["model"].parameters())


def test_a_check_draws_no_point_of_a_student_who_draws_in_step():
    given = make()
    env = NumpySummaries(EnvBatch([Counting()]))
    runner = EnvRunner(env, Idle(), 1)
    step = given["a2c"].step

    def drawing_step(trajectory):
        runner.add_summary("A2C/loss", 1.0)
        return step(trajectory)

    given["a2c"].step = drawing_step
    checks.check_a2c(*(given[part] for part in LEARNER))
    with pytest.raises(KeyError, match="nothing was recorded"):
        NumpySummaries.get_values("A2C/loss")
    runner.add_summary("A2C/loss", 1.0)
    assert NumpySummaries.get_values("A2C/loss").tolist() == [1.0]


class Idle:
    def act(self, observations):
        return {"actions": np.zeros(len(observations), int)}


def test_a_stand_in_asks_the_network_about_a_new_kind_once_and_draws_no_random_numbers():
    model, pictures, asked = make()["model"], np.zeros((3, 4, 84, 84), np.float32), []

    def forward(observations):
        asked.append(observations.dtype)
        return torch.rand(len(observations), 6), torch.rand(len(observations), 1)

    model.forward = forward
    state = torch.get_rng_state()
    network = RecordedModel(model, pictures, as_leaf(model, np.zeros((3, 7))))
    for dtype in (torch.float32, torch.float64, torch.float64):
        network(torch.as_tensor(pictures).to(dtype))
    assert asked == [torch.float32, torch.float64]
    assert torch.equal(state, torch.get_rng_state())


class OnApple(torch.Tensor):
    """A tensor as on Apple's GPU: it has no float64 there, and no array until it is on the CPU."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function is torch.Tensor.cpu:
            with torch._C.DisableTorchFunctionSubclass():
                return args[0].cpu().as_subclass(torch.Tensor)
        assert function not in (torch.Tensor.double, torch.Tensor.numpy), "not on this device"
        return super().__torch_function__(function, types, args, kwargs or {})


@pytest.mark.parametrize("task", ["Policy", "A2C"])
def test_a_check_needs_no_float64_of_the_device(task):
    made = "torch.as_tensor(np.asarray(inputs), device=self.device)"
    on_device = f"{made}.as_subclass(type(next(self.model.parameters())))"
    given = make([("policy-class", made, on_device)])
    for parameter in given["model"].parameters():
        parameter.__class__ = OnApple
    assert check(task, given) == ""


@pytest.mark.parametrize(
    "line",
    [
        "inputs /= 255",
        "exit(3)",
        "return dict(values=copy.deepcopy(self.model)(torch.as_tensor(inputs))[1][:, 0])",
        "return dict(values=self.model(torch.as_tensor(inputs) / 2)[1][:, 0].detach())",
    ],
)
def test_what_a_policy_does_wrong_is_not_the_matter_of_the_targets(line):
    act = "def act(self, inputs):\n"
    given = make([("policy-class", act, f"{act}        import copy; {line}\n")])
    assert check("ComputeValueTargets", given) == ""


def test_targets_do_not_see_that_any_arguments_are_refused(monkeypatch):
    given = make()

    def refuse(*args, **kwargs):
        raise RuntimeError

    monkeypatch.setattr(given["Policy"], "act", refuse)
    assert check("ComputeValueTargets", given) == ""


@pytest.mark.parametrize(
    ("keeps", "clears"),
    [("saved.append(logits)", "self.policy.saved.clear()"), ("saved[:] = [logits]", "")],
    ids=["until the update", "the last"],
)
def test_a_policy_may_keep_acts_for_a_while(keeps, clears):
    sample, back = "actions = distribution.sample()", "return norm"
    keeps = f"{sample}\n        saved = self.__dict__.setdefault('saved', [])\n        {keeps}"
    clears = f"{clears}\n        {back}"
    given = make([("policy-class", sample, keeps), ("a2c-class", back, clears)])
    assert check("A2C", given) == ""


def test_a_missing_layer_with_the_right_number_of_parameters_is_told_without_it():
    flat = """nn.Flatten(),
            orthogonal(nn.Linear(64 * 7 * 7, 512), gain),
            nn.ReLU(),"""
    convolved = "orthogonal(nn.Conv2d(64, 512, 7), gain), nn.ReLU(), nn.Flatten(),"
    told = check("NatureModel", make([("model-class", flat, convolved)]))
    assert "the hidden layer is missing" in told and "parameters" not in told


def test_a_policy_may_add_an_array_without_an_axis():
    join = "torch.cat if torch.is_tensor(steps[0]) else np.concatenate"
    drawn, weighted = "distribution.log_prob(actions),", '(advantages * trajectory["log_probs"])'
    column = f'{drawn[:-1]}[:, None], "sure": distribution.probs.detach().max().numpy(),'
    changes = [
        ("policy-class", drawn, column),
        ("merge-class", join, f"{join} if steps[0].ndim else np.stack"),
        ("a2c-class", weighted, weighted.replace("advantages", "advantages[:, None]")),
    ]
    assert check("A2C", make(changes)) == ""


# objects that were made from ones that are gone


@pytest.mark.parametrize(
    ("renewed", "says"),
    [
        (("model", "optimizer", "a2c"), "the A2C has another network"),
        (("model", "policy", "optimizer", "a2c"), "a transform has another network"),
        (("model", "policy", "transforms", "a2c"), "the optimizer has no weight of `model`"),
        (
            ("model", "policy", "transforms", "optimizer"),
            "the A2C has another network than `model`",
        ),
        (("optimizer",), "the A2C has another optimizer"),
    ],
    ids=lambda case: "-".join(case) if isinstance(case, tuple) else "",
)
def test_a_check_says_which_object_was_not_made_again(renewed, says):
    old, new = make(), make()
    new["optimizer"] = torch.optim.RMSprop(new["model"].parameters())
    given = {**old, **{name: new[name] for name in renewed}}
    given["runner"] = Runner(given["policy"], given["transforms"])
    if "a2c" in renewed:
        given["a2c"] = type(new["a2c"])(given["policy"], given["optimizer"])
    if renewed == ("optimizer",):
        given["optimizer"] = torch.optim.RMSprop(old["model"].parameters())
    with pytest.raises(checks.CheckError, match=f"{says}.*: run the cells from .* on again"):
        checks.check_a2c(*(given[part] for part in LEARNER))


def test_a_check_names_a_transform_of_another_model():
    old, new = make(), make()
    with pytest.raises(checks.CheckError, match="another network.* from `ComputeValueTargets"):
        checks.check_value_targets(new["model"], new["policy"], old["transforms"])


def test_a_policy_check_names_a_policy_of_another_model():
    old, new = make(), make()
    with pytest.raises(checks.CheckError, match=r"run the cells from `Policy\(model\)` on again"):
        checks.check_policy(new["model"], old["policy"], 6)


def test_a_policy_check_says_that_values_have_no_axis_that_squeeze_could_name():
    cells = {"model-class": MODELS["weights by name, values [B]"]}
    told = check("Policy", make(cells=cells))
    assert "the network returns them without an axis to remove; reshape(-1) suits both" in told


def test_an_exit_inside_a_students_method_is_a_failed_check():
    given = make()
    given["policy"].act = lambda inputs: exit(3)
    with pytest.raises(checks.CheckError, match="Policy raised SystemExit: 3"):
        checks.check_policy(given["model"], given["policy"], 6)
