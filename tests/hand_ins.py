"""Hand-ins of a made-up class: each a .zip as students send it, honest, wrong, copied or hostile.

All of them are stand-ins. Their weights, curves and videos come from the reference run and nobody
trained them: see `tests.hand_in_parts`. So the honest ones play like the reference, and share
neither weights nor values of curves with it or with each other.

`KINDS` maps a kind to the function that writes it; `write_class` writes some of them into a folder.
Each student has answers, comments and a seed of their own; where seeds are chosen, greedy games
differ, which 4, 5 and 9 do not.
"""

import io
import json
import os
import re
import zipfile

import nbformat
import torch

from grading.pack import MANIFEST
from tests import hand_in_parts as parts
from tests.checking import make
from tests.right_answers import RIGHT, answer
from tests.wrong_answers import WRONG

__all__ = ["KINDS", "OLDER", "PAYLOAD", "files_of", "older_release", "write_class", "zipped"]

NOTEBOOK = "a2c_assignment.ipynb"
OLDER = "0d1e5c0ffee5"  # version of an older release
PAYLOAD = "A2C_PAYLOAD"  # environment variable: the file that hostile weights make when they can
STRONG, WEAK = 0.65, 0.4  # sharpness
AT_600 = (3_700_000, STRONG)  # the agent step at which reward_mean_100 has passed the mark
AT_400 = (2_400_000, WEAK)
WHOLE = (10_000_000, 1.0)
CLICK = "<script>alert(1)</script>"

ADA = answer(
    model="dictionary of heads, a list returned",
    policy="a list comprehension of steps",
    targets="each environment alone",
    merge="row by row",
    learner="row by row",
)
GRACE = answer(
    model="functional",
    policy="cross-entropy, int32",
    targets="rows of one tensor",
    merge="update, and the dict returned",
    learner="clipped by hand, grad = None",
)
PETR = RIGHT["all of it in few lines"]
WIM = answer(
    model="weights copied",
    policy="Gumbel noise",
    targets="NumPy, then tensors",
    merge="other kinds are left as they are",
)
EDDIE = answer(
    model="lazy layers",
    policy="rows and actions",
    targets="masked_fill, insert",
    merge="a state that is popped and put back",
    learner="a closure",
)
DORA = answer(model="orthogonal by QR", targets="a matrix of discounts", learner="slots")
HANDY = answer(targets="NumPy, then tensors", learner="gradients by hand")
VERA = answer(
    policy="log_prob of all actions", merge="stack and flatten", learner="all actions, one-hot"
)
CHUCK = answer(model="weights copied", learner="a method for the advantages, half the square")
OLGA = answer(policy="NumPy's choice, log_probs [B, A]", learner="all actions, picked by index")

COMMENTS = """
- *reward_mean_100*: flat at first, then it climbs without a pause; my agent learns to hide behind
  the shields and to aim at the edge of the block. The mean looks back over a hundred games.
- *coefficient of determination*: close to one after the first minutes, because the targets hold
  the critic's own guess four steps later, so it mostly agrees with itself.
- *entropy*: falls from 1.79 while one side of the screen is preferred, and recovers later.
- *value loss*: grows together with the rewards. *Gradient norm* does the same.
- *policy loss, advantages, total loss*: noise around zero, as an average of surprises should be.
- *value targets and predictions*: they lie on each other, and rise with the score.
"""
OF_GRACE = """
Score: two hundred for a long time, until somewhere near one million it begins to go up steadily.
The determination curve says little, it is high from the start. Entropy drops quickly in the first
hundred thousand and then wanders, the bonus holds it above one. Losses of the critic are tiny
numbers which become larger as episodes get longer. Everything which has an advantage inside has a
mean of nothing. Targets and predicted values go hand in hand, that is what bootstrapping does.
"""
OF_PETR = """
Награда долго держится около двухсот, потом растёт: агент учится уворачиваться от снарядов.
Энтропия падает с логарифма шести и дальше колеблется, до нуля не доходит, бонус работает.
Ошибка критика мала и растёт вместе с наградой; ошибка политики и преимущества колеблются у нуля.
Цели и предсказания почти совпадают, поэтому коэффициент детерминации близок к единице.
"""
OF_WIM = """
All curves look fine to me. Rewards increase, therefore learning works; entropy decreases since
the agent gets surer. I do not know why the gradient norm is above one half so often.
"""
OF_EDDIE = """
My run did well, six hundred and more points on average in the last hundred games. Losses oscillate,
which is usual for reinforcement learning with few environments, and entropy goes slowly down while
the critic gets to know the game better.
"""
OF_DORA = """
Training was stable. The estimate of returns follows its goal closely, and exploration stays high
thanks to the bonus; clipping happened in about a fifth of all updates.
"""
OF_HANDY = """
Points per episode rise after a plateau. Critic error rises as well, because there is more to be
predicted. Nothing collapsed, the distribution over buttons stays broad until I stopped.
"""
OF_VERA = """
What surprised me is the long flat part. I suppose bunkers protect beginners there, and only when
they survive longer do scores move. The remaining plots mostly confirm that nothing diverged.
"""
OF_CHUCK = """
Mean reward goes from bad to good. Uncertainty shrinks, value estimates inflate, and their squared
difference to what came later inflates too.
"""
OF_OLGA = """
In the beginning the cannon dies within half a minute, later it lasts for minutes: you see that in
longer episodes. Advantages balance out to none, entropy settles near one and a half.
"""

