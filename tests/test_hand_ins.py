import zipfile

import numpy as np
import pytest
import torch

from grading.checklist import read_score
from grading.curves import oddities
from grading.pack import hand_in
from tests import hand_in_parts as parts
from tests import hand_ins
from tests.checking import make
from training.curves import read_curves


def flat(state):
    return np.concatenate([value.flatten().numpy() for value in state.values()])


def test_weights_of_a_stand_in_play_as_those_of_the_reference_and_hold_other_numbers():
    model, pictures = make()["model"], torch.rand(3, 4, 84, 84)
    outputs = []
    for seed in (None, 1, 2):
        model.load_state_dict(parts.weights(seed))
        outputs.append(torch.cat(model(pictures), dim=1))
    for other in outputs[1:]:
        torch.testing.assert_close(other, outputs[0], atol=1e-5, rtol=1e-5)
    states = [flat(parts.weights(seed)) for seed in (None, 1, 2)]
    assert (np.corrcoef(states) - np.eye(3) < 0.05).all()


def test_weights_are_refused_for_a_model_that_gives_something_else_with_them():
    tanh = {
        "model-class": "class NatureModel(nn.Sequential):\n"
        "    def __init__(self, n):\n"
        "        super().__init__(nn.Conv2d(4, 32, 8, 4), nn.Tanh(), nn.Conv2d(32, 64, 4, 2),\n"
        "            nn.Tanh(), nn.Conv2d(64, 64, 3, 1), nn.Tanh(), nn.Flatten(),\n"
        "            nn.Linear(3136, 512), nn.Tanh(), nn.Linear(512, n + 1))\n"
        "    def forward(self, x):\n"
        "        return super().forward(x).split([6, 1], dim=1)\n"
    }
    with pytest.raises(ValueError, match="gives other logits with these weights"):
        parts.made_for(make(cells=tanh)["model"], parts.weights(1))


@pytest.mark.slow
def test_curves_of_a_stand_in_are_not_odd_and_share_no_value_of_a_loss(tmp_path):
    values = {}
    for seed in (None, 1, 2):
        run = tmp_path / str(seed)
        run.mkdir()
        for name, data in parts.curves(seed, hand_ins.AT_400[0]).items():
            (run / name).write_bytes(data)
        curves = read_curves(run)
        assert 420 < read_score(curves).counted < 450
        assert oddities(run, parts.GAME, 16) == []
        values[seed] = {*curves["A2C/value_loss"][1], *curves["A2C/entropy"][1]}
        total = curves["A2C/policy_loss"][1] + 0.25 * curves["A2C/value_loss"][1]
        total -= 0.01 * curves["A2C/entropy"][1]
        np.testing.assert_allclose(total, curves["A2C/total_loss"][1], atol=1e-5)
    assert all(len(values[a] & values[b]) < 10 for a, b in [(None, 1), (None, 2), (1, 2)])


@pytest.mark.slow
def test_a_stand_in_holds_what_pack_writes(tmp_path):
    archive = hand_ins.write_class(tmp_path, ["fair"])["fair"]
    with zipfile.ZipFile(archive) as package:
        package.extractall(tmp_path / "kit")
        names = package.namelist()
    packed, rows, _ = hand_in(
        *(tmp_path / "kit" / "a2c_assignment.ipynb", tmp_path / "kit"),
        *(tmp_path / "kit" / "logs" / "first-run", "Grace Hopper", "102"),
    )
    with zipfile.ZipFile(packed) as package:
        assert sorted(names) == sorted(package.namelist())
    assert {row.thing: row.mend for row in rows if row.mend} == {}
