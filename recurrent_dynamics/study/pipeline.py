"""The main job from end to end: train, measure, report."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from ..checks import boolean, callable_, pathlike
from ..dynamics import Diagnosis
from ..training import History
from .corpus import Corpus
from .measure import measure
from .model_file import CharacterModel
from .origin import Origin
from .patience import said
from .report import check_subject, write_report
from .train import CHECKPOINT, HISTORY, MODEL, REPORT


def study(
    path: Path,
    trained: CharacterModel,
    corpus: Corpus,
    history: History | None,
    say: Callable[[str], None],
    origin: Origin | None = None,
) -> Diagnosis:
    """Measure a trained model on the held-out part of a text and write the report.

    Parameters
    ----------
    path
        Of the report.
    trained
        The model.
    corpus
        The text.
    history
        Of its training, None if it is not known.
    say
        Takes a line for people.
    origin
        The command line and the model file, for the report to say.

    Returns
    -------
    Diagnosis

    Raises
    ------
    OSError
        When the report cannot be written.
    ValueError
        When the text is too short.
    """
    check_subject(path, trained, corpus, history, origin)
    callable_("say", say, "of a text")
    window = min(2 * trained.settings.truncation, (len(corpus.validation) - 1) // 2)
    with said(say, f"measuring on windows of {window} steps: gradients, Jacobian products, gates"):
        found = measure(trained.model, trained.params, corpus.validation, window=window)
    with said(say, "drawing the report"):
        return write_report(path, trained, corpus, found, history, origin)


def prepare_folder(folder: Path, *, overwrite: bool = False) -> None:
    """Make a folder for a training and make sure that files can be written there.

    Parameters
    ----------
    folder
        Made with its parents if it does not exist.
    overwrite
        Whether what an earlier training left there may be replaced.

    Raises
    ------
    OSError
        When the folder cannot be made or written to.
    FileExistsError
        When it holds a model or an unfinished training already.
    """
    folder, overwrite = pathlike("folder", folder), boolean("overwrite", overwrite)
    there = [name for name in (MODEL, CHECKPOINT) if (folder / name).exists()]
    if there and not overwrite:
        raise FileExistsError(
            f"{folder} holds a training already ({' and '.join(there)}): choose another folder by --out, or replace it "
            "by --overwrite"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise type(error)(error.errno, f"cannot write there: {error.strerror}", str(folder)) from None
    for name in (MODEL, CHECKPOINT, HISTORY, REPORT):
        (folder / name).unlink(missing_ok=True)


def history_beside(model: Path) -> History | None:
    """The history.csv in the folder of a model; None if there is none."""
    path = pathlike("model", model).parent / HISTORY
    return History.read_csv(path) if path.is_file() else None
