"""What scripts/bench measures, a function a section; each gives rows (suite.row)."""
import json
import pathlib
import shutil
import struct

from peer import FASHION_MNIST
from suite import BENCH, PYTHON_PEERS, ROOT, Failed, row

# Model, file, batch, unit.
STEPS = [("linear_regression", "examples/linear_regression.dl", 10, "us"),
         ("softmax_regression", "examples/softmax_regression.dl", 256, "ms"),
         ("mlp", "examples/mlp.dl", 256, "ms"),
         ("deep_mlp", "bench/deep_mlp.dl", 64, "ms"),
         ("deep_mlp", "bench/deep_mlp.dl", 1024, "ms")]
# The convolutional models and their batches.
NETS = [("lenet", 256), ("vgg", 64), ("alexnet", 32), ("resnet18", 64), ("densenet", 64), ("googlenet", 64)]
# The language models: bench/language_model.dl with these cells, and bench/transformer.dl.
SEQUENCES = ["rnn", "gru", "lstm", "transformer"]
IN_A_SECOND = {"us": 1e6, "ms": 1e3, "s": 1}
EPOCHS = STEPS[1:]
MLP = ROOT / "examples/mlp.dl"
SOFTMAX = ROOT / "examples/softmax_regression.dl"


def interleave(suite, section, case, turns):
    """{system: [value a round]}: every system in turn, round by round. `turns` has a function a system; a peer that
    fails is left out and named, dlc may not fail."""
    rounds = {name: [] for name in turns}
    for k in range(suite.rounds):
        for name in list(rounds):
            suite.say(f"{section}: {case}, round {k + 1} of {suite.rounds}, {name}")
            try:
                rounds[name].append(turns[name]())
            except Failed as e:
                if name == "dlc":
                    raise
                suite.skip(section, name, f"{case}: {e}")
                del rounds[name]
    return rounds


def has_pictures(suite, section, case):
    """Whether the data of the example models are there; noted when they are not."""
    if not FASHION_MNIST.exists():
        suite.skip(section, "dlc", f"{case}: the pictures are not installed", "dataset-fashion-mnist")
    return FASHION_MNIST.exists()


def close(peers):
    for peer in peers.values():
        peer.close()


def gemm(suite):
    return suite.benchmark("gemm", "gemm", 0.001 if suite.quick else 0.05)


def convolution(suite):
    return suite.benchmark("convolution", "convolution", 0.001 if suite.quick else 0.1)


def vector(suite):
    return suite.benchmark("vector", "vector_math", 0.001 if suite.quick else 0.05)


def streams(suite):
    return suite.benchmark("streams", "streams", 0.001 if suite.quick else 0.1)


def dlc_step_ms(suite, file, batch, threads, options=()):
    """The median milliseconds of a training step."""
    out = suite.dlc("bench", ROOT / file, "--json", "--threads", threads, "--seconds", suite.seconds, "--set", f"batch={batch}",
                    *options, threads=threads)[0]
    return json.loads(out)["step_ms"]["median"]


def peer_step_ms(suite, peer, model, batch, **how):
    """The same of a peer, in a `form` of its own."""
    return 1e3 * peer.ask(what="step", model=model, batch=batch, seconds=suite.seconds, **how)


def steps(suite):
    rows = []
    for threads in suite.thread_counts()[:1 if suite.quick else None]:
        peers = suite.peers("steps", threads)
        for model, file, batch, unit in STEPS[:1] if suite.quick else STEPS:
            ask = dict(what="step", model=model, batch=batch, seconds=suite.seconds)
            case = f"{model}, batch {batch}"
            if model != "linear_regression" and not has_pictures(suite, "steps", case):
                continue
            turns = {"dlc": lambda: dlc_step_ms(suite, file, batch, threads) / 1e3}
            turns.update({name: lambda p=p: p.ask(**ask) for name, p in peers.items()})
            rounds = interleave(suite, "steps", case, turns)
            scaled = {name: [v * IN_A_SECOND[unit] for v in values] for name, values in rounds.items()}
            rows.append(row(case, unit, "lower", scaled, threads))
        close(peers)
    return rows


def can_compile(system):
    """Whether it is a PyTorch with torch.compile."""
    name, _, version = system.partition(" ")
    return name == "PyTorch" and int(version.split(".")[0]) >= 2


