"""Benchmarks by the names that people use."""

from dataclasses import dataclass
from functools import partial


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Where it is on the Hub, how many problems it has, its columns, and what its file is called elsewhere.

    Columns are None where a row's shape tells them (see `rows`).
    """

    hub: str
    size: int
    split: str = "test"
    question: str | None = "problem"
    answer: str | None = "answer"
    config: str | None = None
    files: tuple[str, ...] = ()


_shaped = partial(Benchmark, question=None, answer=None)

BENCHMARKS = {
    "gsm8k": Benchmark("openai/gsm8k", 1319, question="question", config="main", files=("GSM8K",)),
    "math": Benchmark("nlile/hendrycks-MATH-benchmark", 500, files=("MATH",)),
    "math500": Benchmark("HuggingFaceH4/MATH-500", 500, files=("MATH500", "math-500")),
    "aime24": Benchmark("HuggingFaceH4/aime_2024", 30, split="train", files=("aime2024",)),
    "aime25": Benchmark("math-ai/aime25", 30, files=("aime2025",)),
    "amc23": Benchmark("math-ai/amc23", 40, question="question", files=("amc2023",)),
    "collegemath": Benchmark("realtreetune/college_math", 2818, files=("college_math",)),
    "gaokao2023en": Benchmark(
        "MARIO-Math-Reasoning/Gaokao2023-Math-En", 385, split="train", question="question", files=("gaokao2023_en",)
    ),
    "olympiadbench": Benchmark(
        "Hothan/OlympiadBench",
        674,
        split="train",
        question="question",
        answer="final_answer",
        config="OE_TO_maths_en_COMP",
        files=("olympiad_bench",),
    ),
    "omni-math": Benchmark("KbsdJames/Omni-MATH", 4428, files=("omni_math", "omnimath")),
    "commonsenseqa": _shaped("tau/commonsense_qa", 1221, split="validation", files=("commonsense_qa",)),
    "arc-challenge": _shaped("allenai/ai2_arc", 1172, config="ARC-Challenge", files=("arc_challenge", "arc_c")),
    "openbookqa": _shaped("allenai/openbookqa", 500, config="main"),
    "mmlu": _shaped("cais/mmlu", 14042, config="all"),
    "gpqa": _shaped("Idavidrein/gpqa", 198, config="gpqa_diamond", split="train", files=("gpqa_diamond",)),
    "mbpp": _shaped("google-research-datasets/mbpp", 500, config="full"),
    "humaneval": _shaped("openai/openai_humaneval", 164, files=("human_eval",)),
}
"""Names on the Hub move: `--data-dir` takes local copies, and `hub:OWNER/NAME?split=...` any other data set."""
