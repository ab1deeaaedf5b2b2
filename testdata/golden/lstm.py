"""Computes the cases of the classic LSTM with PyTorch's nn.LSTM, in float64 and one thread:

    pip install torch safetensors numpy
    python3 lstm.py

kernels/lstm_*.safetensors are nn.LSTMs alone, lstm/ is a language model of one, as README.md describes them.
"""
import copy
import json
import os

import torch
from safetensors.torch import save_file

torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))


def noisy(module):
    """Moves every parameter away from its initial value, to a float32 number, and returns the module in float64."""
    for p in module.parameters():
        p.data = (p.data + 0.3 * torch.randn_like(p)).float().double()
    return module.double()


def draw(*shape):
    return torch.randn(*shape).float().double().requires_grad_()


def kernel(name, inputs, hidden, layers, batch, steps):
    torch.manual_seed(steps)
    lstm = noisy(torch.nn.LSTM(inputs, hidden, layers, batch_first=True))
    x, h0, c0 = draw(batch, steps, inputs), draw(layers, batch, hidden), draw(layers, batch, hidden)
    y, (hn, cn) = lstm(x, (h0, c0))
    dy, dhn, dcn = draw(*y.shape), draw(*hn.shape), draw(*cn.shape)
    ((y * dy).sum() + (hn * dhn).sum() + (cn * dcn).sum()).backward()
    out = dict(x=x, h0=h0, c0=c0, dy=dy, dhn=dhn, dcn=dcn, y=y, hn=hn, cn=cn, **dict(lstm.named_parameters()))
    for k, v in list(out.items()):
        if v.is_leaf and v.grad is not None:
            out["d" + k] = v.grad
    save_file({k: v.detach().contiguous() for k, v in out.items()}, os.path.join(HERE, "kernels", name + ".safetensors"))


class Model(torch.nn.Module):
    def __init__(self, vocab, width, hidden, layers):
        super().__init__()
        self.token_embedding = torch.nn.Embedding(vocab, width)
        self.lstm = torch.nn.LSTM(width, hidden, layers, batch_first=True)
        self.lm_head = torch.nn.Linear(hidden, vocab)

    def forward(self, ids, state=None):
        y, state = self.lstm(self.token_embedding(ids), state)
        return self.lm_head(y), state


def loss_of(model, ids, targets):
    logits, _ = model(ids)
    return logits, torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def train(model, ids, targets, decay, lr=0.01, steps=4, weight_decay=0.1, clip=0.5):
    """Repeats AdamW steps on one batch and returns what _adamw has of them."""
    groups = [{"params": [], "weight_decay": weight_decay}, {"params": [], "weight_decay": 0.0}]
    for name, p in model.named_parameters():
        groups[0 if name in decay else 1]["params"].append(p)
    opt, losses, norms = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95), eps=1e-8), [], []
    for step in range(steps + 1):
        opt.zero_grad()
        loss = loss_of(model, ids, targets)[1]
        losses.append(loss.item())
        if step < steps:
            loss.backward()
            norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), clip).item())
            opt.step()
    return dict(lr=lr, betas=[0.9, 0.95], eps=1e-8, weight_decay_on_decay_group=weight_decay, clip_grad_norm=clip, steps=steps,
                losses_before_each_step_and_after_last=losses, grad_norms_before_clip=norms)


def report(name, single, ids, targets, logits, params, loss):
    """Adds to report.json how far the model's float32 run lies from its float64 run."""
    single.zero_grad()
    rough, loss32 = loss_of(single, ids, targets)
    loss32.backward()
    path = os.path.join(HERE, "report.json")
    with open(path) as f:
        all = json.load(f)
    apart = {k: ((p.grad - params[k].grad).abs().max() / params[k].grad.abs().max()).item() for k, p in single.named_parameters()}
    all[name] = dict(params=sum(p.numel() for p in params.values()), loss=loss.item(), max_abs_logit=logits.abs().max().item(),
                     torch_f32_vs_f64_logits_max_abs=(rough - logits).abs().max().item(),
                     torch_f32_vs_f64_grad_max_rel_to_tensor_max=max(apart.values()))
    with open(path, "w") as f:
        json.dump(all, f, indent=1)


def model(name, vocab, width, hidden, layers, batch, steps):
    torch.manual_seed(7)
    m = noisy(Model(vocab, width, hidden, layers))
    ids, targets = torch.randint(vocab, (batch, steps)), torch.randint(vocab, (batch, steps))
    logits, loss = loss_of(m, ids, targets)
    loss.backward()
    io, state, alone = dict(input_ids=ids, targets=targets, logits=logits.float(), loss=loss), None, []
    for t in range(steps):
        y, state = m(ids[:, t:t + 1], state)
        alone.append(y)
        if t in (0, steps // 2, steps - 1):
            for k in range(layers):
                io["state_t%d.block_%d.lstm" % (t, k)] = torch.stack([state[0][k], state[1][k]]).float()
    io["step_logits"] = torch.cat(alone, 1).float()
    folder = os.path.join(HERE, name)
    os.makedirs(folder, exist_ok=True)

    def save(file, tensors):
        save_file({k: v.detach().contiguous() for k, v in tensors.items()}, os.path.join(folder, file + ".safetensors"), {"format": "pt"})

    save("io", io)
    save("weights", {k: v.float() for k, v in m.named_parameters()})
    save("grads", {k: v.grad.float() for k, v in m.named_parameters()})
    report(name, copy.deepcopy(m).float(), ids, targets, logits, dict(m.named_parameters()), loss)
    names = [k for k, _ in m.named_parameters()]
    decay = [k for k in names if "weight" in k and "embedding" not in k]
    adamw = train(m, ids, targets, decay)
    save("trained", {k: v.float() for k, v in m.named_parameters()})
    config = dict(vocab_size=vocab, embedding_dim=width, num_blocks=layers, lstm=dict(hidden_size=hidden), _adamw=adamw,
                  _decay=decay, _no_decay=[k for k in names if k not in decay])
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config, f, indent=1)
        f.write("\n")


kernel("lstm_t1", inputs=5, hidden=4, layers=2, batch=3, steps=1)
kernel("lstm_t12", inputs=5, hidden=4, layers=2, batch=3, steps=12)
model("lstm", vocab=11, width=6, hidden=8, layers=2, batch=3, steps=13)
