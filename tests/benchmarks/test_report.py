"""What a reader sees: figures, tables, charts, the matrix; and that the pages say what the results say."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import __main__ as running
from benchmarks.__main__ import ROOMS
from benchmarks.report import charts, pages, tables
from benchmarks.report.__main__ import README, RESULTS, made
from benchmarks.report.figures import figure, times
from benchmarks.suite import results as results_file
from benchmarks.suite.measurement import BARE_SERVER, OVER_V1, SERVER_7_0_0, Unit
from benchmarks.suite.results import Results
from benchmarks.suite.statistics import Better, Spread
from tests.benchmarks.made import MACHINE, result, results

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (54.84e-6, Unit.SECONDS, "54.8 µs"),
        (0.0999, Unit.SECONDS, "99.9 ms"),
        (0.9999, Unit.SECONDS, "1.00 s"),
        (14328.7, Unit.SECONDS, "14,329 s"),
        (2.23e6, Unit.BYTES, "2.23 MB"),
        (1563.4, Unit.BYTES, "1.56 KB"),
        (31.7, Unit.BYTES, "31.7 B"),
        (68332.3, Unit.PER_SECOND, "68,332 /s"),
        (0.6103, Unit.SHARE, "61 %"),
        (15.0, Unit.COUNT, "15"),
    ],
)
def test_a_figure_has_three_digits_and_the_unit_that_suits_it(value: float, unit: Unit, shown: str) -> None:
    assert figure(value, unit) == shown


def test_a_ratio_shows_its_spread_where_there_is_one() -> None:
    assert times(Spread(2.05, 1.98, 2.11)) == "2.05 (1.98 to 2.11)"
    assert times(Spread(555.1, 555.1, 555.1)) == "555"


def test_readme_shows_ours_the_best_published_program_and_how_many_times_better_ours_is() -> None:
    fast = result([1e-3] * 2, {SERVER_7_0_0: [2e-3] * 2, BARE_SERVER: [5e-4] * 2}, name=tables.IN_README[0])
    other = result([1e-3] * 2, {SERVER_7_0_0: [2e-3] * 2}, name="server/other")
    assert tables.summary(results(fast, other)).splitlines()[2:] == [
        "| some work | 1.00 ms | 2.00 ms (server 1!7.0.0) | 2.00 |"
    ]


def test_readme_has_six_rows_at_most_and_all_of_them_were_measured() -> None:
    shown = tables.summary(results_file.read(RESULTS)).splitlines()[2:]
    assert len(shown) == len(tables.IN_README) <= 6


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("server/ready-1", {"4.4 ms": 4.4e-3, "it is 5 s": 5.0}),
        ("scheduling/busy-mean", {"2 minutes": 120.0, "4 hours": 4 * 3600.0}),
        ("server/start-with-jobs", {"half a second": 0.5}),
    ],
)
def test_the_figures_at_the_top_of_readme_are_those_of_the_recorded_run(
    name: str, figures: dict[str, float]
) -> None:
    found = results_file.read(RESULTS).find(name)
    assert found
    measured = [subject.spread.median for subject in (found.ours, *found.peers) if subject.spread]
    for (said, seconds), median in zip(figures.items(), measured, strict=False):
        assert said in README.read_text(encoding="utf-8")
        assert median == pytest.approx(seconds, rel=0.1)


def test_a_direction_other_than_less_is_said() -> None:
    shown = tables.room([result([2.0], {SERVER_7_0_0: [1.0]}, better=Better.HIGHER, unit=Unit.PER_SECOND)])
    assert "some work (more is better)" in shown
    assert "**2.00**" in shown


def test_less_work_and_failures_of_others_stand_beside_the_figures() -> None:
    one = result(
        [1.0], {SERVER_7_0_0: []}, notes={SERVER_7_0_0: "with 99 jobs"}, failures={SERVER_7_0_0: "it hung up"}
    )
    shown = tables.room([one])
    assert "not measured" in shown
    assert "server 1!7.0.0: with 99 jobs. server 1!7.0.0 cannot: it hung up." in shown


def test_the_page_says_which_rooms_are_of_one_run() -> None:
    recorded = results_file.read(RESULTS)
    runs = {room.run for room in recorded.rooms.values()}
    said = pages.of_runs(recorded)
    assert said in pages.measured(pages.MEASURED, recorded)
    assert ("They are not all of one run" in said) == (len(runs) > 1)
    assert all(run in said for run in runs) or len(runs) == 1


def test_the_http_service_has_a_page_of_its_own_to_which_the_others_lead() -> None:
    one = result([900.0], {OVER_V1: [1800.0]}, name="http/pairs", better=Better.HIGHER, unit=Unit.PER_SECOND)
    page = pages.measured(pages.HTTP, results(one, room="http"))
    assert "| some work (more is better) | 900 /s | 1,800 /s; **0.50** |" in page
    assert "`http.json` beside this page's source" in page
    linked = pages.measured(pages.MEASURED, results(), [pages.HTTP])
    assert f"[{pages.HTTP.title}](http.md)" in linked
    assert "http.md\n```" in linked
    assert "http.md" not in pages.measured(pages.MEASURED, results())


def test_every_room_is_on_one_page_and_is_explained_there() -> None:
    shown = [name for page in pages.PAGES for name in page.rooms]
    assert sorted(shown) == sorted(ROOMS) == sorted(pages.ROOMS)


def test_figures_of_one_page_are_kept_when_another_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "FOLDER", tmp_path)
    boards = results(result([1.0], {}, name="boards/work"), room="boards").rooms
    http = results(result([2.0], {}, name="http/work"), room="http").rooms
    running.keep(pages.MEASURED, boards, running.kept(pages.MEASURED, ["boards"]))
    for page in pages.PAGES:
        running.keep(page, http, running.kept(page, ["http"]))
    read = {page.results: results_file.read(tmp_path / page.results).rooms for page in pages.PAGES}
    assert read == {"results.json": boards, "http.json": http}
    assert running.kept(pages.MEASURED, ["client"]) == boards


def test_rooms_of_different_runs_are_listed_by_their_run() -> None:
    early, late = results(run="early").rooms["server"], results(run="late").rooms["server"]
    both = Results(MACHINE, {"client": early, "server": late, "boards": early})
    assert "- The client, Virtual boards: the run that began at early\n- The server: the" in pages.of_runs(
        both
    )
    assert pages.of_runs(results()) == "All of them are of one run."


def test_better_in_the_middle_is_not_clearly_better_while_a_quarter_of_rounds_is_not() -> None:
    assert not tables.is_better(result([1.0] * 4, {SERVER_7_0_0: [0.9, 0.9, 2.0, 2.0]}))
    assert tables.is_better(result([1.0] * 4, {SERVER_7_0_0: [1.2, 1.3, 2.0, 2.0]}))
    assert tables.is_better(result([1.0], {SERVER_7_0_0: [1.02]}))


def test_one_that_failed_on_the_way_says_how_many_rounds_it_took_part_in() -> None:
    one = result([1.0, 1.0], {SERVER_7_0_0: [2.0]}, failures={SERVER_7_0_0: "it hung up"})
    assert "server 1!7.0.0 took part in 1 of 2 rounds: it hung up." in tables.room([one])


def test_every_recorded_ratio_that_is_not_clearly_above_1_has_its_reason_beside_it() -> None:
    recorded = results_file.read(RESULTS)
    assert not [each.name for each in recorded.all() if not each.reason and not tables.is_better(each)]


def test_the_pages_and_charts_say_what_the_results_say() -> None:
    changed = [
        path.name for path, text in made().items() if _said(path.read_text(encoding="utf-8")) != _said(text)
    ]
    assert not changed, f"{', '.join(changed)}: not what the results say; type make bench-pages"


def _said(text: str) -> list[str]:
    """A page as it is; of a chart the words, since what else it consists of is its library's affair."""
    return re.findall("<text.*?>(.*?)</text>", text) if text.startswith("<?xml") else [text]


