"""What a reader sees: figures, tables, charts, the matrix; and that the pages say what the results say."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import msgspec
import pytest

from benchmarks.demands import DEMANDS, Demand, median_of
from benchmarks.interoperation.cells import Cell, Matrix
from benchmarks.profiles import results as profiles_file
from benchmarks.profiles.paths import PATHS
from benchmarks.profiles.ranking import slowest
from benchmarks.profiles.results import named
from benchmarks.report import charts, matrix, pages, tables
from benchmarks.report.__main__ import PROFILES, RESULTS, made
from benchmarks.report.figures import figure, times
from benchmarks.report.profiled import DONE
from benchmarks.suite import results as results_file
from benchmarks.suite.measurement import BARE_SERVER, INTERPRETER, SERVER_7_0_0, Unit
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


def test_the_summary_shows_ours_the_best_published_program_and_what_the_machine_allows() -> None:
    fast = result([1e-3] * 2, {SERVER_7_0_0: [2e-3] * 2, BARE_SERVER: [5e-4] * 2})
    assert tables.summary(results(fast)).splitlines()[2] == (
        "| some work | 1.00 ms | 2.00 ms (server 1!7.0.0) | 2.00 | 500 µs (bare server on uvloop) |"
    )


def test_what_is_not_better_stands_in_the_summary_with_its_reason_headline_or_not() -> None:
    better = result([1.0], {SERVER_7_0_0: [2.0]}, headline=False, name="server/better")
    worse = result([2.0], {SERVER_7_0_0: [1.0]}, headline=False, reason="It is colder.", name="server/worse")
    shown = tables.summary(results(better, worse))
    assert len(shown.splitlines()) == 3
    assert "| 0.50 |" in shown
    assert "It is colder." in shown


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


def test_a_demand_says_whether_it_is_met_and_what_stands_in_the_way() -> None:
    demand = Demand("some work", 1.0, Unit.SECONDS, median_of("server/work"), reason="Walls.")
    figure_of = demand.figure(results(result([2.0], {})))
    assert figure_of == 2.0
    assert not demand.met(figure_of)
    assert demand.met(1.0)
    assert demand.figure(results()) is None


def test_every_demand_is_answered_by_a_measurement_of_the_recorded_run() -> None:
    recorded = results_file.read(RESULTS)
    missing = [demand.what for part in DEMANDS.values() for demand in part if demand.figure(recorded) is None]
    assert not missing


def test_every_demand_that_the_recorded_run_did_not_meet_has_its_reason_beside_it() -> None:
    recorded = results_file.read(RESULTS)
    every = [demand for part in DEMANDS.values() for demand in part]
    unmet = [demand for demand in every if not demand.met(demand.figure(recorded) or 0.0)]
    assert not [demand.what for demand in unmet if not demand.reason]


def test_the_page_says_which_rooms_are_of_one_run() -> None:
    recorded = results_file.read(RESULTS)
    runs = {room.run for room in recorded.rooms.values()}
    said = pages.of_runs(recorded)
    assert said in pages.measured(recorded)
    assert ("They are not all of one run" in said) == (len(runs) > 1)
    assert all(run in said for run in runs) or len(runs) == 1


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


def test_the_summary_keeps_reasons_to_what_is_unclear_or_would_be_misunderstood() -> None:
    clear = result([1.0], {SERVER_7_0_0: [2.0]}, reason="It is colder.")
    needed = msgspec.structs.replace(clear, reason_in_readme=True)
    assert "colder" not in tables.summary(results(clear))
    assert "colder" in tables.summary(results(needed))
    assert "colder" in tables.room([clear])


def test_one_that_failed_on_the_way_says_how_many_rounds_it_took_part_in() -> None:
    one = result([1.0, 1.0], {SERVER_7_0_0: [2.0]}, failures={SERVER_7_0_0: "it hung up"})
    assert "server 1!7.0.0 took part in 1 of 2 rounds: it hung up." in tables.room([one])


def test_every_recorded_ratio_that_is_not_clearly_above_1_has_its_reason_beside_it() -> None:
    recorded = results_file.read(RESULTS)
    assert not [each.name for each in recorded.all() if not each.reason and not tables.is_better(each)]


def test_the_pages_are_those_that_the_results_make() -> None:
    changed = [path.name for path, text in made().items() if path.read_text(encoding="utf-8") != text]
    assert not changed, f"{', '.join(changed)}: not what the results say; type make bench-pages"


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
    shapes = {path.get("d") for path in drawn.iter(f"{SVG}path")}
    assert len(shapes) == 2
    words = {text.text for text in drawn.iter(f"{SVG}text")}
    assert {"some work", "server 1!7.0.0", "bare server on uvloop", "spalloc"} <= words


def test_a_long_name_of_a_row_is_written_out_in_lines_and_pushes_the_next_row_down() -> None:
    long = " ".join(["a word or two of what was measured"] * 4)
    rows = [
        result([1.0], {SERVER_7_0_0: [2.0]}, work=work) for work in (f"`first` {long}", "second", "third")
    ]
    drawn = ET.fromstring(charts.ratios("The server", rows))
    labels = [text for text in drawn.iter(f"{SVG}text") if text.get("x") == f"{charts.LABELS - 14:.1f}"]
    first = labels[:-2]
    assert " ".join(line.text or "" for line in first) == f"first {long}"
    assert all(len(line.text or "") <= charts.LABEL_LETTERS for line in first)
    heights = [float(line.get("y", "")) for line in labels]
    steps = [below - above for above, below in pairwise(heights)]
    assert all(step >= charts.LABEL_LINE for step in steps)
    assert steps[-1] == charts.ROW
    # The mark is beside the middle of its name.
    marks = [
        float(re.search(r"translate\([\d.]+ ([\d.]+)", path.get("transform", ""))[1])  # type: ignore[index]
        for path in drawn.iter(f"{SVG}path")
    ]
    assert marks[-3] == pytest.approx((heights[0] + heights[len(first) - 1]) / 2 - 4, abs=0.1)


def test_a_mark_stands_right_of_ours_when_ours_is_better() -> None:
    one = result([1.0], {SERVER_7_0_0: [10.0]})
    drawn = ET.fromstring(charts.ratios("The server", [one]))
    ours = next(float(line.get("x1")) for line in drawn.iter(f"{SVG}line") if line.get("stroke-width") == "2")
    marks = [re.search(r"translate\(([\d.]+)", path.get("transform")) for path in drawn.iter(f"{SVG}path")]
    assert float(marks[-1].group(1)) > ours


def test_the_matrix_shows_what_works_what_only_so_and_why_not() -> None:
    cells = (
        Cell("spalloc", "spalloc", "programs", "`spalloc-ps`", works=True),
        Cell("client 2.0.1", "spalloc", "programs", "`spalloc-ps`", works=True, ignoring_version=True),
        Cell("client 1!7.4.1", "spalloc", "programs", "`spalloc-ps`", works=False, problem="It is late."),
    )
    shown = matrix.page(Matrix("2026-11-22", cells))
    assert "| `spalloc-ps` | yes | yes, ignoring the version | **no** (1) |" in shown
    assert "1. `It is late.`" in shown
    assert "| our client | our server | 1 of 1 | 0 | 0 |" in shown


def test_a_pair_that_a_thing_was_not_tried_with_says_so() -> None:
    cells = (
        Cell("spalloc", "spalloc", "programs", "`spalloc-ps`", works=True),
        Cell("client 2.0.1", "spalloc", "programs", "`spalloc`", works=True),
    )
    assert "not tried" in matrix.page(Matrix("2026-11-22", cells))


def test_the_matrix_tells_what_was_not_tried_from_what_went_wrong_and_how_a_thing_was_tried() -> None:
    cells = (
        Cell("spalloc", "spalloc", "`Job`", "`reset`", works=False, note="there was no job", tried=False),
        Cell("client 2.0.1", "spalloc", "`Job`", "`reset`", works=True, note="with another job"),
    )
    shown = matrix.page(Matrix("2026-11-22", cells))
    assert "| `reset` | not tried (1) | yes (2) |" in shown
    assert "1. There was no job.\n2. With another job.\n" in shown
    assert "| our client | our server | 0 of 0 | 0 | 1 |" in shown


def test_the_profiled_paths_are_those_that_the_recorded_run_found_the_slowest() -> None:
    ranked = {name for name, _ in slowest(results_file.read(RESULTS))}
    assert {profile.measurement for profile in profiles_file.read(PROFILES).profiles} == ranked
    assert ranked <= set(PATHS)
    assert ranked <= set(DONE)


def test_the_slowest_paths_are_ranked_by_what_does_the_same_work() -> None:
    half = result([2.0], {BARE_SERVER: [1.0]}, name="server/half")
    tenth = result([10.0], {BARE_SERVER: [1.0]}, name="server/tenth")
    memory = result([99.0], {BARE_SERVER: [1.0]}, name="server/memory", unit=Unit.BYTES)
    start = result([99.0], {INTERPRETER: [1.0]}, name="client/command")
    assert slowest(results(half, tenth, memory, start)) == [("server/tenth", 0.1), ("server/half", 0.5)]


@pytest.mark.parametrize(
    ("file", "function", "shown"),
    [
        ("/somewhere/lib/python3.11/site-packages/package/module.py", "work", "package/module.py:7 work"),
        ("/somewhere/src/package/module.py", "work", "package/module.py:7 work"),
        ("/somewhere/module.py", "work", "module.py:7 work"),
        (
            "~",
            "<built-in method __new__ of type object at 0x7f1173e5ea00>",
            "built-in method __new__ of type",
        ),
    ],
)
def test_a_profile_names_no_folder_and_no_address_of_the_machine(
    file: str, function: str, shown: str
) -> None:
    assert named(file, 7, function) == shown
