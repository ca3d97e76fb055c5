"""The demo, step by step: logs in, releases out, one lookup, one figure; or, with `--break`, a release that is stopped."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from rich.console import Console

from kumo_sandbox import supervisor
from kumo_sandbox.demo.commands import Commands, DemoFailed, Line, Outcome, dagster_home
from kumo_sandbox.demo.evaluate import days_after, evaluation_of
from kumo_sandbox.demo.faults import BREAKS, clear, inject
from kumo_sandbox.demo.history import busiest_entity
from kumo_sandbox.demo.online import active_day, active_pointer
from kumo_sandbox.demo.outcome import BLOCKED, Demo, DemoOptions
from kumo_sandbox.demo.own_project import query_name, register_query, write_project
from kumo_sandbox.demo.plan import days_to_run, first_day, horizon_of, late_tolerance_minutes
from kumo_sandbox.demo.report import next_lines, shown_items
from kumo_sandbox.demo.show import Show
from kumo_sandbox.grocery import EventLog, grocery_log, own_log, stream, write_catalogue
from kumo_sandbox.settings import Settings, make

GROCERY_QUERY = "next_best_product"


def run_demo(options: DemoOptions, console: Console) -> Demo:
    """Run it. Raises LogError (2) for a log that cannot be used, SandboxError, DemoFailed with a command's status."""
    started = time.monotonic()
    if options.events is None:
        log, query = grocery_log(), GROCERY_QUERY
    else:
        log = own_log(options.events, options.columns, options.row_filter)
        query = query_name(log)
    first = first_day(log, options.days, options.events is None)
    with _alone(options.home):
        demo = _Run(options, Show(console), log, query, first).run()
    demo.seconds = time.monotonic() - started
    return demo


