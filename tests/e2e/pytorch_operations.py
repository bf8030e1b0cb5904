#!/usr/bin/env python3
"""Operations of the library beside PyTorch's: convolutions, transposed ones and poolings of many geometries, normalisation,
activations, losses, resizing. Many are one model without data: their operands are parameters, the loss is a sum of y^2 + y^3 / 4 over
what they give, and one step of gradient descent with lr 1 changes the parameters by their gradients. The loss to 1e-5 and gradients
to 1e-4 in f32, both to 1e-10 in f64, norm(ours - theirs) / norm(theirs). Exit 77 (skipped) without PyTorch.

Usage: pytorch_operations.py DLC_BINARY"""
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile

from pytorch_compare import np, read_safetensors, torch  # exits where there is no PyTorch

F = torch.nn.functional


class Case:
    """An operation in the language, the shapes of its operands, and the same in PyTorch (operands as dlc stores them)."""

    def __init__(self, text, shapes, theirs):
        self.text, self.shapes, self.theirs = text, shapes, theirs


def ints(v):
    return "[" + ", ".join(map(str, v)) + "]"


def weights(w, spatial):
    """[kernel..., in / groups, out] as PyTorch has them: [out, in / groups, kernel...]."""
    return w.permute(spatial + 1, spatial, *range(spatial))


def convolutions(rng):
    convolve = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
    for number in range(66):
        spatial = (2, 2, 2, 1, 3)[number % 5]
        groups = rng.choice([1, 1, 1, 2, 3])
        depth = rng.choice([1, 1, 2, 3])
        n, c, o = rng.choice([1, 2, 7]), groups * depth, groups * rng.choice([1, 2, 4])
        kernel = [rng.choice([1, 2, 3, 5]) for _ in range(spatial)]
        stride = [rng.choice([1, 1, 2, 3]) for _ in range(spatial)]
        dilation = [rng.choice([1, 1, 2]) for _ in range(spatial)]
        pad = [rng.choice([0, 1, k - 1]) for k in kernel]
        size = [max(rng.choice([5, 6, 9]) if spatial < 3 else 4, (k - 1) * d + 1 - 2 * p)
                for k, d, p in zip(kernel, dilation, pad)]
        settings = f"stride: {ints(stride)}, pad: {ints(pad)}, dilation: {ints(dilation)}, groups: {groups}"

        def theirs(x, w, s=spatial, stride=stride, pad=pad, dilation=dilation, groups=groups):
            return convolve[s](x, weights(w, s), None, stride, pad, dilation, groups)

        yield Case(f"conv(A, B, {settings})", [[n, c, *size], [*kernel, depth, o]], theirs)


def transposed(rng):
    transpose = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
    for number in range(12):
        spatial = (2, 2, 1, 3)[number % 4]
        kernel = [rng.choice([2, 3, 4]) for _ in range(spatial)]
        stride = [rng.choice([1, 2, 3]) for _ in range(spatial)]
        pad = [rng.choice([0, 1]) for _ in range(spatial)]
        more = [rng.choice([0, s - 1]) for s in stride]
        c, o = rng.choice([1, 3]), rng.choice([1, 2])

        def theirs(x, w, s=spatial, stride=stride, pad=pad, more=more):
            return transpose[s](x, w.permute(s, s + 1, *range(s)), None, stride, pad, more)

        yield Case(f"conv_transpose(A, B, stride: {ints(stride)}, pad: {ints(pad)}, output_pad: {ints(more)})",
                   [[2, c] + [4] * spatial, [*kernel, c, o]], theirs)


