import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ponderosa.core import PonderosaError
from ponderosa.view import figures
from ponderosa.view.report import ReportData, write_report

VOID = {"meta", "br", "link", "img", "input"}


class Page(HTMLParser):
    """Collects a page's elements; fails where tags do not nest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.text = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def report_data(results, tree):
    return ReportData(
        results=results,
        q_values={"round 1": [-1.0, 0.25, 1.0]},
        example=tree,
        trees=[tree],
        paths={"search trees": "runs/demo/round-1/search"},
        command="ponderosa evolve sapling-quick --out runs/demo",
    )


@pytest.fixture
def data(results, tree):
    return report_data(results, tree)


@pytest.fixture(scope="module")
def written(tmp_path_factory, whole_results, whole_tree):
    return write_report(tmp_path_factory.mktemp("run"), report_data(whole_results, whole_tree))


@pytest.fixture(scope="module")
def page(written):
    return Page(written.read_text(encoding="utf-8"))


def test_the_page_and_its_picture_are_written(written):
    assert sorted(path.name for path in written.parent.iterdir()) == ["accuracy.png", "accuracy.svg", "report.html"]
    assert (written.parent / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    ElementTree.parse(written.parent / "accuracy.svg")


def test_the_page_asks_nothing_of_the_network(written, page):
    for tag, attributes in page.elements:
        assert tag not in {"script", "link", "img", "iframe"}
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith("#")
    text = written.read_text(encoding="utf-8")
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    assert "@import" not in text


def test_every_picture_says_in_words_what_it_shows(page):
    alts = [attributes["aria-label"] for tag, attributes in page.elements if tag == "svg"]
    assert len(alts) == 5
    assert alts[0].startswith(
        "Accuracy in percent by round (Base, Round 1): Greedy 50.0, 70.0; Majority of 4 55.0, 75.0"
    )


def test_the_page_says_what_was_left_out_for_standing_in_a_benchmark(tmp_path, results):
    def text():
        return " ".join(Page(write_report(tmp_path, ReportData(results)).read_text(encoding="utf-8")).text)

    assert "Decontamination" not in text()
    by_benchmark = {"math500": {"same": 2, "overlap": 1}}
    settings = [{"words": {"test": 0}}, {"words": {"math500": 13}}]
    results["decontamination"] = {"problems": 12000, "removed": 3, "by_benchmark": by_benchmark, "settings": settings}
    assert (
        "Decontamination: 3 of 12,000 training problems were left out (math500 3); they were compared with "
        "test (the same question), math500 (runs of 13 words)."
    ) in text()


def test_ids_are_unique_and_those_referred_to_are_there(page):
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = {attributes["xlink:href"][1:] for _, attributes in page.elements if "xlink:href" in attributes}
    assert used
    assert used <= set(ids)


def test_colours_of_pictures_follow_the_style_sheet(written):
    pictures = "".join(re.findall(r"<svg.*?</svg>", written.read_text(encoding="utf-8"), re.DOTALL))
    assert set(re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[;\"])", pictures)) == set()
    assert "var(--series-1)" in pictures


def test_the_style_sheet_has_the_colours_that_pictures_have_on_a_light_page():
    style = (Path(figures.__file__).parent / "report.css").read_text(encoding="utf-8")
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    for name, value in figures.COLORS.items():
        assert f"--{name}: {value};" in light
        assert f"--{name}: #" in dark


def test_the_sections_tell_the_whole_run(page):
    text = " ".join("".join(page.text).split())
    for fact in (
        "sapling-quick: a model that taught itself to reason", "1 round of self-evolution", "50.0 → 70.0 %",
        "40 % of the base's errors removed by greedy decoding alone", "MCTS + PPM, chosen on dev",
        "The winning trajectory", "The first wrong one", "Here it parts from the winning one.",
        "ponderosa evolve sapling-quick --out runs/demo", "runs/demo/round-1/policy", "42,000 programs",
    ):  # fmt: skip
        assert fact in text


def test_text_of_a_model_cannot_write_html(tmp_path, data, tree):
    tree.question = "<script>alert(1)</script>"
    tree.nodes[1].text = "x = '</pre><img src=x>'"
    page = Page(write_report(tmp_path, data).read_text(encoding="utf-8"))
    assert {tag for tag, _ in page.elements} & {"script", "img"} == set()


def test_the_same_run_gives_the_same_bytes(tmp_path, written, data):
    assert write_report(tmp_path, data).read_bytes() == written.read_bytes()
    assert (tmp_path / "accuracy.svg").read_bytes() == written.with_name("accuracy.svg").read_bytes()


@pytest.mark.parametrize("rounds", [[], [{"round": 0}], [{"round": 0, "greedy": {"accuracy": 0.5}}]])
def test_results_that_hold_almost_nothing_make_a_report(tmp_path, rounds):
    Page(write_report(tmp_path, ReportData(results={"rounds": rounds})).read_text(encoding="utf-8"))


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, data, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(PonderosaError, match=r"ponderosa\[report\]"):
        write_report(tmp_path, data)


def test_large_numbers_on_an_axis_are_short():
    assert [figures.short(value) for value in (0, 350, 2_500, 1e6, 2e9)] == ["0", "350", "2.5k", "1M", "2B"]


def test_what_searches_cost_is_told_for_each_tree(written):
    text = " ".join(Page(written.read_text()).text)
    assert "Round 1: data 600 0 15.0 1,500 1,400 667 0.0" in re.sub(r"\s+", " ", text)
    assert "1.20e+09 2.0" in re.sub(r"\s+", " ", text)
