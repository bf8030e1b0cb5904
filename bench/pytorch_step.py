#!/usr/bin/env python3
"""Times PyTorch's eager training step of one of the example models, batch gathering, gradient and update
included, on batches drawn from rows already in memory. Prints {"median": ms, "min": ms}; exit 77 without PyTorch.

Usage: pytorch_step.py MODEL BATCH THREADS SECONDS"""
import json
import statistics
import sys
import time

try:
    import torch
except ImportError:
    sys.exit(77)


def linear_regression():
    x = torch.randn(1000, 2)
    y = x @ torch.tensor([[2.0], [-3.4]]) + 4.2
    net = torch.nn.Linear(2, 1)
    return [x, y], net, lambda x, y: ((net(x) - y) ** 2).mean() / 2, 0.03


def pictures():
    return [torch.randint(0, 256, (60000, 784), dtype=torch.uint8), torch.randint(0, 10, (60000,))]


def softmax_regression():
    net = torch.nn.Linear(784, 10)
    return pictures(), net, lambda x, y: torch.nn.functional.cross_entropy(net(x.float() / 255), y), 0.1


def mlp():
    net = torch.nn.Sequential(torch.nn.Linear(784, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
    return pictures(), net, lambda x, y: torch.nn.functional.cross_entropy(net(x.float() / 255), y), 0.5


MODELS = {f.__name__: f for f in (linear_regression, softmax_regression, mlp)}


def main():
    model, batch, threads, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    torch.set_num_threads(threads)
    columns, net, loss_of, lr = MODELS[model]()
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    order = torch.randperm(len(columns[0]))
    times = []
    at = 0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 12:
        start = time.perf_counter()
        rows = order[at:at + batch]
        loss = loss_of(*[c[rows] for c in columns])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        times.append((time.perf_counter() - start) * 1e3)
        at = at + batch if at + 2 * batch <= len(order) else 0
    times = times[2:]
    print(json.dumps({"median": statistics.median(times), "min": min(times), "version": torch.__version__}))


if __name__ == "__main__":
    main()
