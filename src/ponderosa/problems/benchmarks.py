"""Benchmarks by the names that people use."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Where it is on the Hub, its columns there, and what its file is called in other people's collections."""

    hub: str
    split: str = "test"
    question: str = "problem"
    answer: str = "answer"
    config: str | None = None
    files: tuple[str, ...] = ()


BENCHMARKS = {
    "gsm8k": Benchmark("openai/gsm8k", question="question", config="main", files=("GSM8K",)),
    "math": Benchmark("nlile/hendrycks-MATH-benchmark", files=("MATH",)),
    "math500": Benchmark("HuggingFaceH4/MATH-500", files=("MATH500", "math-500")),
    "aime24": Benchmark("HuggingFaceH4/aime_2024", split="train", files=("aime2024",)),
    "aime25": Benchmark("math-ai/aime25", files=("aime2025",)),
    "amc23": Benchmark("math-ai/amc23", question="question", files=("amc2023",)),
    "collegemath": Benchmark("realtreetune/college_math", files=("college_math",)),
    "gaokao2023en": Benchmark(
        "MARIO-Math-Reasoning/Gaokao2023-Math-En", split="train", question="question", files=("gaokao2023_en",)
    ),
    "olympiadbench": Benchmark(
        "Hothan/OlympiadBench",
        split="train",
        question="question",
        answer="final_answer",
        config="OE_TO_maths_en_COMP",
        files=("olympiad_bench",),
    ),
    "omni-math": Benchmark("KbsdJames/Omni-MATH", files=("omni_math", "omnimath")),
}
"""Names on the Hub move: `--data-dir` takes local copies, and `hub:OWNER/NAME?split=...` any other data set."""
