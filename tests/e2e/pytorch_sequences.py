#!/usr/bin/env python3
"""Recurrent layers, attention and embeddings trained by dlc and by PyTorch's own modules: the same initial parameters and batches, one
step and 20 steps of gradient descent. The distance of the parameters is norm(ours - theirs) / norm(theirs): at most 1e-5 in f32, 1e-13
in f64; of what one step adds to them, the gradient, at most 1e-5 and 1e-12. Exit 77 (skipped) without PyTorch.

Usage: pytorch_sequences.py DLC_BINARY"""
import pathlib
import sys
import tempfile

from pytorch_compare import np, torch, train  # exits where there is no PyTorch

F = torch.nn.functional
N, T, INPUT, UNITS, CLASSES = 6, 9, 5, 8, 7

SOURCE = """
data rows { x = npy("x.npy"); y = npy("y.npy"); tokens = npy("tokens.npy"); lengths = npy("lengths.npy") }
model m {
  input x: f32[N, T, 5]
  input tokens: i32[N, T]
  input lengths: i32[N]
  target y: f32[N, T, UNITS]
  LAYERS
  loss = mean((out - y) ^ 2) + 0 * f32(sum(tokens) + sum(lengths)) + 0 * sum(x)
}
train m on rows { optimizer = sgd(lr: 0.5); batch = 6 }
"""


def recurrent(kind, layers, both):
    """What PyTorch's modules call, with dlc's parameters."""
    function = {"rnn": torch._VF.rnn_tanh, "gru": torch._VF.gru, "lstm": torch._VF.lstm}[kind]

    def loss(p, x, y, tokens, lengths):
        weights = []
        for number in range(1, layers * (2 if both else 1) + 1):
            path = f"rnn_1.unroll_{number}.{kind}_cell_1."
            bias = p[path + "b"]
            hidden = torch.zeros_like(bias)
            if kind == "gru":
                hidden = torch.cat([hidden[:2 * UNITS], p[path + "b_h"]])
            weights += [p[path + "w_x"].T.contiguous(), p[path + "w_h"].T.contiguous(), bias, hidden]
        start = torch.zeros(layers * (2 if both else 1), N, UNITS, dtype=x.dtype)
        out = function(x, (start, start) if kind == "lstm" else start, weights, True, layers, 0.0, True, both, True)[0]
        return ((out - y) ** 2).mean()

    cell = f"{kind}_cell(8" + (", reset_after: true)" if kind == "gru" else ")")
    text = f"out = x |> rnn({cell}, layers: {layers}, bidirectional: {'true' if both else 'false'})"
    return f"{kind}, {layers} layers{', both ways' if both else ''}", text, UNITS * (2 if both else 1), loss


def dense(x, p, name):
    return x @ p[name + ".w"] + p[name + ".b"]


def heads(x):
    return x.reshape(*x.shape[:2], 2, UNITS // 2).transpose(1, 2)


def attend(q, k, v, mask):
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -float("inf"))
    return scores.softmax(-1) @ v


def embedding_loss(p, x, y, tokens, lengths):
    return ((F.embedding(tokens.long(), p["embedding_1.w"]) - y) ** 2).mean()


def one_hot_loss(p, x, y, tokens, lengths):
    return ((F.one_hot(tokens.long(), CLASSES).to(x.dtype) @ p["w"] - y) ** 2).mean()


def masked_loss(p, x, y, tokens, lengths):
    q = dense(x, p, "dense_1")
    mask = torch.arange(T)[None, None, :] < lengths[:, None, None]
    return ((attend(q, q, q, mask) - y) ** 2).mean()


def multi_head_loss(p, x, y, tokens, lengths):
    h = dense(x, p, "dense_1")
    q, k, v = (heads(dense(h, p, f"multi_head_attention_1.dense_{n}")) for n in (1, 2, 3))
    mask = torch.ones(T, T, dtype=torch.bool).tril()
    out = attend(q, k, v, mask).transpose(1, 2).reshape(N, T, UNITS)
    return ((dense(out, p, "multi_head_attention_1.dense_4") - y) ** 2).mean()


def block_loss(before):
    def loss(p, x, y, tokens, lengths):
        h, b = dense(x, p, "dense_1"), "transformer_block_1."

        def norm(v, n):
            return F.layer_norm(v, (UNITS,), p[b + f"layer_norm_{n}.gamma"], p[b + f"layer_norm_{n}.beta"])

        def mix(v):
            q, k, u = (heads(dense(v, p, b + f"mix.dense_{n}")) for n in (1, 2, 3))
            out = attend(q, k, u, torch.ones(T, T, dtype=torch.bool).tril())
            return dense(out.transpose(1, 2).reshape(N, T, UNITS), p, b + "mix.dense_4")

        def network(v):
            return dense(torch.relu(dense(v, p, b + "network.dense_1")), p, b + "network.dense_2")

        if before:
            h = h + mix(norm(h, 1))
            h = h + network(norm(h, 2))
        else:
            h = norm(h + mix(h), 1)
            h = norm(h + network(h), 2)
        return ((h - y) ** 2).mean()
    return loss


