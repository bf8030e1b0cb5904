#!/usr/bin/env python3
"""The example models in PyTorch eager, timed as dlc's are. Prints one JSON object; exit 77 without PyTorch.

    pytorch_peer.py step MODEL BATCH THREADS SECONDS      one training step, its batch gathered from rows in memory
    pytorch_peer.py epoch MODEL BATCH THREADS             one epoch from u8 pictures through a shuffling DataLoader
    pytorch_peer.py predict MODEL THREADS SECONDS         one row through the model
"""
import json
import resource
import statistics
import sys
import time

try:
    import torch
except ImportError:
    sys.exit(77)


def dense_net(*sizes):
    layers = []
    for n, m in zip(sizes, sizes[1:]):
        layers += [torch.nn.Linear(n, m), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def pictures():
    return [torch.randint(0, 256, (60000, 784), dtype=torch.uint8), torch.randint(0, 10, (60000,))]


def houses():
    x = torch.randn(1000, 2)
    return [x, x @ torch.tensor([[2.0], [-3.4]]) + 4.2]


def squared(net, x, y):
    return ((net(x) - y) ** 2).mean() / 2


def cross_entropy(net, x, y):
    return torch.nn.functional.cross_entropy(net(x.float() / 255), y)


MODELS = {
    "linear_regression": (houses, lambda: torch.nn.Linear(2, 1), squared, 0.03),
    "softmax_regression": (pictures, lambda: torch.nn.Linear(784, 10), cross_entropy, 0.1),
    "mlp": (pictures, lambda: dense_net(784, 256, 10), cross_entropy, 0.5),
    "deep_mlp": (pictures, lambda: dense_net(784, 512, 512, 512, 10), cross_entropy, 0.1),
}


def report(times):
    times = times[2:]
    print(json.dumps({"median": statistics.median(times), "min": min(times), "version": torch.__version__,
                      "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def train_on(net, loss_of, optimizer, batch):
    loss = loss_of(net, *batch)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def repeat(seconds, f):
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 12:
        start = time.perf_counter()
        f()
        times.append((time.perf_counter() - start) * 1e3)
    report(times)


def main():
    what, model = sys.argv[1], sys.argv[2]
    data, make, loss_of, lr = MODELS[model]
    columns, net = data(), make()
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    if what == "step":
        batch, seconds = int(sys.argv[3]), float(sys.argv[5])
        torch.set_num_threads(int(sys.argv[4]))
        order = torch.randperm(len(columns[0]))
        at = 0

        def step():
            nonlocal at
            rows = order[at:at + batch]
            at = at + batch if at + 2 * batch <= len(order) else 0
            train_on(net, loss_of, optimizer, [c[rows] for c in columns])

        repeat(seconds, step)
    elif what == "epoch":
        torch.set_num_threads(int(sys.argv[4]))
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*columns), int(sys.argv[3]), shuffle=True)
        start = time.perf_counter()
        for batch in loader:
            train_on(net, loss_of, optimizer, batch)
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "version": torch.__version__}))
    else:
        torch.set_num_threads(int(sys.argv[3]))
        row = columns[0][:1]
        with torch.no_grad():
            repeat(float(sys.argv[4]), lambda: net(row.float() / 255 if row.dtype == torch.uint8 else row))


if __name__ == "__main__":
    main()
