"""Runs the examples of one page as its reader would: one folder, one home, one Python namespace, one site.

What the examples are is read in pages.py; which pages there are is known to test_examples.py.

Run a page's examples.
"""

import doctest
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.docs.pages import Background, Command, Console, File, NotRun, Python, Site, Step, agrees

COMMAND_SECONDS = 60
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_MARK = "--- exit status"


class ExampleError(AssertionError):
    """An example did not do what the page shows; the message says where, and what it did instead."""


class Session:
    """What a reader has in front of them while they follow one page."""

    def __init__(self, page: Path, folder: Path, stack: ExitStack) -> None:
        self.page = page
        self.folder = folder
        self.namespace: dict[str, object] = {"__name__": "__main__"}
        self._stack = stack

    def run(self, step: Step) -> None:
        """Do one step.

        Raises:
            ExampleError: What happened is not what the page shows.
        """
        match step:
            case Site():
                self._start_site(step)
            case Python():
                self._run_python(step)
            case Console():
                self._run_console(step)
            case Background():
                self._stack.enter_context(self._background(step.command))
            case File():
                (self.folder / step.name).write_text(step.text)
            case NotRun():
                pass

    def _fail(self, line: int, message: str) -> ExampleError:
        return ExampleError(f"{self.page}:{line}: {message}")

    def _start_site(self, step: Site) -> None:
        from spalloc_server.embedded import EmbeddedSite

        site = self._stack.enter_context(EmbeddedSite(step.width, step.height))
        settings = f"[spalloc]\nhostname = {site.hostname}\nport = {site.port}\nowner = you@example.org\n"
        (self.folder / ".spalloc").write_text(settings)

    def _run_python(self, step: Python) -> None:
        if not step.source.lstrip().startswith(">>>"):
            code = compile("\n" * (step.line - 1) + step.source, str(self.page), "exec", dont_inherit=True)
            exec(code, self.namespace)
            return
        examples = doctest.DocTestParser().get_doctest(
            step.source, {}, self.page.name, str(self.page), step.line - 1
        )
        examples.globs = self.namespace
        report: list[str] = []
        doctest.DocTestRunner(optionflags=_FLAGS).run(examples, out=report.append, clear_globs=False)
        if report:
            raise self._fail(step.line, "".join(report))

    def _run_console(self, step: Console) -> None:
        script = []
        for command in step.commands:
            # The status is given back to `$?`, so that the next command can show it.
            script += [command.text, f'__status=$?; printf "%s %s\\n" "{_MARK}" $__status; (exit $__status)']
        done = subprocess.run(
            ["bash"],
            input="\n".join(script),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        ended = re.split(rf"{_MARK} (\d+)\n", done.stdout)
        results = list(zip(ended[::2], ended[1::2], strict=False))
        if len(results) < len(step.commands):
            raise self._fail(step.commands[len(results)].line, f"the shell ended here:\n{ended[-1]}")
        for index, (command, (printed, status)) in enumerate(zip(step.commands, results, strict=True)):
            following = step.commands[index + 1].text if index + 1 < len(step.commands) else ""
            if status != "0" and following != "echo $?":
                raise self._fail(command.line, f"`{command.text}` ended with status {status}:\n{printed}")
            if not agrees(command.shown, printed):
                raise self._fail(command.line, _difference(command, printed))

    @contextmanager
    def _background(self, command: Command) -> Iterator[None]:
        """Run a command until the page ends; it must have printed what the page shows before the next example."""
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command.text}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        limit = threading.Timer(COMMAND_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
        limit.start()
        try:
            printed = ""
            while not agrees(command.shown, printed):
                line = process.stdout.readline()
                if not line:
                    raise self._fail(command.line, _difference(command, printed))
                printed += line
            limit.cancel()
            yield
        finally:
            limit.cancel()
            process.terminate()
            process.communicate(timeout=COMMAND_SECONDS)


def _difference(command: Command, printed: str) -> str:
    shown = "\n".join(command.shown)
    return f"`{command.text}` printed\n{printed.rstrip()}\nand the page shows\n{shown}"


def variables(home: Path) -> dict[str, str]:
    """The environment variables of a reader whose home is `home` and who has installed spalloc."""
    return {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "100",
    }