def test_readmes_table_is_replaced_and_nothing_else() -> None:
    text = f"before\n{pages.GENERATED}\nold\n{pages.END}\nafter\n"
    new = pages.readme(text, results(result([1.0], {SERVER_7_0_0: [2.0]})))
    assert new.startswith("before\n")
    assert new.endswith(f"{pages.END}\nafter\n")
    assert "old" not in new
    assert "A Processor" in new


def test_a_readme_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="generated: end"):
        pages.readme("nothing", results())


def test_a_chart_is_a_picture_with_a_title_in_which_marks_differ_by_shape() -> None:
    one = result([1.0, 1.1, 1.2], {SERVER_7_0_0: [2.0, 2.1, 2.2], BARE_SERVER: [0.5, 0.5, 0.5]})
    drawn = ET.fromstring(charts.ratios("The server", [one]))
    assert drawn.find(f"{SVG}title").text == "The server"
    words = {text.text for text in drawn.iter(f"{SVG}text")}
    assert {"some work", "server 1!7.0.0", "bare server on uvloop", "spalloc"} <= words
    assert charts.MARKS[BARE_SERVER.name] != charts.MARKS.get(SERVER_7_0_0.name, "s")


def test_a_chart_is_the_same_each_time_it_is_drawn() -> None:
    one = result([1.0], {SERVER_7_0_0: [10.0]})
    assert charts.ratios("The server", [one]) == charts.ratios("The server", [one])


def test_a_long_name_of_a_row_is_written_out_in_lines() -> None:
    long = " ".join(["a word or two of what was measured"] * 4)
    drawn = ET.fromstring(charts.ratios("T", [result([1.0], {SERVER_7_0_0: [2.0]}, work=f"`first` {long}")]))
    words = [text.text or "" for text in drawn.iter(f"{SVG}text")]
    assert f"first {long}" in " ".join(words)
    assert max(map(len, words)) <= charts.LABEL_LETTERS


def test_the_time_to_decide_is_drawn_for_each_size_of_a_machine() -> None:
    each = [result([time], {SERVER_7_0_0: [2 * time]}) for time in (1e-5, 1e-4, 1e-3)]
    drawn = ET.fromstring(charts.growth("To decide", (1, 10, 100), each))
    words = {text.text for text in drawn.iter(f"{SVG}text")}
    assert {"triads", "1", "100", "10,000", "spalloc", "server 1!7.0.0"} <= words
