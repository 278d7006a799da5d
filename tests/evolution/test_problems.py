import json
from pathlib import Path

import pytest

from ponderosa.cluster.shard import shards
from ponderosa.core import Kind, PonderosaError, Problem
from ponderosa.evolution.problems import FileProblems, decontamination, decontamination_line, problem_source
from ponderosa.evolution.recipe import ProblemSettings
from ponderosa.problems import read_problems, write_problems


def write(path: Path, count: int) -> Path:
    write_problems(
        path, [Problem(f"{path.stem}-{i}", f"What is {i} of {path.stem}?", str(i), {"level": i}) for i in range(count)]
    )
    return path


@pytest.fixture
def files(tmp_path: Path) -> ProblemSettings:
    return ProblemSettings(
        source="files", train=write(tmp_path / "train.jsonl", 20), test=write(tmp_path / "test.jsonl", 5)
    )


def test_problem_files_are_read_back(tmp_path: Path) -> None:
    path = write(tmp_path / "p", 9)
    assert [p.question for p in read_problems(path, 3, 5)] == ["What is 3 of p?", "What is 4 of p?"]
    assert next(read_problems(path)).meta == {"level": 0}


@pytest.mark.parametrize("line", ["{", '{"answer": "1"}', "[1]", "7"])
def test_a_line_that_is_no_problem_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({"question": "ok?"}) + "\n" + line + "\n")
    with pytest.raises(PonderosaError, match="line 2"):
        list(read_problems(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PonderosaError, match=r"gone\.jsonl"):
        list(read_problems(tmp_path / "gone.jsonl"))


def test_rounds_get_fresh_problems_until_all_were_taken(files: ProblemSettings) -> None:
    source = problem_source(files, seed=1, probe=4)
    first, second, third = (source.train(start, 8) for start in (0, 8, 16))
    probe = source.held_out("probe", 4)
    assert len({p.id for p in [*first, *second, *probe]}) == 20
    assert third == first


def test_held_out_problems_do_not_depend_on_the_runs_seed(files: ProblemSettings) -> None:
    one, two = problem_source(files, 1, 4), problem_source(files, 2, 4)
    for split in ("probe", "test", "dev"):
        assert one.held_out(split, 4) == two.held_out(split, 4)
    assert one.train(0, 16) != two.train(0, 16)


def test_problems_are_named_as_commands_name_them(tmp_path: Path) -> None:
    row = {"question": "Which?", "choices": ["one", "two"], "answer": 1}
    (tmp_path / "mmlu.json").write_text(json.dumps([row, {**row, "question": "Which now?"}]))
    train = "reasoning-gym:gsm_symbolic?size=5&seed=1"
    settings = ProblemSettings(source="files", train=train, test="mmlu?limit=1", data_dir=tmp_path)
    source = problem_source(settings, 1, probe=2)
    assert len(source.train(0, 5)) == 3
    assert [p.kind for p in source.held_out("test", 5)] == [Kind.CHOICE]


def test_training_problems_that_are_held_out_word_for_word_are_left_out_and_told_once(
    files: ProblemSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Path(files.train or "").open("a") as file:
        file.write('{"id": "leak", "question": "what is  4 of test ?", "answer": "4"}\n')
        file.write('{"id": "none", "question": "What is 4 of test, twice?", "answer": "8"}\n')
    source = problem_source(files, 1, probe=0)
    assert isinstance(source, FileProblems)
    assert {p.id for p in source.train(0, 30)} == {f"train-{i}" for i in range(20)} | {"none"}
    for _ in range(2):
        source.removed.tell(tmp_path)
    assert caplog.text.count("1 of 22 problems stand in a benchmark (test 1 same)") == 1
    (match,) = json.loads((tmp_path / "decontamination.json").read_text())["matches"]
    assert (match["problem_id"], match["benchmark_id"]) == ("leak", "test-4")
    assert decontamination_line(tmp_path) == (
        "Decontamination: 1 of 22 training problems were left out (test 1); they were compared with "
        "test (the same question)."
    )


def test_a_run_that_found_nothing_can_be_told_from_one_that_did_not_look(
    files: ProblemSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert decontamination(tmp_path) is None
    assert decontamination_line(tmp_path) == ""
    source = problem_source(files.model_copy(update={"decontaminate": (str(files.test),)}), 1, probe=0)
    assert isinstance(source, FileProblems)
    source.removed.tell(tmp_path)
    found = decontamination(tmp_path)
    assert found is not None
    assert (found["problems"], found["removed"], found["by_benchmark"]) == (20, 0, {})
    assert "matches" not in found
    line = decontamination_line(tmp_path)
    assert line.startswith("Decontamination: 0 of 20 training problems were left out; they were compared with ")
    assert line.endswith(f"{files.test} (runs of 8 words).")
    assert not caplog.text


def test_training_problems_are_compared_with_what_the_recipe_names(files: ProblemSettings, tmp_path: Path) -> None:
    question = "A train leaves Rome at noon and runs at forty miles an hour until it meets another"
    write_problems(tmp_path / "bench.jsonl", [Problem("b", question, "1")])
    with Path(files.train or "").open("a") as file:
        file.write(json.dumps({"id": "leak", "question": f"Suppose this: {question}.", "answer": "4"}) + "\n")
    named = files.model_copy(update={"decontaminate": (str(tmp_path / "bench.jsonl"),)})
    assert "leak" in {p.id for p in problem_source(files, 1, 0).train(0, 30)}
    assert "leak" not in {p.id for p in problem_source(named, 1, 0).train(0, 30)}


def test_other_problems_may_be_trained_on_if_they_are_not_held_out(files: ProblemSettings) -> None:
    others = [Problem("a", "what is  4 of test ?"), Problem("b", "What is new?")]
    assert [problem.id for problem in problem_source(files, 1, 0).trainable(others)] == ["b"]


def test_where_nothing_is_left_to_train_on_it_is_said(files: ProblemSettings) -> None:
    with pytest.raises(PonderosaError, match="stand in test"):
        problem_source(files.model_copy(update={"train": files.test}), 1, 0)


def test_too_large_a_probe_pool_is_refused(files: ProblemSettings) -> None:
    with pytest.raises(PonderosaError, match=r"evaluation\.probe"):
        problem_source(files, 1, probe=20)


@pytest.mark.parametrize(
    ("count", "size", "share"), [(0, 5, 1), (1, 5, 2), (10, 5, 1), (11, 5, 3), (1000, 7, 2), (6, 5, 4)]
)
def test_shards_cover_all_problems_evenly_and_occupy_all_processes(count: int, size: int, share: int) -> None:
    ranges = shards(count, size, share)
    assert [i for start, stop in ranges for i in range(start, stop)] == list(range(count))
    sizes = [stop - start for start, stop in ranges]
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) % share == 0 or len(sizes) == max(1, count)