class _Run:
    """One run of the demo, with what its steps share."""

    def __init__(self, options: DemoOptions, show: Show, log: EventLog, query: str, first: date) -> None:
        self.options = options
        self.show = show
        self.log = log
        self.query = query
        self.first = first
        self.settings: Settings = make(options.home)
        self.env = self.settings.environment()
        self.demo = Demo(query)
        self.commands = self._commands(options.folder)

    def run(self) -> Demo:
        self.show.title(f"{self.query}, from {self.log.title}")
        if self.options.events is None:
            self._demand_query()
        with self.show.step("start the sandbox: Snowflake, AWS and Kumo on this machine") as step:
            for notice in supervisor.start(self.settings, step.line):
                self.show.note(notice)
            step.done = "sandbox is up: Snowflake, AWS and Kumo on this machine"
            if self.options.events is None:
                write_catalogue(self.log, self.options.home / "catalogue.json")
        active = active_day(self.env, self.query)
        broken = self.options.break_kind
        if broken is None:
            days = days_to_run(self.log, self.options.days, active, self.first)
        else:
            # A gate compares with a good day: there must be one.
            days = days_to_run(self.log, 1 if active is not None else 2, active, self.first)
        if active is not None:
            self.show.note(f"{active} is active already; time goes on with {days[0]}.")
        if self.options.events is not None:
            self._prepare_own(days)
        bad = days[-1] if broken is not None else None
        for day in days:
            if day != bad:
                self._good_day(day)
        if bad is not None:
            self._bad_day(bad, str(broken))
        else:
            self._look(days[-1])
        own = self.commands.folder if self.options.events is not None else None
        self.show.next(next_lines(self.query, own, (self.demo.blocked or {}).get("partition")))
        return self.demo

    def _demand_query(self) -> None:
        """The groceries' query is one of the checkout's examples, in no package: said before anything is started."""
        listed = self.commands.assets("queries")
        names = [item.get("name") for item in listed.document] if isinstance(listed.document, list) else []
        if self.query not in names:
            raise DemoFailed(
                f"find the query {self.query} from",
                to=str(self.options.folder),
                found=f"the project there has {', '.join(map(str, names))}" if names else listed.message,
                next="run the demo in the checkout of kumo_assets, or give a log of your own with --events",
                exit_status=2,
            )

    def _good_day(self, day: date) -> None:
        self._stream(day)
        with self.show.step(f"{day}  build a release and promote it") as step:
            built = self._materialize(day, "--promote", on_line=step.line)
            self._demand(built, "build and promote the release of", str(day))
            pointer = active_pointer(self.env, self.query)
            if pointer is None or pointer.partition != day.isoformat():
                raise DemoFailed(
                    "promote the release of",
                    to=str(day),
                    found=f"the pointer names {pointer.release_id if pointer else 'nothing'}",
                    next=f"kumo-assets status {self.query}",
                )
            step.done = f"{day}  release {pointer.release_id} is live"
        self.demo.releases.append(
            {"partition": day.isoformat(), "release_id": pointer.release_id, "generation": pointer.generation}
        )

    def _bad_day(self, day: date, kind: str) -> None:
        """A day whose predictions Kumo spoils. The demo then ends with the gate's words, or fails if none spoke."""
        before = active_pointer(self.env, self.query)
        self._stream(day)
        self.show.note(f"From here on something is wrong on purpose: {BREAKS[kind].story}.")
        fault = inject(self.settings.url["kumo"], kind, self.query, day)
        try:
            with self.show.step(f"{day}  build a release") as step:
                built = self._materialize(day, on_line=step.line)
                step.done = f"{day}  the release was built as far as its gates let it"
                if built.status not in (0, BLOCKED):
                    self._demand(built, "build the release of", str(day))
        finally:
            clear(self.settings.url["kumo"], fault)
        with self.show.step(f"{day}  try to promote it anyway") as step:
            promoted = self.commands.assets("promote", self.query, on_line=step.line)
            after = active_pointer(self.env, self.query)
            step.done = f"{day}  the pointer has not moved"
            if before is None or after is None or after.generation != before.generation or built.status != BLOCKED:
                raise DemoFailed(
                    f"have the fault {kind!r} stopped by a gate on",
                    to=str(day),
                    found=f"`materialize` ended with {built.status}, `promote` with {promoted.status}",
                    next=f"kumo-assets gates {self.query} --partition {day}",
                )
        words = self._gates_words(day) or built.message
        self.demo.blocked = {
            "partition": day.isoformat(),
            "kind": kind,
            "message": words,
            "active": after.release_id,
            "generation": after.generation,
        }
        self.show.blocked(words)
        self.show.note(f"Still live, and answering: release {after.release_id} of {after.partition}.")

    def _gates_words(self, day: date) -> str:
        """What the gates that stopped it say, one line each."""
        document = self.commands.assets("gates", self.query, "--partition", day.isoformat()).document
        verdicts = document.get("verdicts", document) if isinstance(document, dict) else document
        if not isinstance(verdicts, list):
            return ""
        return "\n".join(
            f"{verdict.get('gate')}: {verdict.get('message')}"
            for verdict in verdicts
            if isinstance(verdict, dict)
            and verdict.get("passed") is False
            and (verdict.get("mode"), verdict.get("severity")) == ("block", "error")
        )

    def _look(self, day: date) -> None:
        release = self.demo.releases[-1]["release_id"]
        entity = self.options.entity or busiest_entity(self.log, day)
        with self.show.step(f"look {self._noun} {entity} up, as a service would") as step:
            found = self.commands.assets("lookup", self.query, entity, on_line=step.line)
            self._demand(found, "look up", entity)
        self.demo.lookup = found.document
        self._judge(day, release)
        self._show_lookup(entity, day, release)
        if self.demo.evaluation is not None:
            self.show.figure(self.demo.evaluation, self._nouns)
        else:
            self.show.note("The log ends here, so these lists cannot be compared with what followed.")

    def _judge(self, day: date, release: str) -> None:
        """Let the days after the last release pass, and ask what its lists turned out to be worth."""
        days = horizon_of(self.log, day)
        if not days:
            return
        with self.show.step(f"let the {days} days after {day} pass") as step:
            done = stream(self.log, day + timedelta(days=days), self.env)
            step.done = f"the {days} days after {day} have passed: {done.rows:,} more events in Snowflake"
        with self.show.step("kumo-assets outcomes: compare what was served with what happened") as step:
            asked = [option for one in self.demo.releases for option in ("--partition", one["partition"])]
            found = self.commands.assets("outcomes", self.query, "--judge", *asked, on_line=step.line)
            self._demand(found, "judge the releases of", self.query)
            self.demo.evaluation = evaluation_of(found.document, release)
            step.done = f"kumo-assets outcomes {self.query}: what was served, compared with what happened"

    def _show_lookup(self, entity: str, day: date, release: str) -> None:
        document = self.demo.lookup or {}
        rows = shown_items(self.log, document.get("predictions") or [], entity, day)
        served = document.get("release_id", release)
        self.show.answer(
            f"{self._noun.capitalize()} {entity} is most likely to take next",
            f"release {served}, from logs up to the end of {day}",
            rows,
            days_after(self.log, day),
        )

    def _materialize(self, day: date, *options: str, on_line: Line) -> Outcome:
        return self.commands.assets(
            "materialize", self.query, "--partition", day.isoformat(), *options, on_line=on_line
        )

    def _stream(self, day: date) -> None:
        with self.show.step(f"{day}  stream raw logs into Snowflake") as step:
            done = stream(self.log, day, self.env)
            if done.rows:
                span = f"of {done.first} to {day}" if done.first != day else "of the day"
                step.done = f"{day}  {done.rows:,} events {span} streamed into Snowflake"
            else:
                step.done = f"{day}  raw logs are there already"

    def _prepare_own(self, days: list[date]) -> None:
        with self.show.step("write a Dagster project for this log, and tell Kumo of its query") as step:
            horizon = horizon_of(self.log, days[-1])
            tolerance = late_tolerance_minutes(self.log, [*days, days[-1] + timedelta(days=horizon)])
            start = self.log.days[0] + timedelta(days=1)
            project = write_project(self.log, self.options.home, start, tolerance, max(horizon, 1))
            register_query(self.settings.url["kumo"], self.log, self.query)
            write_catalogue(self.log, project.folder / "catalogue.json")
            step.done = f"project written to {project.folder}"
        self.commands = self._commands(project.folder, project.defs)

    def _commands(self, folder: Path, defs: Path | None = None) -> Commands:
        environment = {**os.environ, **self.env, "KUMO_SANDBOX_HOME": str(self.options.home)}
        environment["DAGSTER_HOME"] = str(dagster_home(folder, self.options.home))
        environment["DAGSTER_DISABLE_TELEMETRY"] = "1"
        # A terminal's colours belong to the program at the terminal.
        environment["NO_COLOR"] = "1"
        if defs is not None:
            environment["KUMO_ASSETS_DEFS"] = str(defs)
            # A project that is not installed: its package is found by path.
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
        return Commands(environment, folder)

    def _demand(self, outcome: Outcome, doing: str, to: str) -> None:
        if outcome.status != 0:
            raise DemoFailed(
                doing,
                to=to,
                found=outcome.message,
                next=f"kumo-assets status {self.query}",
                exit_status=outcome.status if outcome.status > 0 else 1,
            )

    @property
    def _noun(self) -> str:
        return "household" if self.options.events is None else "entity"

    @property
    def _nouns(self) -> str:
        return "households" if self.options.events is None else "entities"


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One demo at a time in a home: two would stream the same day twice."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DemoFailed(
                "start the demo",
                to=f"in {home}",
                found="another one is running there",
                next="let it end, or give another KUMO_SANDBOX_HOME",
            ) from None
        yield
