import json
from pathlib import Path

import pytest

from ponderosa.cluster.shard import read_problems, shards, write_problems
from ponderosa.core import PonderosaError, Problem
from ponderosa.evolution.problems import problem_source
from ponderosa.evolution.recipe import ProblemSettings


def write(path: Path, count: int) -> Path:
    write_problems(path, [Problem(f"{path.stem}-{i}", f"What is {i}?", str(i), {"level": i}) for i in range(count)])
    return path


@pytest.fixture
def files(tmp_path: Path) -> ProblemSettings:
    return ProblemSettings(source="files", train=write(tmp_path / "train", 20), test=write(tmp_path / "test", 5))


def test_problem_files_are_read_back(tmp_path: Path) -> None:
    path = write(tmp_path / "p", 9)
    assert [p.question for p in read_problems(path, 3, 5)] == ["What is 3?", "What is 4?"]
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
