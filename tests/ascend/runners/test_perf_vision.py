"""The figures in perf_vision files, in both dialects, on five lines or on one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.ascend.runners.perf_vision import QUOTED, REPORT, PerfVision, parse_perf_visions
from fastscnn_opt.errors import DataError

SAMPLES = {
    "bs1": (
        """\
[e2e] throughputRate: 170.628, latency: 293035
[data read] throughputRate: 181.571, moduleLatency: 5.50749
[preprocess] throughputRate: 180.466, moduleLatency: 5.5412
[infer] throughputRate: 171.595, Interface throughputRate: 247.898, moduleLatency: 5.12562
[post] throughputRate: 171.595, moduleLatency: 5.82768
""",
        (170.628, 293035, 181.571, 5.50749, 180.466, 5.5412, 171.595, 247.898, 5.12562, 171.595, 5.82768),
    ),
    "bs4": (
        """\
[e2e] throughputRate: 184.444, latency: 271085
[data read] throughputRate: 196.412, moduleLatency: 5.09134
[preprocess] throughputRate: 195.837, moduleLatency: 5.1063
[infer] throughputRate: 185.624, Interface throughputRate: 331.096, moduleLatency: 4.52436
[post] throughputRate: 46.4056, moduleLatency: 21.5491
""",
        (184.444, 271085, 196.412, 5.09134, 195.837, 5.1063, 185.624, 331.096, 4.52436, 46.4056, 21.5491),
    ),
    "bs16": (
        """\
[e2e] throughputRate: 51.2825, latency: 974992
[data read] throughputRate: 54.323, moduleLatency: 18.4084
[preprocess] throughputRate: 54.1712, moduleLatency: 18.46
[infer] throughputRate: 51.3613, Interface throughputRate: 57.8179, moduleLatency: 18.6629
[post] throughputRate: 3.21005, moduleLatency: 311.521
""",
        (51.2825, 974992, 54.323, 18.4084, 54.1712, 18.46, 51.3613, 57.8179, 18.6629, 3.21005, 311.521),
    ),
    "other dialect": (
        """\
[e2e] throughputRate: 180.879, latency: 106303
[data read] throughputRate: 182.039, moduleLatency: 5.49332
[preprocess] throughputRate: 181.865, moduleLatency: 5.49859
[inference] throughputRate: 182, Interface throughputRate: 3275.55, moduleLatency: 0.561457
[postprocess] throughputRate: 182.009, moduleLatency: 5.49425
""",
        (180.879, 106303, 182.039, 5.49332, 181.865, 5.49859, 182, 3275.55, 0.561457, 182.009, 5.49425),
    ),
    "other dialect, fast": (
        """\