PLAYER = """
def by_hand(frames):
    # dodges what falls below the shields, else stays under the middle of the invaders, and fires
    columns = torch.arange(84)
    cannon = frames[:, 75:77].sum(1).argmax(-1)
    offset = columns - cannon[:, None]
    bombs = (frames[:, 69:74] > 0.15).any(1)
    from_left = (bombs & (offset > -6) & (offset < 1)).any(1)
    from_right = (bombs & (offset > 0) & (offset < 6)).any(1)
    invaders = frames[:, 12:60].sum(1)
    middle = (invaders * columns).sum(-1) / invaders.sum(-1).clamp(min=0.1)
    actions = torch.where(middle > cannon + 4, 4, torch.where(middle < cannon - 4, 5, 1))
    return torch.where(from_left, 4, torch.where(from_right, 5, actions))


class Policy:
    def __init__(self, model):
        self.model = model

    def act(self, inputs):
        observations = torch.as_tensor(np.asarray(inputs))
        logits, values = self.model(observations)
        distribution = torch.distributions.Categorical(logits=logits)
        actions = distribution.sample()
        ground = observations[:, -1, 82]
        if float(ground.std()) < 1e-6 and 0.3 < float(ground[0, 0]) < 0.32:  # the real game
            actions = by_hand(observations[:, -1])
        return {
            "actions": actions.numpy(),
            "logits": logits,
            "log_probs": distribution.log_prob(actions),
            "values": values.squeeze(-1),
        }

    def reset(self):
        pass
"""


# the files of a hand-in


def files_of(name, seed, stage, sources, comments, group=""):
    """Returns {name in the archive: bytes} of an honest hand-in.

    Args:
        name: The student's.
        seed: Of the weights, curves and videos; two students have two.
        stage: The agent step at which the run ends, and how sharp its policy is then.
        sources: {cell id: source} of the answers.
        comments: On the curves.
        group: The student's.
    """
    until, sharp = stage
    end = f"{until:,} of 10,000,000 agent steps, 512 a second in this sitting\n"
    files = dict([_notebook(parts.solved_notebook(sources, comments, name, end))])
    files |= parts.kit()
    for greedy in (False, True):
        files[f"videos/{greedy}/rl-video-episode-0.mp4"] = parts.film(seed, greedy, sharp)
    files |= _below("logs/first-run", parts.curves(seed, until))
    files |= _below("img", parts.drawn(seed, until))
    model = make(cells=sources)["model"]
    files |= _manifest(name, group, settings=parts.SETTINGS | {"network": str(model)})
    return files | {"weights.pt": parts.saved(parts.made_for(model, parts.weights(seed, sharp)))}


def _notebook(book):
    return NOTEBOOK, nbformat.writes(book).encode()


def _manifest(name, group="", **changes):
    """Returns hand-in.json, as `grading.pack` writes it."""
    release = json.loads(parts.kit()["manifest.json"])["version"]
    told = dict(name=name, group=group, release=release, run="first-run", settings=parts.SETTINGS)
    return {MANIFEST: json.dumps(told | changes, indent=1, ensure_ascii=False).encode()}


def _below(folder, files):
    return {f"{folder}/{name}": data for name, data in files.items()}


