"""Optional check of interchange with the real programs: transformers and xlstm.

    python interchange.py write DIR   make small models with the programs that can be
                                      imported, save each as that program's users do,
                                      and put what it computes beside it
    python interchange.py read DIR    load the models in DIR with the program that each
                                      is for, and compare what it computes with what is
                                      written beside it

Beside a model's folder NAME is NAME.io.safetensors: input_ids and logits. A folder with
tokens.json, texts and their ids, has a tokenizer. The Go side is
TestInterchangeWithTheRealPrograms, which runs this file; see docs/pretrained.md.
"""

import dataclasses
import importlib.metadata
import json
import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file

# One program at a time: beside xlstm, transformers would compute with xlstm's blocks.
transformers = xlstm = None
try:
    import xlstm
    from xlstm.xlstm_lm_model import xLSTMLMModel, xLSTMLMModelConfig
    from xlstm.xlstm_large.from_pretrained import load_from_pretrained
    from xlstm.xlstm_large.model import xLSTMLarge, xLSTMLargeConfig
    import yaml
except ImportError:
    import transformers

TOLERANCE = 2e-5  # of float32, relative to the largest logit


def input_ids(vocab):
    return torch.arange(2 * 13).reshape(2, 13) * 7 % vocab


def io(folder):
    """Returns the path of a model's input_ids and logits."""
    return folder.with_name(folder.name + ".io.safetensors")


def read_ids(folder):
    return load_file(io(folder))["input_ids"].long()


def shake(model, seed):
    """Moves every parameter away from its initial value."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.2)
    return model.eval()


# --- transformers -------------------------------------------------------------


def hugging_face_logits(model, ids):
    with torch.no_grad():
        return model(input_ids=ids, use_cache=False).logits


HUGGING_FACE = {
    "plain": {},
    "tied": dict(tie_word_embeddings=True),
    "bias": dict(use_bias=True),
    "no_norm": dict(add_out_norm=False),
    "tied_bias": dict(tie_word_embeddings=True, use_bias=True),
}


def write_hugging_face(root):
    size = dict(vocab_size=11, hidden_size=16, num_hidden_layers=1, num_heads=2, ffn_round_up_to_multiple_of=16)
    for name, settings in HUGGING_FACE.items():
        config = transformers.xLSTMConfig(**size, **settings)
        torch.manual_seed(1)
        model = shake(transformers.xLSTMForCausalLM(config), 2)
        folder = root / f"transformers{transformers.__version__.split('.')[0]}_{name}"
        # With tied weights, 4.x refuses safetensors, but not a pickle.
        pickled = {"safe_serialization": False} if config.tie_word_embeddings and transformers.__version__ < "5" else {}
        model.save_pretrained(folder, **pickled)
        # What this program computes from the files, which need not be what was saved.
        model = transformers.xLSTMForCausalLM.from_pretrained(folder).eval()
        write_io(folder, model, hugging_face_logits)


class NotChecked(Exception):
    pass


def read_hugging_face(folder):
    torch.manual_seed(3)  # for what the files might lack
    try:
        model, info = transformers.xLSTMForCausalLM.from_pretrained(folder, output_loading_info=True)
    except RuntimeError:
        try:
            transformers.xLSTMForCausalLM(transformers.AutoConfig.from_pretrained(folder))
        except RuntimeError as e:  # as with weight_mode "fused"
            raise NotChecked(f"this program cannot make such a model itself: {e}") from e
        raise
    for what, names in info.items():
        if names:
            print(f"  {what}: {names}")
    return hugging_face_logits(model.eval(), read_ids(folder))


def tokens_apart(folder):
    """Counts the texts whose ids AutoTokenizer makes others of than tokens.json says."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    cases = json.loads((folder / "tokens.json").read_text())
    wrong = [c for c in cases if tokenizer(c["text"], add_special_tokens=False).input_ids != c["ids"]]
    if tokenizer.eos_token != "<|endoftext|>":
        raise ValueError(f"the end of text is {tokenizer.eos_token!r}")
    return len(wrong), len(cases)


# --- the official code, both architectures --------------------------------------


def strict(cls, values):
    """Builds the official dataclass as the official experiments do."""
    import dacite

    return dacite.from_dict(cls, values, dacite.Config(strict=True))


def paper_logits(model, ids):
    with torch.no_grad():
        return model(ids)


def large_logits(model, ids):
    with torch.no_grad():
        out = model(ids)
    return out[0] if isinstance(out, tuple) else out


ON_A_CPU = dict(
    chunkwise_kernel="chunkwise--native_autograd", sequence_kernel="native_sequence__native", step_kernel="native",
    mode="inference", return_last_states=True, autocast_kernel_dtype="float32",
)

PAPER = {
    "vocab_size": 11, "embedding_dim": 16, "num_blocks": 2, "context_length": 16, "slstm_at": [1],
    "mlstm_block": {"mlstm": {"num_heads": 2, "round_proj_up_to_multiple_of": 16}},
    "slstm_block": {"slstm": {"num_heads": 2, "backend": "vanilla"}, "feedforward": {"round_proj_up_to_multiple_of": 16}},
}


