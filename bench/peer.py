"""What the peers in Python share: the way scripts/bench talks to them, the clock, and the pictures.

A peer is a process of its own that stays: it reads a request as JSON on a line, `{"what": "step", "model": "mlp", "batch": 256,
"seconds": 1}`, and answers with one, `{"value": ...}`. So it is asked turn by turn with the others and imports its library once."""
import gzip
import json
import pathlib
import statistics
import sys
import time

# Debian's dataset-fashion-mnist, which the example models read, too.
FASHION_MNIST = pathlib.Path("/usr/share/datasets/fashion-mnist")


def read_idx(name):
    """The bytes of an idx file of u8 and its extents, or None where the data are not installed."""
    path = FASHION_MNIST / (name + ".gz")
    if not path.exists():
        return None
    with gzip.open(path) as file:
        _, _, kind, rank = file.read(4)
        assert kind == 8, f"{path} does not hold u8"
        shape = [int.from_bytes(file.read(4), "big") for _ in range(rank)]
        return bytearray(file.read()), shape


def median_seconds(f, seconds, fewest=10, warm_up=3):
    """The median time of a call of `f`, over calls that together take `seconds`."""
    for _ in range(warm_up):
        f()
    times = []
    end = time.perf_counter() + seconds
    while len(times) < fewest or time.perf_counter() < end:
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def libraries():
    """The matrix libraries that this process has loaded: which one it is decides what PyTorch can do."""
    paths = {line.split()[-1] for line in open("/proc/self/maps") if "/" in line}
    names = sorted({pathlib.Path(p).name for p in paths})
    return [n for n in names if n.startswith(("libopenblas", "libblas", "libblis", "libmkl", "libdnnl", "libatlas"))]


def serve(name, version, answer):
    """Greets with what this is, then answers requests until the input ends."""
    print(json.dumps({"system": f"{name} {version}", "libraries": libraries()}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"value": answer(**json.loads(line))}), flush=True)
