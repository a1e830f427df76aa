"""The kit beside its peers and beside the machine's limit, in one run of interleaved rounds.

`python benchmarks/throughput.py` prints the tables and writes them to `benchmarks/throughput.md`,
all figures to `benchmarks/throughput.json`, and a line to README.
"""

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import psutil

FOLDER = Path(__file__).parent
if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER.parent))

from benchmarks import report

FIGURES, PAGE = FOLDER / "throughput.json", FOLDER / "throughput.md"
README = FOLDER.parent / "README.md"
PACKAGES = ("torch", "numpy", "gymnasium", "ale-py", "envpool", "stable-baselines3")
STEPPING = {
    "kit_threads": "the kit, C++ threads",
    "kit_processes": "the kit, worker processes",
    "async_vector_env": "gymnasium `AsyncVectorEnv`",
    "sb3_processes": "Stable-Baselines3 `SubprocVecEnv`",
    "envpool": "EnvPool",
    "emulator": "limit: bare emulators, one process per core",
}
TRAINING = {
    "kit_training": "the kit's notebook",
    "envpool_training": "a plain loop on EnvPool",
    "sb3_training": "Stable-Baselines3 A2C, `SubprocVecEnv`",
    "sb3_training_in_one_process": "Stable-Baselines3 A2C, `DummyVecEnv`",
    "limit": "limit: bare emulators, then the bare network",
}
ALONE = ("emulator", "network")  # together the limit of training
PEERS = ("async_vector_env", "sb3_processes", "envpool")
BASELINES = ("sb3_training", "sb3_training_in_one_process")
PEERS_IN_TRAINING = ("envpool_training", *BASELINES)
GROWTH = (1, 4, 16, 64, 256)  # environments


class Contender:
    """A process that is timed when it is asked, and idle otherwise."""

    def __init__(self, name, nenvs, log):
        """Starts it and waits until it is ready; what it prints goes to the file log."""
        self.name, self.peak, self._log = name, 0.0, Path(log.name)  # peak in GB
        command = [sys.executable, str(FOLDER / "contenders.py"), name, str(nenvs)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, text=True)
        self._answer()

    def go(self, seconds):
        """Returns agent steps per second over these seconds; notes the memory that was in use."""
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        figure = float(self._answer())
        root = psutil.Process(self._process.pid)
        memory = [p.memory_full_info() for p in (root, *root.children(recursive=True))]
        self.peak = max(self.peak, sum(getattr(m, "pss", m.rss) for m in memory) / 1e9)
        return figure

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            last_words = self._log.read_text()[-2000:]
            raise RuntimeError(f"{self.name} ended, code {self._process.wait()}:\n{last_words}")
        return line

    def close(self):
        """Ends it, with its workers."""
        workers = []
        with contextlib.suppress(psutil.NoSuchProcess):  # it may have died
            workers = psutil.Process(self._process.pid).children(recursive=True)
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        for process in (*workers, self._process):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()