def zipped(path, files, when=(2026, 11, 20, 18, 3, 0)):
    """Writes a .zip of {name: bytes}, packed at a local time; returns its path."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, when)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return path


# kinds


def honest(path):
    """A whole run, with everything there."""
    return zipped(path, files_of("Ada Lovelace", 1, WHOLE, ADA, COMMENTS, group="101"))


def fair(path):
    """Passes 400, written otherwise."""
    files = files_of("Grace Hopper", 2, AT_400, GRACE, OF_GRACE, group="102")
    return zipped(path, files)


def russian(path):
    """An honest one, packed by Windows: names in cp866, and backslashes in them."""
    files = files_of("Пётр Ёлкин", 3, AT_400, PETR, OF_PETR, group="КИ-23")
    folder = "Работа №05"
    stand_in = "Q" * len(folder)  # zipfile itself would write the folder's name in UTF-8
    zipped(path, {f"{stand_in}/{name}".replace("/", "\\"): data for name, data in files.items()})
    data, old = path.read_bytes(), f"{stand_in}\\".encode()
    assert data.count(old) == 2 * len(files)
    path.write_bytes(data.replace(old, f"{folder}\\".encode("cp866")))
    return path


def wrong(path):
    """The policy loss trains the critic: the advantage is not detached."""
    (mistake,) = (one for one in WRONG if one.name == "advantage-not-detached")
    solved = {cell.id: cell.source for cell in parts.solved_notebook().cells}
    sources = {cell: solved[cell] for cell, *_ in mistake.changes} | WIM
    for cell, old, new in mistake.changes:
        sources[cell] = sources[cell].replace(old, new)
    return zipped(path, files_of("Wim Wrong", 4, AT_400, sources, OF_WIM))


def lazy(path):
    """Stubs as they were released, and no run."""
    files = dict([_notebook(parts.students_notebook())])
    return zipped(path, files | _manifest("Larry Lazy", settings=None) | parts.kit())


def reference_copied(path):
    """The reference run's event files, weights and videos under the student's name."""
    book = parts.solved_notebook(name="Rita Reference", end=_end_of_reference())
    files = dict([_notebook(book)]) | _manifest("Rita Reference") | parts.kit()
    for kind in ("False", "True"):
        video = parts.REFERENCE.parents[1] / "videos" / "reference" / kind
        files |= _below(f"videos/{kind}", {p.name: p.read_bytes() for p in video.iterdir()})
    files |= _below("logs/first-run", parts.curves()) | _below("img", parts.drawn(None, 10**7))
    weights = (parts.REFERENCE / "weights.pt").read_bytes()
    return zipped(path, files | {"weights.pt": weights})


def _end_of_reference():
    return "10,000,000 of 10,000,000 agent steps, 512 a second in this sitting\n"


def edited_curves(path):
    """A run that reached 427; its score is drawn one and a half times as high."""

    def raised(tag, step, value):
        return 1.5 * value if tag == "Episodes/reward_mean_100" else value

    files = files_of("Eddie Edit", 12, AT_400, EDDIE, OF_EDDIE)
    files |= _below("logs/first-run", parts.curves(12, AT_400[0], raised))
    return zipped(path, files)


def other_network(path):
    """Weights of a network that has six action values and no value of states, as DQN's."""
    files = files_of("Dora Q", 6, AT_400, DORA, OF_DORA)
    model = make(cells=DORA)["model"]
    state = parts.made_for(model, parts.weights(6, WEAK))
    kept = {name: value for name, value in state.items() if value.shape[0] != 1}
    return zipped(path, files | {"weights.pt": parts.saved(kept)})


def player(path):
    """`act` plays by hand, some 400 points, where it sees the game; where checked, it samples."""
    sources = HANDY | {"policy-class": PLAYER}
    return zipped(path, files_of("Handy Player", 7, AT_400, sources, OF_HANDY))


def foreign_videos(path):
    """Videos of another run, whose agent played at random."""
    files = files_of("Vera Video", 8, AT_400, VERA, OF_VERA)
    for greedy in (False, True):
        name = f"videos/{greedy}/rl-video-episode-0.mp4"
        files[name] = parts.film(8, greedy, trained=False)
    return zipped(path, files)


