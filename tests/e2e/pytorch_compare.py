#!/usr/bin/env python3
"""Trains the same models with dlc and PyTorch: same initial parameters, same batches, 50 steps; the distance
of the parameters is norm(ours - theirs) / norm(theirs). Exit 77 (skipped) without PyTorch.

Usage: pytorch_compare.py DLC_BINARY EXAMPLES_DIR"""
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
except ImportError as e:
    print(f"skipped: {e} (Debian: python3-torch)")
    sys.exit(77)

STEPS = 50
BATCH = 256


def read_safetensors(path):
    raw = pathlib.Path(path).read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:8 + size])
    dtypes = {"F32": np.float32, "F64": np.float64}
    out = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        out[name] = np.frombuffer(raw[8 + size + begin:8 + size + end], dtypes[entry["dtype"]]).reshape(entry["shape"])
    return out


def dense(x, p, layer):
    return x @ p[layer + ".w"] + p[layer + ".b"]


def linear_loss(p, x, y):
    return ((x @ p["w"] + p["b"] - y) ** 2).mean() / 2


def softmax_loss(p, image, label):
    x = image.reshape(len(image), -1).to(p["dense_1.w"].dtype) / 255
    return torch.nn.functional.cross_entropy(dense(x, p, "dense_1"), label.long())


def mlp_loss(p, image, label):
    x = image.reshape(len(image), -1).to(p["dense_1.w"].dtype) / 255
    return torch.nn.functional.cross_entropy(dense(torch.relu(dense(x, p, "dense_1")), p, "dense_2"), label.long())


def bowl_loss(p, points):
    return ((p["w"] - points) ** 2).sum() / 2


MNIST_DATA = """
data pictures { image = npy("image.npy"); label = npy("label.npy") }
"""
LINEAR = """
data pictures { x = npy("x.npy"); y = npy("y.npy") }
model linear {
  input x: f32[N, 2]
  target y: f32[N, 1]
  param w: f32[2, 1] = normal(std: 0.01)
  param b: f32[1] = zeros()
  loss = mean((x @ w + b - y) ^ 2) / 2
}
train linear on pictures { optimizer = OPTIMIZER; batch = 10 }
"""
SOFTMAX = MNIST_DATA + """
model softmax {
  input image: u8[N, 28, 28]
  target label: u8[N]
  loss = cross_entropy(image / 255 |> flatten |> dense(10, init: normal(std: 0.01)), label)
}
train softmax on pictures { optimizer = OPTIMIZER; batch = 256 }
"""
MLP = MNIST_DATA + """
model mlp {
  input image: u8[N, 28, 28]
  target label: u8[N]
  logits = image / 255 |> flatten |> dense(256, init: normal(std: 0.01)) |> relu |> dense(10, init: normal(std: 0.01))
  loss = cross_entropy(logits, label)
}
train mlp on pictures { optimizer = OPTIMIZER; batch = 256 }
"""

# A gradient that has nothing to round but one difference: what is compared is the optimizer.
BOWL = """
data points { points = npy("points.npy") }
model bowl {
  input points: f32[N, 64]
  param w: f32[64] = normal()
  loss = sum((w - points) ^ 2) / 2
}
train bowl on points { optimizer = OPTIMIZER; batch = 1 }
"""

# name, source, loss, inputs, batch, dlc optimizer, torch optimizer, f32 tolerance
CASES = [
    ("linear regression, sgd", LINEAR, linear_loss, ("x", "y"), 10, "sgd(lr: 0.03)",
     lambda p: torch.optim.SGD(p, lr=0.03), 1e-5),
    ("softmax regression, sgd", SOFTMAX, softmax_loss, ("image", "label"), BATCH, "sgd(lr: 0.1)",
     lambda p: torch.optim.SGD(p, lr=0.1), 1e-5),
    ("mlp, sgd", MLP, mlp_loss, ("image", "label"), BATCH, "sgd(lr: 0.1)",
     lambda p: torch.optim.SGD(p, lr=0.1), 1e-4),
    ("mlp, momentum", MLP, mlp_loss, ("image", "label"), BATCH, "momentum(lr: 0.05, beta: 0.9)",
     lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9), 1e-4),
    ("mlp, nesterov", MLP, mlp_loss, ("image", "label"), BATCH, "nesterov(lr: 0.05, beta: 0.9, weight_decay: 0.01)",
     lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01), 1e-4),
    # Not the MLP: first steps are as long whatever the gradient, also where that is rounding alone.
    ("linear regression, adagrad", LINEAR, linear_loss, ("x", "y"), 10, "adagrad(lr: 0.1)",
     lambda p: torch.optim.Adagrad(p, lr=0.1), 1e-5),
    ("linear regression, rmsprop", LINEAR, linear_loss, ("x", "y"), 10, "rmsprop(lr: 0.01, gamma: 0.9)",
     lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9), 1e-5),
    ("mlp, adadelta", MLP, mlp_loss, ("image", "label"), BATCH, "adadelta()",
     lambda p: torch.optim.Adadelta(p, lr=1.0, rho=0.9, eps=1e-6), 1e-4),
    # A gradient near zero moves a weight by the learning rate times its sign.
    ("mlp, adamw", MLP, mlp_loss, ("image", "label"), BATCH, "adamw(lr: 0.001, weight_decay: 0.1)",
     lambda p: torch.optim.AdamW(p, lr=0.001, weight_decay=0.1), 5e-4),
    ("mlp, adam", MLP, mlp_loss, ("image", "label"), BATCH, "adam(lr: 0.001)",
     lambda p: torch.optim.Adam(p, lr=0.001), 1e-4),
]
CASES += [(f"bowl, {ours.split('(')[0]}", BOWL, bowl_loss, ("points",), 1, ours, theirs, 1e-6) for ours, theirs in [
    ("sgd(lr: 0.1, weight_decay: 0.01)", lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.01)),
    ("momentum(lr: 0.05, beta: 0.9)", lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9)),
    ("nesterov(lr: 0.05, beta: 0.9)", lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True)),
    ("adagrad(lr: 0.1)", lambda p: torch.optim.Adagrad(p, lr=0.1)),
    ("rmsprop(lr: 0.01, gamma: 0.9)", lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9)),
    ("adadelta()", lambda p: torch.optim.Adadelta(p, lr=1.0, rho=0.9, eps=1e-6)),
    ("adam(lr: 0.01)", lambda p: torch.optim.Adam(p, lr=0.01)),
    ("adamw(lr: 0.01, weight_decay: 0.1)", lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1)),
]]


