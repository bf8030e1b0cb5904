#!/usr/bin/env python3
"""The example models in JAX: one jitted function for a whole step, its parameters donated. Exit 77 without JAX.

    jax_peer.py serve THREADS   answers requests, see peer.py; values in seconds
        step MODEL BATCH        one training step, its batch gathered from shuffled rows inside the jitted function
        predict MODEL           one row of f32 through the model
        compile MODEL BATCH     tracing and compiling the step anew
"""
import os
import sys
import time

# Before JAX starts: only the processor, and one thread where one is asked for.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
if sys.argv[2:] == ["1"]:
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"

import peer

try:
    import jax
    import jax.numpy as jnp
    import numpy as np
except ImportError:
    sys.exit(77)


def pictures():
    random = np.random.default_rng(1)
    images, labels = (peer.read_idx(f"train-{what}") for what in ("images-idx3-ubyte", "labels-idx1-ubyte"))
    if images is None:
        return random.integers(0, 256, (60000, 784), np.uint8), random.integers(0, 10, 60000, np.int32)
    return np.frombuffer(images[0], np.uint8).reshape(-1, 784), np.frombuffer(labels[0], np.uint8).astype(np.int32)


def houses():
    x = np.random.default_rng(1).normal(size=(1000, 2)).astype(np.float32)
    return x, x @ np.array([[2.0], [-3.4]], np.float32) + 4.2


def logits_of(params, x):
    for w, b in params[:-1]:
        x = jax.nn.relu(x @ w + b)
    w, b = params[-1]
    return x @ w + b


def squared(params, x, y):
    return ((logits_of(params, x) - y) ** 2).mean() / 2


def cross_entropy(params, x, y):
    logs = jax.nn.log_softmax(logits_of(params, x.astype(jnp.float32) / 255))
    return -jnp.take_along_axis(logs, y[:, None], axis=1).mean()


MODELS = {
    "linear_regression": (houses, (2, 1), squared, 0.03),
    "softmax_regression": (pictures, (784, 10), cross_entropy, 0.1),
    "mlp": (pictures, (784, 256, 10), cross_entropy, 0.5),
    "deep_mlp": (pictures, (784, 512, 512, 512, 10), cross_entropy, 0.1),
}


def parameters(sizes):
    random = np.random.default_rng(2)
    return [(jnp.asarray(random.normal(scale=n**-0.5, size=(n, m)), jnp.float32), jnp.zeros(m, jnp.float32))
            for n, m in zip(sizes, sizes[1:])]


VOCABULARY, HIDDEN, STEPS = 1027, 256, 35


def cell(kind, p, s, x):
    w_x, w_h, b = p
    if kind == "rnn":
        h = jnp.tanh(x @ w_x + s @ w_h + b)
        return h, h
    if kind == "gru":
        from_x, from_h = jnp.split(x @ w_x + b, 3, 1), jnp.split(s @ w_h, 3, 1)
        r, z = (jax.nn.sigmoid(from_x[k] + from_h[k]) for k in (0, 1))
        h = (1 - z) * jnp.tanh(from_x[2] + r * from_h[2]) + z * s
        return h, h
    h, c = s
    i, f, g, o = jnp.split(x @ w_x + h @ w_h + b, 4, 1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


class LanguageModel:
    """The recurrent models of the section `sequences`, by lax.scan."""

    def __init__(self, kind, batch):
        random = np.random.default_rng(1)
        gates = {"rnn": 1, "gru": 3, "lstm": 4}[kind]
        draw = lambda *shape: jnp.asarray(random.normal(scale=0.05, size=shape), jnp.float32)
        self.params = ((draw(VOCABULARY, gates * HIDDEN), draw(HIDDEN, gates * HIDDEN), jnp.zeros(gates * HIDDEN)),
                       (draw(HIDDEN, VOCABULARY), jnp.zeros(VOCABULARY)))
        tokens = random.integers(0, VOCABULARY, (320, STEPS + 1))
        self.batches, self.at = tokens.reshape(-1, batch, STEPS + 1), 0

        def loss(params, tokens):
            p, (w, b) = params
            zeros = jnp.zeros((batch, HIDDEN))
            xs = jax.nn.one_hot(tokens[:, :-1].T, VOCABULARY)
            states = jax.lax.scan(lambda s, x: cell(kind, p, s, x), (zeros, zeros) if kind == "lstm" else zeros, xs)[1]
            logs = jax.nn.log_softmax(states.reshape(-1, HIDDEN) @ w + b)
            return -jnp.take_along_axis(logs, tokens[:, 1:].T.reshape(-1, 1), axis=1).mean()

        def sgd(params, tokens):
            value, grads = jax.value_and_grad(loss)(params, tokens)
            norm = sum(jnp.sum(g * g) for g in jax.tree_util.tree_leaves(grads)) ** 0.5
            factor = 0.1 * jnp.minimum(1, 0.01 / norm)
            return jax.tree_util.tree_map(lambda p, g: p - factor * g, params, grads), value

        self.update = jax.jit(sgd, donate_argnums=0)

    def step(self):
        self.params, loss = self.update(self.params, self.batches[self.at])
        self.at = (self.at + 1) % len(self.batches)
        loss.block_until_ready()


class Training:
    """A model with its data; steps go on where the last turn ended."""

    def __init__(self, model, batch):
        data, sizes, loss_of, lr = MODELS[model]
        self.columns = [jax.device_put(c) for c in data()]
        self.params, self.at = parameters(sizes), 0
        self.batches = np.random.default_rng(3).permutation(len(self.columns[0])).astype(np.int32)
        self.batches = self.batches[:len(self.batches) // batch * batch].reshape(-1, batch)

        def sgd(params, x, y, rows):
            loss, grads = jax.value_and_grad(loss_of)(params, x[rows], y[rows])
            return jax.tree_util.tree_map(lambda p, g: p - lr * g, params, grads), loss

        self.update = jax.jit(sgd, donate_argnums=0)

    def step(self):
        rows = self.batches[self.at]
        self.at = (self.at + 1) % len(self.batches)
        self.params, loss = self.update(self.params, *self.columns, rows)
        loss.block_until_ready()

    def compile(self):
        jax.clear_caches()
        start = time.perf_counter()
        self.update.lower(self.params, *self.columns, self.batches[0]).compile()
        return time.perf_counter() - start


trainings = {}


def answer(what, model, batch=1, seconds=1.0):
    if what == "predict":
        params, row = parameters(MODELS[model][1]), jnp.asarray(np.random.default_rng(1).random((1, 784)), jnp.float32)
        run = jax.jit(logits_of)
        return peer.median_seconds(lambda: run(params, row).block_until_ready(), seconds, warm_up=20)
    if (model, batch) not in trainings:
        kind = LanguageModel if model in ("rnn", "gru", "lstm") else Training
        trainings[model, batch] = kind(model, batch)
    training = trainings[model, batch]
    return training.compile() if what == "compile" else peer.median_seconds(training.step, seconds)


if __name__ == "__main__":
    peer.serve("JAX", jax.__version__, answer)
