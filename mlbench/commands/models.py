"""``mlbench models``: what can be evaluated with, whether it keeps the contract, how fast it is."""

from __future__ import annotations

import sys
import textwrap
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from mlbench.commands.options import add_model_options, model_options, positive, shared
from mlbench.commands.output import WIDTH, plain_table, print_json
from mlbench.common.counts import plural
from mlbench.common.errors import Fault, ModelError, UsageError
from mlbench.common.progress import Step
from mlbench.common.sizes import short_number, short_size, three_digits
from mlbench.common.terminal import fill
from mlbench.models.contract import CHECKS, IMAGE_CHECKS, SHORT_TEXTS, CheckResult, check_adapter
from mlbench.models.inputs import about_keeping
from mlbench.models.objects import load_model
from mlbench.models.registry import list_models
from mlbench.models.reranking.registry import is_reranker, load_reranker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlbench.evaluation.speed import RoleSpeed, Speed
    from mlbench.models.reranking.protocol import Reranker

ABOUT_SPEED = (
    "Every model is given the same {queries} queries and {passages} passages, so that figures of "
    "one machine can be compared. The length is in characters; it and the tokens are the mean over "
    "the texts. tokens/s and texts/s are the median over the rounds, beside the slowest and the "
    "fastest one."
)
ABOUT_IMAGES = (
    "The {images} images are made by mlbench; their length is in pixels a side, and texts/s are "
    "images a second."
)
NAME_WIDTH = 2 + max(len(name) for name, _ in (*CHECKS, *IMAGE_CHECKS))


def list_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `models list`."""
    shared(parser, "--json")


def show_models(args: Namespace) -> int:
    """List the models that can be named."""
    rows = list_models()
    if args.json:
        print_json([row._asdict() for row in rows])
        return 0
    cells = [[row.spec, row.origin, row.help] for row in rows]
    print(plain_table(["model", "from", "what it is"], cells))
    return 0


def check_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `models check`."""
    shared(parser, "model", "--json", "--offline")
    parser.add_argument(
        "--reranker", action="store_true",
        help="check it as a reranker, as `mlbench run --rerank` takes it; rerank:MODEL, a model "
        "file that names one and the folder of a CrossEncoder are known to be one without it",
    )  # fmt: skip
    add_model_options(parser)


def check(args: Namespace) -> int:
    """Test a model or a reranker against its contract; exit code 4 if it fails."""
    if args.reranker or is_reranker(args.model):
        return _check_reranker(args)
    if not args.json:
        print(
            f"{len(CHECKS)} checks encode {SHORT_TEXTS} short texts and two long ones "
            f"with {args.model}",
            file=sys.stderr,
        )
    with Step("loading the model", 1, "model", quiet=args.json, brief=True):
        model = load_model(args.model, model_options(args))
    return _told(check_adapter(model), args, f"{model.name}: {about_keeping(model)}")


def _check_reranker(args: Namespace) -> int:
    from mlbench.models.reranking import contract

    given = [name for name, value in model_options(args).items() if value and name != "offline"]
    if given:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        expected = "a reranker without options, or a model file that holds them"
        raise UsageError(Fault(f"reranker {args.model}", f"takes no {names}", expected))
    if not args.json:
        said = f"{len(contract.CHECKS)} checks score some {len(contract.PAIRS)} pairs several times"
        print(f"{said} with {args.model}", file=sys.stderr)

    def load() -> Reranker:
        return load_reranker(args.model, offline=args.offline)

    with Step("loading the reranker", 1, "model", quiet=args.json, brief=True):
        reranker = load()
    results = contract.check_reranker(reranker, load)
    return _told(results, args, f"{reranker.name}: {contract.about_keeping(reranker)}")


def _told(found: Iterable[CheckResult], args: Namespace, about: str) -> int:
    """Print results as they come; return the exit code."""
    results = []
    for result in found:
        results.append(result)
        if not args.json:
            print(_row(result), flush=True)
    failed = sum(not result.passed for result in results)
    if args.json:
        print_json([result._asdict() for result in results])
    else:
        print(f"\n{args.model}: {plural(len(results) - failed, 'check')} passed, {failed} failed")
        print(fill(about))
    return ModelError.exit_code if failed else 0


def _row(result: CheckResult) -> str:
    """Return a result as a row that stands under the others, whatever comes after it."""
    mark = "ok" if result.passed else "FAILED"
    start = f"{mark:<8}{result.name:<{NAME_WIDTH}}"
    lines = [
        line
        for part in result.detail.splitlines()
        for line in textwrap.wrap(part, WIDTH - len(start), break_long_words=False)
    ]
    return start + f"\n{' ' * len(start)}".join(lines)


def speed_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `models speed`."""
    shared(parser, "model")
    parser.add_argument(
        "--rounds", type=positive, default=5, metavar="N",
        help="encode the text N times, after once that does not count (default: %(default)s)",
    )  # fmt: skip
    shared(parser, "--json", "--offline", "--quiet")
    add_model_options(parser)


def speed(args: Namespace) -> int:
    """Measure how fast a model encodes fixed text."""
    from mlbench.evaluation.speed import measure_speed, rounds_of, sent_tokens

    quiet = args.quiet or args.json
    with Step("loading the model", 1, "model", quiet=quiet, brief=True):
        model = load_model(args.model, model_options(args))
    if not quiet and (tokens := sent_tokens(model, args.rounds)):
        print(f"{model.name}: the server is sent about {plural(tokens, 'token')}", file=sys.stderr)
    with Step("encoding", rounds_of(model, args.rounds), "rounds", quiet=quiet) as step:
        found = measure_speed(model, args.rounds, step.advance)
    if args.json:
        print_json(found.values())
    else:
        print(_speed_text(found))
    return 0


def _speed_text(found: Speed) -> str:
    """Return what was measured as a terminal shows it."""
    header = ["role", "length", "tokens", "tokens/s", "texts/s", "slowest", "fastest"]
    costs = {
        "parameters": found.parameters and short_number(found.parameters),
        "dimension": f"{found.dimension:,}",
        **{
            f"bytes {'an' if role == 'image' else 'a'} {role}": f"{of.size.bytes:,.0f}"
            for role, of in found.roles.items()
        },
        "peak memory": found.peak_memory and short_size(found.peak_memory),
        "peak GPU memory": found.peak_gpu_memory and short_size(found.peak_gpu_memory),
        "number format": found.dtype,
        "device": found.device,
        "hardware": str(found.hardware),
    }
    rows = [_speed_row(role, of) for role, of in found.roles.items()]
    table = plain_table(header, rows)
    lines = [f"{name + ':':<18}{value}" for name, value in costs.items() if value]
    counts = {"queries": found.roles["query"].texts, "passages": found.roles["passage"].texts}
    about = ABOUT_SPEED.format(**counts)
    if "image" in found.roles:
        about += " " + ABOUT_IMAGES.format(images=found.roles["image"].texts)
    return "\n".join([found.model, "", table, "", *lines, "", fill(about)])


def _speed_row(role: str, of: RoleSpeed) -> list[str]:
    tokens = [of.tokens, of.tokens_per_second]
    length = of.characters if of.pixels is None else of.pixels**0.5
    return [
        role,
        f"{length or 0:.0f}",
        *("-" if value is None else three_digits(value) for value in tokens),
        *map(three_digits, (of.texts_per_second, *of.range)),
    ]
