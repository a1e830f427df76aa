import pytest
import torch

from checkpoints import CheckpointError, Checkpoints

SETTINGS = {"game": "SpaceInvaders", "nenvs": 16, "network": "Linear(2, 2)"}


class Runner:
    """Stands for the runner: it tells the agent step."""

    def __init__(self):
        self.step_var = 0

    def state_dict(self):
        return {"step_var": self.step_var}

    def load_state_dict(self, state):
        self.step_var = state["step_var"]


def make_run(folder, **settings):
    torch.manual_seed(1)
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 1 / (1 + k))
    parts = dict(model=model, optimizer=optimizer, schedule=schedule, runner=Runner())
    return Checkpoints(folder, {**SETTINGS, **settings}, **parts), parts


def train(parts, updates):
    for _ in range(updates):
        parts["optimizer"].zero_grad()
        parts["model"](torch.randn(4, 2)).square().sum().backward()
        parts["optimizer"].step()
        parts["schedule"].step()
        parts["runner"].step_var += 80


def test_a_run_goes_on_exactly_where_it_was_saved(tmp_path):
    checkpoints, parts = make_run(tmp_path)
    assert not checkpoints.restore()
    train(parts, 3)
    checkpoints.save()
    train(parts, 4)

    later, others = make_run(tmp_path)
    assert later.restore() and others["runner"].step_var == 240
    train(others, 4)
    assert torch.equal(others["model"].weight, parts["model"].weight)
    assert others["schedule"].get_last_lr() == parts["schedule"].get_last_lr()


def test_the_last_two_checkpoints_are_kept(tmp_path):
    checkpoints, parts = make_run(tmp_path / "logs" / "run")
    for _ in range(4):
        train(parts, 1)
        checkpoints.save()
    names = sorted(path.name for path in (tmp_path / "logs" / "run").iterdir())
    assert names == ["checkpoint-0000000240.pt", "checkpoint-0000000320.pt"]


def test_a_checkpoint_that_is_cut_short_gives_way_to_the_one_before(tmp_path):
    checkpoints, parts = make_run(tmp_path)
    for _ in range(2):
        train(parts, 1)
        newest = checkpoints.save()
    newest.write_bytes(newest.read_bytes()[:1000])
    later, others = make_run(tmp_path)
    with pytest.warns(
        UserWarning,
        match="checkpoint-0000000160.pt cannot be read, it was cut short.*trying the one",
    ):
        assert later.restore()
    assert others["runner"].step_var == 80


@pytest.mark.filterwarnings("ignore:.*cannot be read")
def test_a_folder_without_a_readable_checkpoint_is_not_written_to(tmp_path):
    (tmp_path / "events.out.tfevents.1.host").write_bytes(b"curves of another run")
    checkpoints, _ = make_run(tmp_path)
    with pytest.raises(
        CheckpointError, match="already holds another run.*give this run another name"
    ):
        checkpoints.restore()
    (tmp_path / "checkpoint-0000000080.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="already holds another run"):
        checkpoints.restore()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"events.out.tfevents.1.host", "checkpoint-0000000080.unreadable"}


def test_somebody_elses_file_is_set_aside_and_not_lost(tmp_path):
    torch.save({"weights": torch.ones(2)}, tmp_path / "checkpoint-0000000080.pt")
    checkpoints, _ = make_run(tmp_path)
    with (
        pytest.warns(UserWarning, match="it is no checkpoint of this kit: set aside as"),
        pytest.raises(CheckpointError, match="already holds another run"),
    ):
        checkpoints.restore()
    assert torch.load(tmp_path / "checkpoint-0000000080.unreadable")["weights"].sum() == 2


def test_a_run_killed_within_its_first_save_starts_anew(tmp_path):
    (tmp_path / "checkpoint-0000000000.part").write_bytes(b"half")
    checkpoints, _ = make_run(tmp_path)
    assert not checkpoints.restore()
    checkpoints.save()
    assert [path.suffix for path in tmp_path.iterdir()] == [".pt"]


def test_the_random_state_goes_on(tmp_path):
    checkpoints, _ = make_run(tmp_path)
    checkpoints.save()
    drawn = torch.rand(3)
    torch.manual_seed(99)
    checkpoints.restore()
    assert torch.equal(torch.rand(3), drawn)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"game": "Breakout"}, "game was 'SpaceInvaders' and is 'Breakout'"),
        ({"network": "Linear(3, 2)"}, r"network was 'Linear\(2, 2\)' and is 'Linear\(3, 2\)'"),
        ({"nenvs": 8, "gamma": 0.9}, "nenvs was 16 and is 8, gamma was None and is 0.9"),
    ],
)
def test_another_game_network_or_setting_is_a_clear_error(tmp_path, change, message):
    checkpoints, parts = make_run(tmp_path)
    path = checkpoints.save()
    before = path.read_bytes()
    other, others = make_run(tmp_path, **change)
    with pytest.raises(
        CheckpointError, match=f"belongs to another run: {message}.*another name to start anew"
    ):
        other.restore()
    assert path.read_bytes() == before and others["runner"].step_var == 0
