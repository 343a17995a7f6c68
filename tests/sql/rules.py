"""The thresholds of the decisions under the names that their queries use."""

from dataclasses import asdict, dataclass

from autoif_dagster.recipe import load_recipe

Parameters = dict[str, float]

USED = {
    "verified_cases": ("min_cases", "min_functions", "case_agreement"),
    "verified_functions": ("min_cases", "min_functions", "function_accuracy", "side_accuracy"),
    "faithful_functions": ("max_contradiction",),
    "verified_instructions": (),
    "judged_responses": ("quorum", "min_accuracy"),
    "filtered_responses": ("quorum", "min_accuracy", "min_score"),
    "sft_dataset": (),
    "dpo_pairs": (
        "pairs_per_prompt",
        "rejected_min_score",
        "pairs_per_instruction",
        "instruction_level_share",
        "chosen_min_words",
        "quorum",
        "case_agreement",
    ),
}


@dataclass(frozen=True, slots=True)
class Rules:
    """What the preset `default` stands for, written out as the design's table has it."""

    min_functions: int = 3
    min_cases: int = 6
    case_agreement: float = 0.5
    function_accuracy: float = 0.8
    side_accuracy: float = 0.5
    max_contradiction: float = 0.5
    quorum: float = 0.5
    min_accuracy: float = 0.8
    min_score: float = 8.0
    pairs_per_prompt: int = 1
    rejected_min_score: float = 6.0
    pairs_per_instruction: int = 4
    instruction_level_share: float = 0.05
    chosen_min_words: int = 5

    def parameters(self, name: str) -> Parameters:
        values: dict[str, float] = asdict(self)
        return {key: values[key] for key in USED[name]}


DEFAULT = Rules()


def rules_of_preset(name: str) -> Rules:
    """The same, as the recipe has it."""
    recipe = load_recipe(name, {})
    return Rules(
        min_functions=recipe.verification.min_functions,
        min_cases=recipe.verification.min_cases,
        case_agreement=recipe.verification.case_agreement,
        function_accuracy=recipe.verification.function_accuracy,
        side_accuracy=recipe.verification.side_accuracy,
        max_contradiction=recipe.back_translation.max_contradiction,
        quorum=recipe.responses.quorum,
        min_accuracy=recipe.responses.min_accuracy,
        min_score=recipe.quality.min_score,
        **recipe.dpo.model_dump(),
    )