def nets(suite):
    """Training steps of the convolutional models beside PyTorch: eager, with channels last, and compiled."""
    if not has_pictures(suite, "nets", "all"):
        return []
    rows = []
    for threads in suite.thread_counts()[:1 if suite.quick else None]:
        peers = suite.peers("nets", threads, ["PyTorch"])
        for model, batch in NETS[:1] if suite.quick else NETS:

            def peer_step(peer, form):
                return peer_step_ms(suite, peer, model, batch, form=form, fewest=2)

            turns = {"dlc": lambda: dlc_step_ms(suite, f"examples/{model}.dl", batch, threads)}
            for name, peer in peers.items():
                turns[name] = lambda p=peer: peer_step(p, None)
                turns[name + " channels last"] = lambda p=peer: peer_step(p, "channels_last")
                if can_compile(name):
                    turns[name + " compiled"] = lambda p=peer: peer_step(p, "compiled")
            case = f"{model}, batch {batch}"
            rows.append(row(case, "ms", "lower", interleave(suite, "nets", case, turns), threads))
        close(peers)
    return rows


def sequences(suite):
    """Training steps of language models beside PyTorch and JAX, and drawing characters."""
    rows = []
    for threads in suite.thread_counts()[:1 if suite.quick else None]:
        peers = suite.peers("sequences", threads)
        for model in SEQUENCES[:1] if suite.quick else SEQUENCES:
            recurrent = model != "transformer"
            file, batch = ("bench/language_model.dl", 32) if recurrent else ("bench/transformer.dl", 16)
            options = ["--set", f'cell="{model}"'] if recurrent else []
            turns = {"dlc": lambda: dlc_step_ms(suite, file, batch, threads, options)}
            for name, peer in peers.items():
                if recurrent or name.startswith("PyTorch"):
                    turns[name] = lambda p=peer: peer_step_ms(suite, p, model, batch)
                if can_compile(name):
                    turns[name + " compiled"] = lambda p=peer: peer_step_ms(suite, p, model, batch, form="compiled")
            case = f"{model}, batch {batch}"
            rows.append(row(case, "ms", "lower", interleave(suite, "sequences", case, turns), threads))
        close(peers)
    peers = suite.peers("sequences", 1, ["PyTorch"])

    def seconds_of(count):
        return suite.dlc("generate", ROOT / "examples/lstm.dl", "--prompt", "T", "--length", count, "--threads", 1)[1]

    def dlc_character():
        seconds_of(10)  # now it is in the cache
        return 1e6 * (seconds_of(8000) - seconds_of(2000)) / 6000

    turns = {"dlc": dlc_character}
    turns.update({name: lambda p=p: 1e6 * p.ask(what="characters", model="lstm") for name, p in peers.items()})
    rows.append(row("drawing a character, lstm", "us", "lower", interleave(suite, "sequences", "characters", turns)))
    close(peers)
    return rows


def epochs(suite):
    if not has_pictures(suite, "epochs", "all"):
        return []
    rows = []
    peers = suite.peers("epochs", 1, ["PyTorch"])
    log = pathlib.Path(suite.scratch.name) / "log.jsonl"

    def dlc_epoch(file, batch):
        # The second of two: like the peers' it finds its memory touched. "seconds" counts from the start.
        suite.dlc("train", ROOT / file, "--epochs", 2, "--threads", 1, "--log", log, "--batch", batch)
        first, second = [json.loads(line) for line in log.read_text().splitlines() if "seconds" in json.loads(line)][:2]
        return second["seconds"] - first["seconds"]

    for model, file, batch, _ in EPOCHS[:1] if suite.quick else EPOCHS:
        case = f"{model}, batch {batch}"
        turns = {"dlc": lambda: dlc_epoch(file, batch)}
        for name, p in peers.items():
            turns[name] = lambda p=p: p.ask(what="epoch", model=model, batch=batch)
            turns[name + " by item"] = lambda p=p: p.ask(what="epoch", model=model, batch=batch, form="items")
        rows.append(row(case, "s", "lower", interleave(suite, "epochs", case, turns)))
    close(peers)
    return rows


def one_picture(suite):
    """A .npy file of one u8 picture."""
    path = pathlib.Path(suite.scratch.name) / "picture.npy"
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 28, 28), }"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode("latin1") +
                     bytes(k * 31 % 256 for k in range(784)))
    return path


