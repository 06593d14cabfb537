"""python3 -m analytics: what history.txt says, in the terminal, as a page with pictures, or as JSON."""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import sys
import time

if sys.version_info < (3, 11):  # noqa: UP036 - whoever has an older one is to read a sentence
    sys.exit("analytics needs Python 3.11 or newer, and this is {}.{}.".format(*sys.version_info))

from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from analytics import environment
from chat.paths import default_history

if TYPE_CHECKING:
    import pandas as pd

    from analytics.choice import Choice, Network
    from analytics.findings import Findings
    from analytics.load import Read
    from analytics.summary import Summary

SIGPIPE_EXIT = 141  # as a shell has it of a program whose reader has gone


class Refused(Exception):
    """It can't be done; the message is one sentence for the person who asked."""


class BadRequest(Refused):
    """The arguments don't go together."""


def main(arguments: list[str] | None = None) -> int:
    """Run the program. Returns its exit code: 0, 1 if something can't be done, 2 for wrong arguments."""
    asked = _parser().parse_args(arguments)
    if asked.setup:
        return environment.set_up()
    if environment.missing():
        environment.hand_over(sys.argv[1:] if arguments is None else arguments)
        print(environment.how_to_install(environment.missing()[0]), file=sys.stderr)
        return 1
    try:
        return _run_or_explain(asked)
    except BrokenPipeError:
        _discard_output()
        return SIGPIPE_EXIT
    except OSError as error:
        _discard_output()
        print(f"{error.filename or 'standard output'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _run_or_explain(asked: argparse.Namespace) -> int:
    """Do what was asked, or say in a sentence why it can't be done. Returns the exit code."""
    code = 1
    try:
        _run(asked)
        sys.stdout.flush()  # now: what can't be written is to be said
        return 0
    except ModuleNotFoundError as error:
        sentence = environment.how_to_install(error.name or "a package")
    except BadRequest as error:
        code, sentence = 2, str(error)
    except Refused as error:
        sentence = str(error)
    print(sentence, file=sys.stderr)
    return code


def _discard_output() -> None:
    """Point standard output at nothing: else Python tries again at exit to write what it could not."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    program = Path(sys.argv[0]).name
    parser = argparse.ArgumentParser(
        prog="python3 -m analytics" if program == "__main__.py" else program,
        description="Show what history.txt says: in the terminal, as a page with pictures, or as JSON.",
    )
    add = parser.add_argument
    add(
        "history",
        nargs="*",
        type=Path,
        default=[default_history()],
        help="history files, merged in the order of time; - is standard input; .gz and .zst work too",
    )
    add("--summary", action="store_true", help="print the summary and write no page")
    add("--follow", action="store_true", help="show what is being said, until Ctrl-C")
    add("--serve", action="store_true", help="with --follow: serve the page to a browser, too")
    add("--json", action="store_true", help="print everything as one JSON object and write no page")
    add(
        "--export",
        type=Path,
        action="append",
        default=[],
        metavar="TABLE.csv",
        help="write a table, such as records.csv or words.parquet, and no page; may be repeated",
    )
    add(
        "--out",
        type=Path,
        default=Path("history-report"),
        metavar="FOLDER",
        help="where the page goes (%(default)s)",
    )
    shown = parser.add_argument_group("what is shown")
    shown.add_argument("--since", type=_time, metavar="T", help="only from T on, such as 2026-11-21T10:15")
    shown.add_argument("--until", type=_time, metavar="T", help="only before T")
    shown.add_argument("--name", nargs="+", default=[], metavar="N", help="only these people")
    shown.add_argument(
        "--address",
        nargs="+",
        type=_network,
        default=[],
        metavar="A",
        help="only these addresses or networks, such as 192.168.1.0/24",
    )
    shown.add_argument(
        "--by",
        choices=("person", "name"),
        default="person",
        help="count people, whatever names they had, or names (%(default)s)",
    )
    shown.add_argument(
        "--alias",
        type=Path,
        metavar="F",
        help="a file that says who is who, in lines such as: alice = al, alice_phone",
    )
    shown.add_argument(
        "--tz", type=_zone, metavar="ZONE", help="time zone such as Europe/Berlin (this machine's)"
    )
    shown.add_argument(
        "--per",
        choices=("minute", "hour", "day"),
        default="minute",
        help="the bins of the main picture (%(default)s)",
    )
    shown.add_argument("--resolve", action="store_true", help="look up the names of hosts in DNS")
    add("--setup", action="store_true", help="install what analytics needs into .venv in the checkout")
    return parser


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (OSError, ValueError, KeyError):
        raise argparse.ArgumentTypeError(f"there is no time zone {text!r}") from None


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; write it like 2026-11-21T10:15") from None


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither an address nor a network") from None


# ------------------------------------------------------------------------------------------------- the work


def _run(asked: argparse.Namespace) -> None:
    if "pandas" not in sys.modules and not any(path.suffix == ".parquet" for path in asked.export):
        sys.modules["pyarrow"] = None  # type: ignore[assignment]  # pandas would load it: 50 MB for nothing
    _check_exports(asked.export)
    if asked.follow or asked.serve:
        _follow(asked)
        return
    from analytics.findings import Findings, Question
    from analytics.identify import Identifier
    from analytics.people import BadAliases, read_aliases

    if asked.history == [default_history()] and any(Path(name).is_file() for name in asked.name):
        raise BadRequest(_is_a_file(asked.name).strip())
    zone: tzinfo = asked.tz or local_zone()
    choice = _choice(asked, zone)
    try:
        aliases = read_aliases(asked.alias) if asked.alias else {}
    except BadAliases as error:
        raise BadRequest(str(error)) from None
    question = Question(choice, zone, asked.per, asked.by, aliases, asked.resolve)
    identifier = None if asked.summary or asked.export else Identifier()  # it gets ready meanwhile
    try:
        findings = Findings(_read(asked.history), question, identifier)
        _show(findings, asked)
    finally:
        if identifier:
            identifier.close()


def _show(findings: Findings, asked: argparse.Namespace) -> None:
    from analytics import terminal
    from analytics.findings import NothingChosen
    from analytics.summary import summarize

    try:
        _ = findings.records  # whether anything is chosen is said before anything is done
    except NothingChosen as error:
        raise BadRequest(f"{error}{_is_a_file(asked.name)}") from None
    if not asked.summary and not asked.export:
        findings.begin()
    for path in asked.export:
        _export(findings, path)
    if asked.json:
        from analytics.document import document

        print(json.dumps(document(findings)))
    elif asked.summary or not asked.export:
        summary = summarize(findings)
        terminal.show(summary, findings, terminal.console())
        if not asked.summary:
            _page(summary, findings, asked)


def _follow(asked: argparse.Namespace) -> None:
    from analytics import follow, terminal

    if not asked.follow:
        raise BadRequest("--serve goes with --follow.")
    if len(asked.history) != 1 or not asked.history[0].is_file():
        raise BadRequest("--follow takes one history, which is a file.")
    path, zone = asked.history[0].resolve(), asked.tz or local_zone()
    if not asked.serve:
        follow.follow(path, zone, terminal.console())
        return
    from analytics.serve import PageServer

    server = PageServer(path, [str(path), *(["--tz", str(asked.tz)] if asked.tz else [])])
    try:
        follow.follow(path, zone, terminal.console(), f"The page is at {server.url}")
    finally:
        server.close()


def _choice(asked: argparse.Namespace, zone: tzinfo) -> Choice:
    from analytics.choice import Choice

    since, until = _moment(asked.since, zone), _moment(asked.until, zone)
    if since is not None and until is not None and since >= until:
        raise BadRequest("--since is not before --until: exchange the two.")
    return Choice(since, until, frozenset(asked.name), tuple(asked.address))


def _moment(time: datetime | None, zone: tzinfo) -> pd.Timestamp | None:
    import pandas as pd

    if time is None:
        return None
    return pd.Timestamp(time if time.tzinfo else time.replace(tzinfo=zone)).tz_convert("UTC")


def _is_a_file(names: list[str]) -> str:
    files = [name for name in names if Path(name).is_file()]
    return f" {files[0]} is a file: histories come before --name." if files else ""


def local_zone() -> tzinfo:
    """This machine's time zone, also where TZ says it in figures, as UTC0 or CET-1CEST."""
    from tzlocal import get_localzone

    try:
        return get_localzone()
    except (LookupError, OSError, ValueError):
        from dateutil.tz import tzlocal

        return tzlocal() if time.daylight else timezone(timedelta(seconds=-time.timezone))


def _read(paths: list[Path]) -> Read:
    from analytics import load, source, terminal

    try:
        with terminal.progress("Reading", source.size(paths)) as advance:
            read = load.read_history(*paths, progress=advance)
    except source.CannotRead as error:
        raise Refused(f"{_listed(paths)}: {error}") from None
    if read.records.empty and len(read.skipped):
        raise Refused(f"{_listed(paths)}: no line of it is a record; is it the history of a chat?")
    return read


def _check_exports(paths: list[Path]) -> None:
    if not paths:
        return
    from analytics.export import FORMATS, TABLES

    for path in paths:
        if path.suffix not in FORMATS:
            raise BadRequest(f"{path} ends neither in {' nor in '.join(FORMATS)}.")
        if path.stem not in TABLES:
            raise BadRequest(f"There is no table {path.stem}; there are {', '.join(TABLES)}.")


def _export(findings: Findings, path: Path) -> None:
    from analytics import export

    try:
        export.write(findings, path)
    except ValueError as error:
        raise Refused(f"{path}: {error}") from None


def _page(summary: Summary, findings: Findings, asked: argparse.Namespace) -> None:
    from analytics import report, terminal  # only now: matplotlib takes its time

    with terminal.progress("Drawing", report.STEPS) as advance:
        files = [str(path) for path in asked.history]
        page = report.write_report(summary, findings, asked.out, files, lambda: advance(1))
    terminal.console().print(f"\n{page}", highlight=False, markup=False, soft_wrap=True)


def _listed(paths: list[Path]) -> str:
    return ", ".join(str(path) for path in paths)


if __name__ == "__main__":
    sys.exit(main())
