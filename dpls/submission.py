"""From a configuration to a run directory that waits for its worker; what is wrong is found here, before the start."""

from pathlib import Path

from dpls.checkpoints import stored_epochs
from dpls.config import RunConfig
from dpls.device import resolve_device
from dpls.runs import Run, create_run, data_root, list_runs


def submit(config: RunConfig, runs: Path, label: str = "") -> Run:
    """A queued run. Its data is cached, its settings checked, and the stored state it may start from is looked up."""
    resolve_device(config.device)
    dataset, fingerprint = config.data(data_root(runs))
    for phase in config.phases:
        phase.factors.check(len(dataset.classes))
    content = {
        "recipe_hash": config.hash_at(config.epochs, fingerprint),
        "fingerprint": fingerprint,
        "states": {str(epoch): config.hash_at(epoch, fingerprint) for epoch in config.borders},
        "parent": find_parent(config, runs, fingerprint),
        "config": config.model_dump(mode="json"),
    }
    return create_run(runs, content, config.epochs, label)


def find_parent(config: RunConfig, runs: Path, fingerprint: str) -> dict[str, str | int] | None:
    """The stored state this run would reach anyway, as late as possible but before its last epoch; the newest of them.

    So phase 1 is paid once: runs that differ only from some border on share what lies before it.
    """
    found: tuple[int, Run, str] | None = None
    for run in reversed(list_runs(runs)):
        states = run.config()["states"]
        for epoch in stored_epochs(run):
            known = states.get(str(epoch))
            earlier = epoch < config.epochs and (found is None or epoch > found[0])
            if known and earlier and known == config.hash_at(epoch, fingerprint):
                found = (epoch, run, known)
    return {"run": found[1].id, "epoch": found[0], "hash": found[2]} if found else None
