-- Grain: one row per candidate pair, at two levels.
--   prompt: two responses to one prompt that has an SFT row. Chosen passed everything; rejected is
--     refused by every voting function, by quorum, and on topic by the judge. A prompt keeps the
--     pairs closest in length (so that length teaches nothing), then with the best judged rejected.
--     A prompt without a rejected response is a candidate that fell.
--   instruction: two kept cases of one instruction, the instruction alone as the prompt (paper,
--     section 3.4): of all combinations the $pairs_per_instruction closest in length are candidates.
--     Cases are short and artificial, hence the floor on words and the cap on share.
WITH rejectable AS (
    SELECT *
    FROM filtered_responses_candidates
    WHERE
        reason <> 'duplicate_response'
        AND passed = 0
        AND votes >= 1
        AND votes / functions >= $quorum
        AND score >= $rejected_min_score
),

prompt_combinations AS (
    SELECT
        chosen.round,
        'prompt' AS level,
        chosen.instruction_id,
        chosen.prompt_id,
        chosen.query_id,
        chosen.prompt,
        chosen.response AS chosen,
        rejected.response AS rejected,
        chosen.response_id AS chosen_id,
        rejected.response_id AS rejected_id,
        chosen.score AS chosen_score,
        rejected.score AS rejected_score,
        row_number() OVER (
            PARTITION BY chosen.prompt_id
            ORDER BY
                abs(length(chosen.response) - length(rejected.response)),
                rejected.score DESC,
                chosen.response_id,
                rejected.response_id
        ) AS nth
    FROM filtered_responses AS chosen
    JOIN rejectable AS rejected USING (prompt_id)
),

prompts_without AS (
    SELECT
        round,
        'prompt' AS level,
        instruction_id,
        prompt_id,
        query_id,
        prompt,
        response AS chosen,
        NULL AS rejected,
        response_id AS chosen_id,
        NULL AS rejected_id,
        score AS chosen_score,
        NULL AS rejected_score,
        1 AS nth
    FROM sft_dataset
    WHERE prompt_id NOT IN (SELECT prompt_id FROM rejectable)
),

case_shares AS (
    SELECT
        cases.round,
        cases.instruction_id,
        cases.case_id,
        cases.case_input,
        cases.case_expected,
        avg((verdicts.verdict = 'TRUE')::INT) AS share_true,
        bool_or(verdicts.verdict = 'FALSE') AS refused
    FROM verified_cases AS cases
    JOIN case_verdicts AS verdicts USING (case_id)
    JOIN faithful_functions AS functions USING (function_id)
    GROUP BY ALL
),

instruction_combinations AS (
    SELECT
        chosen.round,
        'instruction' AS level,
        chosen.instruction_id,
        NULL AS prompt_id,
        NULL AS query_id,
        instructions.instruction AS prompt,
        chosen.case_input AS chosen,
        rejected.case_input AS rejected,
        chosen.case_id AS chosen_id,
        rejected.case_id AS rejected_id,
        NULL AS chosen_score,
        NULL AS rejected_score,
        len(regexp_extract_all(chosen.case_input, '\S+')) < $chosen_min_words AS short,
        row_number() OVER (
            PARTITION BY chosen.instruction_id, short
            ORDER BY
                abs(length(chosen.case_input) - length(rejected.case_input)),
                chosen.case_id,
                rejected.case_id
        ) AS nth
    FROM case_shares AS chosen
    JOIN case_shares AS rejected USING (instruction_id)
    JOIN verified_instructions AS instructions USING (instruction_id)
    WHERE
        chosen.case_expected AND chosen.share_true > $case_agreement
        AND NOT rejected.case_expected AND rejected.share_true = 0 AND rejected.refused
    QUALIFY nth <= $pairs_per_instruction
),

-- The cap on share counts against all kept pairs: s / (1 − s) instruction-level ones for each
-- prompt-level one. Every instruction's first pair comes before any instruction's second.
capped AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY short
            ORDER BY nth, sha256(chosen_id || rejected_id)
        ) AS nth_of_all,
        floor(
            (SELECT count(*) FROM prompt_combinations WHERE nth <= $pairs_per_prompt)
            * $instruction_level_share / (1 - $instruction_level_share) + 1e-9
        ) AS most
    FROM instruction_combinations
),

pairs AS (
    SELECT
        *,
        CASE WHEN nth > $pairs_per_prompt THEN 'not_closest_in_length' END AS reason,
        CASE WHEN nth > $pairs_per_prompt THEN format('pair {} of its prompt', nth) END AS detail
    FROM prompt_combinations
    UNION ALL BY NAME
    SELECT
        *,
        'no_rejected_response' AS reason,
        'no response of the prompt is refused by all functions and on topic' AS detail
    FROM prompts_without
    UNION ALL BY NAME
    SELECT
        * EXCLUDE (short, nth_of_all, most),
        CASE
            WHEN short THEN 'short_chosen'
            WHEN nth_of_all > most THEN 'enough_instruction_level_pairs'
        END AS reason,
        CASE reason
            WHEN 'short_chosen' THEN format('chosen has under {} words', $chosen_min_words)
            WHEN 'enough_instruction_level_pairs'
                THEN format('{:.0f} are {} of all pairs', most, $instruction_level_share)
        END AS detail
    FROM capped
)

SELECT
    'par_' || sha256(concat_ws('|', level, coalesce(prompt_id, instruction_id), chosen_id, rejected_id))[:24]
        AS pair_id,
    * EXCLUDE (nth)
FROM pairs