def additive_loss(p, x, y, tokens, lengths):
    h, a = dense(x, p, "dense_1"), "additive_attention_1."
    q, k = dense(h, p, a + "dense_1")[:, :, None], dense(h, p, a + "dense_2")[:, None]
    weights = dense(torch.tanh(q + k), p, a + "dense_3")[..., 0].softmax(-1)
    return ((weights @ h - y) ** 2).mean()


CASES = [recurrent(kind, layers, both) for kind in ("rnn", "gru", "lstm") for layers, both in ((1, False), (2, True))] + [
    ("embedding", "out = tokens |> embedding(7, 8)", UNITS, embedding_loss),
    ("one-hot rows", "param w: f32[7, 8] = normal()\n  out = one_hot(tokens, 7) @ w", UNITS, one_hot_loss),
    ("attention within lengths", "q = x |> dense(8)\n  mask = reshape(length_mask(lengths, shape(x)[1]), [shape(x)[0], 1, shape(x)[1]])\n"
     "  out = attention(q, q, q, mask)", UNITS, masked_loss),
    ("causal multi-head attention", "h = x |> dense(8)\n  out = h |> multi_head_attention(2, causal: true)(h, h)", UNITS, multi_head_loss),
    ("additive attention", "h = x |> dense(8)\n  out = h |> additive_attention(5)(h, h)", UNITS, additive_loss),
    ("transformer block", "out = x |> dense(8) |> transformer_block(2, 16, causal: true)", UNITS, block_loss(False)),
    ("transformer block, norm before", "out = x |> dense(8) |> transformer_block(2, 16, causal: true, pre_norm: true)", UNITS,
     block_loss(True)),
]


def distance(ours, theirs):
    square = sum(float(((ours[n] - theirs[n]) ** 2).sum()) for n in theirs)
    norm = sum(float((theirs[n] ** 2).sum()) for n in theirs)
    return (square / norm) ** 0.5


def main():
    dlc = sys.argv[1]
    rng = np.random.default_rng(4)
    torch.set_num_threads(1)
    failures = 0
    for name, layers, units, loss in CASES:
        for precision, tolerance, step_tolerance in (("f32", 1e-5, 1e-5), ("f64", 1e-13, 1e-12)):
            with tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                columns = {"x": rng.standard_normal((N, T, INPUT)), "y": rng.standard_normal((N, T, units)),
                           "tokens": rng.integers(0, CLASSES, (N, T)).astype(np.int32),
                           "lengths": rng.integers(1, T + 1, N).astype(np.int32)}
                dtype = np.float32 if precision == "f32" else np.float64
                columns = {k: v.astype(dtype) if v.dtype == np.float64 else v for k, v in columns.items()}
                for key, value in columns.items():
                    np.save(folder / f"{key}.npy", value)
                model = folder / "m.dl"
                model.write_text(SOURCE.replace("LAYERS", layers).replace("UNITS", str(units)))
                initial = train(dlc, model, precision, 0, folder / "0.st")
                for steps, limit in ((1, step_tolerance), (20, tolerance)):
                    ours = train(dlc, model, precision, steps, folder / "n.st")
                    theirs = torch_steps(initial, loss, columns, steps)
                    if steps == 1:
                        d = distance({n: ours[n] - initial[n] for n in ours}, {n: theirs[n] - initial[n] for n in theirs})
                    else:
                        d = distance(ours, theirs)
                    good = d <= limit
                    failures += not good
                    print(f"{name}, {precision}, {steps} step{'s' if steps > 1 else ''}: {d:.1e} {'ok' if good else 'TOO FAR'}")
    return 1 if failures else 0


def torch_steps(initial, loss, columns, steps):
    p = {n: torch.tensor(v, requires_grad=True) for n, v in initial.items()}
    batch = [torch.tensor(columns[k]) for k in ("x", "y", "tokens", "lengths")]
    optimizer = torch.optim.SGD(p.values(), lr=0.5)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(p, *batch).backward()
        optimizer.step()
    return {n: t.detach().numpy() for n, t in p.items()}


if __name__ == "__main__":
    sys.exit(main())