[e2e] throughputRate: 616.804, latency: 7665.32
[data read] throughputRate: 1840.06, moduleLatency: 0.54346
[preprocess] throughputRate: 1817.62, moduleLatency: 0.550169
[inference] throughputRate: 1839.62, Interface throughputRate: 3874.46, moduleLatency: 0.469866
[postprocess] throughputRate: 1839.86, moduleLatency: 0.543521
""",
        (616.804, 7665.32, 1840.06, 0.54346, 1817.62, 0.550169, 1839.62, 3874.46, 0.469866, 1839.86, 0.543521),
    ),
}

RECIPE = (
    "[e2e] throughputRate: 0.99593, latency: 502043[data read] throughputRate: 1.62003, moduleLatency: 617.273"
    "[preprocess] throughputRate: 1.20942, moduleLatency: 826.844[inference] throughputRate: 1.02697, "
    "Interface throughputRate: 5.5718, moduleLatency: 973.739[postprocess] throughputRate: 0.999452, "
    "moduleLatency: 1000.55"
)

figure = st.floats(1e-3, 1e7).map(lambda value: float(f"{value:.6g}"))
names = ["e2e", "data_read", "preprocess", "inference", "postprocess"]
keys = [("throughputRate", "latency"), *[("throughputRate", "moduleLatency")] * 4]
results = st.tuples(*[figure] * 11)


def expected(figures: tuple[float, ...]) -> PerfVision:
    rate, latency, read, read_ms, pre, pre_ms, infer, interface, infer_ms, post, post_ms = figures
    pairs = [(rate, latency), (read, read_ms), (pre, pre_ms), (infer, infer_ms), (post, post_ms)]
    stages = {name: dict(zip(key, pair, strict=True)) for name, key, pair in zip(names, keys, pairs, strict=True)}
    stages["inference"]["Interface throughputRate"] = interface
    return PerfVision(stages)


def parse_perf_vision(text: str, where: str = "perf_vision") -> PerfVision:
    (report,) = parse_perf_visions(text, where)
    return report


@pytest.mark.parametrize(("text", "figures"), SAMPLES.values(), ids=list(SAMPLES))
def test_each_figure_is_read(text, figures):
    assert parse_perf_vision(text) == expected(figures)


@pytest.mark.parametrize(("text", "figures"), SAMPLES.values(), ids=list(SAMPLES))
@pytest.mark.parametrize("joint", ["", " "])
def test_lines_run_together_are_read(text, figures, joint):
    assert parse_perf_vision(joint.join(text.splitlines())) == expected(figures)


@pytest.mark.parametrize("text", [RECIPE, *(text for text, _ in SAMPLES.values())], ids=["recipe", *SAMPLES])
def test_the_files_of_the_tool_do_not_contradict_themselves(text):
    assert parse_perf_vision(text).contradictions() == ()


def test_the_speed_of_the_recipe_is_that_of_the_device_alone():
    (speed,) = REPORT.read(RECIPE, "perf_vision.txt", None)
    assert (speed.fps, speed.batch, speed.notes) == (5.5718, 1, ())


def test_a_figure_in_scientific_notation_is_read():
    text = SAMPLES["bs1"][0].replace("latency: 293035", "latency: 1.16348e+06")
    assert parse_perf_vision(text).stages["e2e"]["latency"] == 1_163_480


def test_the_batch_comes_from_the_name_of_the_file():
    file = "batchsize_7_device_7/perf_vision_batchsize_4_device_2.txt"
    assert parse_perf_vision(SAMPLES["bs4"][0], file).batch == 4


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("throughputRate: 0.99593,", "throughputRate: 0.9969,", "end to end"),  # 500.49 images
        ("moduleLatency: 617.273", "moduleLatency: 618", "data_read"),
        ("moduleLatency: 826.844", "moduleLatency: 826", "preprocess"),
        ("moduleLatency: 1000.55", "moduleLatency: 1000", "postprocess"),
    ],
)
def test_an_edited_figure_is_a_contradiction(old, new, finding):
    found = parse_perf_vision(RECIPE.replace(old, new)).contradictions()
    assert [words.partition(":")[0].partition(",")[0] for words in found] == [finding]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("[post]", "[pots]", "line 5: \\[pots\\] is unknown"),
        ("[post]", "[infer]", "line 5: \\[infer\\] is there twice"),
        ("latency: 293035", "latency: soon", "line 1: \\[e2e\\]: 'latency: soon' stands where"),
        ("latency: 293035", "latency: -1", "line 1: \\[e2e\\]: 'latency: -1' stands where"),
        ("latency: 293035", "latency: 293_035", "line 1: \\[e2e\\]: 'latency: 293_035' stands where"),
        ("latency: 293035", "latency: nan", "line 1: \\[e2e\\]: 'latency: nan' stands where"),
        (
            "[infer] throughputRate",
            "[infer] hello throughputRate",
            "line 4: \\[infer\\]: lacks Interface throughputRate",
        ),
        ("Interface throughputRate: 247.898, ", "", "line 4: \\[infer\\]: lacks Interface throughputRate"),
        ("latency: 293035", "latency: 1, latency: 2", "line 1: \\[e2e\\]: 'latency: 2' stands where"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(old, new, complaint):
    damaged = SAMPLES["bs1"][0].replace(old, new)
    with pytest.raises(DataError, match=f"^perf_vision.txt(, |: ){complaint}"):
        parse_perf_vision(damaged, "perf_vision.txt")


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        ("[post] throughputRate: 171.595, moduleLatency: 5.82768\n", "", "without [postprocess]; is it cut off?"),
        (", latency: 293035", "", "[e2e] lacks latency"),
        ("[data read]", "hello [data read]", "line 2: 'hello' is not part of the report, and is skipped"),
        ("[preprocess]", "inference of stage 2:\n[preprocess]", "line 3: 'inference of stage 2:' is not part"),
    ],
)
def test_what_is_missing_or_not_understood_is_told(old, new, note):
    report = parse_perf_vision(SAMPLES["bs1"][0].replace(old, new))
    assert report.interface_throughput == 247.898
    assert len(report.notes) == 1
    assert report.notes[0].startswith(note)


def test_rules_blank_lines_and_what_surrounds_a_report_are_skipped():
    stages = SAMPLES["bs1"][0].replace("\n", "\n\n-----------------\n")
    text = f"batch 1, on device 0:\n----Performance Summary----\n{stages}fps = 247.898 * 4\n"
    assert parse_perf_vision(text) == expected(SAMPLES["bs1"][1])


@pytest.mark.parametrize(
    "prefix", ["[INFO] ", "2022-08-08 03:56:49,123 INFO: ", "12 | ", "> ", "| ", "\t", "07/20/21 1:49 PM "]
)
def test_what_a_log_or_a_document_puts_before_each_line_is_skipped(prefix):
    text = "".join(f"{prefix}{line}\n" for line in SAMPLES["bs1"][0].splitlines())
    assert parse_perf_vision(text) == expected(SAMPLES["bs1"][1])


def test_missing_commas_and_blanks_do_not_matter():
    text = (
        SAMPLES["bs1"][0].replace("171.595, Interface", "171.595 Interface").replace("Latency: 5.5", "Latency:\t   5.5")
    )
    assert parse_perf_vision(text.replace("moduleLatency: ", "moduleLatency:")) == expected(SAMPLES["bs1"][1])


def test_several_reports_are_read():
    text = f"{SAMPLES['bs1'][0]}batch 4:\n{SAMPLES['bs4'][0]}"
    assert parse_perf_visions(text) == [expected(SAMPLES["bs1"][1]), expected(SAMPLES["bs4"][1])]


def test_the_inference_stage_alone_gives_the_speed():
    report = parse_perf_vision("[inference] Interface throughputRate: 1.23284")
    assert report.interface_throughput == 1.23284
    assert report.notes[-1].startswith("without [e2e], [data read], [preprocess], [postprocess]")


def test_quoted_speeds_are_read_and_told():
    speeds = QUOTED.read("batch1: Interface throughputRate: 7.9\nInterface throughputRate: 8.5fps (batch 4)", "x", None)
    assert [speed.fps for speed in speeds] == [7.9, 8.5]
    assert QUOTED.read("Interface throughputRate:1000 * batchsize/mean= 290.0", "x", None) == []
    assert all("only the speed is quoted" in speed.notes[0] for speed in speeds)


@given(results, st.sampled_from(["\n", "", " "]), st.sampled_from([("infer", "post"), ("inference", "postprocess")]))
def test_what_the_tool_writes_is_read_back(figures, joint, dialect):
    rate, latency, read, read_ms, pre, pre_ms, infer, interface, infer_ms, post, post_ms = map("{:g}".format, figures)
    written = joint.join(
        [
            f"[e2e] throughputRate: {rate}, latency: {latency}",
            f"[data read] throughputRate: {read}, moduleLatency: {read_ms}",
            f"[preprocess] throughputRate: {pre}, moduleLatency: {pre_ms}",
            f"[{dialect[0]}] throughputRate: {infer}, Interface throughputRate: {interface}, moduleLatency: {infer_ms}",
            f"[{dialect[1]}] throughputRate: {post}, moduleLatency: {post_ms}",
        ]
    )
    assert parse_perf_vision(written) == expected(figures)


@given(st.data())
def test_any_damage_is_read_or_refused(data):
    text = SAMPLES["bs1"][0]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    damaged = text[:start] + data.draw(st.text(max_size=5)) + text[end:]
    try:
        reports = parse_perf_visions(damaged)
    except DataError:
        return
    assert all(isinstance(words, str) for report in reports for words in report.contradictions())