@contextlib.contextmanager
def contenders(names, nenvs, log):
    """Yields all of them, and ends all of them."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(contextlib.closing(Contender(name, nenvs, log))) for name in names
        ]


def interleave(names, nenvs, rounds, seconds, log):
    """Times every contender once per round.

    Returns:
        {name: agent steps per second, [rounds]}, and {name: peak memory in GB}.
    """
    with contenders(names, nenvs, log) as all_of_them:
        for contender in all_of_them:
            contender.go(1.0)  # to warm up
        figures = {name: [] for name in names}
        for _ in range(rounds):
            for contender in all_of_them:
                figures[contender.name].append(contender.go(seconds))
        return figures, {contender.name: contender.peak for contender in all_of_them}


def measure_training(nenvs, rounds, seconds, log):
    """Times nenvs × 5 training and its limit, both halves of the work one after the other."""
    names = [name for name in TRAINING if name != "limit"]
    figures, memory = interleave([*names, *ALONE], nenvs, rounds, seconds, log)
    figures["limit"] = (1 / sum(1 / np.array(figures[name]) for name in ALONE)).tolist()
    return {**figures, "memory in GB": memory, "seconds": seconds}


def measure_growth(rounds, seconds, log):
    """Times the kit at growing numbers of environments."""
    results = {}
    for nenvs in GROWTH:
        figures, memory = interleave(["kit_threads", "kit_training"], nenvs, rounds, seconds, log)
        results[str(nenvs)] = {**figures, "memory in GB": memory, "seconds": seconds}
    return results


def measure(rounds, seconds, log):
    """Returns everything, as it is written to the JSON file."""
    how = (rounds, seconds, log)
    return {
        "machine": machine(),
        "stepping": {**interleave(STEPPING, 16, *how)[0], "seconds": seconds},
        "training 16": measure_training(16, *how),
        "training 64": measure_training(64, *how),
        "growth": measure_growth(3, seconds, log),
    }


def compare(labels, figures, limit, peers):
    """Returns a table: speed, ratio to the best peer and to the limit, medians over the rounds."""
    best = max(peers, key=lambda name: np.median(figures[name]))
    headers = ["", "agent steps/s", "lowest to highest", "× the best peer", "of the limit"]
    rows = []
    for name in labels:
        speed, label = np.array(figures[name]), labels[name]
        span = f"{speed.min():,.0f} to {speed.max():,.0f}"
        ratios = [f"{ratio(figures, name, other):.2f}" for other in (best, limit)]
        rows.append((label, f"{np.median(speed):,.0f}", span, *ratios))
    return report.table(headers, rows)


def ratio(figures, name, other):
    """Returns the median of the ratios of two contenders in each round."""
    return np.median(np.array(figures[name]) / np.array(figures[other]))


def grow(growth):
    """Returns the table of the kit at growing numbers of environments."""
    headers = ["environments", "stepping, agent steps/s", "training × 5, agent steps/s", "memory"]
    rows = []
    for nenvs, figures in growth.items():
        step, train = (np.median(figures[name]) for name in ("kit_threads", "kit_training"))
        memory = figures["memory in GB"]["kit_training"]
        rows.append((nenvs, f"{step:,.0f}", f"{train:,.0f}", f"{memory:.2f} GB"))
    return report.table(headers, rows)


def render(results):
    """Returns what `benchmarks/throughput.md` shows."""
    stepping, growth = results["stepping"], results["growth"]
    text = [f"Measured on {results['machine']}."]
    text.append(f"**Stepping alone, 16 environments, random actions; {_how(stepping)}**")
    text.append(compare(STEPPING, stepping, "emulator", PEERS))
    for nenvs in (16, 64):
        trained = results[f"training {nenvs}"]
        text.append(f"**Training, {nenvs} environments × 5 agent steps; {_how(trained)}**")
        text.append(compare(TRAINING, trained, "limit", PEERS_IN_TRAINING))
    text.append(f"**Growth of the kit, peak memory of the training; {_how(growth['1'])}**")
    text.append(grow(growth))
    return "\n\n".join(text)


def line(results):
    """Returns README's line."""
    trained = results["training 16"]
    best = max(BASELINES, key=lambda name: np.median(trained[name]))
    peers = {best: "Stable-Baselines3's A2C", "envpool_training": "a plain loop on EnvPool"}
    faster = [
        f"{ratio(trained, 'kit_training', name):.1f} times as fast as {label}"
        for name, label in peers.items()
    ]
    return (
        f"Side by side on one machine, the notebook trained {' and '.join(faster)}, at "
        f"{ratio(trained, 'kit_training', 'limit'):.0%} of the speed that emulators and network "
        "alone would allow."
    )


def _how(figures):
    """Returns how often and how long each contender of a section was timed."""
    rounds = len(next(iter(figures.values())))
    return f"{rounds} rounds of {figures['seconds']:g} s"


def machine():
    """Returns what the figures were measured on, in one line."""
    processor, info = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if info.exists():
        names = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        processor = names[0].split(":")[1].strip() if names else processor
    gpus = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        gpu = subprocess.run(gpus, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        gpu = "no GPU"
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    python = platform.python_version()
    return f"{os.cpu_count()} cores ({processor}), {gpu}; Python {python}, {packages}"


def main():
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="rounds of every comparison")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one measurement")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, open(Path(folder) / "log", "w") as log:
        os.environ["TMPDIR"] = folder  # of every contender
        results = measure(given.rounds, given.seconds, log)
    FIGURES.write_text(json.dumps(results, indent=1) + "\n")
    report.fill(PAGE, {"tables": render(results)})
    report.fill(README, {"speed": line(results)})
    print(render(results), line(results), sep="\n\n")


if __name__ == "__main__":
    main()
