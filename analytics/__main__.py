"""python3 -m analytics: what history.txt says, in the terminal, as a page with pictures, or as JSON."""

from __future__ import annotations

import argparse
import ipaddress
import json
import sys

if sys.version_info < (3, 11):  # noqa: UP036 - whoever has an older one is to read a sentence
    sys.exit("analytics needs Python 3.11 or newer, and this is {}.{}.".format(*sys.version_info))

from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from chat.paths import default_history

if TYPE_CHECKING:
    import pandas as pd

    from analytics.load import Network
    from analytics.tables import Per

INSTALL = "python3 -m pip install '.[analytics]'"


class Refused(Exception):
    """It can't be done; the message is one sentence for the person who asked."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the program; returns its exit code: 0, or 1 where something can't be done (2: wrong arguments)."""
    asked = _parser().parse_args(arguments)
    try:
        _run(asked)
    except ModuleNotFoundError as missing:
        print(f"analytics needs {missing.name}; install what it needs with: {INSTALL}", file=sys.stderr)
        return 1
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m analytics", description=(__doc__ or "").partition(": ")[2]
    )
    parser.add_argument(
        "history",
        nargs="*",
        type=Path,
        default=[default_history()],
        help="history files, put together in the order of time",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("history-report"),
        metavar="FOLDER",
        help="where the page goes (%(default)s)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the numbers as one JSON object and write no page"
    )
    parser.add_argument(
        "--tz", type=_zone, metavar="ZONE", help="time zone such as Europe/Berlin (this machine's)"
    )
    parser.add_argument(
        "--since", type=_time, metavar="T", help="only what was at T, as 2026-11-21T10:15, or later"
    )
    parser.add_argument("--until", type=_time, metavar="T", help="only what was before T")
    parser.add_argument(
        "--per",
        choices=("minute", "hour", "day"),
        default="minute",
        help="the bins of the main picture (%(default)s)",
    )
    parser.add_argument("--name", nargs="+", default=[], help="only these names")
    parser.add_argument(
        "--address",
        nargs="+",
        type=_network,
        default=[],
        help="only these addresses or networks, as 192.168.1.0/24",
    )
    parser.add_argument(
        "--export", type=_table_file, metavar="FILE", help="write the records to a .parquet or .csv file"
    )
    parser.add_argument("--resolve", action="store_true", help="ask the name service for the hosts' names")
    return parser


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (OSError, ValueError, KeyError):
        raise argparse.ArgumentTypeError(f"there is no time zone {text}") from None


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no time such as 2026-11-21T10:15") from None


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no address or network") from None


def _table_file(text: str) -> Path:
    path = Path(text)
    if path.suffix not in (".parquet", ".csv"):
        raise argparse.ArgumentTypeError(f"{text} ends neither in .parquet nor in .csv")
    return path


# ------------------------------------------------------------------------------------------------- the work


def _run(asked: argparse.Namespace) -> None:
    from tzlocal import get_localzone

    from analytics import load, terminal
    from analytics.languages import UNKNOWN, languages
    from analytics.online import connections, within
    from analytics.summary import summarize

    zone: tzinfo = asked.tz or get_localzone()
    since, until = _moment(asked.since, zone), _moment(asked.until, zone)
    size = sum(path.stat().st_size for path in asked.history)
    with terminal.progress("Reading", size) as advance:
        everything, skipped = load.load_history(*asked.history, progress=advance)
    if everything.empty and len(skipped):
        raise Refused(f"{_listed(asked.history)}: no line of it is a record; is it the history of a chat?")
    zone = _able_to_show(everything["time"], zone)
    records = load.select(everything, since, until, asked.name, asked.address)
    connected = load.of(within(connections(everything), since, until), asked.name, asked.address)
    summary = summarize(records, connected, skipped, zone)
    if asked.export:
        _export(records, asked.export)
    if asked.json:
        spoken = {UNKNOWN: 0, **languages(records).to_dict()}
        print(json.dumps({**summary.as_json(), "languages": spoken}))
        return

    from analytics import report  # only now: matplotlib takes its time

    counts = _counts(records, asked.per, zone)
    console = terminal.console()
    terminal.show(summary, counts, skipped, zone, console)
    with terminal.progress("Drawing", len(report.SECTIONS)) as advance:
        page = report.write_report(
            report.Findings(
                records=records,
                connected=connected,
                skipped=skipped,
                summary=summary,
                counts=counts,
                languages=languages(records),
                files=[str(path) for path in asked.history],
                zone=zone,
                resolve=asked.resolve,
            ),
            asked.out,
            progress=lambda: advance(1),
        )
    console.print(f"\n{page}", highlight=False, markup=False, soft_wrap=True)


def _able_to_show(times: pd.Series[pd.Timestamp], zone: tzinfo) -> tzinfo:
    """The zone, or UTC where it might need a year 0 or 10000, which there are not: after a mistyped year."""
    return zone if times.empty or (times.iloc[0].year > 1 and times.iloc[-1].year < 9999) else UTC


def _counts(records: pd.DataFrame, per: Per, zone: tzinfo) -> pd.Series[int]:
    """The bins that were asked for, or the next bigger ones that can be counted."""
    from analytics.tables import MILLISECONDS, messages_per

    for bigger in list(MILLISECONDS)[list(MILLISECONDS).index(per) :]:
        with suppress(ValueError):
            return messages_per(records, bigger, zone)
    raise AssertionError("days can always be counted")


def _export(records: pd.DataFrame, path: Path) -> None:
    if path.suffix == ".parquet":
        import_module("pyarrow")  # where it is missing, that is said as of anything else
    with path.open("wb") as file:
        if path.suffix == ".parquet":
            records.to_parquet(file, index=False)
        else:
            times = records["time"].dt.tz_localize(None).to_numpy().astype(str)
            records.assign(time=[f"{time}Z" for time in times]).to_csv(file, index=False)


def _moment(time: datetime | None, zone: tzinfo) -> pd.Timestamp | None:
    import pandas as pd

    if time is None:
        return None
    return pd.Timestamp(time if time.tzinfo else time.replace(tzinfo=zone)).tz_convert("UTC")


def _listed(paths: list[Path]) -> str:
    return ", ".join(str(path) for path in paths)


if __name__ == "__main__":
    sys.exit(main())
