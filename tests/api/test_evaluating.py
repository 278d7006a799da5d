import pytest

import ponderosa
from ponderosa.api.evaluating import evaluation_folder
from ponderosa.core import PonderosaError


@pytest.mark.parametrize(
    ("problems", "policy", "folder"),
    [
        ("aime24", "runs/sapling", "runs/eval-aime24-sapling"),
        ("data/test.jsonl?limit=50", "http://127.0.0.1:8000", "runs/eval-test-limit-50-http-127.0.0.1-8000"),
        ("hub:owner/name", "Qwen/Qwen2.5-Math-1.5B", "runs/eval-name-Qwen-Qwen2.5-Math-1.5B"),
        ([], "python:mine:Policy?size=3", "runs/eval-problems-python-mine-Policy-size-3"),
    ],
)
def test_a_folder_is_named_by_problems_and_policy(problems, policy, folder):
    assert str(evaluation_folder(problems, policy)) == folder


def test_an_object_cannot_go_to_worker_processes():
    class Mine:
        pass

    with pytest.raises(PonderosaError, match="cannot be given a Mine: name it, as python:module:attribute"):
        ponderosa.evaluate("problems.jsonl", policy=Mine())
    with pytest.raises(PonderosaError, match="cannot be given a Mine"):
        ponderosa.evaluate("problems.jsonl", policy="x", methods=["greedy", Mine()])


def test_what_is_odd_about_problems_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problems.jsonl").write_text('{"question": "Why?", "answer": "1"}\n' * 2)
    with pytest.warns(UserWarning, match=r"problems\.jsonl: 1 questions are asked more than once"):
        with pytest.raises(PonderosaError, match=r"no script at gone\.json"):
            ponderosa.evaluate("problems.jsonl", policy="scripted:gone.json", methods=["greedy"], processes=1)
