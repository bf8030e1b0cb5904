"""Language models in PyTorch, as a user writes them; the tokens are random."""
import torch
from torch import nn

VOCABULARY, HIDDEN, STEPS = 1027, 256, 35


class Recurrent(nn.Module):
    """One-hot characters, a recurrent layer, scores of the next ones."""
    clip = 0.01

    def __init__(self, kind):
        super().__init__()
        self.layer = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[kind](VOCABULARY, HIDDEN)
        self.out = nn.Linear(HIDDEN, VOCABULARY)

    def forward(self, tokens, state=None):
        x = nn.functional.one_hot(tokens.T.long(), VOCABULARY).to(torch.float32)
        y, state = self.layer(x, state)
        self.state = state
        return self.out(y).transpose(0, 1)


class Block(nn.Module):
    def __init__(self, d=256, heads=4):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(d, d) for _ in range(4))
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.network = nn.Sequential(nn.Linear(d, 4 * d), nn.ReLU(), nn.Linear(4 * d, d))

    def forward(self, x):
        n, t, d = x.shape
        q, k, v = (f(x).view(n, t, self.heads, -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        if hasattr(nn.functional, "scaled_dot_product_attention"):
            a = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = q @ k.transpose(2, 3) / (d // self.heads) ** 0.5
            a = scores.masked_fill(~torch.ones(t, t, dtype=torch.bool).tril(), -1e9).softmax(-1) @ v
        x = self.norm1(x + self.o(a.transpose(1, 2).reshape(n, t, d)))
        return self.norm2(x + self.network(x))


class Transformer(nn.Module):
    def __init__(self, vocabulary=1024, d=256, steps=64):
        super().__init__()
        self.embedding, self.positions = nn.Embedding(vocabulary, d), nn.Parameter(0.02 * torch.randn(steps, d))
        self.blocks, self.out = nn.Sequential(Block(), Block()), nn.Linear(d, vocabulary)

    def forward(self, tokens):
        return self.out(self.blocks(self.embedding(tokens) + self.positions))


def random_tokens(vocabulary, rows, steps):
    generator = torch.Generator().manual_seed(1)
    all_tokens = torch.randint(0, vocabulary, (rows, steps + 1), generator=generator)
    return all_tokens[:, :-1].contiguous(), all_tokens[:, 1:].contiguous()


def loss(net, tokens, following):
    scores = net(tokens)
    return nn.functional.cross_entropy(scores.reshape(-1, scores.shape[-1]), following.reshape(-1))


MODELS = {kind: (lambda: random_tokens(VOCABULARY, 320, STEPS), lambda k=kind: Recurrent(k), loss, 0.1)
          for kind in ("rnn", "gru", "lstm")}
MODELS["transformer"] = (lambda: random_tokens(1024, 160, 64), Transformer, loss, 0.1)


def characters(kind, count):
    """Draws characters one after the other, with the state carried."""
    net = Recurrent(kind)
    token, state = torch.zeros(1, 1, dtype=torch.int64), None
    with torch.no_grad():
        for _ in range(count):
            scores = net(token, state)
            state = net.state
            token = torch.multinomial(scores[0].softmax(-1), 1)
