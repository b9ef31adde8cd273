"""Words people use for settings, shown beside the names that files and the command line use.

A setting without words here is called by its title, or by its name; so nothing has to be added for a new one.
"""

from dpls.component import Component

WORDS = {
    "activation": "Activation",
    "adversarial": "Count on attacked images",
    "anneal": "Fall to 0 at the end",
    "area": "Hidden share of the image",
    "attack_warmup": "Clean epochs first",
    "batch_size": "Images a step",
    "average": "Mean of the weights (SWA)",
    "beta": "Weight of the robust term",
    "channels": "Grey or colour",
    "data": "Images",
    "decays": "Learning rate drops after epochs",
    "depth": "Layers",
    "download": "Download what is missing",
    "eps": "Attack radius",
    "evaluate_also": "Evaluate also",
    "evaluations": "Attacks on the test images",
    "every": "Epochs between attacks",
    "final_norm": "Batch norm before the mean",
    "flip": "Mirror half",
    "fold": "Which share",
    "gamma": "How far weights are moved",
    "hidden": "Share of labels hidden",
    "how": "Which control",
    "inner": "Around which objective",
    "limit": "Training images at most",
    "lr": "Learning rate",
    "mean": "or mean factor",
    "net": "Network",
    "normalise": "Normalise the pixels",
    "normaliser": "Scale of difficulty",
    "observing": "When difficulty is recorded",
    "pad": "Shift by at most, pixels",
    "padding": "Zeros around what is halved",
    "path": "Path",
    "pixel_mean": "Mean of the pixels, by channel",
    "pixel_std": "Deviation of the pixels, by channel",
    "probes": "Planted causes",
    "pseudo": "Labels that another run says",
    "radius": "Blur, pixels",
    "refill": "Keep the steps of an epoch",
    "selection": "Choice of the best checkpoint",
    "share": "Share of the images",
    "shortcut": "What a projection takes",
    "source": "Where the images come from",
    "spared": "Share spared of these",
    "start": "Where the attack starts",
    "std": "Strength of the noise",
    "step": "Length of a step",
    "steps": "Steps of the attack",
    "subset": "A choice of images",
    "test": "Share for the test",
    "test_limit": "Test images at most",
    "unlabelled": "Images without labels, too",
    "until": "Until epoch",
    "validation": "Share for validation",
    "warmup": "Rise from 0 over epochs",
    "weight": "Weight of the other image",
    "AutoAttack.queries": "Queries of Square",
    "AutoAttack.targets": "Classes aimed at",
    "Control.lambda_min": "Smallest factor",
    "Cifar10.path": "Folder of the published files",
    "Cifar100.path": "Folder of the published files",
    "DiffPure.chain": "Strides back",
    "DiffPure.eot": "Draws a gradient is averaged over",
    "DiffPure.t": "How far images are noised",
    "DiffPure.updates": "Training steps of the diffusion model",
    "DiffPure.width": "Channels of the diffusion model",
    "Difficulty.scores": "Scores computed elsewhere instead",
    "DPLS.lambda_min": "Smallest factor",
    "FashionMnist.path": "Folder of the published files",
    "FGSMRS.step": "Length of the step, in eps",
    "Folder.path": "Path of your folder",
    "NFGSM.noise": "Noise at the start, in eps",
    "NFGSM.step": "Length of the step, in eps",
    "Npz.path": "Path of your file",
    "Parquet.image": "Column of images",
    "Parquet.label": "Column of labels",
    "Parquet.path": "Path of your files",
    "Phase.factors": "Label smoothing",
    "Photos.test": "Images for the test",
    "Photos.train": "Images to train on",
    "Photos.validation": "Images for validation",
    "Pseudo.run": "Id of that run",
    "Pseudo.share": "Share of an epoch",
    "RayS.stop_when_broken": "Stop once it is broken",
    "Schedule.factor": "Each drop multiplies by",
    "Selection.by": "Chosen by accuracy",
    "Stl10.path": "Folder of the published files",
    "Subset.action": "What happens to them",
    "Subset.scores": "By the difficulty of runs",
    "Subset.which": "Which images",
    "Svhn.path": "Folder of the published files",
    "Uniform.factor": "Mass left on the label",
}
"""By a setting's name, or by its component's and its own where the same name means something else."""

KINDS = {
    "a3": "A3",
    "cifar10": "CIFAR-10, as published",
    "cifar100": "CIFAR-100, as published",
    "control": "Control",
    "digits": "Digits that come with scikit-learn",
    "dpls": "In proportion to difficulty",
    "fashion_mnist": "Fashion-MNIST, as published",
    "folder": "A folder of your images",
    "hard": "None, hard labels",
    "npz": "An array file",
    "parquet": "Parquet files, as of Hugging Face",
    "pgd_at": "PGD adversarial training",
    "photos": "Patches of photographs",
    "pgd": "PGD",
    "preact_resnet18": "Pre-activation ResNet-18",
    "rays": "RayS",
    "small_cnn": "Small convolutional network",
    "standard": "Standard training, no attack",
    "stl10": "STL-10, as published",
    "svhn": "SVHN, as published",
    "trades": "TRADES",
    "uniform": "The same for all",
    "wide_resnet": "Wide ResNet",
}
"""By the kind of a component."""


def label_of(model: type[Component], name: str) -> str:
    """e.g. ``Learning rate (lr)``; the title of a setting that has one, its name where no words are known."""
    if title := model.model_fields[name].title:
        return title
    plain = name.replace("_", " ")
    words = WORDS.get(f"{model.__name__}.{name}", WORDS.get(name, plain[:1].upper() + plain[1:]))
    return words if words.lower() == plain else f"{words} ({name})"


def kind_in_words(kind: str) -> str:
    """e.g. ``A folder of your images (folder)``."""
    return f"{KINDS[kind]} ({kind})" if kind in KINDS and KINDS[kind].lower() != kind else kind
