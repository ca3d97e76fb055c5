"""The entry point: the commands' registry, and how every error ends: a sentence, an exit status, never a traceback.

Exit status: 0 done; 1 failed; 2 wrong usage or configuration; 3 a gate blocked; 4 refused.
"""

from __future__ import annotations

import json
import sys
import traceback
from typing import Annotated

import typer
from kumo_serving.errors import KumoAssetsError

from kumo_assets.cli import diff, doctor, look, materialize, move, outcomes, prove, train
from kumo_assets.redaction import without_secrets

app = typer.Typer(
    help="Batch predictions from a warehouse to an online service, every day, safely. At 3 a.m., start with `status`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    look.status,
    look.releases,
    look.history,
    look.lookup,
    look.queries,
    look.gates,
    outcomes.outcomes,
    diff.diff,
    materialize.materialize,
    train.train,
    train.model,
    move.promote,
    move.rollback,
    move.hold,
    move.unhold,
    move.retire,
    doctor.doctor,
    prove.prove,
):
    app.command()(command)


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show where an unexpected error came from.")] = False,
) -> None:
    """`--debug` is read before the command line is; here it is told to whoever asks for help."""


def main() -> None:
    """Run one command and exit with its status."""
    arguments = [item for item in sys.argv[1:] if item != "--debug"]
    try:
        status = app(args=arguments, standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except KumoAssetsError as error:
        _tell(error, error.exit_status, arguments)
    except typer.Abort:
        _tell(RuntimeError("stopped"), 1, arguments)
    except typer.Exit as done:
        sys.exit(done.exit_code)
    except KeyboardInterrupt:
        _tell(RuntimeError("stopped; what was started outside goes on, and the same command adopts it"), 130, arguments)
    except Exception as error:  # noqa: BLE001 - the last resort: a sentence and a status, --debug for the rest
        if hasattr(error, "format_message"):  # click's usage errors
            _tell(RuntimeError(error.format_message()), 2, arguments)
        if "--debug" in sys.argv:
            print(without_secrets(traceback.format_exc()), file=sys.stderr)
        _tell(error, 1, arguments)


def _tell(error: Exception, status: int, arguments: list[str]) -> None:
    kind = type(error).__name__ if isinstance(error, KumoAssetsError) else "error"
    words = (
        str(error)
        if isinstance(error, KumoAssetsError | RuntimeError)
        else f"{type(error).__name__}: {error} (--debug shows where)"
    )
    words = without_secrets(words)
    if "--json" in arguments:
        print(json.dumps({"error": {"kind": kind, "message": words}, "exit_status": status}, ensure_ascii=False))
    print(f"{kind}: {words}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
