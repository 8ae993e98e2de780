"""The command `recurrent-dynamics`: train a character model on a text, sample from it, take it apart.

Its parts `cache` and `warmup`, in `cli_cache`, look after the compiled code on the disk.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .study import CharacterModel, Corpus, Plan, Trained
    from .training import History

OUT = Path("study")
DESCRIPTION = """\
Train a character-level language model on a text, take it apart, and write a report: the learning curve, how far back
gradients reach, the singular values of Jacobian products, Lyapunov exponents, fixed points, saturated and slow units,
and on top a diagnosis: whether the network is well, or what it suffers from and what to try."""
EXAMPLES = """\
examples:
  recurrent-dynamics study                         learn the source of Python's standard library
  recurrent-dynamics study novel.txt --cell gru --hidden 256 --out novel
  recurrent-dynamics study --resume                go on after Ctrl-C; the same command as before does it too
  recurrent-dynamics study --resume --updates 5000 train on
  recurrent-dynamics sample --prime "def " --temperature 0.5
  recurrent-dynamics cache info                    where compiled code is kept, and how much
  recurrent-dynamics warmup --cell gru             compile all verbs of a cell before they are needed
"""
CHAR_RNN = """\
Karpathy's char-rnn (2015) in its usual setting is one command:
  recurrent-dynamics train FILE --optimizer rmsprop --decay 0.95 --lr 2e-3 --schedule exponential --lr-decay 0.97 \