def predict(suite):
    if not has_pictures(suite, "predict", "all"):
        return []
    peers = suite.peers("predict", 1)
    program_alone = []

    def dlc_row():
        out = suite.start([suite.build / "dlc_bench_predict", MLP, suite.seconds / 2])[0]
        result = json.loads(out)
        program_alone.append(result["program"] / 1e3)
        return result["api"] / 1e3

    turns = {"dlc": dlc_row}
    turns.update({name: lambda p=p: p.ask(what="predict", model="mlp", seconds=suite.seconds) * 1e6
                  for name, p in peers.items()})
    in_process = interleave(suite, "predict", "one row", turns)
    rows = [row("MLP, one row, inside a process", "us", "lower", in_process,
                variants={"the compiled program alone": program_alone})]
    close(peers)

    ours = ["predict", MLP, "--input", f"image={one_picture(suite)}", "--threads", 1]
    suite.dlc(*ours)  # now it is in the cache
    turns = {"dlc": lambda: suite.dlc(*ours)[1] * 1e3}
    script = BENCH / PYTHON_PEERS["PyTorch"][0]
    turns.update({name: lambda p=p: suite.start([p, script, "predict", "mlp"])[1] * 1e3
                  for name, p in suite.find("PyTorch").items()})
    rows.append(row("MLP, one row, whole process from the cache", "ms", "lower",
                    interleave(suite, "predict", "whole process", turns)))
    return rows


def compile_times(suite):
    if not has_pictures(suite, "compile", "all"):
        return []
    # A compiler uses the cores that there are.
    threads = max(suite.thread_counts())
    peers = suite.peers("compile", threads, ["JAX"])

    def compile_ms(*options):
        out = suite.dlc("bench", MLP, "--json", "--threads", 1, "--seconds", 0.01, *options, threads=threads)[0]
        return json.loads(out)["compile_ms"]

    turns = {"dlc": lambda: compile_ms("--no-cache")}
    turns.update({name: lambda p=p: p.ask(what="compile", model="mlp", batch=256) * 1e3 for name, p in peers.items()})
    rows = [row("MLP training step, cold", "ms", "lower", interleave(suite, "compile", "cold", turns))]
    close(peers)
    compile_ms()
    rows.append(row("MLP training step, from the cache", "ms", "lower",
                    interleave(suite, "compile", "from the cache", {"dlc": compile_ms})))
    for case, options in [("cold", ["--no-cache"]), ("from the cache", [])]:
        command = ["predict", MLP, "--input", f"image={one_picture(suite)}", "--threads", 1, *options]
        suite.dlc(*command, threads=threads)
        rows.append(row(f"dlc predict, whole process, {case}", "ms", "lower",
                        interleave(suite, "compile", case, {"dlc": lambda: suite.dlc(*command, threads=threads)[1] * 1e3})))
    return rows


def memory(suite):
    if not has_pictures(suite, "memory", "all"):
        return []
    rows = []
    peers = suite.find("PyTorch")
    if not peers:
        suite.skip("memory", "PyTorch", "not installed", PYTHON_PEERS["PyTorch"][1])
    script = BENCH / PYTHON_PEERS["PyTorch"][0]

    def measure(case, ours, theirs):
        turns = {"dlc": ours}
        turns.update({name: lambda p=p: suite.start([p, script, *theirs])[2] for name, p in peers.items()})
        rows.append(row(case, "MiB", "lower", interleave(suite, "memory", case, turns)))

    epoch = ["train", SOFTMAX, "--epochs", 1, "--threads", 1]

    def cold():
        shutil.rmtree(suite.cache, ignore_errors=True)
        return suite.dlc(*epoch)[2]

    theirs = ["train", "softmax_regression", 256]
    measure("softmax regression, an epoch, cold", cold, theirs)
    measure("softmax regression, an epoch, from the cache", lambda: suite.dlc(*epoch)[2], theirs)
    if not suite.quick:
        model, batch = NETS[3]
        steps = ["train", ROOT / f"examples/{model}.dl", "--steps", 3, "--threads", 1, "--set", f"batch={batch}"]
        measure(f"{model}, batch {batch}, three steps", lambda: suite.dlc(*steps)[2], ["steps", model, batch])
    return rows


# Name, title, function, in the order of a run.
SECTIONS = {
    "gemm": ("Matrix products, m x k x n", gemm),
    "convolution": ("The convolutions of ResNet-18, batch 16: kernel, channels, size", convolution),
    "steps": ("A training step: gathering the batch, gradient, update", steps),
    "nets": ("A training step of a convolutional model", nets),
    "sequences": ("A training step of a language model", sequences),
    "epochs": ("An epoch of 60,000 u8 pictures, shuffling and gathering included", epochs),
    "predict": ("Predicting one row", predict),
    "compile": ("Compiling, on all cores", compile_times),
    "vector": ("Vector math, nanoseconds an element of a million", vector),
    "streams": ("Chains and reductions over 64 million f32 in memory", streams),
    "memory": ("Peak resident size of the whole training process", memory),
}
