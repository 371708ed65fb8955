"""``supportbot``: the command line.

What lives here: parsing, progress and tables. What does not: work, which is the library's or, for
the graph, :mod:`supportbot_dagster.operate`'s. Heavy modules are imported by the command that needs
them, so that ``--help`` is quick.

Bad input ends in one line on standard error and exit code 2, without a traceback.
"""

import json
import os
import signal
import sqlite3
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from supportbot_dagster.errors import UserError
from supportbot_dagster.progress import console_progress

if TYPE_CHECKING:
    from supportbot_dagster.export.pipeline import ExportReport

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Docs and tickets in, an on-device support bot out.",
)

ProductOption = Annotated[
    Path | None, typer.Option("--product", help="product.yaml; the embedded sample by default.")
]
MonthOption = Annotated[
    str | None, typer.Option("--month", help="Retrain month, YYYY-MM; the running one by default.")
]


def main() -> None:
    """Entry point: runs the command and turns mendable errors into one line."""
    warnings.filterwarnings("ignore")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        app()
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno is None:
            raise
        place = f" ({error.filename})" if error.filename else ""
        _fail(f"{error.strerror}{place}. Free space or mend the permissions, then run again.")
    except KeyboardInterrupt:
        print("stopped; what was finished is kept, run again to go on", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        database = _database_error(error)
        if database is None:
            raise
        _fail(
            f"Dagster's database cannot be written ({database}). Free space or mend the "
            "permissions of SUPPORTBOT_HOME, then run again."
        )


@app.command()
def retrain(
    month: MonthOption = None,
    product: ProductOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Run every asset, fresh or not.")
    ] = False,
    until: Annotated[
        str | None,
        typer.Option("--until", help="Stop at this asset: only it and what it is made from."),
    ] = None,
) -> None:
    """Materialize what a month lacks, from the docs to the bundle."""
    from supportbot_dagster.operate.retrain import RetrainFailed
    from supportbot_dagster.operate.retrain import retrain as run
    from supportbot_dagster.operate.summary import RELEASE, figures
    from supportbot_dagster.partitions import current_month
    from supportbot_dagster.product import load_product
    from supportbot_dagster.settings import load_settings

    settings = load_settings(product_file=product)
    loaded = load_product(settings.product_file)
    chosen = month or current_month()

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        result = run(settings, loaded, chosen, everything=everything, say=say, until=until)
    except RetrainFailed as error:
        hint = "What was finished before is kept; run again to go on from there."
        _fail(f"{error} {hint}", code=2 if error.user_error else 1)
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if until is None or until == RELEASE:  # else there is nothing to judge yet
        table = Table(title=f"{loaded.name}, {chosen}", title_justify="left")
        table.add_column("figure")
        table.add_column("measured", justify="right")
        table.add_column("limit", justify="right")
        table.add_column("", justify="left")
        table.add_column("how it is judged", overflow="fold")
        for line in figures(settings, chosen):
            table.add_row(line.name, line.measured, line.limit, line.verdict, line.how)
        console.print(table)
    ran = ", ".join(f"{asset} {seconds:.0f} s" for asset, seconds in result.ran.items())
    console.print(
        f"{len(result.ran)} materialized, {len(result.skipped)} fresh and skipped, "
        f"{result.seconds:.0f} s in all, {result.peak_gib:.1f} GiB at most"
        + (f" ({ran})" if ran else "")
    )


