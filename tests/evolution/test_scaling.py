import asyncio
import json
from pathlib import Path

import pytest

from ponderosa.core import PonderosaError
from ponderosa.evaluation.curves import Cost, Point
from ponderosa.evaluation.metrics import Accuracy
from ponderosa.evaluation.scaling.measurements import COLUMNS, from_rows
from ponderosa.evaluation.statistics import mean_of_rates
from ponderosa.evolution import scaling
from ponderosa.evolution.evaluating import Measured
from ponderosa.evolution.scaling import Cell, Grid, cells, load_grid, run_grid
from ponderosa.view.progress import Progress

GRIDS = sorted(Path(__file__).parents[2].glob("recipes/scaling/*.yaml"))
GRID = Grid(sizes=("tiny", "small"), tokens=(1000, 2000), count=4, samples=(1, 3))


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_every_bundled_grid_is_valid(path):
    grid = load_grid(path)
    assert len(cells(grid)) > 5
    scaling._run_of(grid, "policy").check()


def test_cells_come_with_the_dearest_first_and_without_those_beyond_the_limit():
    assert [cell.name for cell in cells(GRID)] == ["small-2000-0", "small-1000-0", "tiny-2000-0", "tiny-1000-0"]
    limit = Cell("small", 1000, 0).flops()
    assert "small-2000-0" not in [cell.name for cell in cells(GRID.model_copy(update={"most_flops": limit}))]
    with pytest.raises(PonderosaError, match="raise it"):
        cells(GRID.model_copy(update={"most_flops": 1.0}))


def test_a_wrong_key_is_named(tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text("sizes: [tiny]\ntokens: [1000]\nsample: {heat: 1}\ntokns: 3\n")
    with pytest.raises(PonderosaError, match="tokns"):
        load_grid(path)
    with pytest.raises(PonderosaError, match="heat"):
        load_grid(path)


@pytest.mark.parametrize("change", ["seeds=[]", "tokens=[0]", "samples=[]", "samples=[0]", "methods=[]"])
def test_a_grid_of_nothing_names_the_setting(tmp_path, change):
    path = tmp_path / "grid.yaml"
    path.write_text("sizes: [tiny]\ntokens: [1000]\n")
    with pytest.raises(PonderosaError, match=change.partition("=")[0]):
        load_grid(path, [change])


def test_a_size_that_there_is_not_is_named():
    with pytest.raises(PonderosaError, match="no size gigantic"):
        cells(GRID.model_copy(update={"sizes": ("gigantic",)}))


class Trained:
    """Stands for training and measuring; counts what was asked of it."""

    def __init__(self) -> None:
        self.trained: list[str] = []
        self.losses: list[str] = []
        self.measured: list[str] = []
        self.fails = ""

    async def pretrain(self, folder, grid, cell, told):
        if cell.name == self.fails:
            raise PonderosaError(f"{cell.name} failed")
        self.trained.append(cell.name)
        folder.mkdir(parents=True, exist_ok=True)
        told(cell.tokens / 2)
        (folder / "config.json").write_text(json.dumps({"vocab_size": 10, "hidden_size": 2}))
        header = json.dumps({"w": {"shape": [10, 12], "dtype": "F32", "data_offsets": [0, 0]}}).encode()
        (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
        (folder / "README.md").write_text("made")

    def loss(self, folder, documents):
        self.losses.append(Path(folder).name)
        return 0.5

    async def evaluate(self, path, run, problems, dev, observer, workers):
        self.measured.append(path.parent.name)
        rates = (1.0, 0.0, 0.0, 0.0)
        accuracy = Accuracy(mean_of_rates(rates), 30.0, rates)
        partly = Accuracy(mean_of_rates((0.5, 0.25, 0.0, 0.0)), 30.0, (0.5, 0.25, 0.0, 0.0))
        cost = Cost(generated=30.0, prompt=20.0)
        return Measured(list("abcd"), [Point("majority", 3, accuracy, cost), Point("pass", 3, partly, cost)], [], {})


@pytest.fixture
def trained(monkeypatch):
    made = Trained()
    monkeypatch.setattr(scaling, "_pretrain", made.pretrain)
    monkeypatch.setattr(scaling, "evaluate", made.evaluate)
    monkeypatch.setattr("ponderosa.sapling.loss.held_out_loss", made.loss)
    return made


def run(path, grid=GRID):
    return asyncio.run(run_grid(path, grid, Progress()))


def test_a_grid_gives_rows_that_can_be_fitted(tmp_path, trained):
    rows = [json.loads(line) for line in run(tmp_path).read_text().splitlines()]
    assert len(rows) == 8
    assert set(rows[0]) <= set(COLUMNS)
    # 120 parameters, of which 10 x 2 are embeddings; 20 + 30 tokens a problem.
    first = rows[0]
    assert (first["model"], first["parameters"], first["non_embedding"]) == ("tiny-1000-0", 120, 100)
    assert (first["test_flops"], first["rates"], first["accuracy"]) == (2 * 120 * 50, "1000", 0.25)
    assert rows[1]["rates"] == [0.5, 0.25, 0.0, 0.0]
    found = from_rows(rows)
    assert len(found.models) == 4
    assert not found.remarks


def test_what_is_there_is_not_made_again(tmp_path, trained):
    trained.fails = "tiny-2000-0"
    with pytest.raises(PonderosaError, match="tiny-2000-0 failed"):
        run(tmp_path)
    before = list(trained.trained)
    assert before
    trained.fails = ""
    run(tmp_path)
    assert sorted(trained.trained) == sorted(cell.name for cell in cells(GRID))
    run(tmp_path)
    assert sorted(trained.trained) == sorted(trained.measured) == sorted(trained.losses)
    assert len(trained.measured) == 4


def test_another_grid_in_the_same_folder_is_an_error_but_not_where_it_runs(tmp_path, trained):
    run(tmp_path)
    asked = {"targets": (0.5,), "workers": GRID.workers.model_copy(update={"processes": 1})}
    run(tmp_path, GRID.model_copy(update=asked))
    with pytest.raises(PonderosaError, match="count: 4 -> 5"):
        run(tmp_path, GRID.model_copy(update={"count": 5}))


def test_a_training_that_ends_badly_says_where_its_log_is(tmp_path):
    grid = Grid(sizes=("tiny",), tokens=(1000,), tokenizer=str(tmp_path / "nowhere"))
    with pytest.raises(PonderosaError, match=r"there is no tokenizer at .*log: "):
        run(tmp_path / "grid", grid)
