from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ponderosa.core import (
    BackendError,
    CodeFormat,
    Completion,
    Ended,
    Execution,
    Outcome,
    Problem,
    Prompt,
    RefusedError,
    Sampling,
    Status,
    make_format,
)
from ponderosa.search import SampleSettings
from ponderosa.training.rollouts import Rollout, encode, grouped, roll_out

PROBLEM = Problem("p", "How many?", "5")
HEAD = CodeFormat().render(PROBLEM.question).text
CODE = "<code>\nx = 2 + 3\nprint(x)\n<end_of_code>"
SHOWN = "\n<output>5<end_of_output>"
ANSWER = "\n<answer>\\boxed{5}.\n<end_of_answer>"
SETTINGS = SampleSettings(temperature=1.0, max_tokens=64)


class Writer:
    """Writes what the table has for the text so far, in the tokens of a tokenizer."""

    def __init__(self, tokenizer: Any, table: dict[str, str | tuple[str, ...]]) -> None:
        self.tokenizer = tokenizer
        self.table = table
        self.asked: list[tuple[str, int]] = []

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        self.asked.append((prompt.body, n))
        texts = self.table[prompt.body]
        return [self._completion(text, sampling.stop) for text in ([texts] * n if isinstance(texts, str) else texts)]

    def _completion(self, text: str, stops: Sequence[str]) -> Completion:
        ids = tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        for stop in stops:
            if text.endswith(stop):
                return Completion(text.removesuffix(stop), Ended.STOP, stop, tokens=len(ids), ids=ids)
        return Completion(text, Ended.LENGTH, tokens=len(ids), ids=ids)


class Prints:
    def __init__(self, output: str | BaseException) -> None:
        self.output = output
        self.programs: list[str] = []

    async def run(self, code: str, after: str | None = None, group: str | None = None) -> Execution:
        self.programs.append(code)
        if isinstance(self.output, BaseException):
            raise self.output
        return Execution(Status.OK, self.output)


async def rolled(tokenizer: Any, table: dict[str, Any], executor: Any, n: int = 1) -> list[Rollout]:
    return await roll_out(PROBLEM, n, Writer(tokenizer, table), executor, CodeFormat(), SETTINGS, seed=1)


async def test_what_the_program_prints_stands_in_the_rollout_and_is_not_learned(tokenizer: Any) -> None:
    executor = Prints("5\n")
    (rollout,) = await rolled(tokenizer, {"": CODE, CODE + SHOWN: ANSWER}, executor)
    assert executor.programs == ["x = 2 + 3\nprint(x)"]
    assert (rollout.text, rollout.answer, rollout.outcome) == (CODE + SHOWN + ANSWER, "5", Outcome.ANSWERED)
    assert [turn.shown for turn in rollout.turns] == [SHOWN, ""]

    (row,) = encode([rollout], tokenizer, max_length=1000)
    assert tokenizer.decode(row.prompt) == HEAD
    assert tokenizer.decode(row.completion) == CODE + SHOWN + ANSWER + "<eos>"
    masked = [token for token, own in zip(row.completion, row.learned, strict=True) if not own]
    assert tokenizer.decode(masked) == SHOWN + "<eos>"  # the policy stopped at its tag, it drew no end of text
    assert not row.cut
    assert not row.respelled


async def test_samples_that_write_the_same_share_its_execution(tokenizer: Any) -> None:
    executor = Prints("5")
    writer = Writer(tokenizer, {"": (CODE, CODE, "no code"), CODE + SHOWN: ANSWER})
    rollouts = await roll_out(PROBLEM, 3, writer, executor, CodeFormat(), SETTINGS, seed=1)
    assert len(executor.programs) == 1
    assert writer.asked == [("", 3), (CODE + SHOWN, 2)]
    assert [one.outcome for one in rollouts] == [Outcome.ANSWERED, Outcome.ANSWERED, Outcome.MALFORMED]
    assert [one.text for one in rollouts] == [CODE + SHOWN + ANSWER] * 2 + ["no code"]


async def test_a_rollout_that_was_cut_off_has_no_end_of_text(tokenizer: Any) -> None:
    (rollout,) = await rolled(tokenizer, {"": "<code>\nx = "}, Prints(""))
    (row,) = encode([rollout], tokenizer, max_length=1000)
    assert rollout.cut
    assert row.cut
    assert tokenizer.decode(row.completion) == "<code>\nx = "
    assert all(row.learned)


