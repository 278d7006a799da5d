"""What each source becomes, and what its cards say."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard

from ponderosa.core import PonderosaError
from ponderosa.evolution.problems import decontamination_line
from ponderosa.evolution.r1_zero import R1Zero
from ponderosa.hub import Repository, repositories
from ponderosa.training.cards import tell

from .conftest import SECRETS, checkpoint, write


def text(repository: Repository) -> str:
    card = repository.files["README.md"]
    assert isinstance(card, str)
    return card


def model(repository: Repository) -> ModelCard:
    return ModelCard(text(repository), ignore_metadata_errors=False)


def test_a_run_becomes_its_last_policy_its_last_ppm_and_all_its_data(run: Path) -> None:
    policy, ppm, data = repositories(run, "me/tiny")
    assert [(r.name, r.kind) for r in (policy, ppm, data)] == [
        ("me/tiny", "model"),
        ("me/tiny-ppm", "model"),
        ("me/tiny-data", "dataset"),
    ]
    assert policy.files["model.safetensors"] == run / "round-2" / "policy" / "model.safetensors"
    assert ppm.files["model.safetensors"] == run / "round-2" / "ppm" / "model.safetensors"
    assert sorted(data.files) == [
        "README.md",
        *(f"pairs/round-{n}.parquet" for n in (1, 2)),
        *(f"sft/round-{n}.parquet" for n in (1, 2)),
        *(f"trees/round-{n}-tree-0-shard-00000.parquet" for n in (1, 2)),
    ]


def test_the_policys_card_says_from_what_how_and_how_good(run: Path) -> None:
    policy = repositories(run, "me/tiny", "mit")[0]
    card = model(policy)
    assert card.data.base_model == "Qwen/Qwen2.5-Math-1.5B"
    assert card.data.pipeline_tag == "text-generation"
    assert card.data.license == "mit"
    assert card.data.datasets == ["me/tiny-data"]
    assert "round 2 of the recipe `tiny`" in card.text
    assert "3 trajectories, in 5 steps and 6,000 tokens" in card.text
    assert "| Greedy | 70.0 (68.0-72.0), n = 500 | 50.0 (40.0-60.0), n = 100 |" in card.text
    assert "| Majority of 8 | 80.0 (75.0-85.0), n = 200 |  |" in card.text
    assert "vllm serve me/tiny\n" in card.text


def test_the_ppms_card_names_the_policy_and_the_scale_of_its_values(run: Path) -> None:
    card = model(repositories(run, "me/tiny")[1])
    assert card.data.base_model == "me/tiny"
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.license is None  # what it is made from is not ours to license
    assert "tanh(logit / 5)" in card.text
    assert "?scale=5" in card.text
    assert "| AUC on this round's steps | 90.0 (89.0-91.0), n = 1,000 |" in card.text
    assert "4 preference pairs" in card.text


def test_no_card_and_no_file_tells_of_this_machine(run: Path, tmp_path: Path) -> None:
    for repository in repositories(run, "me/tiny"):
        folder = repository.write(tmp_path / "out")
        written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
        assert not [secret for secret in (*SECRETS, str(tmp_path)) if secret.encode() in written]


def test_every_card_of_a_run_says_what_was_left_out_for_standing_in_a_benchmark(run: Path) -> None:
    found = {"problems": 9, "removed": 0, "by_benchmark": {}, "settings": [{"words": {"/home/me/math500": 13}}]}
    write(run / "decontamination.json", json.dumps(found | {"matches": []}))
    line = "0 of 9 training problems were left out; they were compared with math500 (runs of 13 words)."
    for model in run.glob("round-*/p*/training.json"):
        tell(model.parent, decontamination=decontamination_line(run))
    assert all(f"Decontamination: {line}" in text(repository) for repository in repositories(run, "me/tiny"))


def test_every_part_of_the_data_loads_by_its_name(run: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    data = repositories(run, "me/tiny")[2]
    card = DatasetCard(text(data), ignore_metadata_errors=False)
    folder = data.write(tmp_path / "out")
    loaded = {
        config["config_name"]: datasets.load_dataset(
            str(folder), config["config_name"], split="train", cache_dir=str(tmp_path / "cache")
        )
        for config in card.data.to_dict()["configs"]
    }
    assert {name: len(rows) for name, rows in loaded.items()} == {"sft": 3, "pairs": 2, "trees": 2}
    assert set(loaded["trees"]["problem_id"]) == {"p1", "p2"}
    assert "| `sft` | a correct trajectory | 3 | 1 | 1 |" in card.text


def test_a_part_that_is_not_there_is_not_on_the_card(run: Path) -> None:
    for search in run.glob("round-*/search"):
        shutil.rmtree(search)
    data = repositories(run, "me/tiny")[2]
    configs = DatasetCard(text(data), ignore_metadata_errors=False).data.to_dict()["configs"]
    assert [config["config_name"] for config in configs] == ["sft", "pairs"]


def test_a_round_without_a_policy_keeps_its_data(run: Path) -> None:
    shutil.rmtree(run / "round-1" / "policy")
    data = repositories(run, "me/tiny")[2]
    assert {"sft/round-1.parquet", "sft/round-2.parquet"} <= data.files.keys()


def test_a_run_that_learned_from_rewards_alone_has_no_data(run: Path) -> None:
    for folder in (*run.glob("round-*/search"), *run.glob("round-*/data"), *run.glob("round-*/ppm")):
        shutil.rmtree(folder)
    recipe = R1Zero.model_validate({"name": "zero", "policy": "sapling?device=cpu", "rounds": [{"problems": 1000}] * 2})
    write(run / "recipe.yaml", yaml.safe_dump(recipe.model_dump(mode="json")))
    (policy,) = repositories(run, "me/zero")
    assert "round 2 of the recipe `zero`" in text(policy)
    assert model(policy).data.datasets is None
    assert model(policy).data.license == "apache-2.0"


def test_the_data_of_a_loop_without_data_settings_are_pushed(run: Path) -> None:
    recipe = R1Zero.model_validate({"name": "zero", "policy": "sapling", "rounds": [{"problems": 1000}] * 2})
    write(run / "recipe.yaml", yaml.safe_dump(recipe.model_dump(mode="json")))
    data = repositories(run, "me/zero")[2]
    assert "the 2 rounds of the recipe `zero`" in text(data)


def test_a_checkpoint_of_a_run_tells_of_its_own_round(run: Path) -> None:
    (policy,) = repositories(run / "round-1" / "policy", "me/one")
    card = model(policy)
    assert "round 1 of the recipe `tiny`" in card.text
    assert card.data.datasets is None
    assert "training.json" not in policy.files
    (ppm,) = repositories(run / "round-1" / "ppm", "me/one-ppm")
    assert model(ppm).data.base_model is None  # its policy may be nowhere


def test_a_checkpoint_alone_tells_what_its_record_does(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "mine", "Qwen2ForCausalLM", start="/home/ann/models/base")
    (policy,) = repositories(folder, "me/mine")
    assert "Training started from `base`." in model(policy).text
    assert "## Measured" not in text(policy)
    assert "/home" not in text(policy)


def test_a_card_that_is_there_stays_but_for_a_licence_that_is_given(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "mine", "LlamaForCausalLM", start="x")
    write(folder / "README.md", "---\nlicense: mit\ntags: [a]\n---\n\n# Mine\n")
    assert text(repositories(folder, "me/mine")[0]) == "---\nlicense: mit\ntags: [a]\n---\n\n# Mine\n"
    card = model(repositories(folder, "me/mine", "apache-2.0")[0])
    assert (card.data.license, card.data.tags) == ("apache-2.0", ["a"])
    write(folder / "README.md", "# Mine\n\n---\nno metadata\n")
    card = model(repositories(folder, "me/mine", "mit")[0])
    assert (card.data.license, card.text.strip()) == ("mit", "# Mine\n\n---\nno metadata")


def test_a_data_set_and_a_gguf_file_are_pushed_as_they_are(run: Path, tmp_path: Path) -> None:
    (rows,) = repositories(run / "round-1" / "data" / "sft", "me/rows", "cc-by-4.0")
    assert sorted(rows.files) == ["README.md", "train.parquet"]
    assert DatasetCard(text(rows), ignore_metadata_errors=False).data.license == "cc-by-4.0"
    write(tmp_path / "p.gguf", "GGUF")
    (file,) = repositories(tmp_path / "p.gguf", "me/p-GGUF")
    assert file.files["p.gguf"] == tmp_path / "p.gguf"
    assert model(file).data.library_name == "gguf"


def test_what_cannot_be_pushed_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(PonderosaError, match="nothing that can be pushed: name a run, a checkpoint"):
        repositories(tmp_path, "me/x")
    with pytest.raises(PonderosaError, match="notaname is not the name of a repository: write --repo OWNER/NAME"):
        repositories(run, "notaname")
    (run / "round-1" / "policy" / "model.safetensors").unlink()
    with pytest.raises(PonderosaError, match="holds no weights"):
        repositories(run / "round-1" / "policy", "me/x")
    write(tmp_path / "new" / "recipe.yaml", json.dumps({"policy": "sapling"}))
    with pytest.raises(PonderosaError, match="no finished round yet"):
        repositories(tmp_path / "new", "me/x")
