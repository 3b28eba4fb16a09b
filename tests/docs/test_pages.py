"""That the tests of the documentation would notice a page that is wrong."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docs import pages
from tests.docs.pages import agrees
from tests.docs.sessions import ExampleError, Session


def _read(tmp_path: Path, text: str) -> tuple[pages.Step, ...]:
    page = tmp_path / "page.md"
    page.write_text(text)
    return pages.read(page)


def _run(tmp_path: Path, text: str) -> Session:
    with ExitStack() as stack:
        session = Session(Path("page.md"), tmp_path, stack)
        for step in _read(tmp_path, text):
            session.run(step)
    return session


def test_blocks_of_a_page_share_one_namespace(tmp_path: Path) -> None:
    session = _run(
        tmp_path, "```python\nboards = 3\n```\ntext\n```python\n>>> boards + 1\n4\n>>> b = 1\n```\n"
    )
    assert session.namespace["b"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n```python\n>>> 1 + 1\n3\n```\n", r"page\.md:3: .*Expected:\s+3\s+Got:\s+2"),
        (
            "```console\n$ echo two\nthree\n```\n",
            r"page\.md:2: `echo two` printed\ntwo\nand the page shows\nthree",
        ),
        ("```console\n$ true\n$ false\n```\n", r"page\.md:3: `false` ended with status 1"),
        ("```console\n$ exit 3\n```\n", r"page\.md:2: the shell ended here"),
        (
            "<!-- until the end of the page -->\n```console\n$ echo no\nyes\n```\n",
            r"page\.md:3: `echo no` printed\nno\nand the page shows\nyes",
        ),
    ],
)
def test_an_example_that_does_something_else_is_reported_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ExampleError, match=f"(?s){message}"):
        _run(tmp_path, text)


def test_a_failing_statement_is_reported_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError) as error:
        _run(tmp_path, "text\n\n```python\nx = 0\n1 / x\n```\n")
    assert error.traceback[-1].lineno + 1 == 5


def test_a_status_that_the_page_shows_is_no_failure(tmp_path: Path) -> None:
    _run(tmp_path, "```console\n$ (exit 6)\n$ echo $?\n6\n```\n")


def test_a_command_may_go_on_over_lines(tmp_path: Path) -> None:
    _run(tmp_path, "```console\n$ echo one \\\n> two\none two\n```\n")


def test_a_command_left_running_is_there_for_the_next_and_gone_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "serve").write_text(
        "trap 'echo ended > ended; exit' TERM\necho ready\nwhile :; do sleep 0.05; done\n"
    )
    _run(
        tmp_path,
        "<!-- until the end of the page -->\n```console\n$ bash serve\nready\n```\n"
        "```console\n$ test ! -e ended\n```\n",
    )
    assert (tmp_path / "ended").read_text() == "ended\n"


def test_a_block_can_be_saved_for_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _run(tmp_path, "<!-- saved as: a.csv -->\n```csv\n1,2\n```\n```console\n$ cat a.csv\n1,2\n```\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```bash\nls\n```\n", r"page\.md:1: a block of bash can't be run; make it python, console"),
        ("```\nls\n```\n", r"page\.md:1: a block of no language can't be run"),
        ("- a list\n\n  ```sh\n  ls\n  ```\n", r"page\.md:3: a block of sh"),
        ("````{note}\n```sh\nls\n```\n````\n", r"page\.md:2: a block of sh"),
        ("<!-- not run: -->\n```python\nx\n```\n", r"page\.md:2: <!-- not run: --> says nothing"),
        ("<!-- not run: reason -->\n\ntext\n", r"page\.md:3: .* belongs directly in front"),
        ("<!-- not run: reason -->\n", r"page\.md: .* belongs directly in front"),
        ("```console\nls\n```\n", r"page\.md:1: a console block starts with a command"),
        (
            "<!-- until the end of the page -->\n```console\n$ a\n$ b\n```\n",
            r"page\.md:2: .* one command, not 2",
        ),
    ],
)
def test_a_block_that_nothing_can_be_done_with_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(pages.PageError, match=message):
        _read(tmp_path, text)


def test_a_site_has_the_size_that_the_page_gives(tmp_path: Path) -> None:
    assert _read(tmp_path, "<!-- with: site -->\n\n<!-- with: site 4x1 -->\n") == (
        pages.Site(1, 2, 2),
        pages.Site(3, 4, 1),
    )


def test_an_example_that_is_only_shown_keeps_its_reason(tmp_path: Path) -> None:
    steps = _read(tmp_path, "<!-- not run: needs a board -->\n```python\nx\n```\n")
    assert steps == (pages.NotRun(3, "needs a board"),)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ((), "anything", True),
        (("one", "two"), "one  \ntwo\n\n", True),
        (("one",), "one\ntwo\n", False),
        (("one", "..."), "one\ntwo\nthree\n", True),
        (("...", "three"), "one\ntwo\nthree\n", True),
        (("...", "two"), "one\ntwo\nthree\n", False),
        (("job ... is ready",), "job 17 is ready\n", True),
        (("job ... is ready",), "job 17\nis ready\n", False),
        (("a.c",), "abc\n", False),
        (("127.1.5.1 16 16",), "127.200.3.17 16 16\n", True),
        (("127.1.5.1 16 16",), "127.1.5.1 16 8\n", False),
        (("Job 1: Waiting for power on...", "Job 1: Ready!"), "Job 1: Ready!\n", True),
        (("Job 1: Waiting for power on...", "Job 1: Ready!"), "Job 1: Waiting for power on...\n", False),
        (("ID        State", "50438758  ready"), "ID  State\n 1  ready\n", True),
        (("at 30/11/2026 13:04:38",), "at 01/12/2027 00:00:00\n", True),
        (("at 30/11/2026 13:04:38",), "at noon\n", False),
    ],
)
def test_output_agrees_when_it_is_what_the_page_shows(
    shown: tuple[str, ...], printed: str, same: bool
) -> None:
    assert agrees(shown, printed) is same
