"""The loop of a library: what transformers' Trainer does with a model, by way of accelerate."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

import padiff
from padiff import open_dump
from padiff.store.reader import open_dumps

SIZE: dict[str, Any] = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 8}
WORDS: dict[str, Any] = {"vocab_size": 32, "bos_token_id": 0, "eos_token_id": 0}


def train(home: Path, name: str | None, *, fault_at: int | None = None) -> list[Any]:
    """Train a tiny language model for four steps of two parts, evaluate and save it in between.

    Returns the losses and weights; `name` is where it is recorded. From the step `fault_at` on, a
    layer returns a little more.
    """
    torch.manual_seed(0)
    model: Any = GPT2LMHeadModel(GPT2Config(**SIZE, **WORDS))
    texts: Any = [{"input_ids": ids, "labels": ids} for ids in torch.randint(0, 32, (16, 8))]
    arguments = TrainingArguments(
        str(home / "trainer"),
        max_steps=4,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        eval_strategy="steps",
        eval_steps=1,
        save_steps=3,
        logging_steps=1,
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = Trainer(model, arguments, train_dataset=texts, eval_dataset=texts[:2])

    def enlarge(layer: Any, inputs: Any, output: Any) -> Any:
        late = fault_at is not None and trainer.state.global_step >= fault_at
        return output * 1.01 if late else output

    model.transformer.h[1].mlp.c_fc.register_forward_hook(enlarge)
    with nullcontext() if name is None else padiff.record(model, home / name, every=2):
        trainer.train()
    logged = [entry.get("loss", entry.get("eval_loss")) for entry in trainer.state.log_history]
    return [*logged, *(value.numpy().tobytes() for value in model.state_dict().values())]


def test_a_trainer_is_recorded(tmp_path: Path) -> None:
    plain = train(tmp_path, None)
    assert sum(isinstance(loss, float) for loss in plain) == 8  # of training and evaluation
    assert plain == train(tmp_path, "base.zarr") == train(tmp_path, "raw.zarr")
    assert plain != train(tmp_path, "faulty.zarr", fault_at=2)
    assert list(open_dumps(tmp_path / "base.zarr").dumps) == [(0, None), (2, None)]
    dump = open_dump(tmp_path / "base.zarr" / "step_2")
    assert len(dump.report.tree.roots) == 2  # the parts of a batch, and no evaluation
    assert (dump.report.header.backward, dump.params.header.updated) == (True, False)
    found = padiff.compare(tmp_path / "base.zarr", tmp_path / "raw.zarr", mode="strict")
    assert found.aligned
    assert found.totals.identical == found.totals.compared > 100
    first = padiff.compare(
        tmp_path / "base.zarr", tmp_path / "faulty.zarr", mode="strict", atol=1e-6
    ).first_divergence
    assert first is not None
    assert first.raw is not None
    assert (first.step, first.phase) == (2, "forward")
    assert (first.raw.route, first.raw.call) == ("transformer.h.1.mlp.c_fc", 0)
