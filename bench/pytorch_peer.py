#!/usr/bin/env python3
"""The example models in PyTorch, as a user writes them. Exit 77 without PyTorch.

    pytorch_peer.py serve THREADS       answers requests, see peer.py; values in seconds
        step MODEL BATCH [FORM]         one training step, its batch gathered from shuffled rows in memory; FORM: channels_last,
                                        or compiled by torch.compile
        epoch MODEL BATCH [FORM]        one epoch from u8 pictures: a shuffling DataLoader over a TensorDataset (no worker
                                        processes); conversion and scaling in the step. FORM: items, over a data set that
                                        converts each picture by itself
        predict MODEL                   one row of f32 through the model, without gradients
    pytorch_peer.py train MODEL BATCH   a whole process: reads the data, trains for an epoch, evaluates on the test rows
    pytorch_peer.py steps MODEL BATCH   a whole process: reads the data, makes three training steps
    pytorch_peer.py predict MODEL       a whole process: predicts the class of one u8 row
"""
import functools
import sys
import time

import peer

try:
    import torch
except ImportError:
    sys.exit(77)

import pytorch_nets as nets
import pytorch_sequences as sequences


def dense_net(*sizes):
    layers = []
    for n, m in zip(sizes, sizes[1:]):
        layers += [torch.nn.Linear(n, m), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def columns_of(prefix):
    images, labels = (peer.read_idx(f"{prefix}-{what}") for what in ("images-idx3-ubyte", "labels-idx1-ubyte"))
    if images is None:
        return [torch.randint(0, 256, (60000, 784), dtype=torch.uint8), torch.randint(0, 10, (60000,))]
    return [torch.frombuffer(images[0], dtype=torch.uint8).reshape(-1, 784),
            torch.frombuffer(labels[0], dtype=torch.uint8).long()]


@functools.cache
def pictures():
    return columns_of("train")


def houses():
    x = torch.randn(1000, 2)
    return [x, x @ torch.tensor([[2.0], [-3.4]]) + 4.2]


def squared(net, x, y):
    return ((net(x) - y) ** 2).mean() / 2


def cross_entropy(net, x, y):
    return torch.nn.functional.cross_entropy(net(x.float() / 255), y)


def enlarged(size):
    """The loss of pictures of size x size."""

    def loss(net, x, y):
        x = x.reshape(-1, 1, 28, 28).float() / 255
        if size != 28:
            x = torch.nn.functional.interpolate(x, (size, size), mode="bilinear", align_corners=False)
        if next(net.parameters()).is_contiguous(memory_format=torch.channels_last):
            x = x.contiguous(memory_format=torch.channels_last)
        return torch.nn.functional.cross_entropy(net(x), y)

    return loss


MODELS = {
    "linear_regression": (houses, lambda: torch.nn.Linear(2, 1), squared, 0.03),
    "softmax_regression": (pictures, lambda: torch.nn.Linear(784, 10), cross_entropy, 0.1),
    "mlp": (pictures, lambda: dense_net(784, 256, 10), cross_entropy, 0.5),
    "deep_mlp": (pictures, lambda: dense_net(784, 512, 512, 512, 10), cross_entropy, 0.1),
    "lenet": (pictures, nets.lenet, enlarged(28), 0.1),
    "vgg": (pictures, nets.vgg, enlarged(224), 0.05),
    "alexnet": (pictures, nets.alexnet, enlarged(224), 0.01),
    "resnet18": (pictures, nets.resnet18, enlarged(96), 0.01),
    "densenet": (pictures, nets.densenet, enlarged(96), 0.01),
    "googlenet": (pictures, nets.googlenet, enlarged(96), 0.01),
    **sequences.MODELS,
}


def train_on(net, loss_of, optimizer, batch):
    loss = loss_of(net, *batch)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if hasattr(net, "clip"):
        torch.nn.utils.clip_grad_norm_(net.parameters(), net.clip)
    optimizer.step()


class Items(torch.utils.data.Dataset):
    """One picture after the other, each converted and scaled by itself: what torchvision's data sets with ToTensor do."""

    def __init__(self, images, labels):
        self.images, self.labels = images, labels.tolist()

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, row):
        return self.images[row].float().div(255), self.labels[row]


def cross_entropy_of_scaled(net, x, y):
    return torch.nn.functional.cross_entropy(net(x), y)


class Training:
    """A model with its data; steps and epochs go on where the last turn ended."""

    def __init__(self, model, batch, form=None):
        data, make, self.loss_of, lr = MODELS[model]
        self.columns, self.net, self.batch, self.at = data(), make(), batch, 0
        self.by_item = form == "items"
        if form == "channels_last":
            self.net = self.net.to(memory_format=torch.channels_last)
        elif form == "compiled":
            self.net = torch.compile(self.net)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=lr)
        self.order = torch.randperm(len(self.columns[0]))

    def step(self):
        rows = self.order[self.at:self.at + self.batch]
        self.at = self.at + self.batch if self.at + 2 * self.batch <= len(self.order) else 0
        train_on(self.net, self.loss_of, self.optimizer, [c[rows] for c in self.columns])

    def epoch(self):
        dataset = (Items if self.by_item else torch.utils.data.TensorDataset)(*self.columns)
        loss_of = cross_entropy_of_scaled if self.by_item else self.loss_of
        for batch in torch.utils.data.DataLoader(dataset, self.batch, shuffle=True):
            train_on(self.net, loss_of, self.optimizer, batch)


trainings = {}


def answer(what, model, batch=1, seconds=1.0, form=None, fewest=10):
    if what == "predict":
        net, row = MODELS[model][1](), torch.rand(1, 784)
        with torch.no_grad():
            return peer.median_seconds(lambda: net(row), seconds, warm_up=20)
    if what == "characters":
        sequences.characters(model, 50)
        start = time.perf_counter()
        sequences.characters(model, 500)
        return (time.perf_counter() - start) / 500
    first = (model, batch, form) not in trainings
    if first:
        if any(other != model for other, *_ in trainings):
            trainings.clear()  # one model after the other: large ones would not all fit
        trainings[model, batch, form] = Training(model, batch, form)
    training = trainings[model, batch, form]
    if what == "step":
        return peer.median_seconds(training.step, seconds, fewest, warm_up=min(fewest, 3) if first else 0)
    if first:
        training.epoch()
    start = time.perf_counter()
    training.epoch()
    return time.perf_counter() - start


def train(model, batch):
    training = Training(model, batch)
    images, labels = columns_of("t10k")
    training.epoch()
    with torch.no_grad():
        classes = torch.cat([training.net(x.float() / 255).argmax(1) for x in images.split(batch)])
        print(f"accuracy {(classes == labels).float().mean():.3f}")


def steps(model, batch):
    training = Training(model, batch)
    for _ in range(3):
        training.step()


def predict(model):
    row = torch.zeros(1, 784, dtype=torch.uint8)
    with torch.no_grad():
        print(MODELS[model][1]()(row.float() / 255).argmax(1))


def main():
    what = sys.argv[1]
    if what == "serve":
        torch.set_num_threads(int(sys.argv[2]))
        peer.serve("PyTorch", torch.__version__.split("+")[0], answer)
    else:
        torch.set_num_threads(1)
        {"train": train, "steps": steps, "predict": predict}[what](sys.argv[2], *map(int, sys.argv[3:]))


if __name__ == "__main__":
    main()
