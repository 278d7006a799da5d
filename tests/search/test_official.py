"""The preset `rstar-official` against trees that the public code made under a scripted model."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from ponderosa.core import CodeFormat, Completion, Ended, Execution, PonderosaError, Problem, Status, StepKind, Tree
from ponderosa.core.official_format import OfficialFormat
from ponderosa.execution import ForkServer, Limits
from ponderosa.models import ScriptedGrader, ScriptedPolicy, ScriptedReward
from ponderosa.search import Backends
from ponderosa.search.official import OfficialSettings, official_beam, official_mcts

GOLDEN = Path(__file__).parents[3] / "shared" / "golden"
golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden data are not here")
FORMAT = OfficialFormat()

MISATTACHED = {1, 2, 3, 5, 6, 7, 10, 11, 13, 14, 15, 16, 18, 20, 23, 27, 28, 29}
"""Problems for which the public beam search attached completions to wrong parents, as it does once an answer is in
the beam. That is not reproduced: there the trees differ, and the policy's table lacks what a right search asks for."""


async def search(run: str) -> list[tuple[dict, Tree]]:
    """(golden problem, our tree) for each problem of a run."""
    script = json.loads((GOLDEN / f"{run}.trees.json").read_text())
    config = script["config"]
    format = OfficialFormat(bootstrap=run.startswith("a_"))
    policy = ScriptedPolicy.from_file(GOLDEN / f"{run}.policy.json")
    reward = ScriptedReward.from_file(GOLDEN / f"{run}.reward.json", format) if config["need_value_func"] else None
    grader = ScriptedGrader.from_file(GOLDEN / f"{run}.grader.json") if config["is_sampling"] else None
    settings = OfficialSettings(
        candidates=config["n_generate_sample"],
        width=config["step_beam_width"],
        rollouts=config["iterations"],
        max_depth=config["max_depth"],
        errors=config["errors_threshold"],
    )
    method = official_beam if config["mode"] == "bs" else official_mcts

    async def one(record: dict, executor: ForkServer) -> Tree:
        problem = Problem(str(record["index"]), record["question"], str(record["answer"]))

        async def judge(answer: str) -> float:
            assert grader is not None
            return 1.0 if (await grader.grade(answer, problem)).correct else -1.0

        backends = Backends(policy, executor, format, reward, judge if grader else None)
        return await method(problem.id, problem.question, backends, settings)

    async with ForkServer(Limits(wall_s=30)) as executor:
        trees = await asyncio.gather(*(one(record, executor) for record in script["problems"]))
    return list(zip(script["problems"], trees, strict=True))


def assert_same(tree: Tree, nodes: dict[str, dict], *, statistics: bool) -> None:
    assert tree.outcome is None
    assert [tree.tag(i) for i in range(len(tree.nodes))] == sorted(nodes, key=lambda tag: _order(tree, tag))
    for i, node in enumerate(tree.nodes):
        official = nodes[tree.tag(i)]
        assert node.text == official["text"]
        assert _portable(node.output) == _portable(official.get("observation", ""))
        if node.answer is not None:
            assert node.answer == official["final_answer"]
        if statistics:
            assert node.visits == official["visit_count"]
            assert node.q == pytest.approx(official["q_value"], abs=1e-9)
        elif i:
            assert node.value == pytest.approx(official["value"], abs=1e-9)


def _order(tree: Tree, tag: str) -> int:
    return next((i for i in range(len(tree.nodes)) if tree.tag(i) == tag), -1)


def _portable(text: str) -> str:
    """Import errors name the file of the module."""
    return re.sub(r"\((?:/[^)]*/)?site-packages/", "(", text)


@golden
@pytest.mark.parametrize("run", ["a_sample_mcts", "b_sft_sample_mcts", "c_sft_eval_mcts", "e_sft_eval_greedy"])
def test_every_tree_is_the_official_one(run):
    for problem, tree in asyncio.run(search(run)):
        assert_same(tree, problem["rstar"], statistics=True)


@golden
def test_beams_are_the_official_ones_but_for_a_defect():
    compared = 0
    for problem, tree in asyncio.run(search("d_sft_eval_bs")):
        if problem["index"] not in MISATTACHED:
            nodes = {tag: node for tag, node in problem["rstar"].items() if tag != "solutions"}
            assert_same(tree, nodes, statistics=False)
            compared += 1
    assert compared == 12


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so \\boxed{3}.", "3"),
        ("so \\boxed{\\frac{1}{2}}.\nmore", "\\frac{1}{2}"),
        ("\\boxed{1} and \\boxed{2}", "2"),
        ("the result gets boxed", "the result gets boxed"),
        ("\\boxed{5\\text{ cm}}", "5cm"),
        ("\\boxed{3\\text{ and }4}", "34"),
        ("first.\n\\boxed{3}", "first"),
        ("\\boxed{12", "boxed{12"),
    ],
)
def test_answers_are_read_as_the_official_code_reads_them(text, answer):
    step = FORMAT.parse(Completion(text, Ended.EOS))
    assert (step.kind, step.answer) == (StepKind.ANSWER, answer)


def test_an_empty_box_is_neither_an_answer_nor_code():
    step = FORMAT.parse(Completion("\\boxed{}", Ended.EOS))
    assert (step.kind, step.outcome) == (StepKind.TEXT, None)


@pytest.mark.parametrize(
    ("code", "observation"),
    [
        ("x = 2\nprint(x)", "2"),
        ("print(1 / 3)", "0.3333"),
        ("print(2)\nx = 5\nprint(x)", "2: 2\nx: 5"),
        ("x = 7\nx", "7"),
        ("'a word'", "a word"),
        ("for i in range(3):\n    print(i)", "0\n1\n2"),
        ("print(1)\nx = 2", ""),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("x = (", "SyntaxError: '(' was never closed (<unknown>, line 2)"),
        ("print('x' * 2000)", "x" * 512 + "..." + "x" * 511),
        ("", ""),
    ],
)
def test_code_shows_what_the_official_interpreter_returns(code, observation):
    async def main() -> Execution:
        async with ForkServer() as executor:
            return await executor.run(FORMAT.program((f"<code>\n{code}\n<end_of_step>",)))

    assert FORMAT.observation(asyncio.run(main())) == observation


def test_a_program_starts_after_the_last_one_ended():
    steps = ("<code>\nx = 1\n<end_of_step>", "print(x)\n<end_of_code>\n<output>1<end_of_output>")
    assert "x = 1" in FORMAT.program(steps)
    following = FORMAT.program((*steps, "<code>\ny = 2\n<end_of_step>"))
    assert "y = 2" in following
    assert "x = 1" not in following


def test_a_time_out_is_an_error():
    assert "error" in FORMAT.observation(Execution(Status.TIMEOUT)).lower()


@pytest.mark.parametrize("search", [official_mcts, official_beam])
def test_another_format_is_an_error(search):
    backends = Backends(None, None, CodeFormat(), reward=object())
    with pytest.raises(PonderosaError, match="--format rstar-official"):
        asyncio.run(search("p", "?", backends, OfficialSettings()))