def write_paper(root):
    model = shake(xLSTMLMModel(strict(xLSTMLMModelConfig, PAPER)), 4)
    for name, save in {
        "pickled": lambda folder: torch.save(model.state_dict(), folder / "model.pt"),
        "pickled_in_a_checkpoint": lambda folder: torch.save(
            {"step": 7, "model_state_dict": model.state_dict(), "optimizer": torch.optim.AdamW(model.parameters()).state_dict()},
            folder / "checkpoint.pth"),
        "pickled_bin": lambda folder: torch.save(dict(model.named_parameters()), folder / "pytorch_model.bin"),
    }.items():
        folder = root / f"xlstm_{name}"
        folder.mkdir(parents=True)
        save(folder)
        (folder / "config.json").write_text(json.dumps(PAPER, indent=2) + "\n")
        write_io(folder, model, paper_logits)


EXPERIMENT = """\
# As the official experiments have it: the model beside what it is trained on.
training:
  lr: 1.e-3
  batch_size: 8
model:
  embedding_dim: 16
  num_blocks: 2
  context_length: ${dataset.kwargs.context_length}
  vocab_size: ${dataset.kwargs.vocab_size}
  slstm_at: [1]
  mlstm_block:
    mlstm: {num_heads: 2, round_proj_up_to_multiple_of: 16}
  slstm_block:
    slstm: {num_heads: 2, backend: vanilla}
dataset:
  name: form_language
  kwargs: {context_length: 16, vocab_size: 11}
"""


def write_experiment(root):
    from omegaconf import OmegaConf

    config = OmegaConf.to_container(OmegaConf.create(EXPERIMENT).model, resolve=True)
    model = shake(xLSTMLMModel(strict(xLSTMLMModelConfig, config)), 6)
    folder = root / "xlstm_experiment"
    folder.mkdir(parents=True)
    torch.save({"module." + name: p.half() for name, p in model.state_dict().items()}, folder / "last.pt")
    (folder / "config.yaml").write_text(EXPERIMENT)
    model.load_state_dict({name: p.half() for name, p in model.state_dict().items()})
    write_io(folder, model, paper_logits)


def write_large(root):
    """As load_from_pretrained of the official code takes it: config.yaml and numbered files."""
    config = xLSTMLargeConfig(vocab_size=11, embedding_dim=16, num_blocks=1, num_heads=2, ffn_round_up_to_multiple_of=16, **ON_A_CPU)
    model = shake(xLSTMLarge(config), 5)
    folder = root / "xlstm_large"
    folder.mkdir(parents=True)
    tensors = list(model.state_dict().items())
    for n in range(2):
        save_file(dict(tensors[n::2]), folder / f"model_{n}.safetensors", metadata={"format": "pt"})
    (folder / "config.yaml").write_text(yaml.safe_dump(dataclasses.asdict(config)))
    write_io(folder, load_from_pretrained(folder), large_logits)


def read_official(folder):
    values = json.loads((folder / "config.json").read_text())
    ids = read_ids(folder)
    if "num_heads" in values:
        model, compute = xLSTMLarge(strict(xLSTMLargeConfig, {**values, **ON_A_CPU})), large_logits
    else:
        model, compute = xLSTMLMModel(strict(xLSTMLMModelConfig, values)), paper_logits
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return compute(model.eval(), ids)


# ------------------------------------------------------------------------------


def write_io(folder, model, compute):
    ids = input_ids(11)
    save_file({"input_ids": ids, "logits": compute(model, ids).float().contiguous()}, io(folder))
    print(f"wrote {folder.name}: {sorted(p.name for p in folder.iterdir())}")


def read(root):
    failed = False  # and so the exit status
    for folder in sorted(p for p in root.iterdir() if io(p).exists()):
        official = "model_type" not in json.loads((folder / "config.json").read_text())
        program = xlstm if official else transformers
        if program is None:
            print(f"skip {folder.name}: its program is not installed here")
            continue
        try:
            got, want = (read_official if official else read_hugging_face)(folder), load_file(io(folder))["logits"]
            apart = float((got - want).abs().max() / want.abs().max())
            bad, says = not apart <= TOLERANCE, f"logits {apart:.1e} apart"
        except NotChecked as e:
            print(f"skip {folder.name}: {e}")
            continue
        except Exception as e:  # so that the other models are still tried
            bad, says = True, f"{type(e).__name__}: {e}"
        failed |= bad
        print(f"{'FAIL' if bad else 'ok  '} {folder.name}: {says}")
    for folder in sorted(p.parent for p in root.glob("*/tokens.json")):
        if transformers is None:
            print(f"skip {folder.name}: its program is not installed here")
            continue
        wrong, all = tokens_apart(folder)
        failed |= wrong > 0
        print(f"{'FAIL' if wrong else 'ok  '} {folder.name}: {wrong} of {all} texts are encoded otherwise")
    return failed


def main():
    what, root = sys.argv[1], pathlib.Path(sys.argv[2])
    print("torch", torch.__version__, "transformers", transformers and transformers.__version__, "xlstm", xlstm and importlib.metadata.version("xlstm"))
    if what == "read":
        sys.exit(read(root))
    if transformers:
        write_hugging_face(root)
    if xlstm:
        write_paper(root)
        write_experiment(root)
        write_large(root)


main()