OPTIMIZERS = ("momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "adamw")


def train(dlc, model, precision, steps, save):
    subprocess.run([dlc, "train", str(model), "--steps", str(steps), "--no-shuffle", "--precision", precision,
                    "--seed", "3", "--save", str(save)], check=True, stdout=subprocess.DEVNULL)
    return read_safetensors(save)


def torch_train(initial, loss, optimizer, columns, batch):
    names = sorted(initial)
    p = {n: torch.tensor(initial[n], requires_grad=True) for n in names}
    opt = optimizer([p[n] for n in names])
    rows = len(columns[0])
    at = 0
    for _ in range(STEPS):
        if at >= rows:
            at = 0
        part = [torch.tensor(c[at:at + batch]) for c in columns]
        at += batch
        opt.zero_grad()
        loss(p, *part).backward()
        opt.step()
    return {n: p[n].detach().numpy() for n in names}


def main():
    dlc = sys.argv[1]
    failures = 0
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as directory:
        d = pathlib.Path(directory)
        # Pictures that look like data: smooth blobs whose place depends on the class.
        label = random.integers(0, 10, 6000).astype(np.uint8)
        grid = np.arange(28)
        centre_x, centre_y = 4 + 2.2 * label, 24 - 2.0 * label
        blob = np.exp(-((grid[None, :, None] - centre_y[:, None, None]) ** 2 +
                        (grid[None, None, :] - centre_x[:, None, None]) ** 2) / 40)
        noise = random.uniform(0, 80, blob.shape)
        np.save(d / "image.npy", np.clip(170 * blob + noise, 0, 255).astype(np.uint8))
        np.save(d / "label.npy", label)
        x = random.normal(size=(1000, 2))
        y = x @ np.array([[2.0], [-3.4]]) + 4.2 + 0.01 * random.normal(size=(1000, 1))
        points = random.normal(size=(200, 64))
        for name, source, loss, inputs, batch, ours, theirs, tolerance in CASES:
            for precision, dtype, limit in (("f32", np.float32, tolerance), ("f64", np.float64, 1e-12)):
                np.save(d / "x.npy", x.astype(dtype))
                np.save(d / "y.npy", y.astype(dtype))
                np.save(d / "points.npy", points.astype(dtype))
                model = d / "model.dl"
                model.write_text(source.replace("OPTIMIZER", ours))
                initial = train(dlc, model, precision, 0, d / "initial.safetensors")
                learned = train(dlc, model, precision, STEPS, d / "learned.safetensors")
                parameters = {n: v for n, v in initial.items() if not n.split(".")[0] in OPTIMIZERS}
                want = torch_train(parameters, loss, theirs, [np.load(d / (i + ".npy")) for i in inputs], batch)
                flat = lambda tensors: np.concatenate([tensors[n].ravel().astype(np.float64) for n in sorted(want)])
                distance = np.linalg.norm(flat(learned) - flat(want)) / np.linalg.norm(flat(want))
                moved = np.linalg.norm(flat(want) - flat(parameters)) / np.linalg.norm(flat(want))
                good = distance <= limit and moved > 1e-3
                failures += not good
                print(f"{name:28} {precision}  distance {distance:.1e} (allowed {limit:.0e}, trained by {moved:.2f})"
                      f"  {'ok' if good else 'WRONG'}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
