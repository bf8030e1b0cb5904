"""Running things for scripts/bench: pinned processes, peers that stay, and rows of results."""
import json
import os
import pathlib
import selectors
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
PYTHON_PEERS = {"PyTorch": ("pytorch_peer.py", "python3-torch, with libopenblas0-pthread; or pip install torch"),
                "JAX": ("jax_peer.py", "pip install jax; DLC_BENCH_PYTHON names the Python that has it")}
PEER_ANSWERS_WITHIN = 600  # seconds


class Failed(Exception):
    """A command did not do what it should; the message says which and shows its last words."""


def environment(threads, **more):
    # A library that starts more threads than it is asked to time is not compared.
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS", "MKL_NUM_THREADS")
    return dict(os.environ, **{n: str(threads) for n in names}, **more)


def last_words(text):
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def stats(values):
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {"median": median, "q1": q1, "q3": q3, "n": len(values)}


def row(case, unit, better, rounds, threads=1, variants=None, limits=None):
    """One case: `rounds` has the values of each system, a value a round, that of dlc among them. What is compared is
    compared within a round, so that a machine that is slower for a while is so for both."""
    def times(above, below):  # how many times as good `above` is
        return stats([a / b if better == "higher" else b / a for a, b in zip(above, below)])

    ours = rounds["dlc"]
    return {"case": case, "unit": unit, "better": better, "threads": threads,
            "systems": {name: stats(v) for name, v in rounds.items()},
            "ratio": {name: times(ours, v) for name, v in rounds.items() if name != "dlc"},
            "variants": {name: dict(stats(v), speedup=times(v, ours)["median"]) for name, v in (variants or {}).items()},
            "limits": {name: dict(stats(v), reached=times(ours, v)["median"]) for name, v in (limits or {}).items()}}


class Peer:
    """A process that answers requests, see peer.py."""

    def __init__(self, python, script, threads, cpus, **env):
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([python, str(BENCH / script), "serve", str(threads)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                        env=environment(threads, **env),
                                        preexec_fn=lambda: os.sched_setaffinity(0, cpus))
        self.greeting = None
        try:
            self.greeting = self.read()
        except Failed:
            self.close()
            if self.process.returncode != 77:  # 77: the library is not there
                raise

    def read(self):
        with selectors.DefaultSelector() as ready:
            ready.register(self.process.stdout, selectors.EVENT_READ)
            line = self.process.stdout.readline() if ready.select(PEER_ANSWERS_WITHIN) else ""
        if not line:
            self.errors.seek(0)
            raise Failed(last_words(self.errors.read()))
        return json.loads(line)

    def ask(self, **request):
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass  # read() says why
        return self.read()["value"]

    def close(self):
        if self.greeting is None and self.process.poll() is None:
            self.process.kill()
        self.process.stdin.close()
        self.process.wait()
        self.errors.close()


class Suite:
    def __init__(self, build, rounds, seconds, quick):
        self.build, self.rounds, self.seconds, self.quick = build, rounds, seconds, quick
        self.cpus = sorted(os.sched_getaffinity(0))
        self.skipped, self.systems = [], {}
        self.scratch = tempfile.TemporaryDirectory(prefix="dlc-bench-")
        self.cache = pathlib.Path(self.scratch.name) / "cache"
        candidates = os.environ.get("DLC_BENCH_PYTHON", "").split(":") + ["/usr/bin/python3", sys.executable]
        self.pythons = [p for p in dict.fromkeys(candidates) if p and pathlib.Path(p).exists()]
        self.found = {}  # library -> {system: python}

    def thread_counts(self):
        return [1, 2] if len(self.cpus) > 1 else [1]

    def say(self, text):
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def skip(self, section, system, reason, package=""):
        entry = {"section": section, "system": system, "reason": reason, "package": package}
        if entry not in self.skipped:
            self.skipped.append(entry)

    def start(self, command, threads=1, all_cpus=False, **env):
        """Runs a command to its end: stdout, wall seconds, peak resident MiB."""
        cpus = self.cpus if all_cpus else self.cpus[:threads]
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
            begin = time.perf_counter()
            process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out, stderr=errors,
                                       env=environment(threads, DLC_CACHE_DIR=str(self.cache), **env),
                                       preexec_fn=lambda: os.sched_setaffinity(0, cpus))
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode != 0:
                errors.seek(0)
                name = pathlib.Path(command[0]).name
                raise Failed(f"{name} ended with {process.returncode}: {last_words(errors.read())}")
            out.seek(0)
            return out.read(), seconds, usage.ru_maxrss / 1024

    def dlc(self, *arguments, threads=1, **env):
        return self.start([self.build / "dlc", *arguments], threads, **env)

    def benchmark(self, section, name, seconds):
        """Rows of one of the benchmarks in C++, which print a line of JSON a case."""
        command = [self.build / f"dlc_bench_{name}", "--rounds", self.rounds, "--seconds", seconds]
        rows = []
        for line in self.start(command + ["--quick"] * self.quick, threads=1, all_cpus=True)[0].splitlines():
            case = json.loads(line)
            if "rounds" in case:
                rows.append(row(case["case"], case["unit"], case["better"], case["rounds"], 1, case["variants"],
                                case["limits"]))
            elif "skipped" in case:
                self.skip(section, "dlc", f"{case['case']}: {case['skipped']}")
            elif "package" in case:
                self.skip(section, case["system"], "not installed", case["package"])
            else:
                self.systems.setdefault("dlc", {}).update(case)
        return rows

    def find(self, library):
        """The Pythons that have `library`, by the system that each is: "PyTorch 2.9.0"."""
        if library not in self.found:
            self.found[library] = {}
            for python in self.pythons:
                self.say(f"looking for {library} in {python}")
                try:
                    peer = Peer(python, PYTHON_PEERS[library][0], 1, self.cpus[:1])
                except Failed as e:
                    self.skip("all", f"{library} of {python}", str(e), PYTHON_PEERS[library][1])
                    continue
                if peer.greeting:
                    self.found[library].setdefault(peer.greeting["system"], python)
                    self.systems.setdefault(peer.greeting["system"], {"libraries": peer.greeting["libraries"]})
                    peer.close()
        return self.found[library]

    def peers(self, section, threads, libraries=("PyTorch", "JAX")):
        """Started peers by system; those that are not installed are noted."""
        started = {}
        for library in libraries:
            script, package = PYTHON_PEERS[library]
            if not self.find(library):
                self.skip(section, library, "not installed", package)
            for system, python in self.find(library).items():
                # OpenBLAS with threads of its own (libopenblas0-pthread) fights for the cores with OpenMP's, which spin
                # between loops; then PyTorch is up to three times as fast when those sleep instead.
                own_threads = any(lib.startswith("libopenblasp") for lib in self.systems[system]["libraries"])
                env = {"OMP_WAIT_POLICY": "PASSIVE"} if own_threads and threads > 1 else {}
                started[system] = Peer(python, script, threads, self.cpus[:threads], **env)
        return started