--lr-decay-after 10 --warmup 0 --epochs 50 --clip 5 --clip-by value
"""


class UsageError(Exception):
    """What the user asked for cannot be done; the message is one line."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise UsageError(f"{message} (see {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments
        Of the command line; those of the process if None.

    Returns
    -------
    int
        Exit status: 0, 2 for an error of use or of the system (one line on stderr), 130 after Ctrl-C.
    """
    _share_the_cores()
    try:
        options = _parser().parse_args(arguments)
        options.arguments = sys.argv[1:] if arguments is None else list(arguments)
        run: Callable[[argparse.Namespace], int] = options.run
        return run(options)
    except KeyboardInterrupt:
        _say("\nstopped by Ctrl-C")
        return 130
    except (UsageError, OSError, ValueError, FloatingPointError, MemoryError) as error:
        _say(f"recurrent-dynamics: {_one_line(error)}")
        return 2


def _share_the_cores() -> None:
    """Let threads that wait sleep; works only before NumPy and Numba are loaded, and leaves a user's choice alone.

    By default they wait actively. The threads of a BLAS then take the cores from the engine's, and on a busy machine
    the engine's wait for each other: measured so, training took three times and the analyses ten times as long.
    """
    if "numpy" not in sys.modules:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def _train(options: argparse.Namespace) -> int:
    return 0 if _trained(options, _plan(options)) is not None else 130


def _study(options: argparse.Namespace) -> int:
    from .study import analyses_beside, history_beside, load_corpus, load_model
    from .study.ahead import compile_training

    if options.model is not None:
        _refuse(options, "--model studies a model as it is", (*_setting_names(), "resume", "overwrite"))
        model = options.model
        character_model = load_model(model)
        corpus = load_corpus(options.file or character_model.source, character_model.vocabulary)
        folder = getattr(options, "out", options.model.parent)
        folder.mkdir(parents=True, exist_ok=True)
        cell = character_model.settings.cell
        with analyses_beside(cell, _say) as training_has_ended:
            compile_training(cell, _say)
            training_has_ended()
            return _report(options, folder, model, character_model, corpus, history_beside(model))
    todo = _plan(options)
    with analyses_beside(todo.settings.cell, _say) as training_has_ended:
        trained = _trained(options, todo)
        if trained is None:
            return 130
        training_has_ended()
        folder = getattr(options, "out", OUT)
        model = folder / "model.npz"
        return _report(options, folder, model, trained.character_model, todo.corpus, trained.history)


def _report(
    options: argparse.Namespace,
    folder: Path,
    model: Path,
    character_model: CharacterModel,
    corpus: Corpus,
    history: History | None,
) -> int:
    from .study import Origin, study

    origin = Origin(options.arguments, model)
    diagnosis = study(folder / "report.html", character_model, corpus, history, _say, origin)
    _say("\n".join(diagnosis.sentences))
    print(folder / "report.html")
    return 0


def _sample(options: argparse.Namespace) -> int:
    from .checks import integer, number
    from .study import load_model

    integer("--length", options.length, at_least=1)
    number("--temperature", options.temperature, at_least=0)
    if options.top_p is not None:
        number("--top-p", options.top_p, above=0, at_most=1)
    checkpoint = options.model.with_name("checkpoint.npz")
    if not options.model.exists() and checkpoint.exists():
        _say(f"{options.model} is not there yet: sampling from {checkpoint}, as far as it was trained")
        options.model = checkpoint
    character_model = load_model(options.model)
    known = character_model.vocabulary.characters
    if options.top_k is not None:
        integer("--top-k", options.top_k, at_least=1, at_most=len(known))
    prime = options.prime if options.prime is not None else "\n" if "\n" in known else known[0]
    unknown = sorted(set(prime) - set(known))
    if unknown or not prime:
        came = repr(unknown[0]) if unknown else "none"
        raise UsageError(f"--prime must be text of characters that the model has read; came {came}")
    text = character_model.sample(
        prime, options.length, options.temperature, options.seed, top_k=options.top_k, top_p=options.top_p
    )
    print(prime + text if options.prime is not None else text)
    return 0


def _plan(options: argparse.Namespace) -> Plan:
    """What the options say is to be trained."""
    from .study import plan

    given = {name: getattr(options, name) for name in _setting_names() if hasattr(options, name)}
    return plan(
        getattr(options, "out", OUT),
        given,
        options.file,
        resume=hasattr(options, "resume"),
        overwrite=hasattr(options, "overwrite"),
        say=_say,
    )


def _trained(options: argparse.Namespace, todo: Plan) -> Trained | None:
    """Train; None after Ctrl-C, with everything kept."""
    from .study import train

    folder = getattr(options, "out", OUT)
    trained = train(todo.settings, todo.corpus, folder, resume=todo.resume, say=_say)
    bits = trained.character_model.facts["validation_bits"]
    if bits is not None:
        _say(
            f"{trained.character_model.facts['updates']} updates done, validation {bits:.3f} bits per character"
        )
    if trained.stopped_by == "updates":
        return trained
    return _unfinished(options, folder, trained)


def _unfinished(options: argparse.Namespace, folder: Path, trained: Trained) -> Trained | None:
    out = [] if folder == OUT else ["--out", str(folder)]
    again = shlex.join(["recurrent-dynamics", options.command, "--resume", *out])
    _say(f"stopped before the end; what was learnt is in {folder}; go on with: {again}")
    if trained.stopped_by != "interrupt":
        return trained
    study = ["recurrent-dynamics", "study", "--model", str(folder / "model.npz")]
    _say(f"or study it as it is with: {shlex.join(study)}")
    return None


def _parser() -> argparse.ArgumentParser:
    from . import __version__, cli_cache

    style = argparse.RawDescriptionHelpFormatter
    parser = _Parser("recurrent-dynamics", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=style)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="{study,train,sample,cache,warmup}", parser_class=_Parser
    )

    text = "train a model, take it apart and write a report (or only the latter, with --model)"
    command = commands.add_parser(
        "study", help=text, description=f"{text.capitalize()}.", formatter_class=style
    )
    command.set_defaults(run=_study)
    _add_training(command)
    command.add_argument(
        "--model", type=Path, metavar="NPZ", help="study this trained model instead of training one"
    )

    text = "train a model and keep it"
    command = commands.add_parser(
        "train", help=text, description=f"{text.capitalize()}.", epilog=CHAR_RNN, formatter_class=style
    )
    command.set_defaults(run=_train)
    _add_training(command)

    text = "let a trained model write"
    command = commands.add_parser(
        "sample", help=text, description=f"{text.capitalize()}.", formatter_class=style
    )
    command.set_defaults(run=_sample)
    default = OUT / "model.npz"
    command.add_argument(
        "--model", type=Path, metavar="NPZ", default=default, help=f"the model (default: {default})"
    )
    command.add_argument("--prime", metavar="TEXT", help="text to continue (default: the start of a line)")
    command.add_argument("--length", type=int, default=500, help="characters to write (default: 500)")
    command.add_argument(
        "--temperature", type=float, default=0.7, help="low is safe, high is bold, 0 is greedy (default: 0.7)"
    )
    command.add_argument(
        "--top-k", type=int, metavar="K", help="draw among the K most likely characters alone (default: all)"
    )
    command.add_argument(
        "--top-p",
        type=float,
        metavar="P",
        help="draw among the most likely characters alone whose probabilities reach P, in (0, 1] (default: all)",
    )
    command.add_argument("--seed", type=int, default=0, help="seed of the random draws (default: 0)")

    cli_cache.add_commands(commands)
    return parser


def _add_training(command: argparse.ArgumentParser) -> None:
    from .study import Settings
    from .study.settings import option_name

    command.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="UTF-8 text (default: the source of Python's standard library)",
    )
    folder = command.add_argument_group("files")
    folder.add_argument(
        "--out",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="FOLDER",
        help=f"where everything goes (default: {OUT})",
    )
    # Options that are not given stay absent, so that --resume can tell them from defaults.
    absent: dict[str, Any] = {"default": argparse.SUPPRESS, "action": "store_true"}
    folder.add_argument(
        "--resume",
        help="go on with the training in the folder, with --updates or --epochs for longer",
        **absent,
    )
    folder.add_argument("--overwrite", help="replace an earlier training in the folder", **absent)
    group = command.add_argument_group("network and training")
    for f in fields(Settings):
        properties = f.metadata
        choices = properties.get("choices")
        names = choices() if callable(choices) else choices
        metavar = "NAME" if names else "N" if properties["kind"] is int else "X"
        text = properties["help"] + (f": {', '.join(names)}" if names else "")
        text += (
            ""
            if f.default is None
            else f" (default: {f.default:g})"
            if _is_number(f.default)
            else f" (default: {f.default})"
        )
        group.add_argument(
            option_name(f.name),
            type=properties["kind"],
            default=argparse.SUPPRESS,
            metavar=metavar,
            help=text,
        )


def _setting_names() -> tuple[str, ...]:
    from .study import Settings

    return tuple(f.name for f in fields(Settings))


def _refuse(options: argparse.Namespace, reason: str, names: Sequence[str]) -> None:
    for name in names:
        if hasattr(options, name):
            raise UsageError(f"{reason}: --{name.replace('_', '-')} cannot be given with it")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        return f"out of memory ({error})" if str(error) else "out of memory"
    return " ".join(str(error).split())


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
