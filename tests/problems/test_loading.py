"""Problems by name, from files of all kinds and families of reasoning-gym."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ponderosa.core import Kind, PonderosaError, Problem
from ponderosa.problems import BENCHMARKS, load_problems

SHARED = Path(__file__).parents[3] / "shared" / "benchmarks"
ROWS = [{"problem": "What is 1 + 1?", "answer": "2"}, {"problem": "What is\n2 + 2?", "answer": "4"}]


def written(path: Path, rows: list[dict]) -> Path:
    if path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".parquet"])
def test_a_file_of_any_kind_gives_the_same(tmp_path: Path, suffix: str) -> None:
    loaded = load_problems(str(written(tmp_path / f"p{suffix}", ROWS)))
    assert loaded.problems == [Problem("0", "What is 1 + 1?", "2"), Problem("1", "What is\n2 + 2?", "4")]
    assert loaded.notes == []


def test_columns_and_a_limit_can_be_named(tmp_path: Path) -> None:
    rows = [{"text": f"Say {i}.", "gold": i, "name": f"n{i}", "answer": "no"} for i in range(5)]
    path = written(tmp_path / "p.jsonl", rows)
    loaded = load_problems(f"{path}?question=text&answer=gold&id=name&limit=2")
    assert loaded.problems == [Problem("n0", "Say 0.", "0"), Problem("n1", "Say 1.", "1")]


@pytest.mark.parametrize(
    ("written_as", "answer"),
    [
        ("She has 9.\n#### 18", "18"),
        ("So it is \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"),
        (["$3$"], "$3$"),
        (["1", "2"], "1, 2"),
        (7, "7"),
        ("", None),
        ([], None),
        (None, None),
    ],
)
def test_the_answer_alone_is_taken(tmp_path: Path, written_as: object, answer: str | None) -> None:
    path = written(tmp_path / "p.jsonl", [{"question": "?", "answer": written_as}])
    assert load_problems(str(path)).problems[0].answer == answer


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv"])
def test_a_byte_order_mark_and_line_ends_of_windows_do_not_matter(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"p{suffix}", ROWS)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"}\n", b"}\r\n"))
    assert load_problems(str(path)).problems == [
        Problem("0", "What is 1 + 1?", "2"),
        Problem("1", "What is\n2 + 2?", "4"),
    ]


def test_an_answer_that_is_not_a_number_is_none(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"question": "a", "answer": NaN}')
    assert load_problems(str(path)).problems == [Problem("0", "a")]


def test_what_is_odd_is_counted_and_named(tmp_path: Path) -> None:
    rows = [{"id": i, "question": question, "answer": "1"} for i, question in enumerate(["a", "a", "b" * 30_000])]
    path = written(tmp_path / "p.jsonl", [*rows, {"id": "x", "question": "c", "answer": ""}])
    assert load_problems(str(path)).notes == [
        "1 of 4 problems have no answer, e.g. x",
        "1 questions are asked more than once, e.g. 'a'",
        "1 questions have more than 20,000 characters, e.g. that of 2",
    ]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ('{"question": "a"}\n{', "", "line 2: not a problem"),
        ('{"question": "a"}\n[1]', "", "line 2: not a problem; an object"),
        ('{"question": " ", "x": 1}', "", r"it has no question \(its columns: question, x\); name the column"),
        ('{"question": "a"}', "?answer=gold", "line 1: there is no column gold, only question"),
        ('{"question": "a"}', "?limit=some", "the option limit is a whole number"),
        ('{"question": "a"}', "?limits=3", "has no option limits: choose of question"),
        ('{"question": "a"}', "?limit", r"options are written \?name=value"),
        ('{"question": "a"}', "?limit=0", "holds no problems"),
        ("", "", "holds no problems"),
        ('{"id": 1, "question": "a"}\n{"id": 1, "question": "b"}', "", "two problems have one id"),
        ("[" * 100_000, "", "line 1: not a problem"),
        (r'{"question": "half a character: \ud800"}', "", "line 1: not a problem"),
        (json.dumps({"question": "a", "choices": list(range(27))}), "", "line 1: 27 choices; at most 26 have a letter"),
        (
            '{"question": "a", "choices": {"text": ["b", "c"], "label": ["B"]}}',
            "",
            "line 1: the choices cannot be read",
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, options: str, message: str) -> None:
    (tmp_path / "p.jsonl").write_text(text)
    with pytest.raises(PonderosaError, match=message):
        load_problems(f"{tmp_path / 'p.jsonl'}{options}")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.json", "{}", "a list of objects is expected"),
        ("p.json", "[", "is not JSON"),
        ("p.json", "[" * 100_000, "is not JSON"),
        ("p.csv", f"question\n{'a' * 200_000}", "cannot read the problem file"),
        ("p.parquet", "what", "is not a Parquet file"),
        ("p.txt", "what", "there are no problems named"),
    ],
)
def test_a_file_that_is_none_is_said(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(PonderosaError, match=message):
        load_problems(str(tmp_path / name))


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(PonderosaError, match="cannot read the problem file"):
        load_problems(str(tmp_path / "none.jsonl"))
    with pytest.raises(PonderosaError, match=r"or one of gsm8k, math, math500, aime24"):
        load_problems("amie24")
    with pytest.raises(PonderosaError, match=r"holds no aime24: a file aime24\.json"):
        load_problems("aime24", tmp_path)
    (tmp_path / "aime24.jsonl").write_bytes(b"\xff")
    with pytest.raises(PonderosaError, match="cannot read the problem file"):
        load_problems("aime24", tmp_path)


def test_a_family_of_reasoning_gym_is_the_same_for_the_same_seed() -> None:
    first, again, other = (
        load_problems(f"reasoning-gym:gsm_symbolic?size=5&seed={seed}").problems for seed in (1, 1, 2)
    )
    assert first == again != other
    assert len(first) == 5
    assert all(problem.answer for problem in first)
    with pytest.raises(PonderosaError, match="reasoning-gym has no family nonsense"):
        load_problems("reasoning-gym:nonsense")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the benchmarks are not here")
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("gsm8k", 1319),
        ("math500", 500),
        ("aime24", 30),
        ("amc23", 40),
        ("collegemath", 2818),
        ("gaokao2023en", 385),
        ("olympiadbench", 675),
    ],
)
def test_benchmarks_are_found_in_a_folder_of_copies(name: str, count: int) -> None:
    assert name in BENCHMARKS
    assert len(load_problems(name, SHARED).problems) == count


def test_proofs_are_told_by_an_option_or_by_each_row_and_lack_no_answer(tmp_path: Path) -> None:
    rows = [{"problem": "Prove it."}, {"problem": "Prove that.", "answer": "As \\boxed{1}, so it is."}]
    loaded = load_problems(f"{written(tmp_path / 'p.jsonl', rows)}?kind=proof")
    assert loaded.problems == [
        Problem("0", "Prove it.", kind=Kind.PROOF),
        Problem("1", "Prove that.", "As \\boxed{1}, so it is.", kind=Kind.PROOF),
    ]
    assert loaded.notes == []
    rows = [{"problem": "Prove it.", "kind": "proof"}, {"problem": "What is 1 + 1?", "answer": "2"}]
    loaded = load_problems(str(written(tmp_path / "q.jsonl", rows)))
    assert [problem.kind for problem in loaded.problems] == [Kind.PROOF, Kind.MATH]


def test_a_column_of_other_kinds_is_somebody_elses_and_can_be_overruled(tmp_path: Path) -> None:
    path = written(tmp_path / "p.jsonl", [{"problem": "Prove it.", "kind": "riddle"}])
    assert load_problems(str(path)).problems[0].kind is Kind.MATH
    assert load_problems(f"{path}?kind=proof").problems[0].kind is Kind.PROOF