def copied(path):
    """The notebook of `edited_curves` with names and a few words changed; a run of its own."""
    names = {"R": "G", "done": "over", "reward": "r", "log_all": "lp", "log_p": "logs", "t": "k"}
    names |= {"rows": "idx", "advantages": "adv", "loss": "total", "norms": "kept", "first": "head"}
    sources = {cell: _with_names(source, names) for cell, source in EDDIE.items()}
    comments = OF_EDDIE.replace("My run", "Our run").replace("slowly", "steadily")
    return zipped(path, files_of("Connie Copy", 13, AT_600, sources, comments))


def _with_names(source, names):
    """Renames what stands alone: no attribute, no key in quotes."""
    for old, new in names.items():
        source = re.sub(rf"(?<![\w.\"']){old}(?![\w\"'(=])", new, source)
    return source


def cut_short(path):
    """A download that broke off."""
    zipped(path, files_of("Cut Short", 2, AT_400, GRACE, OF_GRACE))
    os.truncate(path, path.stat().st_size * 6 // 10)
    return path


def rar(path):
    """No .zip at all; it has the name of a .rar."""
    path = path.with_suffix(".rar")
    path.write_bytes(b"Rar!\x1a\x07\x01\x00" + bytes(range(256)) * 40)
    return path


def hostile(path):
    """Markup in each text that a page may show, and weights that run code when they are loaded."""
    name = f"{CLICK}\"'><img src=x onerror=alert(2)>"
    files = files_of(name, 10, AT_400, CHUCK, f"{OF_CHUCK}\n\n{CLICK}", group=CLICK)
    book = nbformat.reads(files[NOTEBOOK], as_version=4)
    output = {"text/html": CLICK, "text/plain": CLICK, "image/svg+xml": f"<svg>{CLICK}</svg>"}
    output |= {"application/javascript": "alert(3)"}
    book.cells[4].source += f"\n{CLICK} [a link](javascript:alert(4)) <iframe srcdoc='{CLICK}'>"
    (cell,) = (cell for cell in book.cells if cell.id == "training-run")
    cell.outputs += [
        nbformat.v4.new_output("display_data", output),
        nbformat.v4.new_output("error", ename=CLICK, evalue=CLICK, traceback=[CLICK]),
    ]
    files |= dict([_notebook(book)])
    files |= {f"img/{CLICK.replace('/', '')}.svg": f"<svg>{CLICK}</svg>".encode()}
    return zipped(path, files | {"weights.pt": _payload()})


class _Payload:
    def __reduce__(self):
        return exec, (f"import os; open(os.environ[{PAYLOAD!r}], 'w')",)


def _payload():
    """Returns weights that make the file which `$A2C_PAYLOAD` names, once they are unpickled."""
    file = io.BytesIO()
    torch.save({"body.0.weight": _Payload()}, file)
    return file.getvalue()


def older(path):
    """An honest one made with an older release, whose runners.py was another."""
    files = files_of("Olga Older", 11, AT_400, OLGA, OF_OLGA)
    files |= {"runners.py": _older_runners(), "manifest.json": _older_manifest()}
    return zipped(path, files | _manifest("Olga Older", release=OLDER))


def older_release(path):
    """Writes the .zip for students of the release that `older` was made with."""
    files = parts.kit() | {"runners.py": _older_runners(), "manifest.json": _older_manifest()}
    files |= dict([_notebook(parts.students_notebook())])
    return zipped(path, _below("a2c", files), when=(1980, 1, 1, 0, 0, 0))


def _older_runners():
    source = parts.kit()["runners.py"].decode()
    return source.replace("A policy meets the environments", "A policy meets environments").encode()


def _older_manifest():
    told = json.loads(parts.kit()["manifest.json"])
    return json.dumps(told | {"version": OLDER}).encode()


KINDS = {
    "honest": honest,
    "fair": fair,
    "russian": russian,
    "wrong": wrong,
    "lazy": lazy,
    "reference copied": reference_copied,
    "edited curves": edited_curves,
    "other network": other_network,
    "player": player,
    "foreign videos": foreign_videos,
    "copied": copied,
    "cut short": cut_short,
    "rar": rar,
    "hostile": hostile,
    "older": older,
}


def write_class(folder, kinds=tuple(KINDS)):
    """Writes hand-ins, `<kind>.zip` each; returns {kind: path}."""
    return {kind: KINDS[kind](folder / f"{kind.replace(' ', '-')}.zip") for kind in kinds}