def poolings(rng):
    for number in range(40):
        kernel = [rng.choice([2, 3]), rng.choice([1, 2, 3])]
        stride = [rng.choice([1, 2, 3, 4]) for _ in kernel]
        pad = [rng.choice([0, k // 2]) for k in kernel]
        size = [rng.choice([5, 6, 8]) for _ in kernel]
        ceil, count = rng.random() < 0.5, rng.random() < 0.5
        word = {True: "true", False: "false"}
        settings = f"{ints(kernel)}, stride: {ints(stride)}, pad: {ints(pad)}, ceil: {word[ceil]}"
        shape = [[rng.choice([1, 3]), rng.choice([1, 4]), *size]]
        if number % 2:
            yield Case(f"max_pool(A, {settings})", shape,
                       lambda x, k=kernel, s=stride, p=pad, c=ceil: F.max_pool2d(x, k, s, p, 1, c))
        else:
            yield Case(f"avg_pool(A, {settings}, count_pad: {word[count]})", shape,
                       lambda x, k=kernel, s=stride, p=pad, c=ceil, n=count: F.avg_pool2d(x, k, s, p, c, n))
    yield Case("max_pool(A, 3, stride: 1, pad: 1, dilation: 1)", [[2, 3, 7, 7]], lambda x: F.max_pool2d(x, 3, 1, 1))
    yield Case("max_pool(A, 2, stride: 2, dilation: 2)", [[2, 3, 9, 9]], lambda x: F.max_pool2d(x, 2, 2, 0, 2))
    yield Case("adaptive_avg_pool(A, [3, 2])", [[2, 3, 7, 8]], lambda x: F.adaptive_avg_pool2d(x, (3, 2)))
    yield Case("global_avg_pool(A)", [[2, 3, 7, 8]], lambda x: x.mean((2, 3)))


def hard_sigmoid(x):
    return torch.clamp(x / 6 + 0.5, 0, 1)  # F.hardsigmoid's sixth is an f32


def others():
    x = [[4, 6, 5, 3]]
    for name, theirs in {
            "relu": F.relu, "leaky_relu": F.leaky_relu, "softplus": F.softplus, "silu": F.silu, "gelu": F.gelu,
            "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "elu": F.elu, "selu": F.selu, "tanh": torch.tanh,
            "sigmoid": torch.sigmoid, "hard_sigmoid": hard_sigmoid, "hard_tanh": F.hardtanh, "hard_swish": lambda x: x * hard_sigmoid(x),
            "softmax": lambda x: F.softmax(x, -1), "log_softmax": lambda x: F.log_softmax(x, -1)}.items():
        yield Case(f"{name}(3 * A)", x, lambda x, f=theirs: f(3 * x))
    yield Case("A |> layer_norm", x, lambda x: F.layer_norm(x, [3]))
    yield Case("A |> group_norm(3)", x, lambda x: F.group_norm(x, 3))
    yield Case("A |> instance_norm", x, F.instance_norm)
    yield Case("A |> batch_norm", x, lambda x: F.batch_norm(x, None, None, training=True))
    yield Case("resize(A, [9, 2])", x, lambda x: F.interpolate(x, (9, 2), mode="bilinear", align_corners=False))
    yield Case("resize_nearest(A, [9, 2])", x, lambda x: F.interpolate(x, (9, 2)))
    yield Case("cumsum(A, axis: 1)", x, lambda x: torch.cumsum(x, 1))
    yield Case("cumsum(A, axis: 3)", x, lambda x: torch.cumsum(x, 3))
    wide = [[3, 2, 11]]
    yield Case("sort(A)", wide, lambda x: torch.sort(x, -1).values)
    yield Case("top_k(A, 4)", wide, lambda x: torch.topk(x, 4, -1).values)
    yield Case("A * argsort(A) + A * ranks(A)", wide,
               lambda x: x * torch.argsort(x, -1) + x * torch.argsort(torch.argsort(x, -1), -1))
    yield Case("top_k(A, 3) * top_k_places(A, 3)", wide, lambda x: torch.prod(torch.stack(tuple(torch.topk(x, 3, -1))), 0))
    yield Case("where(causal_mask(5, 4), A, 2 * A)", [[5, 4]],
               lambda x: torch.where(torch.ones(5, 4, dtype=torch.bool).tril(-1), x, 2 * x))
    yield Case("where(causal_mask(4, 4), A, 2 * A)", [[4, 4]],
               lambda x: torch.where(torch.ones(4, 4, dtype=torch.bool).tril(), x, 2 * x))
    two = [[5, 4], [5, 4]]
    label = torch.arange(5) % 4
    yield Case("mse(A, B)", two, F.mse_loss)
    yield Case("l1(A, B)", two, F.l1_loss)
    yield Case("huber(A, B, delta: 0.5)", two, lambda a, b: F.huber_loss(a, b, delta=0.5))
    yield Case("binary_cross_entropy(A, sigmoid(B))", two,
               lambda a, b: F.binary_cross_entropy_with_logits(a, torch.sigmoid(b)))
    yield Case("kl(log_softmax(A), softmax(B))", two,
               lambda a, b: F.kl_div(F.log_softmax(a, -1), F.softmax(b, -1), reduction="batchmean"))
    yield Case("nll(log_softmax(A), i32([0, 1, 2, 3, 0]))", two[:1], lambda a: F.nll_loss(F.log_softmax(a, -1), label))
    yield Case("cross_entropy(A, i32([0, 1, 2, 3, 0]), smoothing: 0.1)", two[:1],
               lambda a: F.cross_entropy(a, label, label_smoothing=0.1))
    yield Case("cross_entropy(A, i32([0, 1, 2, 3, 0]), smoothing: 0.2, weights: [1.0, 2.0, 0.5, 1.5])", two[:1],
               lambda a: F.cross_entropy(a, label, torch.tensor([1, 2, 0.5, 1.5], dtype=a.dtype), label_smoothing=0.2))


def names(number, case):
    return [f"p{number}_{letter}" for letter, _ in zip("ab", case.shapes)]


def model(cases):
    """One model of many operations; each has a weight of its own in the loss, so that none hides behind another."""
    lines, loss = [], []
    for number, case in enumerate(cases):
        for name, shape in zip(names(number, case), case.shapes):
            lines.append(f"  param {name}: f32{ints(shape)} = normal(std: 1)")
        text = re.sub(r"\b[AB]\b", lambda m: f"p{number}_{m[0].lower()}", case.text)
        lines.append(f"  y{number} = {text}")
        loss.append(f"sum(y{number} ^ 2 + y{number} ^ 3 / 4) * {factor(number)}")
    return "model operations {\n" + "\n".join(lines) + "\n  loss = " + " + ".join(loss) + \
           "\n}\ntrain operations { optimizer = sgd(lr: 1) }\n"


def factor(number):
    return 0.25 + number % 4 / 8


def run(dlc, path, precision, steps, folder):
    log, saved = folder / "log.jsonl", folder / "saved"
    subprocess.run([dlc, "train", str(path), "--steps", str(steps), "--seed", "5", "--precision", precision, "--save", str(saved),
                    "--log", str(log)], check=True, stdout=subprocess.DEVNULL)
    return read_safetensors(saved), [json.loads(line) for line in log.read_text().splitlines()]


def distance(ours, theirs):
    return float(np.linalg.norm(ours - theirs) / max(np.linalg.norm(theirs), 1e-30))


def compare(dlc, cases, precision, tolerance, folder):
    path = folder / "operations.dl"
    path.write_text(model(cases))
    before, _ = run(dlc, path, precision, 0, folder)
    after, log = run(dlc, path, precision, 1, folder)
    worst, failed, loss = 0, [], 0
    for number, case in enumerate(cases):
        # In f64 whatever ours is in: what is measured is ours.
        operands = [torch.tensor(before[name], dtype=torch.float64, requires_grad=True) for name in names(number, case)]
        y = case.theirs(*operands)
        part = factor(number) * (y ** 2 + y ** 3 / 4).sum()
        part.backward()
        loss += part.item()
        for name, operand in zip(names(number, case), operands):
            ours = before[name].astype(np.float64) - after[name].astype(np.float64)
            d = distance(ours, operand.grad.numpy())
            worst = max(worst, d)
            if not d <= tolerance:
                failed.append(f"{precision} {case.text} of {case.shapes}, gradient of {name}: {d:.2g}")
    ours = [line["train"]["loss"] for line in log if "train" in line][-1]
    if not abs(ours - loss) <= abs(loss) * (1e-10 if precision == "f64" else 1e-5):
        failed.append(f"{precision} the loss: {ours} instead of {loss}")
    return worst, failed


def main():
    dlc = sys.argv[1]
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for title, cases in {"convolution": list(convolutions(random.Random(1))), "transposed": list(transposed(random.Random(2))),
                             "pooling": list(poolings(random.Random(3))), "other": list(others())}.items():
            for precision, tolerance in (("f64", 1e-10), ("f32", 1e-4)):
                worst, wrong = compare(dlc, cases, precision, tolerance, pathlib.Path(folder))
                failed += wrong
                print(f"{title}: {len(cases)} cases in {precision}, largest distance {worst:.2g}", flush=True)
    for line in failed:
        print("FAILED", line)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
