"""The door: parse, run one command, turn what happened into an exit code.

Exit codes: 0 done; 1 a fault of hydroscope's; 2 something the caller can mend (a file, a
name, a parameter), said in one line; 130 stopped with Ctrl-C. Nothing numeric is imported
before the command line was understood.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module

from hydroscope import __version__
from hydroscope.cli.parser import build
from hydroscope.cli.screen import Screen
from hydroscope.ground.errors import CancelledError, HydroscopeError, InternalError

__all__ = ["main", "run"]

DONE, FAULT, REFUSED, STOPPED = 0, 1, 2, 130
PIPE_CLOSED = 141


NOT_NEEDED = frozenset({"pandas", "scipy"})
"""Where these are installed, PyArrow imports the first to know its tables from others, and Numba the second for matrix
products: 0.7 s. No command meets either, so for this process they are not there."""


class Absence:
    """An importer that finds nothing, and lets nobody else find it."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """Refuse what is not needed; leave everything else to the next importer."""
        if name in NOT_NEEDED:
            raise ModuleNotFoundError(f"no command needs {name}", name=name)


def main() -> None:
    """Run the command line of this process and exit."""
    gc.disable()  # until a file is read: what imports make stays anyway, and looking through it costs 0.3 s
    sys.meta_path.insert(0, Absence)
    warnings.showwarning = _warn
    raise SystemExit(run(sys.argv[1:]))


def run(arguments: Sequence[str], screen: Screen | None = None) -> int:
    """Run one command line and return its exit code; nothing is raised but by `--help` and misuse.

    Parameters
    ----------
    arguments : sequence of str
        Without the program's name.
    screen : Screen, optional
        Where to write; default: standard output, quiet when asked.
    """
    parser = build(arguments)
    asked = parser.parse_args(arguments)
    if asked.command is None:
        parser.print_help()
        return REFUSED
    screen = screen or Screen(quiet=asked.quiet)
    command: Callable[..., None] = import_module(f"hydroscope.cli.{asked.command}").run
    try:
        _start_engine(asked.engine, asked.threads, asked.quiet)
        command(asked, screen)
        sys.stdout.flush()
    except (KeyboardInterrupt, CancelledError):
        _complain("stopped")
        return STOPPED
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; keep Python from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except MemoryError as error:
        _complain(f"error: out of memory ({error}); use fewer columns (--columns), or a machine with more")
        return REFUSED
    except InternalError as error:
        return _fault(error)
    except HydroscopeError as error:
        from hydroscope.cli.words import as_options

        _complain(f"error: {as_options(one_line(str(error)))}")
        return REFUSED
    except OSError as error:
        _complain(f"error: {_of_system(error)}")
        return REFUSED
    except Exception as error:
        return _fault(error)
    return DONE


def one_line(text: str) -> str:
    """Return text without line breaks."""
    return "; ".join(line.strip().rstrip(";") for line in text.splitlines() if line.strip())


def _start_engine(engine: str | None, threads: int | None, quiet: bool) -> None:
    from hydroscope.engine.boot import init

    if engine is not None or threads is not None or quiet:
        init(engine, threads=threads, progress=False if quiet else None)


def _of_system(error: OSError) -> str:
    """Return what the operating system refused, with the file's name and a next step where one is known."""
    said = error.strerror or str(error)
    advice = {errno.EACCES: "; check its permissions, or ask its owner", errno.EMFILE: "; raise ulimit -n"}
    said += advice.get(error.errno or 0, "")
    return f"{error.filename}: {said}" if error.filename else said


def _complain(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _warn(message: Warning | str, *_where: object, **_more: object) -> None:
    """Show a warning as one line, without the place in our source that issued it."""
    from hydroscope.cli.words import as_options

    _complain(f"warning: {as_options(one_line(str(message)))}")


def _fault(error: Exception) -> int:
    """Show a fault of ours with all that a report of it needs."""
    import platform
    import traceback

    traceback.print_exception(error)
    _complain(
        f"\nThis is a fault of hydroscope, not yours; the files it read are untouched.\n"
        f"Please report it with the lines above and these: hydroscope {__version__}, "
        f"Python {platform.python_version()}, {platform.platform()}."
    )
    return FAULT


if __name__ == "__main__":
    main()