@app.command()
def status(
    month: MonthOption = None,
    product: ProductOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Every asset of a month: fresh, stale and why, missing, failed."""
    from supportbot_dagster.definitions import build_definitions
    from supportbot_dagster.operate.instance import open_instance
    from supportbot_dagster.operate.status import StatusReader
    from supportbot_dagster.partitions import check_month, current_month
    from supportbot_dagster.product import load_product
    from supportbot_dagster.resources.artifact_store import ArtifactStore
    from supportbot_dagster.settings import load_settings

    settings = load_settings(product_file=product)
    loaded = load_product(settings.product_file)
    chosen = check_month(month or current_month(), loaded.retrain.first_month)
    store = ArtifactStore(root=settings.root, scratch=str(settings.home))
    with open_instance(settings) as instance:
        found = StatusReader(build_definitions(settings, loaded), instance, store).read(chosen)
    if as_json:
        print(json.dumps({"month": chosen, "assets": [item.to_dict() for item in found]}, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    colours = {"fresh": "green", "stale": "yellow", "missing": "dim", "failed": "red"}
    table = Table(title=f"{loaded.name}, {chosen}", title_justify="left")
    for column in ("asset", "group", "state", "since", "why"):
        table.add_column(column, overflow="fold")
    for item in found:
        table.add_row(
            item.asset,
            item.group,
            f"[{colours[item.state]}]{item.state}[/]",
            item.since.replace("+00:00", "Z"),
            "; ".join(item.why),
        )
    Console().print(table)


@app.command()
def review(
    month: MonthOption = None,
    product: ProductOption = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=0, max=65535)] = 8787,
) -> None:
    """A page on loopback to judge the synthesized pairs of a month."""
    from supportbot_dagster.partitions import check_month, current_month
    from supportbot_dagster.product import load_product
    from supportbot_dagster.resources.artifact_store import ArtifactStore
    from supportbot_dagster.review.app import create_app
    from supportbot_dagster.review.candidates import FOLDER, from_records
    from supportbot_dagster.review.serve import listening
    from supportbot_dagster.review.verdicts import VerdictStore
    from supportbot_dagster.settings import load_settings

    settings = load_settings(product_file=product)
    loaded = load_product(settings.product_file)
    chosen = check_month(month or current_month(), loaded.retrain.first_month)
    store = ArtifactStore(root=settings.root, scratch=str(settings.home))
    records = store.read_rows(FOLDER, chosen)
    if records is None:
        raise UserError(
            f"{chosen} has no candidates yet. Run supportbot retrain --until synthesized_pairs "
            f"--month {chosen} first."
        )
    verdicts = VerdictStore(settings.verdicts)
    verdicts.check_writable()
    page = create_app(from_records(records), verdicts, product=loaded.name, reviewer=_user_name())
    if signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        # Dagster gives SIGTERM what SIGINT has, and a shell's background jobs ignore that.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with listening(page, port) as (server, address):
        print(f"review of {chosen} on {address} (Ctrl-C ends)", flush=True)
        server.serve_forever()


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="One customer question.")],
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="Bundle folder; the released one by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Ask the bundle one question: an answer, or a hand-off."""
    from supportbot_dagster.bundle.answer import ask_bundle

    reply = ask_bundle(bundle or _default_bundle(), question)
    if as_json:
        print(json.dumps(reply.to_dict(), ensure_ascii=False))
        return
    print(reply.answer)
    if reply.route == "handoff":
        print(f"[hand-off: {reply.reason}]")


@app.command()
def crawl(
    url: Annotated[str, typer.Argument(help="Start URL; its path prefix is crawled.")],
    out: Annotated[Path, typer.Option("--out", help="JSON Lines, one page a line.")],
    max_pages: Annotated[int, typer.Option(help="Pages at most.")] = 5000,
) -> None:
    """Crawl a docs site: main content in sections. Exit code 1 if pages may be missing."""
    from supportbot_dagster.crawl import CrawlSettings
    from supportbot_dagster.crawl import crawl as run
    from supportbot_dagster.jsonl import write_jsonl_atomic

    if max_pages < 1:
        raise UserError(f"--max-pages is {max_pages}. Allow at least one page.")
    result = run(url, settings=CrawlSettings(max_pages=max_pages), progress=console_progress())
    write_jsonl_atomic(out, (page.to_dict() for page in result.pages))
    report = result.report
    print(f"{len(result.pages)} pages, {report.bytes} bytes, {report.seconds:.1f} s -> {out}")
    for reason, count in report.outcomes.items():
        print(f"  {reason}: {count}")
    if not report.complete:
        print("the crawl is not complete: see the outcomes above", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
def redact(
    source: Annotated[Path, typer.Option("--in", help="JSON Lines: id, text, known_names.")],
    out: Annotated[Path, typer.Option("--out", help="JSON Lines: id, text.")],
    doubts: Annotated[
        Path | None,
        typer.Option("--doubts", help="JSON Lines to write of what is doubtful: id, reasons."),
    ] = None,
    product: ProductOption = None,
) -> None:
    """Replace personal data by typed placeholders, line by line."""
    from collections import Counter

    from supportbot_dagster.jsonl import read_jsonl, write_jsonl_atomic
    from supportbot_dagster.product import load_product
    from supportbot_dagster.settings import load_settings
    from supportbot_dagster.tickets.redaction import Redactor, redact_rows
    from supportbot_dagster.tickets.vendor import Vendor

    if doubts is not None and doubts.absolute() in {source.absolute(), out.absolute()}:
        raise UserError(f"--doubts is {doubts}, as --in or --out is. Name a file of its own.")
    loaded = load_product(load_settings(product_file=product).product_file)
    rows = read_jsonl(source)
    progress = console_progress()
    redactor = Redactor(Vendor.of(loaded), ner_model=loaded.tickets.ner_model)
    doubtful: list[dict[str, Any]] = []

    def redacted() -> Any:
        for done, row in enumerate(redact_rows(rows, redactor), start=1):
            reasons = redactor.doubts(row["text"]) if doubts else []
            if reasons:
                doubtful.append({"id": row["id"], "reasons": reasons})
            progress("lines redacted", done, len(rows))
            yield row

    count = write_jsonl_atomic(out, redacted())
    print(f"{count} lines -> {out}")
    if doubts is not None:
        write_jsonl_atomic(doubts, doubtful)
        counts = Counter(reason for line in doubtful for reason in line["reasons"])
        by_reason = ", ".join(f"{reason} {number}" for reason, number in sorted(counts.items()))
        said = f"{len(doubtful)} of {count} lines are doubtful -> {doubts}"
        print(f"{said}: {by_reason}" if by_reason else said, file=sys.stderr)


@app.command()
def export(
    model: Annotated[Path, typer.Option("--model", help="Folder in the Hugging Face layout.")],
    out: Annotated[Path, typer.Option("--out", help="GGUF to write.")],
    adapter: Annotated[Path | None, typer.Option("--adapter", help="PEFT adapter.")] = None,
    quant: Annotated[str, typer.Option("--quant", help="Q4_K_M, Q5_K_M, Q8_0 or F16.")] = "Q4_K_M",
) -> None:
    """Merge, convert, quantize and verify a model."""
    from supportbot_dagster.export.pipeline import export_gguf

    report = export_gguf(model, adapter, out, quant=quant, progress=console_progress(0.0))
    _tell_export(report)
    failed = [gate.problem for gate in report.gates if not gate.passed]
    if failed:
        _fail(f"{out} was written and is not fit to ship: {'; '.join(failed)}")


def _tell_export(report: "ExportReport") -> None:
    """What an export gave, in a few lines."""
    size = report.main.size_bytes / 2**20
    print(f"{report.architecture}, {report.main.quant}, {size:.1f} MiB -> {report.main.path}")
    if report.fidelity is not None and report.token_ids is not None:
        for step in report.fidelity.steps:
            print(
                f"  {step.after} against {step.before}: same top token at "
                f"{step.same_top_token_share:.2%} of {step.positions} positions, "
                f"divergence {step.mean_kl:.2g} nats"
            )
        print(
            f"  token ids identical in {report.token_ids.texts} texts, "
            f"{report.token_ids.bos_count} BOS, {report.token_ids.end_of_turn} ends an answer"
        )


@app.command()
def rehearse(
    base: Annotated[str, typer.Argument(help="A base of the catalogue, gemma-4-e2b for example.")],
) -> None:
    """Preflight and export of a base on random weights, without its download."""
    from supportbot_dagster.operate.rehearse import rehearse as run
    from supportbot_dagster.training.catalogue import find_base

    found = find_base(base)
    if found.hub_id is None:
        _fail(f"{base} is embedded, so there is nothing to rehearse. Run supportbot retrain.")
    with tempfile.TemporaryDirectory(prefix="supportbot-rehearse-") as scratch:
        outcome = run(found, Path(scratch), console_progress(0.0))
    for result in outcome.preflight.results:
        print(f"{'passed' if result.passed else 'FAILED'}  {result.name}: {result.detail}")
    _tell_export(outcome.export)
    if not outcome.passed:
        _fail(f"{found.title} cannot be trained or exported here. The lines above say why.")
    print(f"{found.title} can be trained and exported here, as far as random weights can tell.")


@app.command()
def verify(bundle: Annotated[Path, typer.Argument(help="Bundle folder.")]) -> None:
    """Checksums, manifest and template parity of a bundle."""
    from supportbot_dagster.bundle.verify import verify_bundle

    problems = verify_bundle(bundle)
    for problem in problems:
        print(f"{problem.check}: {problem.message}")
    if problems:
        _fail(f"{bundle} has {len(problems)} problem(s). Build or download it again.")
    print(f"{bundle} is sound")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the product.")],
    name: Annotated[
        str, typer.Option("--name", help="The product's name; by default the folder's.")
    ] = "",
) -> None:
    """Start a product of your own: a commented product.yaml and what belongs beside it."""
    from supportbot_dagster.partitions import current_month
    from supportbot_dagster.scaffold import write_product

    for path in write_product(folder, name, current_month()):
        print(path)
    print(f"fill in {folder / 'product.yaml'}; supportbot doctor --product lists what is left")


@app.command()
def doctor(product: ProductOption = None) -> None:
    """What this machine and the product file lack, and the fix."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from supportbot_dagster.doctor import BLOCKING, examine
    from supportbot_dagster.settings import load_settings

    table = Table(title="supportbot doctor", title_justify="left")
    for column in ("profile", "needs", "state", "fix"):
        table.add_column(column, overflow="fold")
    findings = examine(load_settings(product_file=product))
    for item in findings:
        colour = "green" if item.ok else "yellow"
        table.add_row(
            item.profile, escape(item.needs), f"[{colour}]{escape(item.state)}[/]", escape(item.fix)
        )
    Console().print(table)
    if any(not item.ok and item.profile in BLOCKING for item in findings):
        raise typer.Exit(1)


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port on loopback.")] = 3000,
    product: ProductOption = None,
) -> None:
    """Open ``dagster dev`` on the storage that retrain uses."""
    from supportbot_dagster.operate.instance import open_instance
    from supportbot_dagster.product import load_product
    from supportbot_dagster.settings import load_settings

    settings = load_settings(product_file=product)
    load_product(settings.product_file)
    open_instance(settings).dispose()
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(settings.dagster_home),
        "SUPPORTBOT_ROOT": settings.root,
        "SUPPORTBOT_HOME": str(settings.home),
        "SUPPORTBOT_PRODUCT": str(settings.product_file),
        "PYTHONWARNINGS": "ignore",
    }
    command = [
        sys.executable, "-m", "dagster", "dev", "-m", "supportbot_dagster.definitions",
        "-h", "127.0.0.1", "-p", str(port),
    ]  # fmt: skip
    os.execve(sys.executable, command, environment)


def _user_name() -> str:
    """Who runs this, or nothing: in a container a user may have a number alone."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""


def _default_bundle() -> Path:
    from supportbot_dagster.operate.summary import default_bundle
    from supportbot_dagster.settings import load_settings

    found = default_bundle(load_settings())
    if not found.released:
        print(
            f"note: no bundle is released, so the latest one answers ({found.month}). "
            "supportbot status says what its release lacks.",
            file=sys.stderr,
        )
    return found.path


def _database_error(error: BaseException | None) -> str | None:
    """What SQLite says about a full or closed disk, somewhere among an error's causes, or None."""
    while error is not None:
        if isinstance(error, sqlite3.OperationalError):
            return str(error)
        error = error.__cause__ or error.__context__
    return None


def _fail(message: str, code: int = 2) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
