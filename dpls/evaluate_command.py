"""Evaluation of a finished run from outside its worker."""

from dpls.attacks import named
from dpls.checkpoints import find_checkpoint, load_weights
from dpls.config import make_config, override
from dpls.data.cache import open_dataset, open_hashes
from dpls.evaluation import Accuracy, evaluate
from dpls.examples import write_examples
from dpls.runs import Run, data_root
from dpls.training import build


def evaluate_run(run: Run, attack_name: str, assignments: list[str], checkpoint: str) -> str:
    """Evaluates and stores; returns the accuracy in words. Settings are ``name=value``; eps is the run's if unset."""
    attack = named(attack_name)
    stored = run.config()
    config = make_config(
        stored["config"] | {"evaluations": [override(attack.model_dump(mode="json"), assignments)]}
    ).resolved()
    (attack,) = config.evaluations
    path, epoch = find_checkpoint(run, checkpoint)
    with run.lock():
        root = data_root(run.path.parent)
        dataset = open_dataset(root, stored["fingerprint"])
        parts = build(config, dataset)
        load_weights(parts.net, path)
        described = {
            "name": checkpoint,
            "epoch": epoch,
            "chosen_by": config.selection.chosen_by if checkpoint == "best" else "named by hand",
        }
        result: Accuracy = evaluate(run, parts.net, dataset, attack, described, device=parts.device, dtype=parts.dtype)
        write_examples(config, run, dataset, open_hashes(root, stored["fingerprint"]))
    return f"{attack.title}, {checkpoint} checkpoint (epoch {epoch}): {result}"