async def test_what_exceeds_the_length_of_a_row_is_cut(tokenizer: Any) -> None:
    (rollout,) = await rolled(tokenizer, {"": CODE, CODE + SHOWN: ANSWER}, Prints("5"))
    prompt = len(tokenizer(HEAD)["input_ids"])
    (row,) = encode([rollout], tokenizer, max_length=prompt + 7)
    assert (len(row.completion), len(row.learned), row.cut) == (7, 7, True)


async def test_an_error_of_the_program_ends_a_rollout_without_an_answer(tokenizer: Any) -> None:
    class Fails(Prints):
        async def run(self, code: str, after: str | None = None, group: str | None = None) -> Execution:
            return Execution(Status.ERROR, error_type="NameError", error_message="no y")

    (rollout,) = await rolled(tokenizer, {"": CODE}, Fails(""))
    assert (rollout.answer, rollout.outcome, rollout.failed, rollout.cut) == (None, Outcome.CODE_ERROR, "", False)
    assert rollout.turns[0].shown == "\n<output>NameError: no y<end_of_output>"


async def test_an_executor_that_dies_makes_failed_rollouts_that_teach_nothing(tokenizer: Any) -> None:
    rollouts = await rolled(tokenizer, {"": CODE}, Prints(BackendError("the server died")), n=2)
    assert [one.failed for one in rollouts] == ["the server died"] * 2
    rows = encode(rollouts, tokenizer, max_length=1000)
    assert [(tokenizer.decode(row.completion), row.learned) for row in rows] == [("<eos>", [0])] * 2


async def test_a_refused_prompt_makes_failed_rollouts_and_a_dead_policy_is_an_error(tokenizer: Any) -> None:
    class Refuses(Writer):
        async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
            raise self.table["error"]  # type: ignore[misc]

    refusing = Refuses(tokenizer, {"error": RefusedError("too long")})  # type: ignore[dict-item]
    (rollout,) = await roll_out(PROBLEM, 1, refusing, Prints(""), CodeFormat(), SETTINGS, 1)
    assert (rollout.failed, rollout.outcome) == ("too long", Outcome.BACKEND_FAILED)
    dead = Refuses(tokenizer, {"error": BackendError("logits are not numbers")})  # type: ignore[dict-item]
    with pytest.raises(BackendError, match="not numbers"):
        await roll_out(PROBLEM, 1, dead, Prints(""), CodeFormat(), SETTINGS, 1)


async def test_other_tokens_of_the_same_text_are_trained_as_they_were_drawn_and_counted(tokenizer: Any) -> None:
    (rollout,) = await rolled(
        tokenizer, {"": CODE.replace("x", "ab"), CODE.replace("x", "ab") + SHOWN: ANSWER}, Prints("5")
    )
    first, second = rollout.turns
    a, b, ab = tokenizer.convert_tokens_to_ids(["a", "b", "ab"])
    apart = tuple(part for token in first.completion.ids for part in ((a, b) if token == ab else (token,)))
    assert apart != first.completion.ids
    turn = replace(first, completion=replace(first.completion, ids=apart))
    (row,) = encode([replace(rollout, turns=(turn, second))], tokenizer, max_length=1000)
    assert tuple(row.completion[: len(apart)]) == apart
    assert row.respelled


async def test_the_end_of_the_text_is_learned_where_the_policy_drew_it(tokenizer: Any) -> None:
    class Ends(Writer):
        def _completion(self, text: str, stops: Sequence[str]) -> Completion:
            ids = (*tokenizer(text)["input_ids"], tokenizer.eos_token_id)
            return Completion(text, Ended.EOS, tokens=len(ids), ids=ids)

    writer = Ends(tokenizer, {"": "So it is \\boxed{5}."})
    (rollout,) = await roll_out(PROBLEM, 1, writer, Prints(""), make_format("text"), SETTINGS, 1)
    (row,) = encode([rollout], tokenizer, max_length=1000)
    assert rollout.answer == "5"
    assert tokenizer.decode(row.completion) == "So it is \\boxed{5}.<eos>"
    assert all(row.learned)


def test_equal_prompts_in_a_row_are_a_group() -> None:
    assert list(grouped(["a", "a", "b", "a"])) == [("a", 2), ("b", 1), ("a", 1)]
    assert list(grouped([])) == []
