"""What trainers take: SFT rows and DPO pairs at both levels (paper, section 3.4)."""

from autoif_dagster.materialization import decision_asset

sft_dataset = decision_asset(
    "sft_dataset",
    group="datasets",
    deps=["filtered_responses"],
    about="One answer per prompt, so that easy prompts do not crowd out hard ones.",
    candidates="SELECT count(*) FROM filtered_responses",
)

dpo_pairs = decision_asset(
    "dpo_pairs",
    group="datasets",
    deps=[
        "sft_dataset",
        "filtered_responses",
        "case_verdicts",
        "verified_cases",
        "faithful_functions",
        "verified_instructions",
    ],
    about="Prompt-level pairs of two responses, and a few instruction-level pairs of two cases.",
    parameters={
        "quorum": "responses.quorum",
        "case_agreement": "verification.case_agreement",
        "pairs_per_prompt": "dpo.pairs_per_prompt",
        "rejected_min_score": "dpo.rejected_min_score",
        "pairs_per_instruction": "dpo.pairs_per_instruction",
        "instruction_level_share": "dpo.instruction_level_share",
        "chosen_min_words": "dpo.chosen_min_words",
    },
    # Each prompt with an SFT row has its pairs, or a row that says why it has none.
    candidates="SELECT count(*) FROM sft_dataset",
    counted="count(DISTINCT prompt_id)",
    figures="count(*) FILTER (level = 'prompt') AS prompt_level, "
    "count(*) FILTER (level = 'instruction') AS instruction_level",
)
